# SPDX-License-Identifier: BSD-3-Clause
"""Which part of an operation each function of the core belongs to: the map, and how code is told.

An instruction belongs to the function in whose lines it was written, wherever the compiler has put
it: nearly all of a hot operation is inlined.  A function is in its own group, else in that of its
file; one that is in neither is an error, so that whoever adds a file says what it costs.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ENTER = "entering and leaving"
HASH = "keyed hash"
INDEX = "buckets and slots"
PIN = "pin"
CHECK = "validation"
COPY = "copies and compares"
DESCRIBE = "describing the entry"
RUN = "run: open, commit, finish"
WRITE = "writing the entry"
SLOT = "steps of a store"
ROOM = "where room comes from"
DEAD = "dead bytes"
NAMES = "namespaces and flushes"
COUNT = "counters and marks"
TIME = "the clock"
LOOP = "the loop that calls"
WORDS = "words and atomics"

FILES = {
    "cache.c": ENTER, "call.c": ENTER, "call.h": ENTER, "seat.c": ENTER, "seat.h": ENTER,
    "domain.c": ENTER, "domain.h": ENTER, "hash.h": HASH, "hash.c": HASH,
    "index.c": INDEX, "index.h": INDEX, "find.h": CHECK, "entry.c": CHECK, "entry.h": CHECK,
    "read.c": CHECK, "read.h": CHECK, "names.c": NAMES, "names.h": NAMES, "sync.c": COPY,
    "sync.h": WORDS, "words.h": WORDS, "run.c": RUN, "run.h": RUN, "queue.c": RUN, "queue.h": RUN,
    "spare.c": RUN, "spare.h": RUN, "store.c": SLOT, "store.h": SLOT, "verbs.c": SLOT,
    "space.c": ROOM, "hand.c": ROOM, "policy.c": ROOM, "policy.h": ROOM, "ghost.c": ROOM,
    "clean.c": ROOM, "sweep.c": ROOM, "evict.c": ROOM, "pinned.c": ROOM, "pages.c": ROOM,
    "pages.h": WORDS, "lock.c": "shard lock", "lock.h": "shard lock", "os_linux.c": TIME,
}  # fmt: skip

FUNCTIONS = {
    "move_inline": COPY, "copy_racing": COPY, "fill_racing": COPY, "same_racing": COPY,
    "copy_short": COPY, "bytes_load": COPY, "fill_value": COPY, "copy_parts": COPY,
    "store_parts": COPY, "entry_has_key": COPY,
    "count": COUNT, "counted": COUNT, "mark_visited": COUNT, "index_mark": COUNT,
    "index_marks": COUNT, "index_visited": COUNT,
    "fill_found": DESCRIBE,
    "find_entry": INDEX, "index_key": INDEX,
    "pin": PIN, "index_unpin": PIN, "index_look_again": PIN,
    "run_dead": DEAD, "run_empty": DEAD, "note_empty": DEAD, "account_replaced": DEAD,
    "note_replaced": DEAD, "entry_dead_bytes": DEAD,
    "entry_write": WRITE, "run_write": WRITE, "entry_bytes": WRITE, "entry_options": WRITE,
    "entry_choose": WRITE, "entry_created_now": WRITE, "call_token": WRITE, "store_token": WRITE,
    "call_lock": "shard lock", "call_unlock": "shard lock",
    "parse": "reading and writing the number", "digits": "reading and writing the number",
    "admit_number": "reading and writing the number",
    "build_number": "reading and writing the number",
}  # fmt: skip


class UngroupedError(Exception):
    """A function of the core has no group."""


@cache
def functions(path: Path) -> list[tuple[int, int, str]]:
    """First line, last line and name of each function of a C file in the house's style."""
    found, first, name = [], 0, ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        plain = re.sub(r"__attribute__\(\(.*?\)\)", "", line)
        if re.match(r"[A-Za-z_]", line) and (called := re.search(r"(\w+)\(", plain)):
            first, name = number, called[1]
        if line.endswith(";") and not line.startswith(" "):
            name = ""  # a declaration, or the end of one
        if line == "}" or (name and number == first and line.endswith("}")):
            found.append((first, number, name))
            name = ""
    return [each for each in found if each[2]]


def function_at(path: Path, line: int) -> str:
    """The function in whose lines this is; "" where there is none."""
    return next((name for first, last, name in functions(path) if first <= line <= last), "")


def group_of(path: Path, line: int) -> str:
    """The group of an instruction that was written here."""
    group = FUNCTIONS.get(function_at(path, line)) or FILES.get(path.name)
    if group is None:
        raise UngroupedError(
            f"{path.name}:{line} ({function_at(path, line) or 'no function'}) runs in a hot "
            f"operation and has no group: add its file or its function to {Path(__file__).name}"
        )
    return group
