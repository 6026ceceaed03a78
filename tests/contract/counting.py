# SPDX-License-Identifier: BSD-3-Clause
"""A function whose computations are counted."""

from __future__ import annotations

from typing import Any

import plib_cache


def counting(**options: Any) -> tuple[Any, list[Any]]:
    """A decorated function of (a, b=2), and the list of its computations."""
    calls: list[Any] = []

    def function(a: Any, b: Any = 2) -> Any:
        record((a, b))
        return [a, b]

    def record(call: Any) -> None:
        calls.append(call)

    return plib_cache.cache(version=1, **options)(function), calls
