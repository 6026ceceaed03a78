# SPDX-License-Identifier: BSD-3-Clause
"""Values in memory that can only be read, for the tests of serializers.

The memory is a mapping that the kernel protects from stores, so that what writes past NumPy's
flags ends the process.  Where a buffer lies is asked of the value that was read, by storing it
once more: a buffer that was copied on the way in or out lies elsewhere.
"""

from __future__ import annotations

import mmap
import pathlib
from typing import Any

import pytest

from plib_cache.serialize import DefaultSerializer

from .stored import CODE

np = pytest.importorskip("numpy")

ROWS = 200_000  # 1.6 MB of float64
LARGE = 100_000  # a buffer of that many bytes may never be copied
FLOATS = np.arange(float(ROWS))
NUMBERS = np.arange(ROWS)
GRID = FLOATS.reshape(200, 1000)
WORDS = [f"word {i}" for i in range(ROWS)]


class Shared:
    """A value in a file of memory that this process has mapped for reading only."""

    def __init__(self, path: pathlib.Path, value: object, serializer: DefaultSerializer) -> None:
        self.encoded = serializer.dumps(value)
        path.write_bytes(b"".join(self.encoded.parts) or b"\0")
        with path.open("rb") as file:
            self.view = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        assert self.view.readonly
        self.start = address_of(self.view)
        self._serializer = serializer

    def load(self) -> Any:
        return self._serializer.loads(self.encoded.type_code, self.view[: self.encoded.nbytes])

    def holds(self, address: int, nbytes: int) -> bool:
        return self.start <= address and address + nbytes <= self.start + len(self.view)


def address_of(view: memoryview) -> int:
    address: int = np.frombuffer(view, "u1").__array_interface__["data"][0]
    return address


def large_buffers(value: object) -> list[memoryview]:
    """The buffers of a value, where they are; what stands inside of the pickle must be small."""
    encoded = CODE.dumps(value)
    assert sum(len(part) for part in encoded.parts if isinstance(part, bytes)) < LARGE
    return [p for p in encoded.parts if isinstance(p, memoryview) and len(p) >= LARGE]


def assert_in_place(shared: Shared, back: object) -> None:
    """Each large buffer lies in the mapping, and as many bytes as were stored."""
    buffers = large_buffers(back)
    assert buffers
    assert all(shared.holds(address_of(buffer), len(buffer)) for buffer in buffers)
    assert all(buffer.readonly for buffer in buffers)
    stored = [p for p in shared.encoded.parts if len(p) >= LARGE]
    assert sum(map(len, buffers)) == sum(map(len, stored))


def assert_same_array(back: Any, value: Any) -> None:
    assert type(back) is type(value)
    assert (back.dtype, back.shape) == (value.dtype, value.shape)
    assert back.tobytes() == value.tobytes()
    if value.flags.forc:
        assert back.flags.f_contiguous == value.flags.f_contiguous
