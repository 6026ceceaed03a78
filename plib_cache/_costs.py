# SPDX-License-Identifier: BSD-3-Clause
"""The cost of a computation as one byte: 8 steps for each doubling, 1 microsecond to 70 minutes."""

from __future__ import annotations

import math

_STEPS = 8
_COST_MAX = 255


def cost_code(seconds: float) -> int:
    """The cost code of a computation that took so long; 0 for next to nothing, as if not told."""
    if seconds <= 0:
        return 0
    code = int(_STEPS * math.log2(seconds * 1e6 + 1) + 0.5)
    return code if code < _COST_MAX else _COST_MAX


def cost_us(code: int) -> float:
    """The microseconds that a cost code stands for, within 5 %."""
    return float(2.0 ** (code / _STEPS) - 1)
