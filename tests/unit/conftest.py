# SPDX-License-Identifier: BSD-3-Clause
"""Hypothesis is no stopwatch: its deadline would fail a test because the machine is crowded."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
