# SPDX-License-Identifier: BSD-3-Clause
"""The circuit breaker of one server: who failed is left alone, and tried again in the background.

One failure opens the circuit: from then on no caller waits for that server.  After a pause one
probe is made (the circuit is half-open); if it fails, the next pause is twice as long.  The idea
is Michael Nygard's ("Release It!"), with a threshold of one, for a cache has nothing to lose.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 4.0  # so that hits are back within 6 s of a server's return
_STEADY_S = 10.0  # who fails sooner after a probe answers probes and nothing else: pauses go on


class Breaker:
    """Whether a server may be asked.

    Args:
        clock: seconds that only ever grow.
        changed: is called when the circuit opens and when it closes.

    ``closed`` is plain data, read without a lock at each operation.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._changed = changed
        self._lock = threading.Lock()
        self._pause = FIRST_PAUSE_S
        self._probe_at = 0.0
        self._closed_at = -_STEADY_S
        self.closed = True
        self.opened = 0  # how often
        self.probing = False

    def failed(self) -> bool:
        """The server has failed; True if that has opened the circuit, False if it was open."""
        with self._lock:
            opens, now = self.closed, self._clock()
            steady = opens and now - self._closed_at >= _STEADY_S
            self._pause = FIRST_PAUSE_S if steady else min(2 * self._pause, LONGEST_PAUSE_S)
            self._probe_at = now + self._pause
            self.closed = self.probing = False
            self.opened += opens
        if opens:
            self._changed()
        return opens

    def succeeded(self) -> bool:
        """The server has answered a probe; True if that has closed the circuit."""
        with self._lock:
            closes = not self.closed
            self.closed, self.probing = True, False
            self._closed_at = self._clock() if closes else self._closed_at
        if closes:
            self._changed()
        return closes

    def due(self) -> float | None:
        """Seconds until the next probe, 0 if it is due now; None if none is needed."""
        if self.closed:
            return None
        return max(0.0, self._probe_at - self._clock())

    def may_probe(self) -> bool:
        """Whether a probe is due and nobody else makes it; whoever gets True makes it."""
        with self._lock:
            may = not self.closed and not self.probing and self._clock() >= self._probe_at
            self.probing = self.probing or may
            return may
