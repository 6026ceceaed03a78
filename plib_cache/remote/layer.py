# SPDX-License-Identifier: BSD-3-Clause
"""One tier of several: what things are called in it, and how values get into and out of it."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from plib_cache.remote import splitting
from plib_cache.remote.naming import name_of
from plib_cache.remote.signing import OVERHEAD, PARTS, Arrived, Signer
from plib_cache.tiers import Parcel, Tier


class Write(NamedTuple):
    """A value that is to be stored under a key."""

    key: bytes
    head: Arrived  # the value, and how it is to be read
    seconds: float | None  # the tiers may forget it then
    lasting: bool  # nobody stores another value under this key: an old one does no harm
    tiers: int | None = None  # only the first so many

    @property
    def nbytes(self) -> int:
        """Bytes of the value and its key."""
        return len(self.head.payload) + len(self.key)


class Layer(NamedTuple):
    """One tier, and what its names begin with."""

    tier: Tier
    prefix: bytes = b""

    def name(self, key: bytes) -> bytes:
        """What a key is called there."""
        return name_of(key, self.prefix)

    def open(
        self, key: bytes, raw: bytes, allowed: Container[int], signer: Signer, value_max: int
    ) -> Arrived:
        """The value in what came from there; its parts are fetched.

        Raises:
            Rejected: it is not to be used.
        """
        arrived = signer.open(key, raw, allowed)
        if arrived.kind != PARTS:
            return arrived
        whole = splitting.join(arrived.payload, self.tier, self.prefix, value_max)
        return arrived._replace(payload=memoryview(whole))

    def parcel(self, write: Write, signer: Signer) -> Parcel | None:
        """What is to be stored under the name of a key; None if its parts could not be."""
        head, tier = write.head, self.tier
        if len(head.payload) + OVERHEAD <= tier.item_max:
            sealed = signer.seal(write.key, [head.payload], head)
            return Parcel(self.name(write.key), sealed, write.seconds)
        size = splitting.part_bytes(tier.item_max)
        listed, parts = splitting.split(head.payload, size, self.prefix)
        names = list(parts)
        for group in splitting.groups(range(len(names)), size):
            some = [Parcel(names[i], bytes(parts[names[i]]), write.seconds) for i in group]
            if tier.set_many(some):
                return None
        sealed = signer.seal(write.key, [listed], head._replace(kind=PARTS))
        return Parcel(self.name(write.key), sealed, write.seconds)
