# SPDX-License-Identifier: BSD-3-Clause
"""``@cache(hashing="xxh3")``: keys by content at the speed of memory."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

import plib_cache

LARGE = np.arange(100_000.0)


def total(x: Any, y: int = 0) -> Any:
    """What is computed."""
    return float(np.sum(np.asarray(x, dtype="f8"))) + y


def counted(cache: plib_cache.Cache, hashing: Literal["blake2b", "xxh3"]) -> Any:
    """A function that is cached so."""
    return plib_cache.cache(cache=cache, hashing=hashing)(total)


@pytest.mark.parametrize("hashing", ["blake2b", "xxh3"])
@pytest.mark.parametrize(
    ("value", "other"),
    [
        (LARGE, LARGE[::-1]),
        (LARGE.reshape(10, -1), LARGE),
        (pd.DataFrame({"a": LARGE}), pd.DataFrame({"b": LARGE})),
        (7, 7.0),
    ],
    ids=["elements", "shape", "names", "types"],
)
def test_equal_content_is_one_key(
    cache: plib_cache.Cache, hashing: Literal["blake2b", "xxh3"], value: Any, other: Any
) -> None:
    """Whatever holds it; and different content is another key."""
    cached = counted(cache, hashing)
    again = value.copy() if hasattr(value, "copy") else value
    assert cached.cache_key(value) == cached.cache_key(again) == cached.cache_key(x=value, y=0)
    assert cached.cache_key(value) != cached.cache_key(other)
    assert cached(value) == cached(again)
    assert cached.cache_info().hits == 1


def test_small_arguments_have_the_same_keys(cache: plib_cache.Cache) -> None:
    """So the fast path serves both."""
    assert counted(cache, "xxh3").cache_key(1, 2) == counted(cache, "blake2b").cache_key(1, 2)
    assert counted(cache, "xxh3").cache_key(LARGE) != counted(cache, "blake2b").cache_key(LARGE)


def test_what_makes_no_sense_is_refused(cache: plib_cache.Cache) -> None:
    """With what there is."""
    with pytest.raises(plib_cache.ConfigurationError, match="give 'blake2b' or 'xxh3'"):
        plib_cache.cache(cache=cache, hashing="md5")  # type: ignore[call-overload]
    with pytest.raises(plib_cache.ConfigurationError, match="typed=False"):
        plib_cache.cache(cache=cache, hashing="xxh3", typed=False)
