# SPDX-License-Identifier: BSD-3-Clause
"""``Tier``: a cache off this node, which is asked when the region has no value.

A tier stores bytes under bytes and knows nothing of what they mean.  What it gives back is not
trusted: ``plib_cache.remote`` wraps each value, checks what comes, and counts what fails.  To write
one, derive from ``Tier`` and give it the three operations on many keys; then
``Cache(remote=YourTier())``, or a list of tiers, which are asked in that order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from plib_cache._distant import TAKEN, THERE

__all__ = ["TAKEN", "THERE", "Parcel", "Tier"]


class Parcel(NamedTuple):
    """A value on its way to a tier."""

    key: bytes  # 1 to 250 bytes, 33 to 126 each: what any server takes for a key
    payload: bytes
    seconds: float | None  # the tier may forget it then; None: whenever it likes


class Tier(ABC):
    """A cache off this node.

    No method raises for a server that fails, and none waits for it past a limit that the tier
    documents: what cannot be had is absent, and what could not be done is in the answer.  They are
    called by any thread, also after a fork.
    """

    name: str = "tier"
    item_max: int = 1 << 40  # bytes of payload that it takes

    @abstractmethod
    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The payloads of those keys that are there."""

    @abstractmethod
    def set_many(self, parcels: Sequence[Parcel]) -> Collection[bytes]:
        """Store; the keys of those that were not, or about which nothing is known."""

    @abstractmethod
    def delete_many(self, keys: Sequence[bytes]) -> Collection[bytes]:
        """Remove; the keys of which the servers have not confirmed that they are gone."""

    def get(self, key: bytes) -> bytes | None:
        """The payload of a key; None if there is none."""
        return self.get_many([key]).get(key)

    def clear(self) -> bool:
        """Remove everything; False if some server could not be told."""
        return False

    def tend(self) -> float | None:
        """Look after the servers, in the background; seconds until that is due again, if it is."""
        return None

    def watch(self, changed: Callable[[], None]) -> None:  # noqa: B027
        """Take a function that is to be called when a server went away or came back."""

    def close(self) -> None:  # noqa: B027
        """Let the connections go; the next use makes new ones."""

    # ---- single flight between nodes

    def claim(self, key: bytes, seconds: float) -> int | None:
        """Claim the computation of a key for so long.

        Returns:
            A token, more than 0: it is this caller's.  ``TAKEN``: somebody else computes.
            ``THERE``: there is a value.  None: the tier does not offer it, or cannot tell.
        """
        return None

    def renew(self, key: bytes, token: int, seconds: float) -> int | None:
        """Keep a claim for so long from now; its new token, 0 if it is gone, None if that cannot be
        told."""
        return None

    def abandon(self, key: bytes, token: int) -> None:  # noqa: B027
        """Give a claim back."""
