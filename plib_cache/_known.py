# SPDX-License-Identifier: BSD-3-Clause
"""The digests of arrays that lie in a cache, kept beside them: each is computed once.

An array in the cache never changes, so its digest (``keys.value_digest``) is a fact about one run
and token.  It is a small entry of its own, of whose loss nothing depends.
"""

from __future__ import annotations

import hashlib
from typing import Any

from plib_cache._core import SET, Encoding, Terms
from plib_cache._handing import told
from plib_cache.exceptions import PlibCacheError, UnhashableArgumentError

_PREFIX = b"plib_cache digest "
_BYTES = 16
_MOST = 1024  # digests that a process remembers

# By handle, run, token and form.  No lock is needed: whoever is late computes it again.
_remembered: dict[tuple[Any, ...], bytes] = {}


def digest_of(array: Any, lease: Any, form: tuple[Any, ...]) -> bytes | None:
    """The digest of an array that lies in a lease; None if it has none.

    Args:
        array: a plain one.
        lease: over whose memory it lies.
        form: where it does, and what it makes of it: tells arrays over one value from each other.
    """
    run = lease.run()
    which = lease.handle, run, lease.token, form
    digest = _remembered.get(which) or _digest_of(array, lease, f"{run} {lease.token} {form}")
    if digest is not None and run is not None:
        if len(_remembered) >= _MOST:
            _remembered.clear()
        _remembered[which] = digest
    return digest


def _digest_of(array: Any, lease: Any, which: str) -> bytes | None:
    """The same, as the cache has it; computed, and stored there, if it has not."""
    from plib_cache.keys import value_digest  # it needs a package that may be missing
    from plib_cache.serialize import default_serializer

    key = _PREFIX + hashlib.blake2b(which.encode(), digest_size=16).digest()
    try:
        opened = told(lease)
        region = None if opened is None else opened.region
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
