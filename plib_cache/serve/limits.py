# SPDX-License-Identifier: BSD-3-Clause
"""What one connection may make the server hold or do at once."""

from __future__ import annotations

import dataclasses

KEY_MAX = 250  # bytes of a key
WORDS_MAX = 23  # of a command that is not a get; more are not looked at
_HEADER = 48 + 8  # bytes that memcached adds to an item: its header, and the token


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """All in bytes, but ``commands``.

    A value that was stored by Python may be longer than ``item``; it is answered all the same.
    """

    item: int = 1 << 20  # key, value and memcached's header together: its option -I
    line: int = 2048  # a command, unless it is a get of several keys
    keys_line: int = 1 << 20  # a get of several keys
    answer: int = 1 << 18  # answers of one call; exceeded by one value at most
    commands: int = 2000  # of one call

    def fits(self, key: bytes, flags: int, length: int) -> bool:
        """Whether a client may store a value of ``length`` bytes."""
        return _HEADER + len(key) + 1 + (4 if flags else 0) + length + 2 <= self.item
