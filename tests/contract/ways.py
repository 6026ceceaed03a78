# SPDX-License-Identifier: BSD-3-Clause
"""The serializers over which everything is promised."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

from plib_cache import Cache
from plib_cache.serialize import Encoded


class PickleOnly:
    """The simplest serializer that one could write."""

    name = "pickle"

    def dumps(self, value: object) -> Encoded:
        data = pickle.dumps(value)
        return Encoded(100, [data[:1], data[1:]], len(data))

    def loads(self, type_code: int, data: memoryview) -> object:
        assert type_code == 100
        return pickle.loads(data)


WAYS: dict[str, dict[str, Any]] = {
    "code": {},
    "data": {"trust": "data"},
    "custom": {"serializer": PickleOnly()},
}


def opened(way: str) -> Iterator[Cache]:
    with Cache("contract", size="8MiB", strict=True, **WAYS[way]) as cache:
        yield cache
        if not cache.closed:
            assert cache.check() == []
