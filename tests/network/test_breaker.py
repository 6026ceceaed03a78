# SPDX-License-Identifier: BSD-3-Clause
"""The circuit breaker of a server, by a clock that is played."""

from __future__ import annotations

import pytest

from plib_cache.remote.breaker import FIRST_PAUSE_S, LONGEST_PAUSE_S, Breaker


class Played:
    """A breaker and its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.breaker = Breaker(lambda: self.now)

    def pauses(self, times: int, answers: bool) -> list[float]:
        """Fail so often, and wait for each pause to end; does the server answer the probes?"""
        found = []
        for _ in range(times):
            self.breaker.failed()
            pause = self.breaker.due()
            assert pause is not None
            found.append(pause)
            self.now += pause
            assert self.breaker.due() == 0
            if answers:
                assert self.breaker.may_probe()
                self.breaker.succeeded()
        return found


def test_the_pauses_end_within_six_seconds() -> None:
    """A server that is back is asked again at the end of a pause, which are bounded."""
    pauses = Played().pauses(20, answers=False)
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses[1] == pytest.approx(2 * FIRST_PAUSE_S)
    assert max(pauses) == pytest.approx(LONGEST_PAUSE_S)
    assert LONGEST_PAUSE_S <= 5  # and a probe, and what is slow on this machine


def test_one_that_answers_probes_and_nothing_else() -> None:
    """Its pauses grow as those of one that answers nothing."""
    played = Played()
    pauses = played.pauses(10, answers=True)
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE_S)
    played.now += 60
    played.breaker.failed()
    assert played.breaker.due() == pytest.approx(FIRST_PAUSE_S)


def test_half_open_is_one_probe() -> None:
    now, told = 0.0, []
    breaker = Breaker(lambda: now, lambda: told.append(breaker.closed))
    assert breaker.failed()
    assert not breaker.failed()
    assert not breaker.may_probe()
    now = 10.0
    assert [breaker.may_probe() for _ in range(3)] == [True, False, False]
    breaker.failed()
    assert not breaker.may_probe()
    now = 20.0
    assert breaker.may_probe()
    assert breaker.succeeded()
    assert not breaker.succeeded()
    assert told == [False, True]
    assert breaker.opened == 1
