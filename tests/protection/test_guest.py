# SPDX-License-Identifier: BSD-3-Clause
"""The guest's parts that need no virtual machine: images, arguments, exit statuses, the table."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import __main__ as all_of_it
from . import guest as guests
from . import image as images
from . import inside
from .guest import Guest
from .image import Image, UnavailableError
from .initramfs import Archive, initramfs
from .table import TABLE, Entry, chosen, programs

KERNEL = "linux-image-6.12.9+deb12-amd64"


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of kernels."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "plib-cache-guest"


@pytest.fixture
def programs_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """``programs_first(name, script)``: a program that is found before the machine's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return make


def unpacked(folder: Path, modules: dict[str, str], setting: str = images.KEYS) -> Path:
    """A package like those of Debian; each module with what it depends on."""
    where = folder / f"{KERNEL}_1_amd64"
    (inside_it := where / "lib" / "modules" / "6.12.9" / "kernel" / "some").mkdir(parents=True)
    (where / "boot").mkdir()
    (where / "boot" / "vmlinuz-6.12.9").write_bytes(b"a kernel")
    (where / "boot" / "config-6.12.9").write_text(f"CONFIG_A=y\n{setting}\n")
    for name, others in modules.items():
        (inside_it / f"{name}.ko").write_text(f"x\0license=GPL\0depends={others}\0y")
    return where


class TestImage:
    def test_modules_come_behind_those_they_need(self, tmp_path: Path) -> None:
        """A module that has no file is built in; dashes are underscores."""
        package = unpacked(
            tmp_path, {"9p": "9pnet,netfs", "9pnet": "", "overlay": "", "virtio-pci": "virtio"}
        )
        names = [name for name, _ in images.in_order(package)]
        assert names == ["virtio_pci", "9pnet", "9p", "overlay"]

    def test_newest(self, programs_first: Callable[[str, str], None]) -> None:
        """Versions are compared as numbers."""
        lines = "".join(f"linux-image-6.12.{n}+deb12-amd64 - Linux\\n" for n in (9, 100, 41))
        programs_first("apt-cache", f"printf '{lines}'")
        assert images.newest("6.12") == "linux-image-6.12.100+deb12-amd64"

    def test_no_package(self, programs_first: Callable[[str, str], None]) -> None:
        """It is said what is missing, after the lists have been renewed."""
        programs_first("apt-cache", "true")
        programs_first("apt-get", "true")
        with pytest.raises(UnavailableError, match=r"no package \^linux-image-6.*is known to apt"):
            images.newest("6.1")

    def test_nothing_is_left_of_a_failure(
        self, kernels: Path, programs_first: Callable[[str, str], None]
    ) -> None:
        """What the package client complained of is told, and there is no half an image."""
        programs_first("apt-cache", f"echo {KERNEL} - Linux")
        programs_first("apt-get", "echo no network >&2; exit 100")
        with pytest.raises(UnavailableError, match=r"download.*failed: no network"):
            images.image("6.12")
        assert list(kernels.iterdir()) == []

    def test_fetched_once(self, kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A second time no package client is needed."""
        monkeypatch.setattr(images, "newest", lambda release: KERNEL)
        monkeypatch.setattr(
            images, "unpack", lambda package, scratch: unpacked(scratch, {"overlay": ""})
        )
        first = images.image("6.12")
        monkeypatch.setattr(images, "newest", None)
        assert images.image("6.12") == first
        assert first.package == f"{KERNEL}_1_amd64"
        assert first.kernel.read_bytes() == b"a kernel"
        assert [module.name for module in first.modules] == ["00-overlay.ko"]
        assert [folder.name for folder in kernels.iterdir()] == ["6.12"]

    def test_without_keys(self, tmp_path: Path) -> None:
        """A kernel that is built without them is refused."""
        package = unpacked(tmp_path, {}, "# CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS is not set")
        with pytest.raises(UnavailableError, match="without protection keys"):
            images.pick(package, tmp_path / "made")


class TestInitramfs:
    def test_another_program_reads_it(self, tmp_path: Path) -> None:
        """busybox or cpio, whichever there is, lists what was put in."""
        module = tmp_path / "00-a.ko"
        module.write_bytes(b"abc")
        archive = initramfs(module, [module])
        assert len(archive) % 4 == 0
        for reader in (["cpio", "-t", "--quiet"], ["busybox", "cpio", "-t"]):
            try:
                done = subprocess.run(reader, input=archive, capture_output=True)
            except FileNotFoundError:
                continue
            names = done.stdout.decode().split()
            assert names[-1] == "init"
            assert "modules/00-00-a.ko" in names

    def test_a_file(self) -> None:
        """Head, name and content stand at multiples of four bytes."""
        archive = Archive()
        archive.add("ab", 0o100644, b"12345")
        found = archive.done()
        assert found[:6] == b"070701"
        assert found[110:113] == b"ab\0"
        assert found[116:124] == b"12345\0\0\0"
        assert found[124:130] == b"070701"


class TestArguments:
    def test_all(self, tmp_path: Path) -> None:
        """What stands behind -- is the command's own."""
        given = "--kernel 6.1 --smp 4 --mem 2G --timeout 7 --rw".split()
        machine, command = guests.arguments([*given, str(tmp_path), "--", "ls", "-l", "--smp"])
        assert machine == Guest("6.1", 4, "2G", 7, (tmp_path.resolve(),))
        assert command == ["ls", "-l", "--smp"]

    @pytest.mark.parametrize(
        "wrong", ["", "--", "--kernel 5.10 -- ls", "--rw /no/such/folder -- ls", "--smp x -- ls"]
    )
    def test_wrong(self, wrong: str) -> None:
        """Status 2, as usual."""
        with pytest.raises(SystemExit) as ended:
            guests.arguments(wrong.split())
        assert ended.value.code == 2

    def test_what_is_hidden_is_kept(self) -> None:
        """Folders below /tmp are shown to the guest, once."""
        folders = [Path("/tmp/a/b"), Path("/home/x"), Path("/tmp/a"), Path("/tmpx"), Path("/tmp/a")]
        assert guests.kept(folders) == [Path("/tmp/a")]

    def test_the_command_has_environment_and_folder(self, tmp_path: Path) -> None:
        """Quotes and spaces arrive; what belongs to this machine alone does not."""
        environment = {"A": "it's $HOME", "TMPDIR": "/here", "BASH_FUNC_f%%": "() {"}
        script = guests.command_file(
            ["sh", "-c", 'pwd; echo "$A" "$1" "${TMPDIR-none}"', "x", "a  b"], tmp_path, environment
        )
        done = subprocess.run(
            ["sh"], input=script, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True
        )
        assert done.stdout == f"{tmp_path}\nit's $HOME a  b none\n"


@pytest.fixture
def machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, programs_first: Callable[[str, str], None]
) -> Callable[[str], None]:
    """``machine(script)``: what there is instead of QEMU; ``$control`` is its folder."""
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"")
    monkeypatch.setattr(guests, "image", lambda release: Image(kernel, [], "none"))
    monkeypatch.setattr(guests, "BUSYBOX", kernel)
    find = 'control=$(echo "$*" | sed "s/.*id=control,path=\\([^,]*\\),.*/\\1/")'
    return lambda script: programs_first(guests.QEMU, f"{find}\n{script}")


class TestStatus:
    @pytest.mark.parametrize("status", [0, 1, 77, 139])
    def test_is_the_commands(self, machine: Callable[[str], None], status: int) -> None:
        """Whatever QEMU's own is."""
        machine(f'echo {status} >"$control/status"; exit 3')
        assert guests.run(Guest(), ["true"]) == status

    @pytest.mark.parametrize("nothing", ["", 'echo >"$control/status"'])
    def test_died(self, machine: Any, nothing: str, capfd: pytest.CaptureFixture[str]) -> None:
        """A guest that leaves no status has died, however well QEMU ended."""
        machine(f"{nothing}\nexit 0")
        assert guests.run(Guest(), ["true"]) == guests.DIED
        assert "kernel 6.12 died" in capfd.readouterr().err

    def test_timeout(self, machine: Any, capfd: pytest.CaptureFixture[str]) -> None:
        """A guest that hangs is ended."""
        machine("exec sleep 1000")
        assert guests.run(Guest(limit_s=0.2), ["true"]) == guests.DIED
        assert "was ended after 0.2 s" in capfd.readouterr().err

    def test_output(self, machine: Callable[[str], None]) -> None:
        """What the guest prints goes where it is wanted."""
        machine('echo hello; echo 0 >"$control/status"')
        reading, writing = os.pipe()
        assert guests.run(Guest(), ["true"], writing) == 0
        os.close(writing)
        with os.fdopen(reading) as lines:
            assert lines.read() == "hello\n"

    def test_no_results_are_failures(
        self,
        machine: Callable[[str], None],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        """What a guest that died has not done is named; what it could not test is noted."""
        monkeypatch.setattr(all_of_it, "WORK", tmp_path / "work")
        monkeypatch.setenv("UNTESTED", str(tmp_path / "notes"))
        folder = tmp_path / "work" / "6.1"
        machine(f"echo '0 a' >{folder}/results; echo 'b: no disk' >{folder}/untested")
        assert not all_of_it.boot("6.1", [Entry("a", "true"), Entry("b", "true")])
        printed = capfd.readouterr().out
        assert "no result  b" in printed
        assert "no result  a" not in printed
        noted = (tmp_path / "notes").read_text()
        assert noted == "with protection keys, kernel 6.1: b: no disk\n"


class TestUntested:
    def test_another_processor(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """It is said what is not tested and where it counts, and the summary hears of it."""
        monkeypatch.setattr(platform, "machine", lambda: "aarch64")
        monkeypatch.setenv("UNTESTED", str(tmp_path / "notes"))
        with pytest.raises(UnavailableError, match="NOT TESTED.*it counts on every machine"):
            guests.provide()
        assert "NOT TESTED" in (tmp_path / "notes").read_text()

    def test_no_kernel(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A kernel that cannot be had is no failure where a summary says so, else it is."""

        def missing(release: str) -> Image:
            raise UnavailableError("no network")

        monkeypatch.setattr(all_of_it, "image", missing)
        monkeypatch.setattr(all_of_it, "provide", lambda: None)
        monkeypatch.setattr(all_of_it, "build", lambda entries: None)
        monkeypatch.setattr(sys, "argv", ["protection", "probe"])
        monkeypatch.delenv("UNTESTED", raising=False)
        assert all_of_it.main() == 1
        monkeypatch.setenv("UNTESTED", str(tmp_path / "notes"))
        assert all_of_it.main() == 0
        assert len((tmp_path / "notes").read_text().splitlines()) == len(images.KERNELS)


class TestTable:
    def test_names(self) -> None:
        """Each is there once, and is the name of a file."""
        names = [entry.name for entry in TABLE]
        assert len(set(names)) == len(names)
        assert all(name.replace("-", "").isalnum() for name in names)

    def test_tests_exist(self) -> None:
        """Native programs and files of tests that are named are there."""
        words = " ".join(entry.command for entry in TABLE).split()
        files = [word.partition("::")[0] for word in words if word.startswith("tests/")]
        found = {name: f"tests/native/{name}.c" for name in programs(TABLE)}
        found["bypass"] = "tests/protection/bypass/bypass.c"
        files += found.values()
        assert [file for file in files if not (guests.ROOT / file).exists()] == []

    def test_chosen(self) -> None:
        """By name, or the short form, or all."""
        assert chosen([], short=False) == list(TABLE)
        assert 0 < len(chosen([], short=True)) < len(TABLE)
        assert [entry.name for entry in chosen(["probe"], short=False)] == ["probe"]
        with pytest.raises(KeyError, match="nothing"):
            chosen(["probe", "nothing"], short=True)

    @pytest.mark.parametrize(
        ("command", "status", "told"),
        [
            ("echo fine", 0, "keys    6.1    ok          1.5 s  a"),
            ("echo no disk; exit 77", 77, "keys    6.1    SKIPPED     1.5 s  a: no disk"),
            ("echo x; exit 3", 3, "keys    6.1    FAILED      1.5 s  a (exit status 3)\n    | x"),
            ("kill -9 $$", -9, "keys    6.1    FAILED      1.5 s  a (exit status -9)"),
        ],
    )
    def test_entries(self, tmp_path: Path, command: str, status: int, told: str) -> None:
        """One line for each; what a failed one printed."""
        entry, log = Entry("a", command), tmp_path / "log"
        assert inside.run(entry, log, dict(os.environ)) == status
        assert inside.tell("6.1", entry, status, 1.5, log.read_text().splitlines()) == told
