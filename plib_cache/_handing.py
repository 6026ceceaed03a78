# SPDX-License-Identifier: BSD-3-Clause
"""Handing a value that is leased to another process of the machine: its place, not its bytes.

A ``Reference`` says in which file the value lies, which run of pages it has there, and which value
it must be.  Whoever receives it opens the file, leases that run, and has the value, whatever has
become of its key meanwhile.

The value must be there when the receiver comes for it, and the sender's own object may be gone by
then: a worker forgets a result when it has sent it.  So the sender keeps a lease of its own until
the receiver says that it has one.  It says so by storing an empty value under a random name that
the reference tells; the sender looks for those names whenever it sends again, and when it ends, and
deletes what it finds.  The other way round, an entry of the sender's that the receiver deletes,
would be worse: the cache may evict either, and a lost word of the receiver's keeps a value for too
long, where a lost entry of the sender's would let it go too early.

What the sender has not seen when it dies, the receiver deletes.  What nobody fetches is kept for an
hour.  Only so many values are kept at once: then, and wherever
else no reference can be made, there is none, and the bytes are to be sent.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from plib_cache import config
from plib_cache._core import SET, Found, Region, Terms, path_of
from plib_cache._frame import Encoded
from plib_cache._open import open_region
from plib_cache.exceptions import PlibCacheError, SerializationError

MOST = 1024  # values that a process keeps for others at once
KEPT_S = 3600.0
END_S = 10.0  # for which a worker that ends waits until its last results were fetched
_ACK = b"plib_cache handed "
_SAID = Encoded(0, [], 0)
_SAID_MOST = 64  # of one sender, that it may not have seen yet


class Place(NamedTuple):
    """A region, so that no other one is taken for it: not a copy of its file, nor one elsewhere."""

    path: str
    device: int
    inode: int
    region_id: int
    boot: str


class Reference(NamedTuple):
    """Where a value is, which one it must be, and under which name to acknowledge it."""

    place: Place
    run: int
    token: int
    ack: bytes
    sender: int  # its process


class _Opened(NamedTuple):
    region: Region
    place: Place


class _Kept(NamedTuple):
    region: Region
    lease: Any
    until: float


# By path: opened once in a process, whoever else has the region open.  No lock is needed (which a
# fork could leave locked for ever): opening twice is harmless, and so is looking twice.
_opened: dict[str, _Opened] = {}
_kept: dict[bytes, _Kept] = {}
_said: dict[int, collections.deque[tuple[Region, bytes]]] = {}  # by sender, the last ones
_ends: list[Any] = []  # what is run when this process ends


@functools.lru_cache(maxsize=1)
def _boot() -> str:
    """Tells this machine, and this time that it runs, from all others."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _open(path: str) -> _Opened:
    """The region at a path.

    Raises:
        PlibCacheError, OSError: there is none.
    """
    status = os.stat(path)  # noqa: PTH116 - once for each array that is sent or received
    found = _opened.get(path)
    if found is not None and found.place[1:3] == (status.st_dev, status.st_ino):
        return found
    _close_removed()
    protection = config.check_protection("auto")
    region = open_region(path, None, create=False, protection=protection)
    number = int(region.info()["region_id"])
    place = Place(path, status.st_dev, status.st_ino, number, _boot())
    _opened[path] = opened = _Opened(region, place)
    return opened


def _close_removed() -> None:
    """Close the regions whose files were removed: descriptors and memory; what is leased stays."""
    for path, opened in list(_opened.items()):
        if opened.region.closed or opened.region.removed():
            opened.region.close()
            _opened.pop(path, None)


# ---- sending


def told(lease: Any) -> _Opened | None:
    """The region that a lease is of, opened by its path; None if there is another one now."""
    found = _told(lease)
    return None if found is None else found[0]


def _told(lease: Any) -> tuple[_Opened, Any] | None:
    """The same, and another lease of that value."""
    run = lease.run()
    try:
        opened = _open(path_of(lease))
        own = None if run is None else opened.region.lease_told(run, lease.token)
    except (PlibCacheError, OSError):
        return None
    if own is None or getattr(own[1], "address", None) != lease.address:
        return None
    return opened, own[1]


def can_offer(lease: Any) -> bool:
    """Whether ``offer`` would give a reference, but for what happens between."""
    if len(_kept) >= MOST:
        collect()
    return len(_kept) < MOST and told(lease) is not None


def offer(lease: Any) -> Reference | None:
    """A reference to the value that a lease keeps; None if its bytes are to be sent instead.

    Args:
        lease: whose address proves that the region at its path is still the one that it is of;
            that may have been closed here since.
    """
    collect()
    found = _told(lease) if len(_kept) < MOST else None
    if found is None:
        return None
    opened, own = found
    ack = _ACK + os.urandom(16)
    _kept[ack] = _Kept(opened.region, own, time.monotonic() + KEPT_S)
    return Reference(opened.place, own.run(), own.token, ack, os.getpid())


def collect() -> None:
    """Let go of what others have fetched, or nobody has for too long."""
    now = time.monotonic()
    for ack, kept in list(_kept.items()):
        try:
            done = kept.region.delete(ack) or now > kept.until
        except PlibCacheError:  # closed, as its file is gone: nobody can fetch it any more
            done = kept.region.closed
        if done:
            _kept.pop(ack, None)
    for sender in list(_said):
        if not _lives(sender):
            _unsay(_said.pop(sender, ()))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _unsay(said: Iterable[tuple[Region, bytes]]) -> None:
    """Delete what a sender that has died will not."""
    for region, ack in list(said):
        with contextlib.suppress(PlibCacheError):
            region.delete(ack)


def look_at_the_end() -> None:
    """Have a worker process wait, when it ends, until its results were fetched; before it sends.

    What a worker of multiprocessing or loky runs at its end are the finalizers of multiprocessing;
    it runs no ``atexit``.  Those of queues, whose threads may be sending still, have a higher
    priority.  A worker that is forked begins with none, and gets this one anew.
    """
    import multiprocessing.util

    if not _ends:
        _ends.append(multiprocessing.util.Finalize(None, _end, exitpriority=-10))
        multiprocessing.util.register_after_fork(_end, _end_anew)


def _end() -> None:
    """The first process of a program does not wait: its workers have ended before."""
    import multiprocessing

    if multiprocessing.parent_process() is not None:
        settle()


def _end_anew(_: Any) -> None:
    _ends.clear()
    look_at_the_end()


def settle(limit_s: float = END_S) -> int:
    """Wait until others have fetched what is kept for them; how many have not."""
    deadline = time.monotonic() + limit_s
    pause = 0.001
    collect()
    while _kept and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
        collect()
    return len(_kept)


def _in_child() -> None:
    """What the parent keeps for others is its own to keep."""
    _kept.clear()
    _said.clear()


os.register_at_fork(after_in_child=_in_child)


# ---- receiving


def fetch(reference: Reference) -> Found:
    """The value that another process has sent a reference to; in place, if that can be.

    Raises:
        SerializationError: it cannot be had; the message says why.
    """
    collect()
    place = reference.place
    try:
        region, here = _open(place.path)
    except (PlibCacheError, OSError) as error:
        raise _lost(place, f"which cannot be opened here ({error})") from error
    if here != place:
        raise _lost(place, f"which is {_difference(place, here)} here")
    found = region.lease_told(reference.run, reference.token)
    if found is None:
        raise _lost(
            place,
            "which does not hold it any more: its sender has died, or nobody has fetched it for "
            f"{KEPT_S / 60:.0f} minutes",
        )
    _acknowledge(region, reference)
    return found


def _acknowledge(region: Region, reference: Reference) -> None:
    deadline = round(1000 * (time.time() + KEPT_S))
    try:
        region.store(SET, reference.ack, _SAID, Terms(deadline_ms=deadline))
    except PlibCacheError:
        return  # no room, or not now: the sender keeps it for longer than it need
    said = _said.setdefault(reference.sender, collections.deque(maxlen=_SAID_MOST))
    said.append((region, reference.ack))


def _difference(there: Place, here: Place) -> str:
    if there.boot != here.boot:
        return "that of another machine, or from before a restart,"
    return "another file (a copy, or one that was made anew)"


def _lost(place: Place, why: str) -> SerializationError:
    return SerializationError(
        f"a value was sent by reference, as it lies in {place.path}, {why}: send a copy of it "
        "(numpy.array(value)) where sender and receiver do not share that file"
    )
