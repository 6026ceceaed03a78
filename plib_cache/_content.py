# SPDX-License-Identifier: BSD-3-Clause
"""Digests of large content: XXH3-128 over chunks, by several threads.

The content is cut into chunks of 1 MiB, the last one shorter.  Its digest is XXH3-128 of the
chunks' own digests one behind the other, and of the number of bytes (u64, little endian).  So it
depends neither on how many threads work nor on the pieces in which the content comes.

It is not cryptographic, and neither is the md5 of ``joblib.hash`` any more: who chooses the
content can make two that have one digest.  Where that matters use ``@plib_cache.cache``, whose
keys are BLAKE2b.

Threads work as long as the call that starts them, so there is nothing that a fork could lose.
"""

from __future__ import annotations

import _thread
import collections
import contextlib
import os
from collections.abc import Iterable
from typing import Any, TypeAlias

try:
    import xxhash
except ImportError as error:
    raise ImportError(
        f"digests of content need xxhash ({error}): pip install 'plib-cache[joblib]'"
    ) from error

Untaken: TypeAlias = "collections.deque[int]"  # numbers of chunks
Tickets: TypeAlias = "collections.deque[tuple[_thread.LockType, memoryview]]"

CHUNK_BYTES = 1 << 20
THREADS_MOST = 4
THREADED_CHUNKS = 4  # of fewer, starting threads costs what they would save


class ContentHash:
    """Used as those of hashlib are: ``update``, and in the end ``digest``."""

    def __init__(self) -> None:
        self._digests: list[bytes] = []  # of the chunks that are whole
        self._open = xxhash.xxh3_128()
        self._filled = 0  # bytes in the chunk that is not

    def update(self, data: Any) -> None:
        """Add a buffer, contiguous in C's order, of whatever type; it is not copied."""
        view = memoryview(data)
        if not view.nbytes:
            return
        view = view.cast("B")
        head = min(-self._filled % CHUNK_BYTES, len(view))
        if head:
            self._fill(view[:head])
        tail = head + (len(view) - head) // CHUNK_BYTES * CHUNK_BYTES
        if tail > head:
            self._digests += _chunk_digests(view[head:tail])
        if tail < len(view):
            self._fill(view[tail:])

    def _fill(self, part: memoryview) -> None:
        self._open.update(part)
        self._filled += len(part)
        if self._filled == CHUNK_BYTES:
            self._digests.append(self._open.digest())
            self._open = xxhash.xxh3_128()
            self._filled = 0

    def digest(self) -> bytes:
        """16 bytes."""
        nbytes = len(self._digests) * CHUNK_BYTES + self._filled
        last = [self._open.digest()] if self._filled else []
        root = b"".join([*self._digests, *last, nbytes.to_bytes(8, "little")])
        return xxhash.xxh3_128_digest(root)


def content_digest(buffers: Iterable[Any]) -> bytes:
    """16 bytes that say what is in the buffers, one behind the other."""
    content = ContentHash()
    for buffer in buffers:
        content.update(buffer)
    return content.digest()


def _chunk_digests(view: memoryview) -> list[bytes]:
    """The digest of each of the whole chunks that a buffer is made of."""
    digests = [b""] * (len(view) // CHUNK_BYTES)
    untaken = collections.deque(range(len(digests)))
    helpers = min(THREADS_MOST, len(os.sched_getaffinity(0))) - 1
    if helpers and len(digests) >= THREADED_CHUNKS:
        _share(view, untaken, digests, helpers)
    else:
        _take_chunks(view, untaken, digests)
    return digests


def _share(view: memoryview, untaken: Untaken, digests: list[bytes], helpers: int) -> None:
    """Take chunks beside helpers; those that have not come to run when all is done, never will.

    ``threading.Thread`` would wait until each is running, which on a busy machine takes longer
    than all the work.
    """
    process = os.getpid()
    tickets: Tickets = collections.deque()
    busy = [_thread.allocate_lock() for _ in range(helpers)]
    for lock in busy:
        lock.acquire()
        tickets.append((lock, view))
    with contextlib.suppress(RuntimeError):  # no more threads, or the interpreter is ending
        for _ in busy:
            _thread.start_new_thread(_help, (tickets, untaken, digests))
    try:
        _take_chunks(view, untaken, digests)
    finally:
        while tickets:
            with contextlib.suppress(IndexError):
                tickets.popleft()[0].release()
        if os.getpid() == process:  # a child of a fork meanwhile has no helpers
            for lock in busy:
                lock.acquire()
    # what a helper took along: it ran out of memory, or is in another process
    untaken.extend(index for index, digest in enumerate(digests) if not digest)
    _take_chunks(view, untaken, digests)


def _help(tickets: Tickets, untaken: Untaken, digests: list[bytes]) -> None:
    """What a helper runs: with a ticket it may look at the buffer, until it gives it back."""
    try:
        lock, view = tickets.popleft()
    except IndexError:
        return
    try:
        _take_chunks(view, untaken, digests)
    finally:
        del view  # whoever waits may resize the buffer next
        lock.release()


def _take_chunks(view: memoryview, untaken: Untaken, digests: list[bytes]) -> None:
    """Take chunks and hash them until none is left."""
    while True:
        try:
            index = untaken.popleft()
        except IndexError:
            return
        chunk = xxhash.xxh3_128()
        # unlike the constructor, it has given up the GIL in every version of xxhash
        chunk.update(view[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES])
        digests[index] = chunk.digest()
