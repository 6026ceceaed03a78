# SPDX-License-Identifier: BSD-3-Clause
"""Threads of one process that use everything at once.

With the GIL they take turns; without it (a free-threaded CPython) they really run together, in the
binding's own objects too.  `make free-threaded` runs these and all other contract tests so.
"""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import plib_cache
from plib_cache import Cache, ClosedError

THREADS = 4
HANG_S = 120 * float(os.environ.get("HANG_TIMES", "1"))


@pytest.fixture
def cache() -> Iterator[Cache]:
    with Cache("threads", size="16MiB", strict=True) as opened:
        yield opened
        assert opened.closed or opened.check() == []


def together(function: Callable[[int], Any], count: int = THREADS) -> list[Any]:
    """What the function returned in each of many threads that began together."""
    barrier = threading.Barrier(count)
    results: list[Any] = [None] * count
    errors: list[BaseException] = []

    def work(i: int) -> None:
        try:
            barrier.wait()
            results[i] = function(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return results


def test_the_gil_is_as_the_interpreter_was_built() -> None:
    """Nothing that the package imports switches the GIL on where there is none."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert not sys._is_gil_enabled()  # type: ignore[attr-defined]


def value_of(key: str, i: int) -> list[Any]:
    return [key, i, "x" * (i * 37 % 3000)]


def own(key: str, value: Any) -> None:
    """A value belongs to its key and is whole, or is none."""
    assert value is None or value == value_of(key, value[1])


def test_everything_at_once(cache: Cache) -> None:
    """Every operation by every thread on the same few keys: no value is torn or another key's."""
    keys = [f"key-{i}" for i in range(20)]

    def step(me: int, i: int) -> None:
        key = keys[(i * 7 + me) % len(keys)]
        mine = f"mine-{me}"
        cache[key] = value_of(key, i)
        cache[mine] = value_of(mine, i)
        assert cache[mine] == value_of(mine, i)
        own(key, cache.get(key))
        for other, value in cache.get_many(keys[:5]).items():
            own(str(other), value)
        cache.set_many({other: value_of(other, i) for other in keys[5:8]}, tags=["tag"])
        cache.add(key, value_of(key, i))
        cache.touch(key, 1000)
        own(key, cache.gat(key, 1000))
        if (found := cache.gets(key)) is not None:
            own(key, found[0])
            cache.cas(key, value_of(key, i + 1), found[1])
        own(key, cache.get_or_compute(key, lambda: value_of(key, i), namespace="space"))
        if i % 5 == 0:
            own(key, cache.pop(key, None))
            cache.delete_many(keys[8:10])
        if i % 50 == 0:
            assert {str(other) for other in cache} <= {
                *keys,
                *(f"mine-{t}" for t in range(THREADS)),
            }
            for other, value in cache.items():
                own(str(other), value)
            cache.invalidate_tag("tag")
            cache.invalidate_namespace("space")
            cache.stats()
            len(cache)

    together(lambda me: [step(me, i) for i in range(300)])


def test_no_step_of_a_counter_is_lost(cache: Cache) -> None:
    """Additions of all threads are in the sum."""
    cache["number"] = 0
    together(lambda me: [cache.incr("number") for _ in range(2000)])
    assert cache["number"] == THREADS * 2000


def test_a_decorated_function_called_by_all(cache: Cache) -> None:
    """What a decorated function makes at its first call is made once or alike."""
    for _ in range(30):
        computed: list[int] = []

        @plib_cache.cache(cache=cache, strict=True, version=object.__hash__(computed))
        def square(x: int, computed: Any = ()) -> int:
            return x * x

        wanted = [x * x for x in range(20)]
        assert together(lambda me: [square(x) for x in range(20)]) == [wanted] * THREADS
        assert square.cache_info().currsize == 20


def test_results_are_computed_once(cache: Cache) -> None:
    """Whoever comes while a result is computed gets that one."""
    computed: list[int] = []

    @plib_cache.cache(cache=cache, strict=True, ignore="log", version=1)
    def cube(x: int, log: list[int]) -> int:
        log.append(x)
        return x**3

    wanted = [x**3 for x in range(200)]
    assert together(lambda me: [cube(x, computed) for x in range(200)]) == [wanted] * THREADS
    assert sorted(computed) == list(range(200))


def test_opened_and_closed_by_all(cache: Cache) -> None:
    """Each thread opens the region for itself, uses it and closes it."""

    def use(me: int) -> None:
        for i in range(60):
            with Cache("threads", strict=True) as mine:
                mine[f"open-{me}"] = i
                assert mine[f"open-{me}"] == i

    together(use)


def use_until_closed(cache: Cache, me: int, uses: list[int]) -> None:
    try:
        while True:
            assert cache.get("key") == b"value" * 20
            cache[f"key-{me}"] = [me] * 50
            uses.append(me)
    except ClosedError:
        uses.append(-1)
    finally:
        uses.extend([me] * 20)  # the closer does not wait for one who failed


def test_closed_under_their_hands(eventually: Callable[..., Any]) -> None:
    """When one thread closes a cache, the others get ClosedError, and nothing else happens."""

    def use(me: int, shared: Cache, uses: list[int]) -> None:
        if me > 0:
            use_until_closed(shared, me, uses)
            return
        eventually(lambda: len(uses) >= 20)
        shared.close()

    for _ in range(40):
        uses: list[int] = []
        shared = Cache("closing", size="4MiB", strict=True)
        shared["key"] = b"value" * 20
        together(functools.partial(use, shared=shared, uses=uses))
        assert uses.count(-1) == THREADS - 1


def test_first_use_by_all(python: Callable[..., str]) -> None:
    """A process whose threads import and use the package all at once, with nothing made before."""
    program = """
import sys
import threading
import traceback

barrier = threading.Barrier(8)
done = []


def work(i):
    try:
        use(i)
    except BaseException:
        traceback.print_exc()


def use(i):
    barrier.wait()
    import plib_cache

    with plib_cache.Cache("first", size="4MiB", strict=True) as cache:
        cache[f"key-{i}"] = [i] * 100
        assert cache[f"key-{i}"] == [i] * 100
        assert cache.get_many([f"key-{i}"]) == {f"key-{i}": [i] * 100}
        cache.incr("number", 1)
        cache.invalidate_tag("tag")
        assert plib_cache.cache(f)(i) == i + 1
        cache.stats(), cache.info(), len(cache), list(cache.items())
    done.append(i)


def f(x):
    return x + 1


threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if len(done) < 8:
    sys.exit(1)
"""
    for _ in range(5):
        python(program)
