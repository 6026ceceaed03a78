# SPDX-License-Identifier: BSD-3-Clause
"""All models."""

from __future__ import annotations

from . import (
    attaching,
    closing,
    computing,
    emptying,
    filling,
    locking,
    paging,
    pinning,
    proving,
    reading,
    storing,
)

PARTS = (
    reading,
    pinning,
    emptying,
    storing,
    filling,
    paging,
    locking,
    closing,
    attaching,
    proving,
    computing,
)
MODELS = [model for part in PARTS for model in part.MODELS]
