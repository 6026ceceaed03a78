# SPDX-License-Identifier: BSD-3-Clause
"""The results in a store, each with what joblib knows of its computation.

A result and its metadata are two entries, and there is a result only where there are both: so a
validation callback always finds the time of the computation.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

from joblib._store_backends import CacheItemInfo
from joblib.logger import format_time

from plib_cache import PlibCacheError
from plib_cache.integrations.joblib._store import (
    ABSENT,
    CallId,
    Store,
    digest,
    item_name,
    known_code,
    metadata_name,
    mine,
    space,
    trouble,
)
from plib_cache.integrations.joblib._versions import OURS, asking, known_version, read_only

_ENTRY_BYTES = 80  # of an entry, besides its value: header and name


class Items(Store):
    """Looking, loading, storing and forgetting results."""

    def contains_item(self, call_id: CallId) -> bool:
        """Whether there is a result; it is held for the ``load_item`` that follows."""
        key = self._key(call_id, asking(call_id[0]))
        names = item_name(key), metadata_name(key)
        try:
            found = self._opened().cache.get_many(names)
        except PlibCacheError as error:
            trouble(call_id[0], error)
            return False
        if len(found) < len(names):
            return False
        mine.hold(key, item=found[names[0]], metadata=found[names[1]])
        return True

    def get_metadata(self, call_id: CallId) -> dict[str, Any]:
        """Duration, time and arguments of a computation; empty if there is none."""
        key = self._key(call_id, asking(call_id[0]))
        metadata = mine.take(key, "metadata")
        if metadata is ABSENT:
            metadata = self._read(metadata_name(key), call_id[0], {})
        return metadata if isinstance(metadata, dict) else {}

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
            print(self._loading(call_id, verbose, timestamp, metadata or {}))
        asker = asking(call_id[0])
        version = known_version(metadata) or self._version(call_id[0], asker)
        key = digest(call_id[0], version, call_id[1])
        item = mine.take(key, "item")
        if item is ABSENT:
            item = self._read(item_name(key), call_id[0], ABSENT)
        if item is ABSENT:
            raise KeyError(f"no result of {call_id[0]} for arguments {call_id[1]} (any more)")
        mode = self.mmap_mode if asker is None else asker.mode(self.mmap_mode)
        return read_only(item) if mode == "r" else item

    def _loading(
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
        if asker is not None and asker.mode(None) is not None:
            mine.hold(key, item=item)  # joblib loads it next, even if it could not be stored
        if asker is not None and asker.code and (self.location, call_id[0]) not in known_code:
            self._remember(call_id[0], asker.code)  # joblib knew it from another location
        try:
            opened = self._opened()
            opened.cache.set(item_name(key), item, namespace=space(call_id[0]))
            mine.nbytes = opened.measure.nbytes
        except Exception as error:  # whatever a value's own pickling may raise
            trouble(call_id[0], error)

    def store_metadata(self, call_id: CallId, metadata: dict[str, Any]) -> None:
        """Store what joblib knows of a computation; the reference to a result keeps it too."""
        version = self._version(call_id[0], asking(call_id[0]))
        metadata[OURS] = {
            "func": call_id[0],
            "version": version,
            "args": call_id[1],
            "nbytes": mine.nbytes,
        }
        name = metadata_name(digest(call_id[0], version, call_id[1]))
        try:
            self._opened().cache.set(name, metadata, namespace=space(call_id[0]))
        except PlibCacheError as error:
            trouble(call_id[0], error)

    def clear_item(self, call_id: CallId) -> None:
        """Forget a result."""
        self._forget(self._key(call_id, asking(call_id[0])), call_id[0])

    def _forget(self, key: str, func_id: str) -> None:
        mine.drop()
        try:
            self._opened().cache.delete_many([item_name(key), metadata_name(key)])
        except PlibCacheError as error:
            trouble(func_id, error)

    def get_item_info(self, call_id: CallId) -> dict[str, str]:
        """Where a result is, for messages."""
        return {"location": self._path(call_id)}

    # ---- all of them

    def clear(self) -> None:
        """Forget everything."""
        mine.drop()
        for place in [place for place in known_code if place[0] == self.location]:
            known_code.pop(place, None)
        self._opened().cache.clear()

    def get_items(self) -> list[Any]:
        """All results: path, bytes, and the time of the computation, which stands for its use."""
        cache, measure, _ = self._opened()
        keys = [key for key in cache if isinstance(key, str) and key.startswith(metadata_name(""))]
        return [
            self._described(metadata, measure.dumps(metadata).nbytes)
            for metadata in cache.get_many(keys).values()
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
            return
        rest, args_id = os.path.split(os.path.relpath(location, self.location))
        func_id, version = os.path.split(rest)
        self._forget(digest(func_id, version, args_id), func_id)
