"""Single flight: three processes want one slow result at the same time, and one computes it."""

import multiprocessing
import os
import time

import plib_cache

NAME = "example-single-flight"


def slow() -> str:
    """What nobody wants to wait for twice."""
    with plib_cache.Cache(NAME) as cache:
        cache.incr("computations")
    time.sleep(0.5)
    return f"computed by process {os.getpid()}"


def worker() -> None:
    """Get the result, from whoever computes it."""
    with plib_cache.Cache(NAME) as cache:
        answer = cache.get_or_compute("answer", slow, expire=60)
        print(f"process {os.getpid()} got: {answer}", flush=True)


def main() -> None:
    """Let three processes ask at once."""
    with plib_cache.Cache(NAME, size="16MiB") as cache:
        cache.clear()
        cache["computations"] = 0
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=worker) for _ in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        print("computed", cache["computations"], "time")


if __name__ == "__main__":
    main()
