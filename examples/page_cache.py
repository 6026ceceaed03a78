"""A page cache for Flask: whole answers, shared by all worker processes, forgotten by a tag."""

import functools
import multiprocessing
from collections.abc import Callable

from flask import Flask, request

import plib_cache

NAME = "example-page-cache"
app = Flask(__name__)


def cached(seconds: float, tag: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Answers of a view, by the address that was asked for; one process renders, others wait."""

    def decorate(view: Callable[[], str]) -> Callable[[], str]:
        @functools.wraps(view)
        def answer() -> str:
            with plib_cache.Cache(NAME) as cache:
                return cache.get_or_compute(request.full_path, view, seconds, tags=[tag])

        return answer

    return decorate


@app.get("/primes")
@cached(seconds=60, tag="primes")
def primes() -> str:
    """A page that takes a while."""
    most = request.args.get("most", 100, int)
    with plib_cache.Cache(NAME) as cache:
        cache.incr("rendered")
    found = sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, most))
    return f"<h1>{found} primes below {most}</h1>"


def worker(number: int) -> None:
    """One of the processes of a web server, with ten visitors."""
    pages = [app.test_client().get("/primes?most=20000").text for _ in range(10)]
    print(number, pages[-1], flush=True)


def main() -> None:
    """Two workers; then the data change."""
    with plib_cache.Cache(NAME, size="16MiB") as cache:
        cache.clear()
        cache["rendered"] = 0
        with multiprocessing.get_context("spawn").Pool(2) as workers:
            workers.map(worker, range(4))
            cache.invalidate_tag("primes")  # for all processes, in one step
            workers.map(worker, range(4))
        print("rendered", cache["rendered"], "times for 80 requests")


if __name__ == "__main__":
    main()
