# SPDX-License-Identifier: BSD-3-Clause
"""The processes that have a region's file mapped, as far as /proc tells this user."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Attached(NamedTuple):
    """A process that uses a region."""

    pid: int
    command: str


def places(attached: int, most: int) -> str:
    """How many use a region, and how many more could.

    Args:
        attached: processes, the one that looks among them.
        most: that the region has places for.
    """
    return f"{attached - 1:,} attached besides this one, room for {most - attached:,} more"


def processes(path: str) -> list[Attached]:
    """Who has the file mapped; of other users' processes nothing can be seen."""
    wanted = path.encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            maps = (folder / "maps").read_bytes()
            if any(line.endswith(wanted) for line in maps.splitlines()):
                words = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                found.append(
                    Attached(int(folder.name), b" ".join(words).decode("utf-8", "replace"))
                )
        except OSError:  # it has ended, or is another user's
            continue
    return sorted(found)
