# SPDX-License-Identifier: BSD-3-Clause
"""Why a region has no protection, in words."""

from __future__ import annotations

_UNPROTECTED = (
    "",
    "this CPU has no protection keys",
    "the kernel does not offer the CPU's protection keys, or a sandbox does not let them through",
    "all protection keys are taken by other code in this process",
    'protection="none" was asked for, by the program or by PLIB_CACHE_PROTECTION',
    "this process has the cache open without them: close it first",
)


def why_unprotected(keys: int) -> str:
    """What PLC_KEYS_* of the core says; "" when protection keys are in use."""
    return _UNPROTECTED[keys]
