"""A web handler in several worker processes: of all requests that miss together, one computes."""

import asyncio
import multiprocessing

import httpx
import numpy as np
from fastapi import FastAPI

import plib_cache

NAME = "example-async-handler"
app = FastAPI()


def simulate(paths: int) -> float:
    """The price of an option, by simulation: half a second of a processor."""
    with plib_cache.Cache(NAME) as cache:
        cache.incr("computations")
    steps = np.random.default_rng(1).standard_normal((50, paths))
    return float(np.maximum(100 * np.exp((steps * 0.02 - 0.0002).sum(axis=0)) - 100, 0).mean())


@plib_cache.cache(cache=NAME, expire=60)
async def price(paths: int) -> float:
    """Computed in a thread, so that the loop answers others meanwhile."""
    return await asyncio.to_thread(simulate, paths)


@app.get("/price/{paths}")
async def show(paths: int) -> float:
    """What a browser asks for; who waits for another's computation does not block the loop."""
    return round(await price(paths), 2)


async def visit() -> None:
    """Forty visitors ask at once."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
        answers = await asyncio.gather(*(client.get("/price/200000") for _ in range(40)))
    print(f"{len(answers)} answers, all {answers[0].json()}", flush=True)


def worker(number: int) -> None:
    """One of the processes of a web server, with its visitors."""
    asyncio.run(visit())


def main() -> None:
    """Three workers, 120 visitors."""
    with plib_cache.Cache(NAME, size="16MiB") as cache:
        cache.clear()
        cache.add("computations", 0)
        with multiprocessing.get_context("spawn").Pool(3) as workers:
            workers.map(worker, range(3), chunksize=1)
        print("computed", cache["computations"], "time for 120 requests")


if __name__ == "__main__":
    main()
