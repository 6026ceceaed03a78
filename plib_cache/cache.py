# SPDX-License-Identifier: BSD-3-Clause
"""``Cache``: a mapping in memory that all processes of a machine share.

A call walks the shared structures itself: there is no server and no socket.  A reader never waits
for a writer, and a process may be killed at any moment without harm to the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TypeVar

from plib_cache import _flight
from plib_cache._attached import Key
from plib_cache._core import SET, Item, quicken
from plib_cache._flight import MISSING
from plib_cache._held import Holding
from plib_cache._inplace import Copy, check_copy
from plib_cache._jobs import ComputeJob, limit_ms
from plib_cache._moments import Expire
from plib_cache._upkeep import Upkeep
from plib_cache._verbs import Verbs
from plib_cache._views import Items, Values
from plib_cache.exceptions import ConfigurationError
from plib_cache.keys import key_bytes
from plib_cache.signatures import go_by

__all__ = ["Cache", "Key"]

T = TypeVar("T")


class Cache(Verbs, Holding, Upkeep, MutableMapping[Key, Any]):
    """A cache that all processes of this user on this machine share, by its name or its file.

    Attaches to the region if it exists, and creates it if it does not.

    Args:
        name: 1 to 64 letters, digits, ".", "_" and "-"; a file in the region folder
            ($PLIB_CACHE_DIR, else /dev/shm/plib-cache-<uid>).  Neither name nor path: "default".
        size: the most that the region may ever take, in bytes or as "512MiB" or "2GB"; it is
            taken in steps as the cache fills.  None attaches to any size, and creates with 1 GiB
            or half of what the folder has free, if that is less.
        path: a file instead of a name, in a folder that is your own and that nobody else may write
            in; on a disk, the entries survive that all processes end, are killed, or the machine
            is restarted; see ``sync`` for a power loss.
        protection: "auto", "pku" (protection keys; an error where there are none) or "none".
            $PLIB_CACHE_PROTECTION overrides it.
        serializer: turns values into bytes; see ``plib_cache.serialize.Serializer``.
        trust: "code" stores any picklable value; "data" neither stores nor reads what would run
            code to be read.  None: $PLIB_CACHE_TRUST, else "code".
        strict: raise what would otherwise be a miss with one warning (damaged values).
        create: False raises ConfigurationError if there is no such region.
        expected_entry: typical bytes of key and value together, which decides the size of the
            index; only used at creation.
        immutable: promises that whoever stores a key stores the same value: its name says all that
            the value depends on, as of a function's result. On a disk, only such entries outlive a
            power loss; see ``sync``.
        in_place: whether values may be read where they lie (``view``, ``get(copy=False)``) and
            filled there (``reserve``); a number is the share of the pool that all processes
            together may hold so, 0.5 by default. False: copies only. With protection keys the
            choice is between copies only and views of a mapping that everything in the process
            can load from, and nothing can store to; ``info().in_place`` says which it is. A process
            that has the cache open for copies only has no more of it by a second opening.
        prefault: take the region's whole memory from the system now and map it in this process,
            which takes about half a second for each GiB; else both happen as the cache is used,
            at the price of a wait now and then.  If there is not room for all of it, the cache is
            as large as there was room for, without an error.
        remote: caches on other machines, which are asked for what is not here, and told what is
            stored and deleted: an URL as "memcached://host1:11211,host2:11211", a
            ``tiers.Tier``, or a list of them, asked in that order. What fails there is a miss, and
            counted in ``stats().remote``. See docs/network.md.
        write: with ``remote``: "queue" tells the other machines in the background, "sync" waits.

    Raises:
        ConfigurationError: the options contradict each other, the machine, or the region that
            exists; LayoutMismatchError, CorruptRegionError: the file cannot be used;
            RegionFullError: too many processes are attached.

    Keys are str or bytes of 1 to 4096 bytes; a str and its UTF-8 are the same key, and iteration
    gives back what the last writer gave.  What is read is equal to what was written and a copy.

    Notes:
        Usable by any number of threads, and after a fork.  Pickling it gives a cache that
        attaches to the same file.  Entries may be evicted at any time, so a key that was just
        set may be missing.
    """

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other  # comparing contents that others change would mean little

    def __bool__(self) -> bool:
        """True if it holds anything."""
        return next(self._region.scan(), None) is not None

    # ---- the mapping

    def get(self, key: Key, default: Any = None, *, copy: Copy = True) -> Any:
        """The value of ``key``, or ``default`` if there is none (any more).

        Args:
            copy: True gives a copy of one's own. False rebuilds arrays, tables and whatever else
                has buffers over the memory of the cache, read-only and without a copy; they stay
                what they are for as long as any of them lives (see ``view``). "shared" is the
                same, with arrays that go to worker processes by reference, as ``numpy.memmap``
                in kind. "cow" has memory that can be written to: the pages written to are copied,
                for this process alone.

        Notes:
            A copy comes where nothing can be had in place, with the same flags: of values of
            less than ``info().in_place_from`` bytes; and, counted as ``leases_copied`` in
            ``stats()``, when more than half of the pool is leased (``in_place``), or this process
            has 100,000 leases or holds as many different values as it can (1,024; 128 in a
            region below 256 MiB).
        """
        if copy is True:
            value = self._load(self._find(key_bytes(key)[0]))
        else:
            if copy is not False:
                check_copy(copy)
            value = self._load_in_place(key_bytes(key)[0], copy)
        return default if value is MISSING else value

    def __getitem__(self, key: Key) -> Any:
        value = self._load(self._find(key_bytes(key)[0]))
        if value is MISSING:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Key, value: Any) -> None:
        self._store(SET, key, value)

    def __delitem__(self, key: Key) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return self._find(key_bytes(key)[0]) is not None  # type: ignore[arg-type]

    def __len__(self) -> int:
        """How many entries there are; walks the whole index."""
        return self._region.count()

    def __iter__(self) -> Iterator[Key]:
        """The keys, in no order; what comes and goes meanwhile may or may not appear."""
        for raw, text in self._region.scan():
            yield _as_given(raw) if text else raw

    def items(self) -> Items:
        """The keys and values; entries that vanish meanwhile are left out."""
        return Items(self)

    def values(self) -> Values:
        """The values; entries that vanish meanwhile are left out."""
        return Values(self)

    def delete(self, key: Key) -> bool:
        """Remove ``key``; False if it was not there."""
        return self._region.delete(key_bytes(key)[0])

    def clear(self, *, remote: bool = False) -> None:
        """Remove everything, in one step for all processes.

        Args:
            remote: also from the caches on other machines, see docs/network.md for what that is.

        Raises:
            ConfigurationError: with ``remote``, of a cache that was opened without ``remote=``.
            RemoteError: with ``remote``: some server could not be told.
        """
        if remote:
            raise ConfigurationError("clear(remote=True) is for a cache opened with remote=")
        self._region.flush()

    def setdefault(self, key: Key, default: Any = None) -> Any:
        """The value of ``key``, which becomes ``default`` if there is none; one step for all."""
        raw = key_bytes(key)[0]
        while True:
            found = self._find(raw)
            value = self._load(found)
            if value is not MISSING:
                return value
            # what is there and cannot be read gives way, or ``add`` would be refused for ever
            if self.add(key, default) if found is None else self.cas(key, default, found[3]):
                return default

    def pop(self, key: Key, default: Any = MISSING) -> Any:
        """Remove ``key`` and return its value; of all who pop one entry, one gets it."""
        value = self._take(key_bytes(key)[0])
        if value is not MISSING:
            return value
        if default is MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[Key, Any]:
        """Remove and return some key and its value."""
        for key in self:
            with contextlib.suppress(KeyError):  # somebody else was faster
                return key, self.pop(key)
        raise KeyError("the cache is empty")

    # ---- many at once

    def get_many(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """The values of those keys that are there, in one call of the core (two, if large)."""
        asked = _several(keys)
        found = self._region.get_many([key_bytes(key)[0] for key in asked])
        loaded = ((key, self._load(one)) for key, one in zip(asked, found, strict=True))
        return {key: value for key, value in loaded if value is not MISSING}

    def set_many(
        self,
        mapping: Mapping[Key, Any] | Iterable[tuple[Key, Any]],
        expire: Expire = None,
        *,
        namespace: str | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        """Store many values in one call of the core; see ``set``.

        Raises:
            SerializationError: a value cannot be stored; none was.
            ValueTooLargeError, RegionFullError, BusyError: some value was refused; the others
                are stored.
        """
        pairs = mapping.items() if isinstance(mapping, Mapping) else mapping
        tags = tags if isinstance(tags, (str, bytes)) else tuple(tags)  # read once, used twice
        text_terms, terms = (self._terms(text, expire, namespace, tags) for text in (True, False))
        items, values = [], []
        for key, value in pairs:
            raw, text = key_bytes(key)
            encoded = self._serializer.dumps(value)
            items.append(Item(raw, encoded, text_terms if text else terms))
            values.append(value)
        self._put_many(items, values)

    def _put_many(self, items: list[Item], values: list[Any]) -> None:
        """Store what these values were encoded as."""
        self._region.store_many(items)

    def delete_many(self, keys: Iterable[Key]) -> int:
        """Remove many keys in one call of the core; how many were there."""
        return self._region.delete_many([key_bytes(key)[0] for key in _several(keys)])

    # ---- single flight

    def get_or_compute(
        self,
        key: Key,
        fn: Callable[[], T],
        expire: Expire = None,
        *,
        limit: float = 300,
        namespace: str | None = None,
        tags: Iterable[str] = (),
    ) -> T:
        """The value of ``key``; if there is none, that of ``fn()``, which is stored.

        Of all threads and processes that miss the key together, one computes and the others wait
        for its value.  If it raises, it alone sees the exception and another one computes; so too
        if it dies or takes longer than ``limit``.

        Args:
            limit: seconds; the result of a longer computation is returned, but not stored.

        Notes:
            A value that cannot be stored is returned all the same: silently if the region is full
            or busy, with one warning (``strict``: an exception) if it is too large or cannot be
            pickled.  A call for the same key from inside ``fn`` computes directly; one for another
            key, that somebody else computes, waits about a second and then computes itself.
        """
        raw, text = key_bytes(key)
        job = ComputeJob(self, raw, self._terms(text, expire, namespace, tags), limit_ms(limit))
        job.expire = expire
        if job.look():
            return job.value  # type: ignore[no-any-return]
        if not callable(fn):
            raise TypeError(f"fn is a {type(fn).__name__}: give a function that computes the value")
        return _flight.run(job, fn)  # type: ignore[no-any-return]


go_by(Cache)
quicken(Cache)


def _several(keys: Iterable[Key]) -> list[Key]:
    if isinstance(keys, (str, bytes)):
        raise TypeError(f"keys={keys!r:.100} is one key: give a list of keys, such as [key]")
    return list(keys)


def _as_given(raw: bytes) -> Key:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:  # damaged: no writer can have given it
        return raw
