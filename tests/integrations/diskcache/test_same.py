# SPDX-License-Identifier: BSD-3-Clause
"""Whatever is done to both, ours answers what diskcache answers."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import diskcache
import pytest

from plib_cache.integrations.diskcache import Cache

STEPS = 600
KEYS: list[Any] = [
    *(0, -5, -5.0, -1, 2**62, 2**80, -0.5, -2.5, True, None),  # above 0: places of a queue
    *("", "a", "1", "b'1'", b"", b"a", b"1", "ä", "x" * 5000, b"x" * 5000),
    *((1, "a"), (1.0, "a"), (), frozenset([3]), ("y" * 9000,)),
]
VALUES: list[Any] = [
    *(0, -7, 3, 2**100, 1.5, "text", b"bytes", None, True, [1, {"a": (2,)}], "t" * 40_000),
    *(b"b" * 40_000, {"k": b"v" * 50_000}),
]
NUMBERS = ("n", -17, ("n", 2))
TAGS = (None, "red", b"red", 1, 1.0, 2.5)
SIDES = ("front", "back")
QUEUED = re.compile(r"\b(4999|5000)\d{11}\b")
Step = Callable[[Any], Any]


def outcome(step: Step, cache: Any) -> Any:
    """What an operation gives, or which error."""
    try:
        return step(cache)
    except (KeyError, TypeError) as error:
        return type(error)


def shown_key(key: Any) -> str:
    """A key with its type; 1 and 1.0 are one key, and which of them comes back may differ."""
    return repr(int(key) if isinstance(key, float) and key.is_integer() else key)


def unnumbered(item: Any) -> Any:
    """An item without its key: a queue that was emptied begins anew there, and not here."""
    (_, value), tag = item
    return value, tag


def sorted_keys(cache: Any, reverse: bool) -> list[str]:
    """The keys in their order, without those of queues."""
    shown = map(shown_key, cache.iterkeys(reverse=reverse))
    return [key for key in shown if not QUEUED.search(key)]


def some_step(dice: random.Random) -> tuple[str, Step]:
    """An operation, and how it looks."""
    key, value, tag = dice.choice(KEYS), dice.choice(VALUES), dice.choice(TAGS)
    number, delta = dice.choice(NUMBERS), dice.choice((1, -3, 2.5, 10**6))
    prefix, side = dice.choice((None, "q", "q-r")), dice.choice(SIDES)
    expire = dice.choice((None, 1000.0))
    both = {"tag": True, "expire_time": False}
    steps: dict[str, Step] = {
        "set": lambda c: c.set(key, value, expire, tag=tag),
        "setitem": lambda c: c.__setitem__(key, value),
        "add": lambda c: c.add(key, value, expire, tag=tag),
        "get": lambda c: c.get(key, "none", **both),
        "getitem": lambda c: c[key],
        "in": lambda c: key in c,
        "pop": lambda c: c.pop(key, "none", **both),
        "del": lambda c: c.__delitem__(key) and None,
        "delete": lambda c: c.delete(key),
        "touch": lambda c: c.touch(key, expire),
        "expires": lambda c: c.get(key, expire_time=True)[1] is None,
        "incr": lambda c: c.incr(number, delta),
        "incr there": lambda c: c.incr(number, default=None),
        "decr": lambda c: c.decr(number, delta, default=5),
        "number": lambda c: c.set(number, 9, expire, tag=tag),
        "a number's": lambda c: c.get(number, tag=True),
        "push": lambda c: type(c.push(value, prefix, side, tag="queued")),  # evict would leave gaps
        "pull": lambda c: unnumbered(c.pull(prefix, side=side, tag=True)),
        "peek": lambda c: unnumbered(c.peek(prefix, side=side, tag=True)),
        "evict": lambda c: c.evict(tag),
        "len": len,
        "sorted": lambda c: sorted_keys(c, False),
        "backwards": lambda c: sorted_keys(c, True),
    }
    often = ["set", "add", "get", "pop", "incr", "push", "push", "pull"]
    name = dice.choice([*steps, *often])
    if dice.random() < 0.005:
        return "clear", lambda c: c.clear()
    return f"{name} {key!r:.20} {value!r:.20} {tag!r} {number} {delta} {prefix} {side}", steps[name]


@pytest.mark.parametrize("seed", range(4))
def test_every_answer_is_the_same(cache: Cache, theirs: diskcache.Cache, seed: int) -> None:
    """Random operations: results, errors, what is there in the end, and its tags."""
    print("seed", seed)
    dice = random.Random(seed)
    for at in range(STEPS):
        shown, step = some_step(dice)
        ours, right = outcome(step, cache), outcome(step, theirs)
        assert ours == right, f"{at}: {shown}"
        assert type(ours) is type(right), f"{at}: {shown}"
    assert sorted_keys(cache, False) == sorted_keys(theirs, False)
    for key in KEYS:
        assert cache.get(key, tag=True) == theirs.get(key, tag=True)


def test_order_of_iteration(cache: Cache, theirs: diskcache.Cache) -> None:
    """Keys that are stored once come in that order, and backwards."""
    for c in (cache, theirs):
        for key in KEYS:
            c[key] = repr(key)
    assert list(map(shown_key, cache)) == list(map(shown_key, theirs))
    assert [*reversed(cache)] == [*reversed(theirs)]
    assert cache.peekitem(last=False) == theirs.peekitem(last=False)
