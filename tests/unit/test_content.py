# SPDX-License-Identifier: BSD-3-Clause
"""Digests of content: of the bytes alone, whoever hashes them, in whatever pieces they come."""

from __future__ import annotations

import _thread
import array
import os
import random
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

xxhash = pytest.importorskip("xxhash")

from plib_cache import _content  # noqa: E402 - it needs xxhash
from plib_cache._content import CHUNK_BYTES, content_digest  # noqa: E402

MIB = 1 << 20
SIZES = [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB, 4 * MIB, 9 * MIB, 9 * MIB + 5]
WHOLE = random.Random(5).randbytes(9 * MIB + 5)


def plainly(data: bytes) -> bytes:
    """The digest as the module's first lines define it."""
    chunks = [data[start : start + MIB] for start in range(0, len(data), MIB)]
    root = b"".join(map(xxhash.xxh3_128_digest, chunks)) + len(data).to_bytes(8, "little")
    return bytes(xxhash.xxh3_128_digest(root))


@pytest.fixture
def processors(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """``processors(n)``: this process may use so many."""

    def use(count: int) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)))

    return use


@pytest.mark.parametrize("size", SIZES)
def test_the_digest_is_the_defined_one_however_many_threads(
    size: int, processors: Callable[[int], None]
) -> None:
    """At each side of each border, by one thread, two, four, and no more than four."""
    data = WHOLE[:size]
    for count in (1, 2, 4, 64):
        processors(count)
        assert content_digest([data]) == plainly(data)


def test_threads_are_as_many_as_processors_and_four_at_most(
    processors: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calling one is one of them; none is started for less than four chunks."""
    started: list[object] = []
    monkeypatch.setattr(_thread, "start_new_thread", lambda *given: started.append(given))
    counts = []
    for count, size in [(1, 9), (2, 9), (3, 9), (64, 9), (64, 4), (64, 3)]:
        processors(count)
        content_digest([WHOLE[: size * MIB]])
        counts.append(len(started))
        started.clear()
    assert counts == [0, 1, 2, 3, 3, 0]


def test_pieces_do_not_matter() -> None:
    """Nor do empty ones, and borders between them may lie anywhere."""
    chance = random.Random(6)
    for size in SIZES:
        cuts = sorted(chance.choices(range(size + 1), k=chance.randrange(8)))
        pieces = [
            WHOLE[start:end] for start, end in zip([0, *cuts], [*cuts, size], strict=True)
        ]  # fmt: skip
        assert content_digest([b"", *pieces, b""]) == plainly(WHOLE[:size]), (size, cuts)


def test_every_byte_counts() -> None:
    """First and last, and at each side of each border between chunks."""
    for size in SIZES[1:]:
        data = bytearray(WHOLE[:size])
        seen = {content_digest([data])}
        borders = [border + side for border in range(MIB, size, MIB) for side in (-1, 0)]
        places = {0, size - 1, *borders}
        for place in places:
            data[place] ^= 1
            seen.add(content_digest([data]))
            data[place] ^= 1
        assert len(seen) == 1 + len(places)
        assert content_digest([data]) in seen


def test_the_length_counts() -> None:
    """Zeros more are other content."""
    zeros = bytes(2 * MIB + 1)
    sizes = [0, 1, 2, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1]
    assert len({content_digest([zeros[:size]]) for size in sizes}) == len(sizes)


def test_chunks_that_change_places_are_other_content() -> None:
    """Their order counts."""
    first, second = WHOLE[:MIB], WHOLE[MIB : 2 * MIB]
    assert content_digest([first, second]) != content_digest([second, first])


def test_any_buffer_will_do() -> None:
    """What counts is the bytes, not what they are elements of."""
    numbers = array.array("d", range(40000))
    raw = numbers.tobytes()
    square = memoryview(raw).cast("B", (200, 1600))
    for buffer in (raw, bytearray(raw), memoryview(raw), numbers, square):
        assert content_digest([buffer]) == plainly(raw)
    assert content_digest([pytest.importorskip("numpy").empty((0, 3))]) == plainly(b"")


def test_golden_digests() -> None:
    """They are in keys that others have stored."""
    found = [content_digest([data]).hex() for data in (b"", b"abc", bytes(5 * MIB))]
    assert found == [
        "2c0a8a99dc147d5445c3b49d035665b2", "00bb8f5bbcc6694e541b81f687d45e2f",
        "79a200bfa109d22772cc0715906fe523",
    ]  # fmt: skip


# ---- helpers -------------------------------------------------------------------------------------


def test_helpers_that_cannot_start_are_not_missed(
    processors: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calling thread does their part: all of it, or that of those that are refused."""
    start, allowed = _thread.start_new_thread, [0]

    def refuse(*given: Any) -> int:
        if not allowed[0]:
            raise RuntimeError("can't start new thread")
        allowed[0] -= 1
        return start(*given)

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    processors(4)
    for allowed[0] in (0, 1, 2):
        assert content_digest([WHOLE]) == plainly(WHOLE)


def test_helpers_that_never_run_are_not_waited_for(
    processors: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine all is done before they come; when they come, they find nothing."""
    late: list[tuple[Any, Any]] = []
    monkeypatch.setattr(_thread, "start_new_thread", lambda *given: late.append(given))
    processors(4)
    data = bytearray(WHOLE)
    assert content_digest([data]) == plainly(WHOLE)
    data.append(1)  # a BufferError if one of them could still look at it
    assert len(late) == 3
    for function, given in late:
        function(*given)


class LateLock:
    """A lock; a helper that has released it stays where it is until ``go`` is set."""

    def __init__(self, go: threading.Event) -> None:
        self._lock, self._go, self._main = threading.Lock(), go, threading.get_ident()
        self.acquire = self._lock.acquire

    def release(self) -> None:
        self._lock.release()
        if threading.get_ident() != self._main:
            self._go.wait()


def test_the_buffer_is_free_afterwards(
    processors: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No helper holds it any longer than the call lasts, however late it comes to its own end."""
    go = threading.Event()
    monkeypatch.setattr(_thread, "allocate_lock", lambda: LateLock(go))
    processors(4)
    data = bytearray(WHOLE)
    for _ in range(20):
        content_digest([data])
        data.append(1)  # a BufferError if it is held
    go.set()


def hooked(monkeypatch: pytest.MonkeyPatch, before: Callable[[], None]) -> None:
    """Have ``before`` called whenever a hash is made."""

    def made() -> Any:
        before()
        return xxhash.xxh3_128()

    fake = SimpleNamespace(xxh3_128=made, xxh3_128_digest=xxhash.xxh3_128_digest)
    monkeypatch.setattr(_content, "xxhash", fake)


def test_an_exception_ends_the_call_only_when_helpers_have_ended(
    processors: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, say: it comes through, and nobody goes on reading the buffer."""
    main, inside, raised = threading.get_ident(), threading.Event(), threading.Event()
    begun: dict[bool, int] = {True: 0, False: 0}

    def before() -> None:
        mine = threading.get_ident() == main
        begun[mine] += 1
        if not mine:
            inside.set()
            raised.wait()
        elif begun[mine] == 2:  # the first is that of the chunk that is not whole
            inside.wait()
            raised.set()
            raise KeyboardInterrupt

    processors(2)
    hooked(monkeypatch, before)
    with pytest.raises(KeyboardInterrupt):
        content_digest([bytes(9 * MIB)])
    assert begun == {True: 2, False: 8}


def test_a_fork_in_the_middle(
    processors: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child has no helpers: it does what they had taken, and waits for none of them.

    The fork happens while a helper has a chunk, in the thread that hashes, as a signal's handler
    may have it.
    """
    main, children = threading.get_ident(), list[int]()
    taken, forked = threading.Event(), threading.Event()
    begun: list[int] = []

    def before() -> None:
        if threading.get_ident() != main:
            taken.set()
            forked.wait()
            return
        begun.append(1)
        if len(begun) == 2:  # the first is that of the chunk that is not whole
            taken.wait()
            children.append(os.fork())
            if children[0]:
                forked.set()

    processors(2)
    hooked(monkeypatch, before)
    found = content_digest([WHOLE])
    if children == [0]:
        os._exit(0 if found == plainly(WHOLE) else 1)
    assert found == plainly(WHOLE)
    assert os.waitpid(children[0], 0)[1] == 0


def test_a_child_after_the_parent_used_threads(processors: Callable[[int], None]) -> None:
    """It starts its own."""
    processors(4)
    expected = content_digest([WHOLE])
    child = os.fork()
    if child == 0:
        os._exit(0 if content_digest([WHOLE]) == expected else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_chunks_are_what_the_golden_digests_were_made_with() -> None:
    """Their size is part of the digest."""
    assert CHUNK_BYTES == MIB
