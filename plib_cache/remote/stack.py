# SPDX-License-Identifier: BSD-3-Clause
"""The tiers of a cache in their order: one look at all of them, one way out to all of them.

No failure gets out of here: it is a miss or a dropped write, counted, with one warning.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Collection, Container, Iterable, Sequence
from typing import Any

from plib_cache.remote import splitting
from plib_cache.remote.counts import Counts
from plib_cache.remote.layer import Layer, Write
from plib_cache.remote.leases import Leases
from plib_cache.remote.options import Place
from plib_cache.remote.queue import Delivery, Queue
from plib_cache.remote.signing import OVERHEAD, Arrived, Rejected, Signer
from plib_cache.remote.sockets import forget_lookups
from plib_cache.stats import RemoteStats
from plib_cache.tiers import Parcel

_SECONDS_TO_END = 5.0  # for what is under way when everything is removed


class Stack:
    """Tiers in their order.

    Args:
        rules: the options that are not one tier's alone.
    """

    def __init__(
        self, layers: Sequence[Layer], rules: Place, signer: Signer, counts: Counts
    ) -> None:
        self._layers = layers
        self.rules = rules
        self._signer = signer
        self.takes_code = signer.takes_code
        self.counts = counts
        self._pid = os.getpid()
        self.users: weakref.WeakSet[Any] = weakref.WeakSet()  # whoever has it
        self._leases = Leases(counts)
        name = "plib_cache writes to " + ", ".join(layer.tier.name for layer in layers)
        delivery = Delivery(self._write, self._delete, self._tend, self._let_go)
        self._queue = Queue(delivery, counts, name)
        for layer in layers:
            layer.tier.watch(self._queue.nudge)

    def _here(self) -> None:
        """In a child, begin without the parent's connections, locks and thread."""
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        forget_lookups()
        for part in (self.counts, self._leases, self._queue, *(one.tier for one in self._layers)):
            after_fork = getattr(part, "after_fork", None)
            if after_fork is not None:
                after_fork()

    # ---- reading

    def find(self, key: bytes, allowed: Container[int]) -> Arrived | None:
        """What a tier has of a key, if its type code is one of those that may be read."""
        if self._pid != os.getpid():
            self._here()
        if self._queue.hidden(key):
            self.counts.add("hidden")
            self.counts.add("misses")
            return None
        arrived = self._look(key, allowed)
        self.counts.add("misses" if arrived is None else "hits")
        return arrived

    def _look(self, key: bytes, allowed: Container[int]) -> Arrived | None:
        changes = self._queue.changes
        for at, layer in enumerate(self._layers):
            try:
                raw = layer.tier.get(layer.name(key))
            except Exception as error:  # a tier that does not keep its promise
                self._trouble(error)
                continue
            arrived = self._opened(layer, key, raw, allowed) if raw else None
            if arrived is not None:
                if at:
                    self._pass_on(key, arrived, at, changes)
                return arrived
        return None

    def find_many(self, keys: Sequence[bytes], allowed: Container[int]) -> dict[bytes, Arrived]:
        """What the tiers have of several keys, one request for each server."""
        self._here()
        changes = self._queue.changes
        left = [key for key in keys if not self._queue.hidden(key)]
        self.counts.add("hidden", len(keys) - len(left))
        found: dict[bytes, Arrived] = {}
        for at, layer in enumerate(self._layers):
            if not left:
                break
            names = {layer.name(key): key for key in left}
            try:
                raw = layer.tier.get_many(list(names))
            except Exception as error:
                self._trouble(error)
                continue
            for name, key in names.items():
                payload = raw.get(name)
                arrived = self._opened(layer, key, payload, allowed)
                if arrived is not None:
                    found[key] = arrived
                    self._pass_on(key, arrived, at, changes)
            left = [key for key in left if key not in found]
        self.counts.add("hits", len(found))
        self.counts.add("misses", len(keys) - len(found))
        return found

    def _opened(
        self, layer: Layer, key: bytes, raw: bytes | None, allowed: Container[int]
    ) -> Arrived | None:
        if not raw:  # what is empty is a claim
            return None
        try:
            return layer.open(key, raw, allowed, self._signer, self.rules.value_max)
        except Rejected as rejected:
            self.counts.add(rejected.why)
        except Exception as error:
            self._trouble(error)
        return None

    def _pass_on(self, key: bytes, arrived: Arrived, at: int, changes: int) -> None:
        """Give what a later tier had to the earlier ones."""
        if at and arrived.promotable:
            seconds = None
            if arrived.deadline_ms:
                seconds = arrived.deadline_ms / 1000 - time.time()
            self._queue.pass_on(Write(key, arrived, seconds, lasting=True, tiers=at), changes)

    def _trouble(self, error: Exception) -> None:
        self.counts.add("errors")
        self.counts.warn(f"{error!r:.200}")

    # ---- writing

    def send(self, key: bytes, head: Arrived, lasting: bool) -> None:
        """Store a value in all tiers, where it fits."""
        self._here()
        rules, now = self.rules, time.time()
        seconds = None if not head.deadline_ms else head.deadline_ms / 1000 - now
        if rules.max_age is not None and not lasting:
            seconds = rules.max_age if seconds is None else min(seconds, rules.max_age)
        if seconds is not None and seconds <= 0:
            self.forget([key])
            return
        if seconds is not None:
            head = head._replace(deadline_ms=int((now + seconds) * 1000))
        smallest = min(layer.tier.item_max for layer in self._layers)
        splits = min(rules.value_max, splitting.largest(smallest))
        if len(head.payload) > (splits if rules.large == "split" else smallest - OVERHEAD):
            self.keep_local(key, lasting)
            return
        write = Write(key, head, seconds, lasting)
        (self._queue.put_now if rules.write == "sync" else self._queue.put)(write)

    def keep_local(self, key: bytes, lasting: bool = False) -> None:
        """A value stays on this node; what the tiers have of its key is out of date."""
        self._here()
        self.counts.add("kept_local")
        if not lasting or key in self._leases:  # of a claim: other nodes need not wait for it
            self.forget([key])

    def forget(self, keys: Iterable[bytes]) -> None:
        """Remove keys from all tiers."""
        self._here()
        if self.rules.write == "sync":
            self._queue.delete_now(list(keys))
        else:
            self._queue.delete(keys)

    def _write(self, writes: Sequence[Write]) -> Collection[bytes]:
        failed: set[bytes] = set()
        for at, layer in enumerate(self._layers):
            mine = [write for write in writes if write.tiers is None or at < write.tiers]
            try:
                failed |= self._write_to(layer, mine)
            except Exception as error:
                self._trouble(error)
                failed.update(write.key for write in mine)
        return failed

    def _write_to(self, layer: Layer, writes: Sequence[Write]) -> set[bytes]:
        """Store values in one tier; the keys of those that were not."""
        parcels: dict[bytes, Parcel] = {}
        failed: set[bytes] = set()
        for write in writes:
            parcel = layer.parcel(write, self._signer)
            if parcel is None:
                failed.add(write.key)
            else:
                parcels[write.key] = parcel
        refused = set(layer.tier.set_many(list(parcels.values()))) if parcels else set()
        return failed.union(key for key, parcel in parcels.items() if parcel.key in refused)

    def _delete(self, keys: Sequence[bytes]) -> Collection[bytes]:
        failed: set[bytes] = set()
        for layer in self._layers:
            names = {key: layer.name(key) for key in keys}
            try:
                left = set(layer.tier.delete_many(list(names.values())))
            except Exception as error:
                self._trouble(error)
                left = set(names.values())
            failed.update(key for key, name in names.items() if name in left)
        return failed

    def _tend(self) -> float | None:
        due = [layer.tier.tend() for layer in self._layers] + [self._leases.tend()]
        return min((one for one in due if one is not None), default=None)

    # ---- single flight between nodes

    def claim(self, key: bytes, limit: float) -> int | None:
        """Claim the computation of a key between nodes, for so long; see ``Tier.claim``.

        The first tier that offers claims has them; one that is granted is kept until it is given
        back, or the key is stored.
        """
        self._here()
        if self._queue.hidden(key):
            return None
        for layer in self._layers:
            try:
                token = self._leases.claim(layer.tier, layer.name(key), key, limit)
            except Exception as error:
                self._trouble(error)
                continue
            if token is not None:
                if token > 0:
                    self._queue.nudge_later()
                return token
        return None

    def release(self, key: bytes, stored: bool) -> None:
        """Give a claim back; one whose value is on its way ends with that."""
        try:
            self._leases.release(key, stored)
        except Exception as error:
            self._trouble(error)

    # ---- all of it

    def clear(self) -> bool:
        """Remove everything from all tiers; False if some server could not be told."""
        self._here()
        self._queue.drop_writes(_SECONDS_TO_END)
        try:
            answers = [layer.tier.clear() for layer in self._layers]
        except Exception as error:
            self._trouble(error)
            return False
        if all(answers):
            self._queue.drop_deletes()
        return all(answers)

    def wait(self, limit: float, tried: bool = False) -> bool:
        """Wait until everything is delivered; False if that takes longer than so many seconds.

        Args:
            tried: do not wait for deletes that servers which are away did not get.
        """
        self._here()
        return self._queue.wait(limit, tried)

    def stats(self) -> RemoteStats:
        """The counts of this process."""
        self._here()
        return self.counts.stats(len(self._queue))

    @property
    def unused(self) -> bool:
        """Whether nobody has it any more, and nothing is on its way."""
        return not self.users and not len(self._queue)

    def close(self) -> None:
        """Let the connections and the thread go; the next use makes new ones."""
        self._queue.rest()
        self._let_go()

    def _let_go(self) -> None:
        """The connections; also when the thread, which may have made new ones, has ended."""
        for layer in self._layers:
            layer.tier.close()
