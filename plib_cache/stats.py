# SPDX-License-Identifier: BSD-3-Clause
"""What a cache says of itself: ``Stats`` counts what happened, ``Info`` describes the region."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plib_cache._protection import why_unprotected

__all__ = ["Info", "RemoteStats", "Stats"]


@dataclasses.dataclass(frozen=True)
class RemoteStats:
    """What this process counted of the tiers of a cache since its last reset.

    Caches and functions that were given the same ``remote=`` share their tiers, and these counts.
    """

    hits: int = 0  # of keys that the node did not have
    misses: int = 0
    hidden: int = 0  # of the misses: this process has changed the key, and that is on its way
    promoted: int = 0  # hits that were stored on the node
    errors: int = 0  # operations that a server refused to take, broke off or answered with garbage
    timeouts: int = 0
    circuits_opened: int = 0
    skipped: int = 0  # operations not tried, because the server was known to be away
    probes: int = 0  # of servers that are away
    refused: int = 0  # operations that a server answered with an error of its own
    writes_delivered: int = 0
    dropped: int = 0  # writes that could not be delivered, or found the queue full
    kept_local: int = 0  # values too large, tagged, or code that may not be sent unsigned
    deletes_delivered: int = 0
    deletes_retried: int = 0  # attempts that failed
    deletes_given_up: int = 0  # because too many waited
    unsigned: int = 0  # values that came without a signature, where one is needed
    forged: int = 0  # with a signature that is wrong, or another key's
    code_refused: int = 0  # that would need code to be read, and are not signed
    damaged: int = 0  # that make no sense
    expired: int = 0  # that were out of date
    parts_missing: int = 0  # of values in parts
    claims: int = 0  # computations that other nodes wait for
    waits: int = 0  # looks for what another node computes
    pending: int = 0  # writes and deletes on their way, now

    @property
    def rejected(self) -> int:
        """Values that came, and were not believed."""
        return self.unsigned + self.forged + self.code_refused + self.damaged

    @classmethod
    def names(cls) -> list[str]:
        """The names of the counts."""
        return [field.name for field in dataclasses.fields(cls)]


@dataclasses.dataclass(frozen=True)
class Stats:
    """Counts of all processes since the last reset, and what the pool holds now.

    A process that was killed has counted for everything that it had finished.

    The last five are bytes of the pool at this moment, which no reset changes.  No call looks at
    the whole region for them: in a pool of up to 256 MiB they are exact if nobody changes anything
    meanwhile; in a larger one ``used`` and ``free`` are estimated from 65,536 of its pages, and a
    free piece larger than ``largest_free`` may be there.  What a process had leased or reserved
    that was killed counts until somebody who needs the room finds it dead.
    """

    hits: int = 0
    misses: int = 0
    contended: int = 0  # reads that gave up because the entry changed all the time
    get_many_keys: int = 0
    sets: int = 0
    adds: int = 0
    replaces: int = 0
    cas: int = 0
    appends: int = 0
    deletes: int = 0
    incrs: int = 0
    touches: int = 0
    stores_refused_busy: int = 0
    stores_refused_full: int = 0
    evictions: int = 0  # current entries that made room for others
    evicted_visited_dropped: int = 0  # of them, in use: no room to keep them
    reinserted: int = 0  # kept by copying them elsewhere
    displaced: int = 0  # entries evicted because the places of their hash were taken
    expired_unlinked: int = 0
    invalidated_unlinked: int = 0
    runs_evicted: int = 0
    runs_freed_dead: int = 0
    bytes_written: int = 0
    bytes_reinserted: int = 0
    claims: int = 0
    claims_taken_over: int = 0  # from the dead, and from those who passed their limit
    published: int = 0
    publish_void: int = 0  # computed under a claim that was gone when the result came
    abandoned: int = 0
    waits: int = 0
    lock_takeovers: int = 0
    reaps: int = 0  # processes that were found dead
    growths: int = 0
    corrupt_seen: int = 0
    again: int = 0
    allocs_small: int = 0
    allocs_large: int = 0
    large_conflicts: int = 0
    evicted_small: int = 0  # of the evictions: unused since they came
    evicted_main: int = 0  # of the evictions: used once, but not lately
    evicted_hand: int = 0  # of the evictions: to put a large value in their place
    bytes_visited_dropped: int = 0
    ghosts_known: int = 0  # stored again soon after they were evicted unused: kept for longer
    runs_cleaned: int = 0  # emptied because much of them was replaced or deleted
    bytes_cleaned: int = 0  # of bytes_reinserted: copied for that
    limbo: int = 0
    leases: int = 0  # values given out in place
    leases_copied: int = 0  # asked for in place, but copied because a limit was reached
    used: int = 0  # bytes of the pool that hold something, also if it is out of date
    free: int = 0  # the rest of the pool, also what was not taken from the system yet
    largest_free: int = 0  # of the free bytes, in one piece
    leased: int = 0  # bytes that processes keep in place; what several keep, once for each
    reserved: int = 0  # bytes that they have reserved and not sealed yet
    remote: RemoteStats | None = None  # of the tiers, if the cache has any; of this process alone

    @property
    def write_amplification(self) -> float:
        """Bytes written to the cache's memory for each byte that was stored; 1.0 at best."""
        written = self.bytes_written
        return (written + self.bytes_reinserted) / written if written else 1.0

    @property
    def hit_rate(self) -> float:
        """Hits among all reads, 0.0 to 1.0; 0.0 before the first read."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The counts by name; ``remote`` only if the cache has tiers, as a dict of its own."""
        counts = dataclasses.asdict(self)
        if self.remote is None:
            del counts["remote"]
        return counts

    def _repr_html_(self) -> str:
        """A table of what is not zero, for notebooks."""
        from plib_cache import _html

        return _html.of_stats(self)

    @classmethod
    def from_counters(cls, counters: Mapping[str, int]) -> Stats:
        """The counts that have a name here."""
        known = {field.name for field in dataclasses.fields(cls)}
        named: dict[str, Any] = {name: n for name, n in counters.items() if name in known}
        return cls(**named)


@dataclasses.dataclass(frozen=True)
class Info:
    """What a region is and how it is doing; sizes in bytes."""

    path: str
    size: int  # the most that the file will ever take
    taken: int  # what the file takes now
    pool: int  # the part of size that entries can have
    used: int  # the part of the pool that holds something, also if it is out of date
    live: int  # entries with their keys and headers, without what was replaced or deleted
    dead: int  # what was replaced or deleted, and is not taken back yet
    huge: int  # what of it this process has mapped by pages of 2 MiB
    parked_runs: int  # pieces of the pool that are filled further by whoever stores next
    value_max: int  # the longest value that can ever be stored
    index_slots: int
    expected_entry: int
    protection: str  # "none" or "pku"
    unprotected: str  # why the protection is "none", or ""
    in_place: bool  # values can be read in place; False: copies only
    in_place_from: int  # smaller ones are copied all the same
    in_place_most: int  # that all processes may hold at once, leased or reserved
    binding: str
    layout_version: str  # the format signature, in hexadecimal
    region_id: str
    created: float  # seconds since 1970
    processes: int  # attached now
    processes_max: int
    retired: bool  # the file was removed: open the cache anew
    growth_stopped: bool  # the folder is full: the region stays as large as it is
    note: str  # what a reader should know and do, or ""

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return dataclasses.asdict(self)


_PAGE = 4096


def make_info(path: str, binding: str, raw: Mapping[str, int], usage: Mapping[str, int]) -> Info:
    """The description of a region from the numbers of the core, and from what the kernel says."""
    used_pages = usage["small_pages"] + usage["large_pages"] + usage["limbo_pages"]
    return Info(
        path=path,
        size=raw["size_bytes"],
        taken=raw["taken_bytes"],
        pool=raw["pool_bytes"],
        used=used_pages * _PAGE,
        live=usage["entry_bytes"],
        dead=usage["dead_bytes"],
        huge=_huge_bytes(path),
        parked_runs=usage["parked_runs"],
        value_max=raw["value_max"],
        index_slots=raw["index_slots"],
        expected_entry=raw["expected_entry"],
        protection="pku" if raw["protection"] == 2 else "none",
        unprotected=why_unprotected(raw["keys"]),
        in_place=bool(raw["in_place"]),
        in_place_from=raw["own_run_bytes"],
        in_place_most=raw["leased_pages_most"] * _PAGE,
        binding=binding,
        layout_version=f"{raw['layout']:#018x}",
        region_id=f"{raw['region_id']:016x}",
        created=raw["created_ms"] / 1000,
        processes=raw["processes"],
        processes_max=raw["processes_max"],
        retired=bool(raw["retired"]),
        growth_stopped=bool(raw["growth_stopped"]),
        note=_note(raw),
    )


def _huge_bytes(path: str) -> int:
    """What of a file this process has mapped by huge pages; 0 where the kernel does not tell."""
    try:
        file, smaps = Path(path).stat(), Path("/proc/self/smaps").read_bytes()
    except OSError:
        return 0
    device = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}".encode()
    kib, ours = 0, False
    for line in smaps.splitlines():
        words = line.split()
        if not words[0].endswith(b":"):  # a mapping: range, access, offset, device, inode
            ours = words[3:5] == [device, str(file.st_ino).encode()]
        elif ours and words[0] == b"ShmemPmdMapped:":
            kib += int(words[1])
    return kib << 10


def _note(raw: Mapping[str, int]) -> str:
    if raw["retired"]:
        return "the region's file was removed: close this cache and open it anew"
    if raw["growth_stopped"]:
        return (
            f"growth stopped at {raw['taken_bytes']} of {raw['size_bytes']} bytes, because the "
            "folder is full: free some space there; until then the cache evicts earlier"
        )
    return ""
