# SPDX-License-Identifier: BSD-3-Clause
"""What the plugin of one worker has done, in numbers, and its one warning for each trouble."""

from __future__ import annotations

import dataclasses
import logging

logger = logging.getLogger("distributed.plib_cache")


@dataclasses.dataclass
class Counts:
    """Since the plugin was set up in this worker; bytes where a name says so."""

    placed: int = 0  # values that were put into the region
    placed_bytes: int = 0
    refused: int = 0  # large values that stayed in the worker's own memory
    handed: int = 0  # values that went to another worker by reference
    handed_bytes: int = 0  # that were not sent
    taken: int = 0  # values that came by reference
    taken_bytes: int = 0
    hand_over_failed: int = 0  # transfers that had to be repeated as bytes
    take_failed: int = 0  # values that came by reference and could not be had
    strangers: int = 0  # workers that have another region, or did not say
    nodes_asked: int = 0  # looks, stores and removals that went to another node
    nodes_lost: int = 0  # other nodes that did not answer, and were left alone since
    kept: int = 0  # results that were stored to outlive the cluster
    kept_bytes: int = 0
    found: int = 0  # results that were there already, and so not computed
    missed: int = 0  # results that were looked for, and computed as they were not there
    failures: int = 0  # of the cache, each of which changed nothing but speed

    def as_dict(self) -> dict[str, float]:
        """The numbers by name."""
        return {name: getattr(self, name) for name in _NAMES}

    def failed(self, what: str, error: BaseException) -> None:
        """Count a failure that the computation does not notice; the first of a kind is told."""
        self.failures += 1
        told: set[str] = self.__dict__.setdefault("_told", set())
        if what not in told:
            told.add(what)
            logger.warning("plib_cache: %s (%s: %s)", what, type(error).__name__, error)


_NAMES = tuple(field.name for field in dataclasses.fields(Counts))
