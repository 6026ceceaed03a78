# SPDX-License-Identifier: BSD-3-Clause
"""A region as a client of memcached wants it: its entries, or the answers of a server.

Made of what ``plib-cache serve`` is made of, so that both mean the same by an entry.
"""

from __future__ import annotations

from plib_cache import ValueTooLargeError
from plib_cache.serve import Conversation, Counts, Limits, Store
from plib_cache.serve.store import SET, Item

AT_ONCE = 1 << 20  # bytes of values that one call of the core gives
LIMITS = Limits(item=1 << 40)  # the region has its own


class Line:
    """In the place of a socket: whatever is said is answered in this process."""

    def __init__(self, store: Store) -> None:
        self._conversation = Conversation(store, LIMITS, counts(store))
        self._answers = bytearray()

    def sendall(self, data: bytes) -> None:
        """Say something."""
        self._answers += self._conversation.received(data)
        while self._conversation.more:
            self._answers += self._conversation.resume()

    def recv(self, size: int) -> bytes:
        """Some of the answers; none is the end, for nothing comes later."""
        answer = bytes(self._answers[:size])
        del self._answers[:size]
        return answer

    def close(self) -> None:
        """There is nothing to close."""


def counts(store: Store) -> Counts:
    """What a server would have counted, if it had done what all processes did to the region."""
    done = store.stats()
    return Counts(
        cmd_get=done["hits"] + done["misses"],
        get_hits=done["hits"],
        get_misses=done["misses"],
        cmd_set=done["sets"] + done["adds"] + done["replaces"] + done["cas"] + done["appends"],
        cmd_touch=done["touches"],
        touch_hits=done["touches"],
        delete_hits=done["deletes"],
        incr_hits=done["incrs"],
    )


def found(store: Store, keys: list[bytes]) -> list[Item | None]:
    """What there is of keys."""
    if len(keys) == 1:
        return [store.get(keys[0])]
    items: list[Item | None] = []
    while len(items) < len(keys):
        items += store.get_many(keys[len(items) :], AT_ONCE)
    return items


def put(
    verb: int, key: bytes, data: bytes, flags: int, moment: int, token: int, store: Store
) -> int:
    """Store a value; the status."""
    try:
        return store.put(verb, key, data, flags, moment, token)[0]
    except ValueTooLargeError:
        if verb == SET:
            store.delete(key)  # what is there is out of date
        raise
