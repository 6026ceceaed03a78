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
    parking,
    pinning,
    proving,
    reading,
    recycling,
    storing,
    wearing,
)

PARTS = (
    reading,
    pinning,
    emptying,
    storing,
    recycling,
    wearing,
    filling,
    paging,
    parking,
    locking,
    closing,
    attaching,
    proving,
    computing,
)
MODELS = [model for part in PARTS for model in part.MODELS]
