# SPDX-License-Identifier: BSD-3-Clause
"""Candidates take turns: A B C, B C A, C A B, ...; one sample of each in every round."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

ROUNDS = 31
ROUNDS_LEAST = 15

Candidate = Callable[[], float]


def started_often(
    starts: int, rounds: int, start: Callable[[int], Mapping[str, list[float]]]
) -> dict[str, list[float]]:
    """The samples of several starts together; ``start(rounds)`` gives those of one.

    Where memory lies is chance, and stays so while a program runs.
    """
    samples: dict[str, list[float]] = {}
    for _ in range(starts):
        for name, taken in start(-(-rounds // starts)).items():
            samples.setdefault(name, []).extend(taken)
    return samples


def take_turns(
    candidates: Mapping[str, Candidate], rounds: int = ROUNDS, seconds: float = 20.0
) -> dict[str, list[float]]:
    """Return each candidate's samples; those of one place in the lists were taken together.

    One round goes before that does not count.  Past ``seconds`` it ends, but not before
    ROUNDS_LEAST rounds (or ``rounds``, if that is less).
    """
    names = list(candidates)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        candidates[name]()
    began = time.monotonic()
    for number in range(rounds):
        if number >= ROUNDS_LEAST and time.monotonic() - began > seconds:
            break
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            samples[name].append(candidates[name]())
    return samples
