# SPDX-License-Identifier: BSD-3-Clause
"""The three parts of the demo, each: plain, with plib_cache, and again in new processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plib_cache.cache import Cache
from plib_cache.cli.demo.crew import Crew, Event, Run

SEARCHES = 3
_MODULES = "plib_cache.cli.demo."


@dataclass(frozen=True)
class Part:
    """One way to share results."""

    title: str
    module: str
    region: str  # the region's file in the demo's folder
    separate: bool  # processes that the demo starts itself, one for each search

    def arguments(self, quick: bool, victim: bool) -> list[list[str]]:
        """The command line of each process to start."""
        common = ["--quick"] if quick else []
        if not self.separate:
            return [common]
        listed = [["--search", str(n), *common] for n in range(SEARCHES)]
        if victim:
            listed[-1].append("--victim")
        return listed


PARTS = (
    Part("three programs, @plib_cache.cache", "by_decorator", "default", separate=True),
    Part("joblib workers, plib_cache's Memory", "by_joblib", "joblib/region.plib", separate=False),
    Part("dask workers, PlibCachePlugin", "by_dask", "dask", separate=False),
)


@dataclass
class Outcome:
    """What came out of one part."""

    part: Part
    plain: Run
    shared: Run
    again: Run
    hits: int  # of the region, in both runs with plib_cache

    def later(self) -> tuple[Run, Run]:
        """The runs with plib_cache."""
        return self.shared, self.again

    @property
    def saved_seconds(self) -> float:
        """How long it would have taken to compute what the first run got from the cache."""
        took: dict[str, float] = {e["task"]: e["seconds"] for e in self.plain.tasks}
        return sum(took[e["task"]] for e in self.shared.tasks if not e["computed"])


def perform(part: Part, folder: Path, quick: bool, progress: Callable[[Event], None]) -> Outcome:
    """Do one part: three runs in two sets of processes."""
    first = Crew(_MODULES + part.module, folder, part.arguments(quick, victim=True))
    with first:
        plain = first.run("plain", progress)
        shared = first.run("plib", progress)
    with Crew(_MODULES + part.module, folder, part.arguments(quick, victim=False)) as second:
        again = second.run("plib", progress)
    with Cache(path=folder / part.region, create=False) as cache:
        hits = cache.stats().hits
    return Outcome(part, plain, shared, again, hits)
