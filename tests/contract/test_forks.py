# SPDX-License-Identifier: BSD-3-Clause
"""Every way to have another process: the child goes on with the cache, in a place of its own.

A child that used its parent's place would be taken for alive when the parent is, and for dead with
it; so its place must differ, and the parent's stays the parent's.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

import plib_cache
from plib_cache import Cache

CHILDREN = 3


@pytest.fixture
def cache() -> Iterator[Cache]:
    """The default cache, which children find by the environment, or inherit."""
    cache = plib_cache.get_cache()
    cache["parent"] = b"from the parent" * 100
    yield cache
    assert cache.check() == []


def place(cache: Cache) -> int:
    """The process slot that this process has in the region."""
    return cache._region.info()["slot"]


def work(number: int) -> tuple[int, int]:
    """In a child, with the cache of its own or that of its parent: reads, writes, counts."""
    cache = plib_cache.get_cache()
    assert cache["parent"] == b"from the parent" * 100
    cache[f"child-{number}"] = b"from the child" * 1000
    cache.incr("count")
    assert cache[f"child-{number}"] == b"from the child" * 1000
    return os.getpid(), place(cache)


def check_children(cache: Cache, children: list[tuple[int, int]], mine: int) -> None:
    """Places of processes that live at the same time differ, and none is the parent's."""
    by_process = dict(children)
    assert os.getpid() not in by_process
    assert mine not in by_process.values()
    assert place(cache) == mine
    for number in range(len(children)):
        assert cache[f"child-{number}"] == b"from the child" * 1000
    assert cache["count"] == len(children)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_multiprocessing(cache: Cache, method: str) -> None:
    """Pools of each kind.  (A server of forks has the environment, so the folder, of its start.)"""
    multiprocessing.forkserver._forkserver._stop()  # type: ignore[attr-defined]
    cache["count"] = 0
    mine = place(cache)
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        check_children(cache, list(pool.map(work, range(CHILDREN))), mine)


def test_loky(cache: Cache) -> None:
    """joblib's own kind of pool."""
    joblib = pytest.importorskip("joblib")
    cache["count"] = 0
    mine = place(cache)
    children = joblib.Parallel(n_jobs=2, backend="loky")(
        joblib.delayed(work)(number) for number in range(CHILDREN)
    )
    check_children(cache, list(children), mine)
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True, kill_workers=True)


def test_children_have_different_places(cache: Cache, fork: Any) -> None:
    """Of forks that live at the same time, and of the child of a child."""

    def grandparent() -> list[int]:
        inner = fork(lambda: [place(cache)])
        return [place(cache), *inner.result()]

    cache["count"] = 0
    first, second = fork(lambda: work(0)), fork(grandparent)
    places = [first.result()[1], *second.result(), place(cache)]
    assert places[1] != places[2]
    assert places[3] not in places[:3]
    assert place(cache) == places[3]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_while_other_threads_are_inside_calls(cache: Cache, fork: Any) -> None:
    """Calls of the parent's threads that the child inherits half done disturb neither."""
    cache["count"] = 0
    done = threading.Event()
    large = b"l" * 300_000
    errors: list[BaseException] = []

    def busy(number: int) -> None:
        try:
            while not done.is_set():
                cache[f"busy-{number}"] = large
                assert cache.get(f"busy-{number}", large) == large
                cache.incr("count")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=busy, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    mine = place(cache)

    def child() -> int:
        for i in range(50):
            cache[f"key-{i}"] = i
            assert cache[f"key-{i}"] == i
            assert cache.get("busy-0", large) == large
        return place(cache)

    try:
        places = [fork(child).result() for _ in range(20)]
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert mine not in places
    assert place(cache) == mine


IMPORTS = """
import datetime, importlib.abc, os, signal, sys, threading, warnings
import plib_cache

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == module and threading.current_thread() is thread:
            begun.set()
            go.wait()

warnings.simplefilter("ignore")
module, work = sys.argv[1], sys.argv[2]
begun, go = threading.Event(), threading.Event()
cache = plib_cache.Cache("imports", trust="data" if "day" in work else "code")
day = datetime.date(2020, 1, 1)
thread = threading.Thread(target=lambda: exec(work))
sys.meta_path.insert(0, Slow())
thread.start()
begun.wait()
threading.Timer(0.2, go.set).start()  # and the fork waits for it, or is in the middle
child = os.fork()
if child == 0:
    signal.alarm(30)
    exec(work)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
thread.join()
"""


@pytest.mark.parametrize(
    ("module", "work"),
    [
        ("plib_cache._describe_types", "plib_cache.cache(cache=cache)(lambda x: 1)(day)"),
        ("plib_cache._restricted", "cache['a'] = {'day': day}"),
        ("plib_cache._sharing", "cache['b'] = [1]; cache.get('b', copy='shared')"),
        ("plib_cache._html", "cache._repr_html_()"),
        ("plib_cache.stats", "cache.stats()"),
        ("cloudpickle", "cache['c'] = lambda: 1"),
        ("logging", "plib_cache._telling.tell('something')"),
    ],
)
def test_while_another_thread_imports(python: Any, module: str, work: str) -> None:
    """What is imported at need can be needed in a child too, though its parent was just at it."""
    python("import sys; sys.argv[1:] = " + repr([module, work]) + "\n" + IMPORTS)


def test_fork_of_the_c_library(cache: Cache, eventually: Any) -> None:
    """A fork that Python does not hear of."""
    mine = place(cache)
    libc = ctypes.PyDLL(None)  # with the GIL held, as an extension would
    child = libc.fork()
    if child == 0:
        try:
            cache["forked in C"] = place(cache)
        finally:
            os._exit(0 if "forked in C" in cache else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert cache["forked in C"] not in (0, mine)
    assert place(cache) == mine


def test_parent_dies_first(cache: Cache, fork: Any, eventually: Any) -> None:
    """A child whose parent was killed goes on, and is alive to all others."""

    def parent() -> None:
        cache["middle"] = os.getpid()  # before the child looks for it
        child = os.fork()
        if child == 0:
            try:
                cache["orphan"] = os.getpid()
                eventually(lambda: os.getppid() != cache["middle"])
                eventually(lambda: "asked" in cache)
                cache["answered"] = place(cache)
            finally:
                os._exit(0)
        eventually(lambda: "orphan" in cache)
        signal.pause()

    child = fork(parent)
    eventually(lambda: "orphan" in cache and "middle" in cache)
    child.kill()
    child.reap()
    cache["asked"] = 1
    eventually(lambda: "answered" in cache)
    assert cache["answered"] not in (0, place(cache))


@pytest.mark.parametrize("ending", ["exit", "os._exit", "exec", "signal"])
def test_place_is_free_after_the_end(cache: Cache, python: Any, ending: str) -> None:
    """However a process ends, the next one may have its place: so many do not use more of them."""
    last = {
        "exit": "pass",
        "os._exit": "os._exit(0)",
        "exec": "os.execv('/bin/true', ['true'])",
        "signal": "os.kill(os.getpid(), 9) if os.fork() == 0 else os.wait()",
    }[ending]
    program = f"""
import os
import plib_cache
cache = plib_cache.get_cache()
assert cache["parent"]
for i in range(20):
    child = os.fork()
    if child == 0:
        cache[f"child-{{i}}"] = i
        os.kill(os.getpid(), 9) if i % 2 else os._exit(0)
    os.waitpid(child, 0)
{last}
"""
    for _ in range(2):
        python(program)
    assert cache.info().processes <= 20
    assert cache["child-19"] == 19
