# SPDX-License-Identifier: BSD-3-Clause
"""All models."""

from __future__ import annotations

from . import (
    attaching,
    closing,
    computing,
    emptying,
    entering,
    filling,
    forking,
    leasing,
    lingering,
    locking,
    paging,
    parking,
    pinning,
    proving,
    reading,
    recycling,
    sealing,
    storing,
    wearing,
)

PARTS = (
    reading,
    pinning,
    leasing,
    forking,
    sealing,
    emptying,
    storing,
    recycling,
    wearing,
    filling,
    paging,
    parking,
    locking,
    closing,
    entering,
    lingering,
    attaching,
    proving,
    computing,
)
MODELS = [model for part in PARTS for model in part.MODELS]
