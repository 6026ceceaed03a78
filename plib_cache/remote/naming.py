# SPDX-License-Identifier: BSD-3-Clause
"""What a key is called in a tier, and which server it lives on.

memcached takes keys of 1 to 250 bytes without blanks and controls.  A key that is such stays what
it is, so that other clients find it; any other one becomes "plc:" and a digest, of 192 bits, so
that two keys do not meet.  Which key a value was stored under is signed with it in any case.

The home of a key is found by rendezvous hashing (Thaler and Ravishankar, 1998): the server of
which a digest of server and key is the largest.  If a server is added or removed, only its own
keys move.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

KEY_MAX = 250
_MARK = b"plc:"
_PLAIN = re.compile(rb"[!-~]+\Z").match


def name_of(key: bytes, prefix: bytes = b"") -> bytes:
    """The name in a tier of a key, with a prefix that is such a name itself."""
    name = prefix + key
    if len(name) <= KEY_MAX and not key.startswith(_MARK) and _PLAIN(name):
        return name
    return b"%s%s%s" % (prefix, _MARK, blake2b(key, digest_size=24).hexdigest().encode())


class Rendezvous:
    """The home of each key among servers that have ids.

    Args:
        ids: one of each server, such as "host:11211", the same on all nodes and in any order.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._salted = [
            blake2b(digest_size=8, key=blake2b(one.encode(), digest_size=32).digest())
            for one in ids
        ]

    def home(self, name: bytes) -> int:
        """The index of the server that a name lives on."""
        if len(self._salted) == 1:
            return 0
        best, most = 0, b""
        for at, salted in enumerate(self._salted):
            digest = salted.copy()
            digest.update(name)
            if (score := digest.digest()) > most:
                best, most = at, score
        return best
