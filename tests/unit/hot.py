# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the hot path in C share: values of inexact types, and answers to compare."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from plib_cache._core import binding


def only_where_it_is_used() -> None:
    """Leave the module out if the cffi binding alone was asked for; else it must be there."""
    if os.environ.get("PLIB_CACHE_BINDING") == "cffi":
        pytest.skip("asked for the cffi binding alone", allow_module_level=True)
    assert binding() == "fast", "the hot path in C was not built, or does not load"


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
