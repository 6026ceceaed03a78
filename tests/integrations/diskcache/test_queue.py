# SPDX-License-Identifier: BSD-3-Clause
"""Queues: every item comes out once and in order, whoever is at work or dies on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from plib_cache import ConfigurationError, PlibCacheWarning
from plib_cache.integrations.diskcache import Cache

EACH, PUSHERS, PULLERS = 300, 3, 3
START = 500_000_000_000_000


def push_many(folder: Path, who: int) -> None:
    with Cache(folder) as cache:
        for number in range(EACH):
            cache.push((who, number), "q", retry=True)


def pull_many(folder: Path) -> list[tuple[int, int]]:
    pulled: list[tuple[int, int]] = []
    with Cache(folder) as cache:
        while True:
            key, value = cache.pull("q", retry=True)
            if key is None:
                if "pushed" in cache and cache.peek("q") == (None, None):
                    return pulled
                continue
            pulled.append(value)


def test_processes_push_and_pull(tmp_path: Path, fork: Callable[..., Any]) -> None:
    """Each item is pulled by one process; each puller sees those of a pusher in their order."""
    with Cache(tmp_path, size_limit=16 << 20) as cache:
        pullers = [fork(pull_many, tmp_path) for _ in range(PULLERS)]
        pushers = [fork(push_many, tmp_path, who) for who in range(PUSHERS)]
        for child in pushers:
            child.result()
        cache["pushed"] = True
        lists = [child.result() for child in pullers]
        for pulled in lists:
            for who in range(PUSHERS):
                numbers = [number for one, number in pulled if one == who]
                assert numbers == sorted(numbers)
        everything = sorted(item for pulled in lists for item in pulled)
        assert everything == [(who, number) for who in range(PUSHERS) for number in range(EACH)]


def push_both_ends(folder: Path, side: str) -> None:
    with Cache(folder) as cache:
        for number in range(EACH):
            cache.push(f"{side}{number}", side=side, retry=True)
            if number % 3 == 2:
                cache.pull(side=side, retry=True)


def test_both_ends_at_once(tmp_path: Path, fork: Callable[..., Any]) -> None:
    """Nothing is lost: what was pushed is in the queue, or was pulled."""
    with Cache(tmp_path, size_limit=16 << 20) as cache:
        children = [fork(push_both_ends, tmp_path, side) for side in ("front", "back") * 2]
        for child in children:
            child.result()
        left = []
        while (pulled := cache.pull())[0] is not None:
            left.append(pulled[1])
        assert len(left) == 4 * (EACH - EACH // 3)
        assert len(cache) == 0


def die_before_moving(folder: Path, act: str) -> None:
    """Push or pull, and be killed between the item and the note of the window."""
    with Cache(folder) as cache:

        def killed(*_: Any) -> bool:
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError("unreachable")

        cache._move = killed
        cache.push("half", "q") if act == "push" else cache.pull("q")


@pytest.mark.parametrize("act", ["push", "pull"])
@pytest.mark.parametrize("before", [0, 2])
def test_death_in_the_middle(
    tmp_path: Path, fork: Callable[..., Any], act: str, before: int
) -> None:
    """The next one goes on: nothing is in the way, nothing is lost, nothing comes twice."""
    with Cache(tmp_path) as cache:
        for number in range(before):
            cache.push(number, "q")
        child = fork(die_before_moving, tmp_path, act)
        wait_until(lambda: os.waitpid(child.pid, os.WNOHANG)[0], "the child's death")
        child.reaped = True
        there: list[Any] = list(range(before))
        there = [*there, "half"] if act == "push" else there[1:]
        assert cache.peek("q")[1] == (there[0] if there else None)
        cache.push("last", "q")
        for value in [*there, "last"]:
            assert cache.pull("q")[1] == value
        assert cache.pull("q") == (None, None)


def test_a_note_that_is_lost_is_made_again(cache: Cache) -> None:
    """Where a queue begins and ends is found from its keys; others' keys do not matter."""
    for number in range(5):
        cache.push(number, "q")
        cache.push(number)
    cache["q-x"] = cache["q-1"] = cache["q-r-500000000000000"] = "other"
    cache._state.clear()
    assert cache.push("new", "q") == f"q-{START + 5}"
    assert [cache.pull("q")[1] for _ in range(6)] == [0, 1, 2, 3, 4, "new"]
    assert cache.pull() == (START, 0)
    assert cache.push("new") == START + 5


def test_gaps_are_passed(cache: Cache) -> None:
    """Items that were deleted, or have expired, are not in the way."""
    for number in range(6):
        cache.push(number, expire=None if number % 2 else 1000)
    del cache[START], cache[START + 1]
    assert cache.touch(START + 2, expire=0)
    assert cache.peek() == (START + 3, 3)
    assert cache.pull(side="back") == (START + 5, 5)
    assert [cache.pull()[1] for _ in range(2)] == [3, 4]
    assert cache.pull(default="none") == "none"


def test_a_window_that_went_past(cache: Cache) -> None:
    """An item that comes behind the window is withdrawn, and pushed again where it belongs."""
    cache.push("first", "q")
    stale, look = [cache._window("q")], cache._window
    for value in "bcd":
        cache.push(value, "q")
    assert [cache.pull("q")[1] for _ in range(3)] == ["first", "b", "c"]
    cache._window = lambda prefix: stale.pop() if stale else look(prefix)  # type: ignore[method-assign]
    assert cache.push("mine", "q") == f"q-{START + 4}"
    assert [cache.pull("q")[1] for _ in range(3)] == ["d", "mine", None]
    assert len(cache) == 0


def test_clear_forgets_queues(cache: Cache) -> None:
    """The next item begins anew."""
    cache.push(1), cache.push(2)
    assert cache.clear() == 2
    assert cache.pull() == (None, None)
    assert cache.push(3) == START


def test_misuse(cache: Cache) -> None:
    """A side that is none, and an item that cannot be stored, are errors."""
    with pytest.raises(ConfigurationError, match="front"):
        cache.push(1, side="left")
    with pytest.raises(ConfigurationError, match="front"):
        cache.pull(side="left")
    with pytest.warns(PlibCacheWarning), pytest.raises(ConfigurationError, match="size_limit"):
        cache.push(b"x" * (9 << 20))
    assert cache.pull() == (None, None)
