# SPDX-License-Identifier: BSD-3-Clause
"""The commands that look after whole caches, and the machine: what they print and change."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

import plib_cache
from plib_cache.cli import app, doctor, machine

COMMANDS = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
HANGS = 240  # seconds; only for what never ends


Command = Callable[..., Any]


def double(x: int) -> int:
    """A function to be decorated."""
    return 2 * x


@pytest.fixture
def filled() -> plib_cache.Cache:
    """A cache with an entry, a hit and a miss."""
    cache = plib_cache.Cache("mine", size="8MiB")
    cache["key"] = [1, 2]
    cache.get("key")
    cache.get("nothing")
    return cache


def test_it_is_a_program(regions: Path) -> None:
    """The installed script and ``python -m plib_cache`` are the same command."""
    script = Path(sys.executable).with_name("plib-cache")
    for start in ([str(script)], [sys.executable, "-m", "plib_cache"]):
        done = subprocess.run([*start, "ls"], capture_output=True, text=True, timeout=HANGS)
        assert done.returncode == 0, done.stderr
        assert f"no caches in {regions}" in done.stdout.replace("\n", " ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    """``--help`` says what the command does."""
    shown = CliRunner().invoke(app, [name, "--help"])
    assert shown.exit_code == 0
    assert f"Usage: plib-cache {name}" in shown.output
    assert len(shown.output.splitlines()) > 5


def test_help_lists_the_commands() -> None:
    """The help of the whole names each command and the exit codes."""
    shown = CliRunner().invoke(app, ["--help"])
    assert all(f"  {name} " in shown.output for name in COMMANDS)
    assert "Exit codes" in shown.output


def test_wrong_use_ends_with_2(command: Command) -> None:
    """Unknown commands, missing names and names that cannot be one."""
    for arguments in (["bogus"], ["stat"], ["stat", "a b"], ["stat", "--bogus", "x"]):
        assert command(*arguments).code == 2


@pytest.mark.parametrize("name", ["stat", "check", "clear", "rm", "top", "watch", "keys"])
def test_what_is_not_there_ends_with_1(command: Command, name: str) -> None:
    """A name without a cache is told, and no cache is made."""
    ended = command(name, "missing")
    assert ended.code == 1
    assert "there is no cache 'missing'" in ended.err
    assert command("ls", "--json").json()["caches"] == []


def test_stat(command: Command, filled: plib_cache.Cache) -> None:
    """``stat`` tells how full a cache is and what was counted; as JSON too; by path too."""
    shown = command("stat", "mine")
    assert shown.code == 0
    assert "1 (50.0 %)" in shown.out
    room = filled.info().processes_max - 1  # the command is in the process of the test
    assert f"0 attached besides this one, room for {room:,} more" in shown.out
    for name in ("mine", filled.path):
        told = command("stat", name, "--json").json()
        assert told["entries"] == 1
        assert told["info"]["size"] == 8 << 20
        assert told["stats"]["hits"] == told["stats"]["misses"] == 1
        assert told["functions"] == []


def test_stat_tells_of_functions(command: Command, filled: plib_cache.Cache) -> None:
    """What decorated functions did and saved is told by name."""
    cached = plib_cache.cache(cache=filled)(double)
    assert [cached(2), cached(2)] == [4, 4]
    (told,) = command("stat", "mine", "--json").json()["functions"]
    assert (told["name"], told["hits"], told["misses"]) == (f"{__name__}.double", 1, 1)
    assert "test_regions.double" in command("stat", "mine").out


def test_ls_survives_what_is_no_cache(
    command: Command, filled: plib_cache.Cache, regions: Path
) -> None:
    """Foreign, truncated and other files are listed as unreadable, with the reason."""
    (regions / "foreign").write_text("something else")
    (regions / "folder").mkdir()
    (regions / "link").symlink_to(filled.path)
    (regions / "cut").write_bytes(Path(filled.path).read_bytes()[:50_000])
    told = command("ls", "--json")
    assert told.code == 0
    caches = {cache["name"]: cache for cache in told.json()["caches"]}
    assert caches.pop("mine")["entries"] == 1
    assert set(caches) == {"foreign", "folder", "link", "cut"}
    assert all(cache["unreadable"] for cache in caches.values())
    shown = command("ls")
    assert "mine" in shown.out
    assert "foreign: unreadable: " in shown.out


def test_check(command: Command, filled: plib_cache.Cache, regions: Path) -> None:
    """A sound cache ends with 0, a damaged one with 1 and what is wrong."""
    assert command("check", "mine").code == 0
    assert command("check", "mine", "--json").json() == {"name": "mine", "problems": []}
    (regions / "cut").write_bytes(Path(filled.path).read_bytes()[:50_000])
    ended = command("check", "cut", "--json")
    assert ended.code == 1
    assert "truncated" in ended.json()["problems"][0]


@pytest.mark.parametrize("name", ["clear", "rm"])
def test_nothing_is_lost_without_a_yes(
    command: Command, filled: plib_cache.Cache, name: str
) -> None:
    """Without a terminal and without --yes nothing is changed, and the exit code is 2."""
    ended = command(name, "mine")
    assert ended.code == 2
    assert "--yes" in ended.err
    assert filled["key"] == [1, 2]
    assert not filled.info().retired


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, 0), ("n", 1, 1)])
def test_on_a_terminal_it_asks(filled: plib_cache.Cache, answer: str, code: int, left: int) -> None:
    """With a terminal the answer decides."""
    controller, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "plib_cache", "clear", "mine"],
        stdin=terminal,
        stdout=subprocess.DEVNULL,
    )
    os.close(terminal)
    os.write(controller, answer.encode() + b"\n")
    assert process.wait(timeout=HANGS) == code
    os.close(controller)
    assert len(filled) == left


def test_clear(command: Command, filled: plib_cache.Cache) -> None:
    """``clear`` empties the cache for those who have it open."""
    assert command("clear", "mine", "--yes").code == 0
    assert filled.get("key") is None
    filled["key"] = "again"
    assert filled["key"] == "again"


def test_rm(command: Command, filled: plib_cache.Cache, regions: Path) -> None:
    """``rm`` removes the file and tells those who have it open; also a file that is cut."""
    (regions / "cut").write_bytes(Path(filled.path).read_bytes()[:50_000])
    for name in ("mine", "cut"):
        assert command("rm", name, "-y").code == 0
    assert not list(regions.iterdir())
    assert filled.info().retired


def test_rm_leaves_foreign_files_alone(command: Command, regions: Path) -> None:
    """What is no region is not removed."""
    (regions / "foreign").write_text("something else")
    (regions / "link").symlink_to(regions / "foreign")
    assert command("rm", "foreign", "-y").code == 1
    assert command("rm", "link", "-y").code == 2
    assert (regions / "foreign").read_text() == "something else"
    assert (regions / "link").is_symlink()


# ---- doctor --------------------------------------------------------------------------------------


def test_doctor_tells_of_this_machine(command: Command, regions: Path) -> None:
    """Each topic is there, and the trial cache is gone again."""
    ended = command("doctor", "--json")
    told = ended.json()
    assert ended.code == (0 if told["ok"] else 1)
    topics = {finding["topic"] for finding in told["findings"]}
    assert topics >= {
        "Python", "CPU", "kernel", "region folder", "memory for caches", "unnamed files",
        "protection", "trial", "huge pages", "open files", "processes", "memory limit",
        "PLIB_CACHE_DIR",
    }  # fmt: skip
    assert not list(regions.iterdir())
    shown = command("doctor")
    assert all(topic in shown.out for topic in topics)


def test_doctor_finds_an_unsafe_folder(
    command: Command, regions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that others may write is something to change, with the command that does it."""
    unsafe = regions / "unsafe"
    unsafe.mkdir()
    unsafe.chmod(0o777)
    monkeypatch.setenv("PLIB_CACHE_DIR", str(unsafe))
    ended = command("doctor")
    assert ended.code == 1
    assert f"chmod 700 {unsafe}" in ended.out
    unsafe.chmod(0o1777)  # as /dev/shm is: many users share it
    assert f"mkdir -m 700 {unsafe}/mine" in command("doctor").out


def test_doctor_finds_no_folder(
    command: Command, regions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that cannot be made is something to change."""
    (regions / "file").write_text("")
    monkeypatch.setenv("PLIB_CACHE_DIR", str(regions / "file" / "below"))
    ended = command("doctor", "--json")
    assert ended.code == 1
    (finding,) = (one for one in ended.json()["findings"] if one["topic"] == "region folder")
    assert finding["state"] == "change"
    assert "PLIB_CACHE_DIR" in finding["advice"]


@pytest.mark.parametrize(
    ("named", "way"), [(True, "unset PLIB_CACHE_DIR, or set it"), (False, "set")]
)
def test_doctor_leads_back_to_memory(
    command: Command, monkeypatch: pytest.MonkeyPatch, named: bool, way: str
) -> None:
    """Caches on a disk may not be what was meant; it says how to have them in memory."""
    monkeypatch.setattr(doctor, "file_system", lambda folder: "ext4")
    if not named:
        monkeypatch.delenv("PLIB_CACHE_DIR")
    told = command("doctor", "--json").json()
    (finding,) = (one for one in told["findings"] if one["topic"] == "memory for caches")
    assert finding["state"] == "note"
    assert f"if that is not what you want, {way}" in finding["advice"]
    assert finding["advice"].endswith("to a folder in /dev/shm")


@pytest.mark.parametrize(
    ("mounts", "folder", "kind"),
    [
        ("none / ext4 rw 0 0\nshm /dev/shm tmpfs rw 0 0", "/dev/shm/x", "tmpfs"),
        ("none / ext4 rw 0 0\nshm /dev/shm tmpfs rw 0 0", "/dev/shmother", "ext4"),
        ("", "/anywhere", "unknown"),
    ],
)
def test_file_systems(mounts: str, folder: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system of a folder is that of the nearest mount point above it."""
    monkeypatch.setattr(machine, "_text", lambda path: mounts)
    assert machine.file_system(Path(folder)) == kind


@pytest.mark.parametrize(
    ("chosen", "release", "state"),
    [
        ("always [never] deny", "6.1.0-9-amd64", "ok"), ("always never [deny]", "6.18.1", "note"),
        ("always [never] deny", "6.0.12", "note"), ("", "6.18.1", "note"),
        ("[advise] never", "7.0", "ok"),
    ],
)  # fmt: skip
def test_huge_pages(chosen: str, release: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel has them from 6.1 on, unless it was built or told to deny them."""
    monkeypatch.setattr(machine, "_text", lambda path: chosen)
    monkeypatch.setattr(machine.platform, "release", lambda: release)
    found = machine.huge_pages()
    assert found.state == state
    assert ("Linux 6.1" in found.advice) == (state == "note")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/memory.max": "1048576\n"}, "1.0 MiB"),
        ({"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "max\n"}, "none"),
        (
            {
                "/proc/self/cgroup": "5:cpu,memory:/d\n",
                "/sys/fs/cgroup/memory/d/memory.limit_in_bytes": "2097152\n",
            },
            "2.0 MiB",
        ),
        ({}, "none"),
    ],
)
def test_memory_limits(files: dict[str, str], found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest limit of the control groups counts, of both versions of cgroups."""
    monkeypatch.setattr(machine, "_text", lambda path: files.get(path, ""))
    assert machine.memory_limit().found.startswith(found)


def test_the_version(command: Callable[..., Any]) -> None:
    """Of the package, and of the layout that its regions have."""
    with plib_cache.Cache("mine", size="4MiB") as cache:
        layout = cache.info().layout_version
    ended = command("--version")
    assert ended.code == 0
    assert ended.out == f"plib-cache {plib_cache.__version__}, layout {layout}\n"
