# SPDX-License-Identifier: BSD-3-Clause
"""Who has called, for warnings that point at the user's line and not at one of this package."""

from __future__ import annotations

import os
import sys

_HERE = __file__.rpartition(os.sep)[0] + os.sep


def outside() -> int:
    """The stack level of the first caller that is not of this package, for warnings."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back
    return level
