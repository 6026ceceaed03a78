# SPDX-License-Identifier: BSD-3-Clause
"""Short descriptions of arguments, for messages and metadata.

Their cost does not depend on how large an argument is: arrays and tables are told by their shape,
containers by their first items.
"""

from __future__ import annotations

import reprlib
from typing import Any

_MOST = 200  # characters
_HEAD = 1000  # of a str or bytes, which repr would go through to its end


class Short(reprlib.Repr):
    """``reprlib`` with what has a shape told by that."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 80
        self.maxlevel = 3

    def repr1(self, x: Any, level: int) -> str:
        """The description of a value inside of others."""
        shape = getattr(type(x), "shape", None) and getattr(x, "shape", None)
        if isinstance(shape, tuple) and shape:
            dtype = getattr(x, "dtype", None)
            kind = "" if dtype is None else f", {dtype}"
            return f"<{type(x).__name__} {'x'.join(map(str, shape))}{kind}>"
        if isinstance(x, (str, bytes)) and len(x) > _HEAD:
            return f"{self.repr1(x[:_HEAD], level)[:60]}... ({len(x)} long)"
        return super().repr1(x, level)


_short = Short()


def short(value: Any) -> str:
    """The description of one argument; never raises."""
    text = _short.repr(value)
    return text if len(text) <= _MOST else text[: _MOST - 3] + "..."


class Told:
    """Stands for an argument where its repr is asked for."""

    def __init__(self, value: Any) -> None:
        self._text = short(value)

    def __repr__(self) -> str:
        return self._text
