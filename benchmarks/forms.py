# SPDX-License-Identifier: BSD-3-Clause
"""The report's two forms: a quarter of an hour, and everything.

A figure means the same work in both, for a row's sizes are what its goal is about.  The short form
takes fewer rounds, and leaves out the rows that take more than a minute even so (``Row.long``), and
the dearest sizes of rows that have several (``Bench.full``).  What it leaves out, it names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.rows import Row
from benchmarks.turns import ROUNDS

LATE = "a quarter of an hour was over before its turn: make bench-full measures it"


@dataclass(frozen=True)
class Form:
    """How much is measured.

    Attributes:
        command: What one types.
        rounds: Of samples, at most.
        seconds: After which no further row begins.
        full: Whether it has the rows that take long.
    """

    command: str
    rounds: int
    seconds: float
    full: bool


FULL = Form("make bench-full", ROUNDS, math.inf, full=True)
# A row begins no later than 13 minutes, and ends within one: it has to fit into 15.
SHORT = Form("make bench", 11, 13 * 60, full=False)


def parted(rows: Sequence[Row], form: Form, named: bool) -> tuple[list[Row], list[Row]]:
    """The rows that are measured, and those that the form leaves to the other one.

    Args:
        named: Somebody has asked for these very rows: then none is left out.
    """
    left = [row for row in rows if row.long and not (form.full or named)]
    return [row for row in rows if row not in left], left
