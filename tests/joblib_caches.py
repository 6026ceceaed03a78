# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the joblib backend share: small caches, functions that count their calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib

SMALL = {"size": "16MiB"}


def memory(location: Path, **options: Any) -> joblib.Memory:
    """A quiet Memory with a small region."""
    return joblib.Memory(str(location), backend="plib", verbose=0, backend_options=SMALL, **options)


def counting(value: Callable[[Any], Any] = lambda x: x) -> tuple[Callable[[Any], Any], list[Any]]:
    """A function to be cached, and what it was really called with."""
    calls: list[Any] = []

    def function(x: Any) -> Any:
        calls.append(x)
        return value(x)

    return function, calls
