# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the dask integration run in workers, which find it by its name here."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np

MIB = 1 << 20


def workers_now(client: Any) -> dict[str, Any]:
    """What the scheduler says of its workers, by address.

    ``Client.scheduler_info`` may give none: between its look and its answer comes that of the
    client's own loop, which asks for none.
    """
    found: dict[str, Any] = client.sync(client.scheduler.identity)["workers"]
    return found


def numbers(n: int, mib: int = 8) -> Any:
    """An array of that size, which no other number gives."""
    return np.arange(mib * MIB // 8, dtype="i8") + n


def total(*arrays: Any) -> int:
    """The sum of all elements."""
    return sum(int(np.asarray(array).sum()) for array in arrays)


def slow(number: int) -> int:
    """Takes some time."""
    time.sleep(0.05)
    return number + 1


def own_pid(*_: Any) -> int:
    """The process that runs this."""
    return os.getpid()


def flags_of(array: Any) -> bool:
    """Whether it can be written to."""
    return bool(array.flags.writeable)


def add_in_place(array: Any) -> int:
    """Write into the input."""
    array += 1
    return int(array.sum())


def frame(n: int, rows: int = 500_000) -> Any:
    """A table of numbers, dates and text."""
    import pandas as pd

    at = np.arange(rows)
    return pd.DataFrame(
        {
            "number": at + n,
            "part": at / 7,
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(at, "s"),
            "text": pd.array([f"row {i % 1000}" for i in range(rows)], dtype="string[pyarrow]"),
        }
    )


def table(n: int) -> Any:
    """The same for Arrow."""
    import pyarrow as pa

    return pa.table({"number": np.arange(500_000) + n, "part": np.arange(500_000) / 7})


def several(n: int) -> Any:
    """Arrays in containers."""
    return {"all": [numbers(n, 2), (numbers(n + 1, 2), "text")]}


class Model:
    """Any object with arrays in it."""

    def __init__(self, n: int) -> None:
        self.weights = numbers(n, 4)
        self.name = f"model {n}"


class Spoiled:
    """An object that can be stored anywhere, and rebuilt only once."""

    def __init__(self) -> None:
        self.data = numbers(0, 2)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (self.data, os.getpid())


def _rebuild(data: Any, made_in: int) -> Any:
    if os.getpid() != made_in and not data.flags.owndata and _in_region(data):
        raise RuntimeError("cannot be rebuilt over shared memory")
    made = Spoiled()
    made.data = data
    return made


def _in_region(array: Any) -> bool:
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    return type(getattr(base, "obj", base)).__name__ == "Lease"


def in_region(array: Any) -> bool:
    """Whether an array lies in the region."""
    return _in_region(array)


def die_soon() -> None:
    """End this process, as the kernel would."""
    os.kill(os.getpid(), signal.SIGKILL)
