# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the hot path in C share: values of inexact types, and answers to compare."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from plib_cache._core import binding


def must_be_there() -> None:
    """Fail at once where there is nothing to test: a module that is left out hides that."""
    assert binding() == "fast", (
        "the hot path in C was not built, does not load, or was not asked for (PLIB_CACHE_BINDING)"
    )


class Text(str):
    """Not an exact key."""


class Raw(bytes):
    """Not an exact key or value."""


class Whole(int):
    """Not an exact value."""


def answer(function: Callable[..., Any], *args: Any, **names: Any) -> Any:
    """What a call returns or raises, to be compared."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            result = function(*args, **names)
        except Exception as error:
            result = type(error), str(error), error.args
        return result, [str(w.message) for w in warned]


def memo_of(function: Any) -> Any:
    """The lookup in C behind a decorated function."""
    return function.cache_info.args[0]
