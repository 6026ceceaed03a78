# SPDX-License-Identifier: BSD-3-Clause
"""Compressed results: blobs in joblib's own format, as ``joblib.dump(value, compress=...)`` writes.

They take less room and cost the time of decompressing at each hit; nothing of them can be used in
place.
"""

from __future__ import annotations

import io
from typing import Any

import joblib

from plib_cache import SerializationError


def packed(value: Any, compress: Any) -> bytes:
    """The value as a blob; ``compress`` as joblib takes it: True, a level, or method and level."""
    file = io.BytesIO()
    joblib.dump(value, file, compress=compress)
    return file.getvalue()


def unpacked(blob: bytes) -> Any:
    """The value of a blob.

    Raises:
        SerializationError: it is none, or needs what is not here.
    """
    try:
        return joblib.load(io.BytesIO(blob))
    except Exception as error:  # joblib, pickle and each compressor have their own
        raise SerializationError(
            f"a compressed result cannot be read ({error}): install what it needs, or clear it"
        ) from error
