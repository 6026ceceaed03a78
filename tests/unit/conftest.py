# SPDX-License-Identifier: BSD-3-Clause
"""What the unit tests share.

Hypothesis is no stopwatch: its deadline would fail a test because the machine is crowded.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from benchmarks.bench import Bench, surroundings
from plib_cache.serialize import DefaultSerializer

from .read_only import Shared
from .stored import CODE

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def share(tmp_path: pathlib.Path) -> Callable[..., Shared]:
    """Puts a value into memory that is mapped for reading only."""
    count = iter(range(100))

    def put(value: object, serializer: DefaultSerializer = CODE) -> Shared:
        return Shared(tmp_path / str(next(count)), value, serializer)

    return put


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A run on the smallest scale."""
    with surroundings() as whole:
        yield Bench(whole.folder, rounds=2, scale=0.001)
