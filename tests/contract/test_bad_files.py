# SPDX-License-Identifier: BSD-3-Clause
"""Bad files: what is no region of the caller's own is refused with what to do, and left alone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from plib_cache import (
    Cache,
    ConfigurationError,
    CorruptRegionError,
    LayoutMismatchError,
    PlibCacheError,
)


class TestFiles:
    """Files that are no region of the caller's own."""

    @pytest.fixture
    def region(self, folder: Path) -> Path:
        path = folder / "region"
        with Cache(path=path, size="4MiB") as cache:
            cache["a"] = 1
        return path

    def refused(self, path: Path, error: type[PlibCacheError], message: str) -> None:
        for size in (None, "4MiB"):
            with pytest.raises(error, match=message) as caught:
                Cache(path=path, size=size)
            assert str(path) in str(caught.value) or str(path.parent) in str(caught.value)

    def test_mode(self, region: Path, regions: Path) -> None:
        """Regions are readable by nobody else."""
        assert region.stat().st_mode & 0o777 == 0o600
        assert regions.stat().st_mode & 0o777 == 0o700

    def test_foreign(self, folder: Path) -> None:
        """A file that is something else stays as it is."""
        for content in (b"", b"text", b"\0" * 100_000, os.urandom(5 << 20)):
            (folder / "file").write_bytes(content)
            self.refused(folder / "file", CorruptRegionError, "no region|truncated")
            assert (folder / "file").read_bytes() == content

    @pytest.mark.parametrize("length", [1, 4095, 4096, 100_000, 300_000])
    def test_truncated(self, region: Path, length: int, fork: Any) -> None:
        """A truncated region is refused, and how to remove it is said."""
        os.truncate(region, length)
        child = fork(self.refused, region, CorruptRegionError, "rm|remove")
        child.result()

    def test_other_layout(self, region: Path, folder: Path) -> None:
        """Another version's region is named with both layouts."""
        copy = folder / "copy"
        data = bytearray(region.read_bytes())
        data[8] ^= 1
        copy.write_bytes(data)
        copy.chmod(0o600)
        self.refused(copy, LayoutMismatchError, r"0x[0-9a-f]{16}.*0x[0-9a-f]{16}.*plib-cache rm")

    def test_symlink(self, region: Path, folder: Path) -> None:
        """A symbolic link is not followed."""
        (folder / "link").symlink_to(region)
        self.refused(folder / "link", ConfigurationError, "symbolic link")

    def test_hard_link(self, region: Path, folder: Path) -> None:
        """A file with a second name is not used."""
        (folder / "second").hardlink_to(region)
        self.refused(folder / "second", ConfigurationError, "one name")

    def test_folder_and_fifo(self, folder: Path) -> None:
        """What is no regular file is not opened."""
        (folder / "folder").mkdir()
        os.mkfifo(folder / "fifo")
        for name in ("folder", "fifo"):
            self.refused(folder / name, ConfigurationError, "regular file")

    @pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
    def test_open_folder(self, folder: Path, mode: int, region: Path) -> None:
        """A folder that others may write is refused, and its owner is named."""
        folder.chmod(mode)
        self.refused(folder / "new", ConfigurationError, r"uid \d+.*chmod 700")
        self.refused(region, ConfigurationError, "chmod 700")
        assert not (folder / "new").exists()

    @pytest.mark.parametrize(
        ("mode", "command", "then"),
        [
            (0o1777, "mkdir -m 700 {}/mine", "mine/new"),  # as /dev/shm is
            (0o1775, "mkdir -m 700 {}/mine", "mine/new"),
            (0o777, "chmod 700 {}", "new"),
            (0o720, "chmod 700 {}", "new"),
        ],
    )
    def test_what_to_do_does_it(self, folder: Path, mode: int, command: str, then: str) -> None:
        """The command that the message has is the one for the case, and a cache can be made then;
        a folder that many share is not taken from them."""
        folder.chmod(mode)
        with pytest.raises(ConfigurationError, match="writable by nobody else") as caught:
            Cache(path=folder / "new", size="4MiB")
        (told,) = re.findall("`(.*)`", str(caught.value))
        assert told == command.format(folder)
        subprocess.run(told.split(), check=True)
        with Cache(path=folder / then, size="4MiB") as cache:
            cache["a"] = 1

    def test_folder_behind_a_link(self, folder: Path, region: Path) -> None:
        """A folder is not looked for behind a link; the message says which one it would be."""
        link = folder / "link"
        link.symlink_to(region.parent)
        self.refused(link / "new", ConfigurationError, f"symbolic link: give .* {region.parent}$")

    def test_folder_of_the_system(self, fork: Any) -> None:
        """For an ordinary user: it says whose the folder is, and asks for no change of it."""

        def ordinary() -> None:
            if os.geteuid() == 0:
                os.seteuid(12345)
            said = rf"^/usr: .* belongs to root \(uid 0\), and you are .*uid {os.geteuid()}\)?: "
            with pytest.raises(ConfigurationError, match=said + "choose a folder of your own"):
                Cache(path="/usr/new", size="4MiB")

        fork(ordinary).result()

    def test_of_another_user(self, region: Path, folder: Path, untested: Any) -> None:
        """A file or folder of somebody else is refused, and its owner is named."""
        if os.geteuid() != 0:
            untested("files of another user, from Python (only root can give files away)")
        os.chown(region, 12345, -1)
        self.refused(region, ConfigurationError, "12345")
        os.chown(folder, 12345, -1)
        self.refused(folder / "new", ConfigurationError, "12345")

    def test_default_folder_of_somebody_else(self, monkeypatch: Any, tmp_path: Path) -> None:
        """Where the usual folder is taken, the runtime folder is used, or the owner named."""
        from plib_cache import config

        monkeypatch.delenv("PLIB_CACHE_DIR")
        monkeypatch.setattr(config.os, "geteuid", lambda: 54321)
        taken = Path("/dev/shm/plib-cache-54321")
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        try:
            with pytest.raises(ConfigurationError, match=r"folder of .*uid \d+.*PLIB_CACHE_DIR"):
                config.region_folder()
        finally:
            taken.rmdir()
