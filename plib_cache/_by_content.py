# SPDX-License-Identifier: BSD-3-Clause
"""Tokens in which what is large is its digest: as those of ``_fingerprint``, at memory's speed.

Arrays, frames, tables and sparse matrices, and strings and bytes of 64 KiB and more, become the
16 bytes of their digest (``_content``), and nothing of them is copied that need not be.  All
other values have the tokens that they have for ``@plib_cache.cache``; types always matter.

A class may know the digest of its instances: ``__plib_digest__(self)`` returns what
``keys.value_digest`` gave for an equal value, and nothing of the instance is looked at; or None,
and then it is hashed as if the class had no such method.  An array of such a class is the plain
array of its elements.
"""

from __future__ import annotations

import array
from hashlib import blake2b
from typing import Any

from plib_cache._content import ContentHash, content_digest
from plib_cache._describe import Means
from plib_cache._describe_numpy import describe_numpy
from plib_cache._describe_tables import describe_table
from plib_cache._describe_text import describe_cells, describe_texts
from plib_cache._fingerprint import Encoder, digest_token
from plib_cache._pickling import type_name

LARGE_BYTES = 1 << 16
DIGEST_BYTES = 16
_BY_CONTENT = Means(ContentHash, describe_texts, describe_cells)

# By format: what is in a matrix of SciPy besides its shape.
_SPARSE = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "coords"),
    "dia": ("data", "offsets"),
}


class ContentEncoder(Encoder):
    """Makes tokens by content; one for each fingerprint."""

    def __init__(self) -> None:
        super().__init__(typed=True)

    def token(self, value: object) -> bytes:
        """The token of any value.

        Raises:
            UnstableValueError: another process could not compute the same.
            TypeError: a ``__plib_digest__`` returns what is no digest.
        """
        if self.is_large(value):
            return digest_token(self._digest_of(b"r", _describe_raw(value)))
        return super().token(value)

    def value_digest(self, value: object) -> bytes:
        """The 16 bytes that stand for a value where it is an argument."""
        token = self.token(value)
        digest = token[-DIGEST_BYTES:]
        return digest if token == digest_token(digest) else self.digest(token)

    @staticmethod
    def is_large(value: Any) -> bool:
        """Whether it is a scalar of which only the digest is in a token."""
        return type(value) in (str, bytes) and len(value) >= LARGE_BYTES

    @staticmethod
    def digest(data: bytes) -> bytes:
        """16 bytes; of what is small, those that the keys of ``@plib_cache.cache`` are."""
        if len(data) >= LARGE_BYTES:
            return content_digest([data])
        return blake2b(data, digest_size=DIGEST_BYTES).digest()

    def _object(self, value: Any) -> bytes:
        known = _known_digest(value)
        if known is not None:
            return digest_token(known)
        if not isinstance(value, type) and not hasattr(type(value), "__plib_key__"):
            for family, describe in _FAMILIES:
                description = describe(value)
                if description is not None:
                    return digest_token(self._digest_of(family, description))
        return super()._object(value)

    def _digest_of(self, family: bytes, description: object) -> bytes:
        return self.digest(family + self._described(description))


def _known_digest(value: Any) -> bytes | None:
    """What the value's class says."""
    method = getattr(type(value), "__plib_digest__", None)
    digest = None if method is None else method(value)
    if digest is None or (type(digest) is bytes and len(digest) == DIGEST_BYTES):
        return digest
    raise TypeError(
        f"__plib_digest__ of {type_name(value)} returned {digest!r:.60}: "
        f"return {DIGEST_BYTES} bytes, or None if they are not known"
    )


def _describe_array(value: Any) -> object | None:
    return describe_numpy(value, _BY_CONTENT)


def _describe_frame(value: Any) -> object | None:
    return describe_table(value, _BY_CONTENT)


def _describe_raw(value: Any) -> object | None:
    """Text and bytes that are large; what is small has its token in full."""
    kind = type(value)
    if kind is str:
        return "str", content_digest([value.encode("utf-8", "surrogatepass")])
    if kind not in (bytes, bytearray, memoryview, array.array):
        return None
    view = memoryview(value)
    if view.nbytes < LARGE_BYTES:
        return None
    return kind.__name__, content_digest([_flat(view)]), view.format, view.shape


def _flat(view: memoryview) -> memoryview | bytes:
    """The elements in C's order; copied if they are scattered, or of a type that has no cast."""
    try:
        return view.cast("B")
    except TypeError:
        return view.tobytes()


def _describe_sparse(value: Any) -> object | None:
    """A matrix or an array of SciPy that has a form made of arrays, by these."""
    kind = type(value)
    if not kind.__module__.startswith("scipy.sparse."):
        return None
    names = _SPARSE.get(getattr(value, "format", ""))
    if names is None or not all(hasattr(value, name) for name in names):
        return None
    return kind.__name__, value.shape, [getattr(value, name) for name in names]


_FAMILIES = (
    (b"n", _describe_array),
    (b"t", _describe_frame),
    (b"r", _describe_raw),
    (b"s", _describe_sparse),
)
