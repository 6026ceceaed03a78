# SPDX-License-Identifier: BSD-3-Clause
"""The guest's first file system, a cpio archive: busybox, modules to mount the rest, ``init``.

It is made anew for each boot, which takes milliseconds, so it is never older than ``init``.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Sequence
from pathlib import Path

INIT = Path(__file__).with_name("init")
FOLDER = stat.S_IFDIR | 0o755
PROGRAM = stat.S_IFREG | 0o755
CONSOLE = stat.S_IFCHR | 0o600


class Archive:
    """A cpio archive in the format "newc", which the kernel unpacks."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._inodes = 0

    def add(
        self, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        """Add a file; its folder must have been added before."""
        self._inodes += 1
        path = name.encode() + b"\0"
        owner, links, time, on = (0, 0), 1, 0, (0, 0)
        numbers = (
            self._inodes, mode, *owner, links, time, len(content), *on, *device, len(path), 0
        )  # fmt: skip
        self._out.write(b"070701" + b"".join(b"%08x" % number for number in numbers))
        self._write(path)
        self._write(content)

    def _write(self, piece: bytes) -> None:
        self._out.write(piece)
        self._out.write(bytes(-self._out.tell() % 4))

    def done(self) -> bytes:
        """The whole archive."""
        self.add("TRAILER!!!", 0)
        return self._out.getvalue()


def initramfs(busybox: Path, modules: Sequence[Path]) -> bytes:
    """The archive; ``init`` loads the modules in this order."""
    archive = Archive()
    for folder in ("bin", "dev", "modules"):
        archive.add(folder, FOLDER)
    archive.add("dev/console", CONSOLE, device=(5, 1))
    archive.add("bin/busybox", PROGRAM, busybox.read_bytes())
    for at, module in enumerate(modules):
        archive.add(f"modules/{at:02}-{module.name}", PROGRAM, module.read_bytes())
    archive.add("init", PROGRAM, INIT.read_bytes())
    return archive.done()
