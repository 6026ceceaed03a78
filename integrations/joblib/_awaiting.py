# SPDX-License-Identifier: BSD-3-Clause
"""What functions and coroutine functions have in common: a value that may have to be awaited."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from joblib.memory import AsyncMemorizedFunc


def then(result: Any, finish: Callable[[Any], Any]) -> Any:
    """What is made of a result, which may have to be awaited."""
    if not inspect.isawaitable(result):
        return finish(result)

    async def awaited() -> Any:
        return finish(await result)

    return awaited()


def later(function: Any, value: Any) -> Any:
    """The value, to be awaited where the function's are."""
    if not isinstance(function, AsyncMemorizedFunc):
        return value

    async def given() -> Any:
        return value

    return given()
