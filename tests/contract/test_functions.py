# SPDX-License-Identifier: BSD-3-Clause
"""What a cache tells of its decorated functions, and the notes of names that it comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plib_cache
from plib_cache._core import NOTES, Note
from plib_cache._core.notes import note_key


def double(x: int) -> int:
    """A function to be decorated."""
    return 2 * x


def test_functions_tell_names_and_counts() -> None:
    """Each function by its name, with the counts of all processes; who saved most comes first."""
    cache = plib_cache.Cache("mine")
    assert cache.functions() == []
    one, other = (plib_cache.cache(cache=cache, version=v)(double) for v in "ab")
    assert (one(1), one(1), one(2), other(1)) == (2, 2, 4, 2)
    told = cache.functions()
    assert [(f.hits, f.misses) for f in told] == [(1, 2), (0, 1)]
    assert {f.name for f in told} == {f"{double.__module__}.double"}
    assert len({f.number for f in told}) == 2
    assert told[0].hit_rate == 1 / 3
    assert told[0].as_dict()["hits"] == 1
    one.cache_clear()
    assert [(f.hits, f.misses) for f in cache.functions()] == [(0, 1)]


def test_saved_seconds() -> None:
    """What hits saved is told in seconds, as the function itself tells it."""
    cache = plib_cache.Cache("mine")
    number = cache._region.name("f:" + "0" * 32, "some.function")
    cache._region.name_count(number, hits=3, misses=1, saved_us=2_500_000)
    (told,) = cache.functions()
    assert (told.name, told.hits, told.misses) == ("some.function", 3, 1)
    assert told.saved_seconds == 2.5


def test_notes_are_no_entries() -> None:
    """Neither the length nor iteration shows what is noted of names; it can be looked up."""
    cache = plib_cache.Cache("mine")
    cache.set("key", 1, namespace="site", tags=["news"])
    assert len(cache) == 1
    assert list(cache) == ["key"]
    notes = cache._region.notes()
    assert set(notes.values()) == {Note("n:site", ""), Note("t:news", "")}
    found = cache._region.describe(b"key", whole=True)
    assert found is not None
    assert notes[found.name].text == "n:site"
    assert [notes[tag].text for tag in found.tags] == ["t:news"]
    assert (found.data, found.type_code, found.nbytes) == (b"1", 2, 1)
    cache.clear()
    assert not cache


def test_names_of_several_lines() -> None:
    """A tag or a namespace may have any text; an export tells it whole."""
    cache = plib_cache.Cache("mine")
    cache.set("key", 1, namespace="one\ntwo", tags=["\n", "a\n"])
    texts = {note.text for note in cache._region.notes().values()}
    assert texts == {"n:one\ntwo", "t:\n", "t:a\n"}
    number = cache._region.name("f:" + "0" * 32, "odd\nfile.function")
    assert cache._region.noted(number) == Note("f:" + "0" * 32, "odd file.function")


def test_a_look_leaves_no_trace() -> None:
    """Describing an entry, small or large, counts nothing and copies only if it is asked to."""
    cache = plib_cache.Cache("mine")
    large = bytes(range(256)) * 1000
    cache.set_many({"small": b"x", "large": large})
    before = cache.stats()
    assert cache._region.describe(b"absent") is None
    for key, value in (("small", b"x"), ("large", large)):
        bare, whole = (cache._region.describe(key.encode(), whole=w) for w in (False, True))
        assert bare is not None
        assert whole is not None
        assert (bare.nbytes, bare.data) == (len(value), b"")
        assert whole.data == value
    assert cache.stats().hits == before.hits
    assert cache.stats().misses == before.misses
    assert not cache._region.was_read(b"small")


def test_a_lost_note_comes_back(eventually: Callable[..., Any]) -> None:
    """A clearing takes the notes along; the next results bring them back."""
    cache = plib_cache.Cache("mine")
    cached = plib_cache.cache(cache=cache)(double)
    cached(0)
    cache.clear()
    assert [f.name for f in cache.functions()] == [""]
    calls = iter(range(1, 1_000_000))

    def named() -> bool:
        cached(next(calls))
        return cache.functions()[0].name.endswith(".double")

    eventually(named, "the name of the function", pause=0.05)


def test_a_users_entry_is_no_note() -> None:
    """What a user stored under the key of a note stays, and is not taken for one."""
    cache = plib_cache.Cache("mine")
    number = plib_cache.Cache("mine")._region.name("n:site")
    cache.delete(note_key(number))
    cache[note_key(number)] = "mine"
    assert cache._region.noted(number) is None
    cache._region._noted.clear()
    cache.set("key", 1, namespace="site")
    assert cache[note_key(number)] == "mine"


def test_names_that_nobody_has_time_for() -> None:
    """A process notes a bounded number of names; entries are stored all the same."""
    cache = plib_cache.Cache("mine", size="32MiB")
    for i in range(1100):
        cache.set(f"key{i}", i, tags=[f"tag{i}"])
    assert len(cache) == 1100
    assert sum(1 for _ in cache._region.scan(NOTES)) <= 1024
