# SPDX-License-Identifier: BSD-3-Clause
"""The results in a store, each with what joblib knows of its computation.

A result and its metadata are two entries.  There is a result where its own entry is; whoever
validates results before they are taken (``cache_validation_callback``) has only those of which the
metadata are there too, for that is what a callback looks at.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

from joblib._store_backends import CacheItemInfo
from joblib.logger import format_time

from plib_cache import Cache, PlibCacheError
from plib_cache.integrations.joblib import _region
from plib_cache.integrations.joblib._blobs import packed, unpacked
from plib_cache.integrations.joblib._notes import metadata, pending, read_blocks, write_all
from plib_cache.integrations.joblib._region import Opened
from plib_cache.integrations.joblib._store import (
    ABSENT,
    OWN_KEY,
    TAG,
    CallId,
    Held,
    Store,
    blob_name,
    item_key,
    item_name,
    known_code,
    metadata_name,
    mine,
    space,
    trouble,
)
from plib_cache.integrations.joblib._versions import (
    OURS,
    Asker,
    asking,
    known_version,
    loads_next,
    looking,
    read_only,
)

_ENTRY_BYTES = 80  # of an entry, besides its value: header and name


def _load(opened: Opened, key: str, mode: str | None, compressed: bool) -> Any:
    """The result in that mode; ABSENT if there is none."""
    name, cache, copy = item_name(key), opened.cache, _COPIES[mode]
    item = cache.get(name, ABSENT, copy=copy)
    if item is ABSENT:
        blob = cache.get(blob_name(key), ABSENT)
        if blob is ABSENT and not compressed:
            item = opened.fetched(name, ABSENT, copy)
        elif blob is ABSENT:
            blob = opened.fetched(blob_name(key), ABSENT)
        item = item if blob is ABSENT else unpacked(blob)
    return read_only(item) if mode == "r" else item


_COPIES: dict[str | None, Any] = {None: True, "r": "shared", "c": "cow"}  # how a mode reads


def _is_of(held: Held, location: str, call_id: CallId) -> bool:
    """Whether it is the result of that call."""
    return (held[0], *held[1]) == (location, *call_id)


def _is_there(cache: Cache, name: str | bytes) -> bool:
    """Whether there is such an entry; ``in`` would copy it."""
    return cache.get(name, ABSENT, copy=False) is not ABSENT


class Items(Store):
    """Looking, loading, storing and forgetting results."""

    def contains_item(self, call_id: CallId) -> bool:
        """Whether there is a result; it is held for the ``load_item`` that follows."""
        mine.held = None
        looker = looking(call_id[0])
        if looker is None or not loads_next():
            return self._is_there(call_id, asking(call_id[0]))
        function, versioned = looker
        key = f"{versioned}-{call_id[1]}"  # as item_key
        validates = function.cache_validation_callback is not None
        try:
            opened = _region.opened(self.location, self.options)
            if validates and metadata_name(key) not in opened.shared:
                return False
            item = _load(opened, key, function.mmap_mode, bool(self.compress))
        except PlibCacheError as error:
            trouble(call_id[0], error)
            return False
        if item is ABSENT:
            return False
        mine.held = (self.location, call_id, item, validates)
        return True

    def _is_there(self, call_id: CallId, asker: Asker | None) -> bool:
        """Whether there is a result, which nobody is going to load now."""
        key = self._key(call_id, asker)
        try:
            opened = self._opened()
            if asker is not None and asker.validates and metadata_name(key) not in opened.shared:
                return False
            return self._has(opened, key)
        except PlibCacheError as error:
            trouble(call_id[0], error)
            return False

    def _has(self, opened: Opened, key: str) -> bool:
        names = (item_name(key), blob_name(key))
        if any(_is_there(opened.cache, name) for name in names):
            return True
        return opened.fetched(names[bool(self.compress)], ABSENT, False) is not ABSENT

    def get_metadata(self, call_id: CallId) -> dict[str, Any]:
        """Duration, time and arguments of a computation; empty if there is none."""
        held = mine.held
        if held is not None and held[1] is call_id and not held[3]:
            return {}  # nobody looks at it on the way to the result
        key = self._key(call_id, asking(call_id[0]))
        found = self._read(metadata_name(key), call_id[0], {}, shared=True)
        note = None if found else pending(call_id[0], key[len(OWN_KEY) :])
        found = metadata(call_id[0], note) if note is not None else found
        return found if isinstance(found, dict) else {}

    def load_item(
        self,
        call_id: CallId,
        verbose: int = 1,
        timestamp: float | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Any:
        """The result of a call.

        Raises:
            KeyError: there is none (any more).
        """
        if verbose > 1:
            print(self.loading(call_id, verbose, timestamp, metadata or {}))
        held, mine.held = mine.held, None
        if held is not None and held[1] is call_id and held[0] == self.location:
            return held[2]
        dumped, mine.dumped = mine.dumped, None
        asker = asking(call_id[0])
        version = known_version(metadata) or self._version(call_id[0], asker)
        mode = self.mmap_mode if asker is None else asker.mode(self.mmap_mode)
        item = self._loaded(item_key(call_id[0], version, call_id[1]), mode, call_id[0])
        if item is ABSENT and dumped is not None and _is_of(dumped, self.location, call_id):
            item = read_only(dumped[2]) if mode == "r" else dumped[2]  # it was not stored
        if item is ABSENT:
            raise KeyError(f"no result of {call_id[0]} for arguments {call_id[1]} (any more)")
        return item

    def _loaded(self, key: str, mode: str | None, func_id: str) -> Any:
        try:
            return _load(self._opened(), key, mode, bool(self.compress))
        except PlibCacheError as error:
            trouble(func_id, error)
            return ABSENT

    def loading(
        self, call_id: CallId, verbose: int, timestamp: float | None, metadata: dict[str, Any]
    ) -> str:
        """What joblib prints before it loads a result."""
        ago = "" if timestamp is None else f"{format_time(time.time() - timestamp): <16}"
        name = os.path.basename(call_id[0])  # noqa: PTH119
        if "input_args" in metadata:
            given = ", ".join(f"{key}={value}" for key, value in metadata["input_args"].items())
            name += f"({given})"
        tail = "..." if verbose < 10 else f" from {self._path(call_id)}"
        return f"[Memory]{ago}: Loading {name}{tail}"

    def dump_item(self, call_id: CallId, item: Any, verbose: int = 1) -> None:
        """Store a result; what goes wrong is a warning."""
        asker = asking(call_id[0])
        key = self._key(call_id, asker)
        if verbose > 10:
            print(f"Persisting in {self._path(call_id)}")
        loaded_next = asker is not None and asker.mode(None) is not None
        mine.dumped = (self.location, call_id, item, False) if loaded_next else None
        self._note_code(call_id[0], asker)
        try:
            opened = self._opened()
            named = (blob_name(key), packed(item, self.compress)) if self.compress else None
            name, value = named or (item_name(key), item)
            opened.writer.set(name, value, namespace=space(call_id[0]), tags=self.tags)
            mine.nbytes = opened.measure.nbytes
        except Exception as error:  # whatever a value's own pickling may raise
            trouble(call_id[0], error)

    def _note_code(self, func_id: str, asker: Asker | None) -> None:
        """joblib tells the code once in a process, to the location that it used first."""
        if (self.location, func_id) not in known_code and asker is not None and asker.code:
            self._remember(func_id, asker.code)

    def store_metadata(self, call_id: CallId, metadata: dict[str, Any]) -> None:
        """Store what joblib knows of a computation; the reference to a result keeps it too."""
        version = self._version(call_id[0], asking(call_id[0]))
        metadata[OURS] = {
            "func": call_id[0],
            "version": version,
            "args": call_id[1],
            "nbytes": mine.nbytes,
        }
        name = metadata_name(item_key(call_id[0], version, call_id[1]))
        try:
            cache = self._opened().shared
            cache.set(name, metadata, namespace=space(call_id[0]), tags=self.tags)
        except PlibCacheError as error:
            trouble(call_id[0], error)

    def clear_item(self, call_id: CallId) -> None:
        """Forget a result."""
        self._forget([self._key(call_id, asking(call_id[0]))], call_id[0])

    def _forget(self, keys: list[str], func_id: str) -> None:
        mine.held = mine.dumped = None
        names = [name(key) for key in keys for name in (item_name, blob_name, metadata_name)]
        try:
            self._opened().shared.delete_many(names)
        except PlibCacheError as error:
            trouble(func_id, error)

    def get_item_info(self, call_id: CallId) -> dict[str, str]:
        """Where a result is, for messages."""
        return {"location": self._path(call_id)}

    # ---- all of them

    def clear(self) -> None:
        """Forget everything."""
        mine.held = mine.dumped = None
        for place in [place for place in known_code if place[0] == self.location]:
            known_code.pop(place, None)
        cache = self._opened().cache
        if self.tags:
            cache.invalidate_tag(TAG)
        else:
            cache.clear()

    def get_items(self) -> list[Any]:
        """All results: path, bytes, and the time of the computation, which stands for its use."""
        opened = self._opened()
        cache, measure = opened.cache, opened.measure
        keys = [key for key in cache if isinstance(key, str) and key.startswith(metadata_name(""))]
        items = [
            self._described(known, measure.dumps(known).nbytes)
            for known in cache.get_many(keys).values()
            if isinstance(known, dict) and not known[OURS]["args"].startswith(OWN_KEY)
        ]
        write_all()
        noted = {note.key: (func_id, note) for func_id, note in read_blocks(cache)}
        return items + [
            self._described(metadata(func_id, note), 0)
            for key, (func_id, note) in noted.items()
            if _is_there(cache, bytes.fromhex(key))
        ]

    def _described(self, metadata: dict[str, Any], nbytes: int) -> Any:
        ours = metadata[OURS]
        path = self._path([ours["func"], ours["version"], ours["args"]])
        when = datetime.datetime.fromtimestamp(metadata["time"])  # naive, as joblib's own
        return CacheItemInfo(path, ours["nbytes"] + nbytes + 2 * _ENTRY_BYTES, when)

    def clear_location(self, location: str) -> None:
        """Forget what a path of ``get_items`` stands for, or everything."""
        if location == self.location:
            self.clear()
        else:
            self._forget_paths([location])

    def _forget_paths(self, paths: list[str]) -> None:
        """Forget what paths of ``get_items`` stand for."""
        keys = []
        for path in paths:
            rest, args_id = os.path.split(os.path.relpath(path, self.location))
            keys.append(item_key(*os.path.split(rest), args_id))
        self._forget(keys, self.location)
