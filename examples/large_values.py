"""Large values: one process computes into the cache, others read the result where it lies."""

import multiprocessing
from typing import Any

import numpy as np

import plib_cache

NAME = "example-large-values"
ROWS = 1_000_000


def compute(cache: plib_cache.Cache) -> None:
    """NumPy writes its result straight into shared memory: there is no other copy of it."""
    grid = np.linspace(0.0, np.pi, ROWS)
    with cache.reserve_array("sines", ROWS, "f8") as room:  # nobody sees it before the end
        np.sin(grid, out=room.array)
        room.array *= 100.0


def worker(number: int, begins: Any, answers: Any) -> None:
    """Each process reads the same bytes, without a copy; nothing can change them."""
    with plib_cache.Cache(NAME) as cache:
        array = cache.get("sines", copy=False)
        begins.wait()  # all of them hold it now
        answers.put((number, array.max().round(3), array.flags.writeable))
        begins.wait()


def main() -> None:
    """Compute once, read in three processes, and look how much memory that takes."""
    with plib_cache.Cache(NAME, size="64MiB") as cache:
        cache.clear()
        compute(cache)
        context = multiprocessing.get_context("spawn")
        begins, answers = context.Barrier(4), context.Queue()
        processes = [context.Process(target=worker, args=(n, begins, answers)) for n in range(3)]
        for process in processes:
            process.start()
        begins.wait()
        for number, largest, writable in sorted(answers.get() for _ in processes):
            print(f"process {number}: largest {largest}, writable: {writable}")
        print(f"memory for all of them together: {cache.stats().used >> 20} MiB")
        cache.delete("sines")  # who reads it keeps it
        begins.wait()
        for process in processes:
            process.join()
        print(f"and when they are done: {cache.stats().leased >> 20} MiB")


if __name__ == "__main__":
    main()
