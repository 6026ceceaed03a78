# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache watch`` and ``bench``: lines as things happen, figures that make sense."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plib_cache
from plib_cache._core import remove_region

HANGS = 240  # seconds; only for what never ends
Command = Callable[..., Any]


def started(*words: str) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    # SIGINT as in a terminal, whatever the tests were started by
    start = ["env", "--default-signal=INT", sys.executable, "-m", "plib_cache", *words]
    return subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_line_for_each_interval(command: Command, mine: plib_cache.Cache) -> None:
    """So many lines as told, under one heading; as JSON, one object in each."""
    shown = command("watch", "mine", "--count", "2", "--interval", "0.1")
    assert shown.code == 0
    heading, *lines = shown.out.splitlines()
    assert len(heading) < 80  # columns of a terminal; a full line would be followed by an empty one
    assert heading.split()[:3] == ["time", "hits", "misses"]
    assert [bool(re.match(r"\d\d:\d\d:\d\d ", line)) for line in lines] == [True, True]
    told = command("watch", "mine", "--count", "3", "--interval", "0.1", "--json")
    rows = [json.loads(line) for line in told.out.splitlines()]
    assert [row["hits"] for row in rows] == [0, 0, 0]
    assert rows[0]["used"] == mine.stats().used


def test_changes_are_seen_and_ctrl_c_is_a_good_end(mine: plib_cache.Cache) -> None:
    """Hits and stores of others appear in the line of their interval; Ctrl-C ends with 0."""
    watching = started("watch", "mine", "--interval", "0.1", "--json")
    assert watching.stdout is not None
    json.loads(watching.stdout.readline())
    for _ in range(7):
        mine.get("greeting")
    mine.set("key", "value")
    mine.reset_stats()  # no negative number
    mine.get("greeting")
    hits = sets = 0
    while hits < 1:
        row = json.loads(watching.stdout.readline())
        assert min(value for value in row.values()) >= 0
        hits, sets = hits + row["hits"], sets + row["sets"]
    os.kill(watching.pid, signal.SIGINT)
    _, err = watching.communicate(timeout=HANGS)
    assert watching.returncode == 0
    assert "Traceback" not in err


def test_a_removed_cache_ends_it(mine: plib_cache.Cache) -> None:
    """It says why, and ends with 1."""
    watching = started("watch", "mine", "--interval", "0.1")
    assert watching.stdout is not None
    watching.stdout.readline()
    remove_region(mine.path)
    _, err = watching.communicate(timeout=HANGS)
    assert watching.returncode == 1
    assert "was removed" in err


def test_output_that_nobody_reads_any_more(mine: plib_cache.Cache) -> None:
    """``plib-cache keys mine | head -1`` ends without a word."""
    mine.set_many({f"key{i}": i for i in range(20_000)})
    listing = started("keys", "mine", "--long", "--json")
    assert listing.stdout is not None
    assert listing.stderr is not None
    listing.stdout.readline()
    listing.stdout.close()
    assert listing.wait(timeout=HANGS) in (0, 1)
    assert listing.stderr.read() == ""
    listing.stderr.close()


def test_bench(command: Command, regions: Path) -> None:
    """Each operation by each that is at hand, as a positive number; nothing is left behind."""
    told = command("bench", "--seconds", "0.5", "--json").json()
    assert told["value_bytes"] == 200
    found = {(row["what"], row["who"]): row["per_second"] for row in told["rows"]}
    assert {who for what, who in found if what == "get"} >= {"plib_cache", "dict"}
    assert {who for what, who in found if what == "decorated call"} >= {
        "plib_cache", "functools.lru_cache",
    }  # fmt: skip
    assert min(found.values()) > 0
    assert not list(regions.iterdir())
    shown = command("bench", "--seconds", "0.5")
    assert "functools.lru_cache" in shown.out


def test_progress_is_for_terminals(mine: plib_cache.Cache, terminal: Callable[..., Any]) -> None:
    """On a terminal a bar says how far a long command is; anywhere else there is none."""
    file = str(Path(mine.path).with_name("file"))
    bar = terminal("export", "mine", file)
    assert bar.end() == 0
    assert b"exporting" in bar.raw
    piped = started("export", "mine", file, "--yes")
    _, err = piped.communicate(timeout=HANGS)
    assert err == ""
