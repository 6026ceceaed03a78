# SPDX-License-Identifier: BSD-3-Clause
"""Columns of text as a few digests, without a token for each cell.

A column is three series of bytes: a mark for each cell (text, None or NaN), where each cell's text
ends (i64), and the text of all cells one behind the other, in UTF-8.  So it is the same whether
Python's strings or Arrow's buffers hold it.  Only the digests of the series are kept.
"""

from __future__ import annotations

import importlib
from types import NoneType
from typing import Any

from plib_cache._content import ContentHash

_BLOCK_CELLS = 4096  # looked at several times, so they should stay in the processor's cache
_MARKS: dict[type, int] = {str: 0, NoneType: 1, float: 2}


class _Series:
    """The three series of a column."""

    def __init__(self) -> None:
        self._np: Any = importlib.import_module("numpy")
        self._marks, self._ends, self._text = ContentHash(), ContentHash(), ContentHash()
        self._nbytes = 0  # of text

    def add(self, cells: list[Any]) -> bool:
        """Go on with these cells; False if one of them is neither text nor None nor NaN."""
        kinds = set(map(type, cells))
        if not kinds <= _MARKS.keys():
            return False
        if kinds == {str}:
            self._marks.update(bytes(len(cells)))
        elif any(type(cell) is float and cell == cell for cell in cells):
            return False
        else:
            self._marks.update(bytes([_MARKS[type(cell)] for cell in cells]))
            cells = [cell if type(cell) is str else "" for cell in cells]
        text = "".join(cells)
        raw = text.encode("utf-8", "surrogatepass")
        if not text.isascii():
            cells = [cell.encode("utf-8", "surrogatepass") for cell in cells]
        lengths = self._np.fromiter(map(len, cells), "<i8", len(cells))
        self._add_text(lengths.cumsum(), raw)
        return True

    def add_arrow(self, chunk: Any) -> None:
        """Go on with an Arrow array of large strings; what is missing is as None."""
        if chunk.null_count:
            self._marks.update(chunk.is_null().to_numpy(zero_copy_only=False))
            chunk = chunk.fill_null("")  # in the place of a null there may be any bytes
        else:
            self._marks.update(bytes(len(chunk)))
        _, offsets, text = chunk.buffers()
        bounds = self._np.frombuffer(offsets, "<i8", len(chunk) + 1, 8 * chunk.offset)
        start, end = int(bounds[0]), int(bounds[-1])
        self._add_text(
            bounds[1:] - start if start else bounds[1:],
            memoryview(text)[start:end] if end > start else b"",
        )

    def _add_text(self, ends: Any, text: bytes | memoryview) -> None:
        """Go on with so much text; the ends count from its first byte."""
        self._ends.update(ends + self._nbytes if self._nbytes else ends)
        self._text.update(text)
        self._nbytes += len(text)

    def description(self) -> object:
        """All that is known of the column."""
        return "text", self._marks.digest(), self._ends.digest(), self._text.digest()


def describe_cells(cells: list[Any]) -> object:
    """The digests of cells that are text, None or NaN; any others are returned as they are."""
    series = _Series()
    for start in range(0, len(cells), _BLOCK_CELLS):
        if not series.add(cells[start : start + _BLOCK_CELLS]):
            return cells
    return series.description()


def describe_texts(column: Any) -> object:
    """The digests of a column of pandas' own type for text; what is missing is as None."""
    if column.dtype.storage != "pyarrow":
        return describe_cells(column.to_numpy(dtype=object, na_value=None).tolist())
    pa: Any = importlib.import_module("pyarrow")
    series = _Series()
    for chunk in column.__arrow_array__().cast(pa.large_string()).chunks:
        if len(chunk):
            series.add_arrow(chunk)
    return series.description()
