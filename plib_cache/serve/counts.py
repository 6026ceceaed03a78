# SPDX-License-Identifier: BSD-3-Clause
"""What a server process counts, by the names of memcached's ``stats``."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping


@dataclasses.dataclass(slots=True)
class Counts:
    """Counts of one server process since its start, or since ``stats reset``.

    The first five are states, which the owner of the connections keeps; a reset leaves them alone.
    """

    max_connections: int = 0
    curr_connections: int = 0
    threads: int = 1
    started: int = dataclasses.field(default_factory=lambda: int(time.time()))  # since 1970
    # what the other processes of this server count, by name
    others: Callable[[], Mapping[str, int]] | None = None

    total_connections: int = 0
    rejected_connections: int = 0
    idle_kicks: int = 0
    cmd_get: int = 0
    cmd_set: int = 0
    cmd_flush: int = 0
    cmd_touch: int = 0
    cmd_meta: int = 0
    get_hits: int = 0
    get_misses: int = 0
    delete_misses: int = 0
    delete_hits: int = 0
    incr_misses: int = 0
    incr_hits: int = 0
    decr_misses: int = 0
    decr_hits: int = 0
    cas_misses: int = 0
    cas_hits: int = 0
    cas_badval: int = 0
    touch_hits: int = 0
    touch_misses: int = 0
    store_too_large: int = 0
    store_no_memory: int = 0
    auth_cmds: int = 0
    auth_errors: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    def reset(self) -> None:
        """Begin anew."""
        for field in dataclasses.fields(self)[_STATES:]:
            setattr(self, field.name, 0)


_STATES = 5
