# SPDX-License-Identifier: BSD-3-Clause
"""The regions of a cluster, and which of them a key is at home in.

Rendezvous hashing chooses it, so when a node comes or goes only its own share of the keys moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from plib_cache.remote.breaker import Breaker
from plib_cache.remote.naming import Rendezvous


class Home:
    """A region somewhere, and who can be asked for what is in it."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.addresses: tuple[str, ...] = ()
        self.breaker = Breaker(changed=changed)


class Ring:
    """All regions that are known, and which of them a key belongs to; it is never changed.

    Args:
        own: the region of the one who asks.
        others: by region, who can be asked.
    """

    def __init__(self, own: str, others: Mapping[str, Home]) -> None:
        self.others = others
        self._homes = (None, *others.values())
        self._rendezvous = Rendezvous([own, *others])

    def by_home(self, keys: Iterable[bytes]) -> tuple[list[bytes], dict[Home, list[bytes]]]:
        """The keys that are at home in the own region, and those of each other home."""
        own: list[bytes] = []
        others: dict[Home, list[bytes]] = {}
        for key in keys:
            home = self._homes[self._rendezvous.home(key)]
            (own if home is None else others.setdefault(home, [])).append(key)
        return own, others
