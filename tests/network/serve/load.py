# SPDX-License-Identifier: BSD-3-Clause
"""Clients that write as fast as they are answered, and remember what was acknowledged."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType

from waiting import HANG_S, wait_until

from .running import Client

VALUE = b"value of "


class Writer:
    """One client in a thread, until the server hangs up or it is told to stop."""

    def __init__(self, client: Client, name: str) -> None:
        self._client, self.name = client, name
        self.acknowledged = 0  # of keys NAME-0, NAME-1, ...
        self.hung_up = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def key(self, number: int) -> str:
        """The number-th key that it writes."""
        return f"{self.name}-{number}"

    def _write(self) -> None:
        with contextlib.suppress(OSError, AssertionError):
            while not self._stopping.is_set():
                key = self.key(self.acknowledged)
                assert self._client.set(key, VALUE + key.encode()) == b"STORED\r\n"
                self.acknowledged += 1
            return
        self.hung_up = True

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def more(self, count: int) -> None:
        """Wait until so many more are acknowledged."""
        so_far = self.acknowledged
        wait_until(lambda: self.acknowledged >= so_far + count, f"{self.name} to be answered")

    def ended(self) -> bool:
        """Whether it writes no more."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Write no more, and hang up."""
        self._stopping.set()
        self._thread.join(HANG_S)
        self._client.close()


class Load:
    """Several writers, one for each client."""

    def __init__(self, clients: list[Client]) -> None:
        self.writers = [Writer(client, f"w{at}") for at, client in enumerate(clients)]

    def __enter__(self) -> Load:
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in self.writers:
            writer.stop()

    def more(self, count: int) -> None:
        """Wait until each has so many more acknowledged."""
        for writer in self.writers:
            writer.more(count)

    def lost(self, entries: dict[bytes, bytes]) -> list[str]:
        """What was acknowledged, and is not there, or is something else."""
        keys = [one.key(at) for one in self.writers for at in range(one.acknowledged)]
        return [key for key in keys if entries.get(key.encode()) != VALUE + key.encode()]
