# SPDX-License-Identifier: BSD-3-Clause
"""A graph whose functions are in a module that is edited, and what of it was computed."""

from __future__ import annotations

import importlib
import linecache
import sys
from pathlib import Path
from typing import Any

import dask
import numpy as np

MODULE = """
import time
from pathlib import Path
import numpy as np

log = Path({log!r})

def note(line):
    with log.open("a") as file:
        file.write(line + "\\n")

def load(n):
    note(f"load {{n}}")
    return np.arange(200_000) + n

def double(array):
    note("double")
    return array * {factor}

def total(arrays):
    note("total")
    return int(sum(int(array.sum()) for array in arrays))

def slow(n):
    note(f"slow {{n}}")
    time.sleep(0.5)
    return n
"""


class Steps:
    """Functions in a module that workers import, and what has been computed by them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()
        self.write()

    def write(self, factor: int = 2) -> None:
        """The module, or another version of it."""
        self.module = self.folder / "kept_steps.py"
        self.module.write_text(MODULE.format(log=str(self.log), factor=factor))

    def computed(self) -> list[str]:
        """What was computed since the last look."""
        lines = sorted(self.log.read_text().splitlines())
        self.log.write_text("")
        return lines

    def graph(self) -> Any:
        """A graph of 3 loads, 3 doublings and a sum, with keys that say nothing of the code."""
        load_anew()
        steps = importlib.import_module("kept_steps")
        load, double, total = (dask.delayed(one, pure=True) for one in (steps.load, steps.double,
                                                                       steps.total))  # fmt: skip
        return total([double(load(n)) for n in range(3)])


ALL = sorted(["load 0", "load 1", "load 2", "double", "double", "double", "total"])
SUM = sum(int((np.arange(200_000) + n).sum()) for n in range(3))


def load_anew() -> None:
    """Have this process import the module anew."""
    sys.modules.pop("kept_steps", None)
    importlib.invalidate_caches()
    linecache.clearcache()
