# SPDX-License-Identifier: BSD-3-Clause
"""``stats``: what the server counts, by memcached's names, and what the region counts."""

from __future__ import annotations

import dataclasses
import os
import resource
import time
from collections.abc import Iterator, Mapping

from plib_cache.serve.talk import BAD_FORMAT, VERSION, Talk
from plib_cache.serve.words import u32

Pair = tuple[str, object]

_NOT_COUNTED = {"others", "started"}
_STATES = {"max_connections", "threads"}  # the same in all processes, or of this one
_REGION = "region_"  # before the region's own names
_CLASSES = 64  # of sizes, in memcached; all entries are of the first here
_DUMP_MOST = 1 << 20  # bytes


def answer(talk: Talk, words: list[bytes]) -> None:
    """Answer ``stats``."""
    if len(words) == 1:
        _say(talk, _general(talk))
    elif words[1] == b"reset":
        talk.counts.reset()
        talk.say(b"RESET")
    elif words[1] == b"detail":
        _detail(talk, words[2] if len(words) > 2 else b"")
    elif words[1] == b"cachedump":
        _dump(talk, words[2:])
    else:
        kind = _KINDS.get(words[1])
        if kind is None:
            talk.say(b"ERROR")
        else:
            _say(talk, kind(talk))


def _say(talk: Talk, pairs: Iterator[Pair]) -> None:
    lines = [f"STAT {name} {value}\r\n" for name, value in pairs]
    talk.send("".join(lines).encode() + b"END\r\n")


def _detail(talk: Talk, word: bytes) -> None:
    """Counts by prefix of keys, which are not kept: there are namespaces for that."""
    if word in (b"on", b"off"):
        talk.say(b"OK")
    elif word == b"dump":
        talk.say(b"END")
    else:
        talk.say(b"CLIENT_ERROR usage: stats detail on|off|dump")


def _dump(talk: Talk, words: list[bytes]) -> None:
    """Some keys, with the length of their values and the moments when they expire."""
    if len(words) < 2:
        talk.say(b"CLIENT_ERROR bad command line")
        return
    kind, most = u32(words[0]), u32(words[1])
    if kind is None or most is None:
        talk.say(BAD_FORMAT)
    elif kind >= _CLASSES:
        talk.say(b"CLIENT_ERROR Illegal slab id")
    else:
        lines, length = [], 0
        for key, item in talk.store.some() if kind == 1 else ():
            line = b"ITEM %s [%d b; %d s]\r\n" % (key, len(item.value), item.deadline_ms // 1000)
            lines.append(line)
            length += len(line)
            if len(lines) == most or length > _DUMP_MOST:
                break
        talk.send(b"".join(lines) + b"END\r\n")


def counted(talk: Talk) -> dict[str, int]:
    """The counts of all processes of this server, by name."""
    counts = talk.counts
    others: Mapping[str, int] = counts.others() if counts.others is not None else {}
    sums = {}
    for field in dataclasses.fields(counts):
        if field.name not in _NOT_COUNTED:
            more = 0 if field.name in _STATES else others.get(field.name, 0)
            sums[field.name] = getattr(counts, field.name) + more
    return sums


def _general(talk: Talk) -> Iterator[Pair]:
    now = int(time.time())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield from {
        "pid": os.getpid(),
        "uptime": max(0, now - talk.counts.started),
        "time": now,
        "version": VERSION.decode(),
        "pointer_size": 64,
        "rusage_user": f"{usage.ru_utime:.6f}",
        "rusage_system": f"{usage.ru_stime:.6f}",
    }.items()
    yield from counted(talk).items()
    region = talk.store.stats()
    yield from {
        "accepting_conns": 1,
        "limit_maxbytes": region["used"] + region["free"],
        "bytes": region["used"],
        "curr_items": talk.store.items(),
        "total_items": region["sets"] + region["adds"] + region["replaces"] + region["cas"],
        "evictions": region["evictions"],
    }.items()
    yield from ((_REGION + name, value) for name, value in region.items())


def _settings(talk: Talk) -> Iterator[Pair]:
    region = talk.store.stats()
    yield from {
        "maxbytes": region["used"] + region["free"],
        "maxconns": talk.counts.max_connections,
        "evictions": "on",
        "num_threads": talk.counts.threads,
        "cas_enabled": "yes",
        "flush_enabled": "no" if talk.read_only else "yes",
        "dump_enabled": "yes",
        "item_size_max": talk.limits.item,
        "binding_protocol": "ascii",
        "shutdown_command": "no",
        "read_only": "yes" if talk.read_only else "no",
    }.items()


def _items(talk: Talk) -> Iterator[Pair]:
    """There are no classes of sizes; what memcached says of each is said of one."""
    count = talk.store.items()
    if count:
        yield "items:1:number", count
        yield "items:1:evicted", talk.store.stats()["evictions"]


def _slabs(talk: Talk) -> Iterator[Pair]:
    counts, count = counted(talk), talk.store.items()
    if count:
        yield "1:used_chunks", count
        yield "1:get_hits", counts["get_hits"]
        yield "1:cmd_set", counts["cmd_set"]
        yield "1:delete_hits", counts["delete_hits"]
        yield "1:incr_hits", counts["incr_hits"]
        yield "1:decr_hits", counts["decr_hits"]
        yield "1:cas_hits", counts["cas_hits"]
        yield "1:cas_badval", counts["cas_badval"]
        yield "1:touch_hits", counts["touch_hits"]
    yield "active_slabs", 1 if count else 0
    yield "total_malloced", talk.store.stats()["used"]


def _sizes(_talk: Talk) -> Iterator[Pair]:
    yield "sizes_status", "disabled"


def _connections(_talk: Talk) -> Iterator[Pair]:
    yield from ()


_KINDS = {
    b"settings": _settings,
    b"items": _items,
    b"slabs": _slabs,
    b"sizes": _sizes,
    b"conns": _connections,
}
