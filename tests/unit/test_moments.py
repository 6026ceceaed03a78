# SPDX-License-Identifier: BSD-3-Clause
"""When an entry expires: a moment is the moment that was given, to the millisecond."""

from __future__ import annotations

import datetime
import itertools
import time

import pytest

from plib_cache._moments import deadline_ms


def test_a_moment_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes to look at the clock, and whatever fractions floats have."""
    first = int(time.time() * 1000) + 10**6
    looks = itertools.count()
    monkeypatch.setattr("plib_cache._moments.time.time", lambda: first / 1000 - 1000 + next(looks))
    for ms in range(first + 10**7, first + 10**7 + 1000):
        moment = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
        assert deadline_ms(moment) == ms


def test_seconds_count_from_now() -> None:
    """As do intervals."""
    for given in (1000, 1000.5, datetime.timedelta(seconds=1000)):
        before, deadline, after = time.time(), deadline_ms(given), time.time()
        seconds = given.total_seconds() if isinstance(given, datetime.timedelta) else given
        assert (before + seconds) * 1000 - 1 <= deadline <= (after + seconds) * 1000 + 1
