# SPDX-License-Identifier: BSD-3-Clause
"""Making the tiers that ``remote=`` names; those of one meaning once in a process."""

from __future__ import annotations

import atexit
import dataclasses
from typing import Any

from plib_cache.remote.counts import Counts
from plib_cache.remote.layer import Layer
from plib_cache.remote.options import Place, parse
from plib_cache.remote.signing import Signer, secret_key
from plib_cache.remote.stack import Stack
from plib_cache.tiers import Tier

_MOST = 16  # whose tiers are kept for the next who names them, if nobody has them now
_END_S = 1.0  # what is on its way when the process ends has so long

# By places, trust and key.  Made twice is harmless, so no lock is needed (which a fork could leave
# locked for ever).
_stacks: dict[tuple[Any, ...], Stack] = {}


def open_stack(remote: object, network: bool = False, write: str | None = None) -> Stack:
    """The tiers that ``remote=`` names.

    Args:
        write: "queue" or "sync", whatever the URLs say.
        network: whoever can write to them is trusted to run code here.

    Raises:
        ConfigurationError: it makes no sense, or a client library is missing.
    """
    places = parse(remote)
    key = (places, network, write, secret_key())
    found = _stacks.get(key)
    if found is None:
        _let_unused_go()
        found = _stacks.setdefault(key, _made(places, network, write))
    return found


def _let_unused_go() -> None:
    """Forget what nobody has any more: a program may be told of ever new servers."""
    for key, stack in list(_stacks.items()):
        if len(_stacks) < _MOST:
            return
        if stack.unused:
            _stacks.pop(key, None)
            stack.close()


def _made(places: tuple[Place | Tier, ...], network: bool, write: str | None) -> Stack:
    counts = Counts()
    rules = next((one for one in places if isinstance(one, Place)), Place("", ()))
    if write is not None:
        rules = dataclasses.replace(rules, write=write)
    layers = [_layer(one, counts) for one in places]
    return Stack(layers, rules, Signer(secret_key(), network), counts)


def _layer(place: Place | Tier, counts: Counts) -> Layer:
    if isinstance(place, Tier):
        return Layer(place)
    from plib_cache.remote.sockets import Limits

    limits = Limits(place.connect, place.timeout)
    prefix = place.prefix.encode()
    shared: dict[str, Any] = {"tls": place.context(), "item_max": place.item_max}
    if place.kind == "memcached":
        from plib_cache.remote.memcached import MemcachedTier

        return Layer(MemcachedTier(place.addresses, limits, counts, **shared), prefix)
    from plib_cache.remote.redis import Login, RedisTier

    login = Login(place.username, place.password, place.database)
    tier = RedisTier(place.addresses, limits, counts, login=login, prefix=prefix, **shared)
    return Layer(tier, prefix)


def close_tier(tier: Tier) -> None:
    """Let go of a ``Tier`` that comes to its end, and of what was made for it here."""
    for key, stack in list(_stacks.items()):
        if tier in key[0]:
            stack.close()
            _stacks.pop(key, None)


def close_all() -> None:
    """Forget all tiers, with what is on its way to them; for tests, and the end of a process."""
    for stack in list(_stacks.values()):
        stack.close()
    _stacks.clear()


@atexit.register
def _at_end() -> None:
    for stack in list(_stacks.values()):
        stack.wait(_END_S, tried=True)
