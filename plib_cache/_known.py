# SPDX-License-Identifier: BSD-3-Clause
"""The digests of arrays that lie in a cache, kept beside them: each is computed once.

An array in the cache never changes, so its digest (``keys.value_digest``) is a fact about one run
and token.  It is a small entry of its own, of whose loss nothing depends.
"""

from __future__ import annotations

import hashlib
from typing import Any

from plib_cache._core import SET, Encoding, Terms
from plib_cache._handing import region_at
from plib_cache.exceptions import PlibCacheError, UnhashableArgumentError
from plib_cache.serialize import default_serializer

_PREFIX = b"plib_cache digest "
_BYTES = 16


def digest_of(array: Any, leased: Any) -> bytes | None:
    """The digest of an array that lies in a lease; None if it has none.

    Args:
        array: a plain one, over all or part of the lease.
        leased: ``_shared_array.Leased``.
    """
    from plib_cache.keys import value_digest  # it needs a package that may be missing

    which = f"{leased.lease.run()} {leased.token} {leased.form}"
    key = _PREFIX + hashlib.blake2b(which.encode(), digest_size=16).digest()
    try:
        region = region_at(leased.path, leased)
        found = None if region is None else region.get(key)
        if found is not None and len(found[1]) == _BYTES:
            return bytes(found[1])
        digest = value_digest(array)
        if region is not None:
            encoded: Encoding = default_serializer().dumps(digest)
            region.store(SET, key, encoded, Terms(immutable=True))
        return digest
    except (UnhashableArgumentError, ImportError):
        return None
    except PlibCacheError:
        return value_digest(array)
