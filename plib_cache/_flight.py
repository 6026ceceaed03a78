# SPDX-License-Identifier: BSD-3-Clause
"""Single flight: of all who miss one key together, one computes and the others get its value.

``steps`` is the one description of it, for plain calls and for coroutines: a generator that says
what to do next, WAIT, FETCH or COMPUTE, and is told what came of it.  ``run`` and ``run_async`` do
what it says, each in its own manner of waiting.

The claim lies in the region, so the others may be threads, coroutines or processes.  Who claimed
a key and dies, or passes its limit, is taken over by the core; who raises gives the claim back, and
the next one computes.  A claim belongs to a call chain: a recursive call for the same key inside
the computation must not wait for itself, so the chain carries the tokens of its claims.  Two chains
may want what the other one computes; so who has a claim waits for another one's about a second,
and then computes without a claim, whose result is stored like any other.
"""

from __future__ import annotations

import contextlib
import enum
import time
from collections.abc import Awaitable, Callable, Generator
from contextvars import ContextVar
from typing import Any, Protocol

from plib_cache._core import CLAIMED, OK, Claim

_VANISHED_MAX = 3  # values that appeared and were gone again, before computing without a claim
_NESTED_WAITS = 20  # about a second
SLICE_MS = 50
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.05


class Missing(enum.Enum):
    """There is no value; ``None`` is one."""

    MISSING = "missing"


MISSING = Missing.MISSING


class Step(enum.Enum):
    """What the one who drives a flight has to do next."""

    WAIT = "wait"
    COMPUTE = "compute"
    FETCH = "fetch"
    DONE = "done"


class Fetched(enum.Enum):
    """What came of a look in the tiers."""

    FOUND = "found"
    ABSENT = "absent"
    ELSEWHERE = "elsewhere"  # another node computes it


class Job(Protocol):
    """What is to be found or computed: a flight reports to it, and finds its value in it.

    ``fresh`` computes whatever is there, without a claim; ``distant``: there are tiers to look in,
    under the claim, before anything is computed.  None of the methods raises for a failure of the
    cache, unless the one who asks wants to know it.
    """

    value: Any
    fresh: bool
    distant: bool
    holds: bool  # a claim on the node, while it looks in the tiers

    def look(self) -> bool:
        """Look again; True: ``value`` is there."""

    def claim(self) -> Claim:
        """Claim the computation; ``unclaimed`` where that cannot be done."""

    def unclaimed(self) -> Claim:
        """No claim (its token is 0), with the generations as they are before computing."""

    def pause(self, region_wait_ms: int) -> None:
        """Wait, at most so long, until something may have happened."""

    def keep(self, value: Any, seconds: float, claim: Claim) -> bool:
        """Store what was computed; False if it was not stored, so the claim is to be given back."""

    def abandon(self, claim: Claim) -> None:
        """Give the claim back."""

    def fetch(self) -> Fetched:
        """Look in the tiers; FOUND: ``value`` is there."""

    def promote(self, claim: Claim) -> bool:
        """Store what was fetched; False if it was not stored."""

    def release(self, stored: bool) -> None:
        """The other nodes need not wait any more."""


# Tokens of the claims that this call chain computes under, by region.
_chain: ContextVar[frozenset[int]] = ContextVar("plib_cache_claims", default=frozenset())


def steps(job: Job) -> Generator[Step, Any, None]:
    """What to do until ``job.value`` is there, after a first look that found nothing."""
    outer = _chain.get()
    held: Claim | None = None  # from before the claim is used to after it is given back
    try:
        vanished = waits = 0
        while not job.fresh:
            held = job.claim()
            if held.status == OK:
                break
            if held.status == CLAIMED:
                if held.token in outer or (outer and waits >= _NESTED_WAITS):
                    break
                waits += 1
                yield Step.WAIT
            elif job.look():
                yield Step.DONE
                return
            else:
                vanished += 1
                if vanished > _VANISHED_MAX:
                    break
        if held is None or held.status != OK:
            held = job.unclaimed()
        if held.token:
            _chain.set(outer | {held.token} if outer else frozenset((held.token,)))
        if job.distant and not job.fresh and (yield from _fetching(job, held)):
            kept = job.promote(held)
        else:
            began = time.perf_counter()
            job.value = yield Step.COMPUTE
            kept = job.keep(job.value, time.perf_counter() - began, held)
        held = None if kept else held
    finally:
        _chain.set(outer)
        _end(job, held)
    yield Step.DONE


def _end(job: Job, held: Claim | None) -> None:
    """Let go what the flight has: the claim on the node, if it was not used, and between nodes."""
    if job.distant:
        job.release(stored=held is None)
    if held is not None and held.status == OK and held.token:
        job.abandon(held)


def _fetching(job: Job, claim: Claim) -> Generator[Step, Any, bool]:
    """Look in the tiers until there is a value, or no other node computes it; True: there is."""
    job.holds = bool(claim.token)
    while (found := (yield Step.FETCH)) is Fetched.ELSEWHERE:
        yield Step.WAIT
    return found is Fetched.FOUND


def run(job: Job, compute: Callable[[], Any]) -> Any:
    """Find or compute the value; waits without the GIL, in slices."""
    with contextlib.closing(steps(job)) as flow:
        step = next(flow)
        while step is not Step.DONE:
            if step is Step.COMPUTE:
                step = flow.send(compute())
            elif step is Step.FETCH:
                step = flow.send(job.fetch())
            else:
                job.pause(SLICE_MS)
                step = next(flow)
    return job.value


async def run_async(job: Job, compute: Callable[[], Awaitable[Any]]) -> Any:
    """Find or compute the value; waits without holding up the event loop."""
    import asyncio  # costs a third of what importing this package does

    pause_s = _FIRST_PAUSE_S
    with contextlib.closing(steps(job)) as flow:
        step = next(flow)
        while step is not Step.DONE:
            if step is Step.COMPUTE:
                step = flow.send(await compute())
                continue
            if step is Step.FETCH:
                step = flow.send(await asyncio.to_thread(job.fetch))
                continue
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            job.pause(0)
            step = next(flow)
    return job.value
