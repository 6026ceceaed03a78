# SPDX-License-Identifier: BSD-3-Clause
"""Attaching to a region, or making it, while others may do the same."""

from __future__ import annotations

import functools
import numbers
import operator
import os
from typing import Any

from plib_cache import config
from plib_cache._core import Region, RegionAbsentError, SizeDiffersError
from plib_cache.exceptions import ConfigurationError
from plib_cache.serialize import Serializer

_TRIES = 5  # another process may create or remove the region between two looks


def open_region(path: str, size: int | None, *, create: bool, **options: Any) -> Region:
    """The region at ``path``.

    Args:
        size: in bytes, which an existing region must have; None takes any and makes the default.
        create: make it if there is none.
        options: the others of ``Region``.

    Raises:
        PlibCacheError: it cannot be opened or made; the message says why and what to do.
    """
    attempt = functools.partial(Region, path, **options)
    if size is not None:
        return attempt(size=size, create=create)
    for tries_left in reversed(range(_TRIES)):
        try:
            return attempt(size=0, create=False)
        except RegionAbsentError:
            if not create:
                raise
        try:
            return attempt(size=config.default_size(os.path.dirname(path)), create=True)  # noqa: PTH120
        except SizeDiffersError:  # somebody else has made it meanwhile
            if not tries_left:
                raise
    raise AssertionError("unreachable")


def check_serializer(serializer: Serializer | None) -> Serializer | None:
    """The serializer, if it is one; None where none was given."""
    if serializer is None:
        return None
    does = all(callable(getattr(serializer, name, None)) for name in ("dumps", "loads"))
    if not does or not isinstance(getattr(serializer, "name", None), str):
        raise ConfigurationError(
            f"serializer={serializer!r:.100}: give an object with a name, dumps() and loads(), as "
            "plib_cache.serialize.Serializer describes it"
        )
    return serializer


def check_expected(expected_entry: object) -> int:
    """The typical entry in bytes; 0 where none was given."""
    if expected_entry is None:
        return 0
    if not isinstance(expected_entry, bool) and isinstance(
        expected_entry, numbers.Integral
    ):  # also NumPy's
        expected_entry = operator.index(expected_entry)
    if not isinstance(expected_entry, int) or not 16 <= expected_entry <= 1 << 30:
        raise ConfigurationError(
            f"expected_entry={expected_entry!r} is not the size of an entry: give the typical "
            "bytes of key and value together, 16 to 2**30"
        )
    return expected_entry


def check_in_place(in_place: object) -> int:
    """How much may be leased, in percent of the pool: 0 the default, -1 nothing."""
    if isinstance(in_place, bool):
        return 0 if in_place else -1
    if not isinstance(in_place, numbers.Real) or not 0 <= float(in_place) <= 1:
        raise ConfigurationError(
            f"in_place={in_place!r}: give True, False (copies only), or the share of the pool that "
            "may be read and filled in place at once, 0.01 to 1"
        )
    return round(float(in_place) * 100) or -1
