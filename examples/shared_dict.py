"""A dictionary in shared memory: several processes fill it, count in it and read it."""

import multiprocessing

import plib_cache

NAME = "example-shared-dict"


def worker(number: int) -> None:
    """Each process attaches by the name; nothing is passed to it."""
    with plib_cache.Cache(NAME) as cache:
        cache[f"square of {number}"] = number * number
        cache.set(f"note {number}", {"from": number}, expire=60)
        for _ in range(1000):
            cache.incr("total")  # counted exactly, whoever else counts


def main() -> None:
    """Start the processes and read what they left."""
    with plib_cache.Cache(NAME, size="16MiB") as cache:
        cache.clear()
        cache["total"] = 0
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=worker, args=(n,)) for n in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        print("total:", cache["total"])
        print("squares:", cache.get_many([f"square of {n}" for n in range(3)]))
        print("a note:", cache.get("note 1"))
        print("old value, only if nobody changed it meanwhile:", end=" ")
        value, token = cache.gets("total") or (0, 0)
        print(cache.cas("total", value + 1, token), cache["total"])


if __name__ == "__main__":
    main()
