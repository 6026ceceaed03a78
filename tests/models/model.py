# SPDX-License-Identifier: BSD-3-Clause
"""What a model is: a program, the functions of the core that it mirrors, and the bugs that must
break it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .explore import Program

EVERYWHERE = ("sc", "tso", "weak")
REORDERED = ("tso", "weak")
WEAK = ("weak",)


class Model(NamedTuple):
    name: str
    mirrors: str
    """Functions of the core."""
    build: Callable[[str], Program]
    """The program with the bug of that name in it, or "" as it is in the core."""
    bugs: dict[str, tuple[str, ...]]
    """Name of a bug: the machines on which it must be found."""
    machines: tuple[str, ...] = EVERYWHERE
    whole: tuple[str, ...] = ()
    """Machines on which it takes minutes: `python -m models --all` alone runs them."""
