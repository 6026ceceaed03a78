# SPDX-License-Identifier: BSD-3-Clause
"""What a command may do on the connection that it came on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from plib_cache.serve.counts import Counts
from plib_cache.serve.limits import Limits
from plib_cache.serve.store import Store

VERSION = b"1.6.18"  # of memcached, whose answers these are; clients choose by it what to send
BAD_FORMAT = b"CLIENT_ERROR bad command line format"
BAD_CHUNK = b"CLIENT_ERROR bad data chunk"
TOO_LARGE = b"SERVER_ERROR object too large for cache"
NO_MEMORY = b"SERVER_ERROR out of memory storing object"
READ_ONLY = b"SERVER_ERROR read only"
NOT_A_NUMBER = b"CLIENT_ERROR cannot increment or decrement non-numeric value"
NOT_BYTES = b"CLIENT_ERROR cannot append or prepend to a value that is not bytes"


class Talk(Protocol):
    """A connection, as its commands see it."""

    store: Store
    limits: Limits
    counts: Counts
    read_only: bool
    noreply: bool  # of the command that is being worked on

    def say(self, line: bytes) -> None:
        """Answer with a line, unless the client wants none."""

    def send(self, answer: bytes) -> None:
        """Answer with these bytes."""

    def fetch(self, keys: Sequence[bytes], tokens: bool, deadline: int | None) -> None:
        """Answer the values of keys, which have another deadline from now on if one is given."""

    def take(self, length: int, finish: Callable[[bytes | None], None]) -> None:
        """Have ``finish`` called with a value of ``length`` bytes, once it has come.

        It is called with None if what stands behind the value is not the end of a line.
        """

    def swallow(self, length: int) -> None:
        """Throw away a value of ``length`` bytes, once it has come."""

    def close(self) -> None:
        """Hang up once the answers are written."""


Command = Callable[[Talk, list[bytes]], None]
