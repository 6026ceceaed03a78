"""Counters and a rate limiter that hold over all processes of a machine."""

import multiprocessing

import plib_cache

NAME = "example-rate-limiter"


def allowed(cache: plib_cache.Cache, who: str, most: int, seconds: float) -> bool:
    """At most so many calls in each period, of all processes together; it begins with a call."""
    key = f"calls of {who}"
    cache.add(key, 0, expire=seconds)  # of all who try, one begins the period
    count = cache.incr(key)
    return count is not None and count <= most


def worker(number: int) -> None:
    """Each process asks as often as it likes."""
    with plib_cache.Cache(NAME) as cache:
        for who in ("ann", "bob"):
            for _ in range(100):
                cache.incr("allowed" if allowed(cache, who, 50, 600) else "refused")
        cache.incr("workers done")
        cache.set(f"worker {number}", "done", expire=60)


def main() -> None:
    """Four processes, two users, 800 calls, of which 100 are allowed."""
    with plib_cache.Cache(NAME, size="16MiB") as cache:
        cache.clear()
        cache.set_many({"allowed": 0, "refused": 0, "workers done": 0})
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=worker, args=(n,)) for n in range(4)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
        print(f"{cache['allowed']} allowed, {cache['refused']} refused,", end=" ")
        print(f"by {cache['workers done']} workers")


if __name__ == "__main__":
    main()
