# SPDX-License-Identifier: BSD-3-Clause
"""What a cache in a file outlives (G10).

A power loss is played: a process is killed, and the file gets another boot's number.  Where the
file lies in memory, such a file would keep nothing anyway, so these tests look for a disk.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import plib_cache
from plib_cache import Cache, ConfigurationError, LayoutMismatchError

BOOT_ID_AT = 64
FORMAT_AT = 8
PERSISTENT_AT = 28
ROOT = Path(__file__).parents[2]

WRITER = """
import os, signal, sys
from plib_cache import Cache, cache
mutable = Cache(path=sys.argv[1], size="8MiB")
immutable = Cache(path=sys.argv[1], immutable=True)
mutable["changes"] = 1
immutable["scalar"] = 2
immutable.set("general", {"a": [3]}, expire=1000)
immutable.set_many({"many": 4})
immutable.get_or_compute("computed", lambda: 5)
immutable.set("cleared", 6, namespace="n")

@cache(cache=mutable, version="1")
def f(x):
    return x * 2

f(21)
immutable.sync()
immutable.invalidate_namespace("n")
os.kill(os.getpid(), signal.SIGKILL)
"""


def kept_as_on_a_disk(folder: Path) -> bool:
    """Whether regions there are made persistent, which the core says in the file."""
    try:
        Cache(path=folder / "probe", size="4MiB").close()
    except ConfigurationError:
        return False
    raw = (folder / "probe").read_bytes()
    return int.from_bytes(raw[PERSISTENT_AT : PERSISTENT_AT + 4], "little") == 1


@pytest.fixture
def disk(tmp_path: Path, untested: Callable[[str], None]) -> Iterator[Path]:
    """A folder on a disk: in the usual place, the repository, the home folder, or pytest's own."""
    (ROOT / "build").mkdir(exist_ok=True)
    with contextlib.ExitStack() as folders:
        for place in (Path("/var/tmp"), ROOT / "build", Path.home(), tmp_path):
            if place.is_dir() and os.access(place, os.W_OK):
                made = tempfile.TemporaryDirectory(dir=place, prefix="plib-test-")
                folder = Path(folders.enter_context(made))
                if kept_as_on_a_disk(folder):
                    yield folder
                    return
        untested("regions on a disk, from Python (no folder on ext4, xfs or the like)")


def write_and_die(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WRITER, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL


def play_boot(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(BOOT_ID_AT)
        file.write(b"\xee" * 16)


def test_a_kill_of_all_loses_nothing(disk: Path) -> None:
    """Without a boot also what changes is kept."""
    write_and_die(disk / "r")
    with Cache(path=disk / "r") as cache:
        assert cache["changes"] == 1
        assert cache["scalar"] == 2


def test_after_a_power_loss(disk: Path) -> None:
    """Immutable entries and functions' results are kept, others and cleared ones are not."""
    write_and_die(disk / "r")
    play_boot(disk / "r")
    with Cache(path=disk / "r") as cache:
        wanted = {"scalar": 2, "general": {"a": [3]}, "many": 4, "computed": 5}
        assert {key: cache.get(key) for key in wanted} == wanted
        assert "changes" not in cache
        assert "cleared" not in cache
        assert len(cache) == len(wanted) + 1  # and f's
        assert cache.check() == []


def stored_as_immutable(cache: Cache, key: str) -> bool:
    """Whether the entry is marked: looked up in the core."""
    from plib_cache._native import ffi, lib

    found, buffer = ffi.new("plc_found *"), ffi.new("char[]", 4096)
    raw = key.encode()
    handle = cache._region._handle
    assert lib.plc_get(handle, raw, len(raw), 0, buffer, 4096, found) == 0
    return bool(found.immutable)


@pytest.mark.parametrize("immutable", [False, True])
def test_every_way_to_store_marks_as_promised(tmp_path: Path, immutable: bool) -> None:
    """By the fast path, the general one, many at once, add, and single flight."""
    with Cache(path=tmp_path / "r", size="4MiB", immutable=immutable) as cache:
        cache.set("set", 1)
        cache.set("expiring", b"x", 1000)
        cache.set("general", [1])
        cache.set("named", 1, namespace="n", tags=["t"])
        cache.set_many({"many": 1})
        cache.add("add", 1)
        cache["item"] = 1
        cache.get_or_compute("computed", lambda: 1)
        keys = ["set", "expiring", "general", "named", "many", "add", "item", "computed"]
        assert {key: stored_as_immutable(cache, key) for key in keys} == dict.fromkeys(
            keys, immutable
        )


def test_the_promise_goes_along_in_a_pickle(tmp_path: Path) -> None:
    """Who attaches by a pickle keeps it."""
    import pickle

    with Cache(path=tmp_path / "r", size="4MiB", immutable=True) as cache:
        with pickle.loads(pickle.dumps(cache)) as other:
            other.set("key", 1)
        assert stored_as_immutable(cache, "key")


def test_results_of_functions_are_marked(tmp_path: Path) -> None:
    """A function's key says all that its result depends on."""
    with Cache(path=tmp_path / "r", size="4MiB") as cache:

        @plib_cache.cache(cache=cache)
        def double(x: int) -> int:
            return 2 * x

        assert double(2) == 4
        from plib_cache._native import ffi, lib

        raw = double.cache_key(2)
        raw = raw if isinstance(raw, bytes) else raw.encode()
        found, buffer = ffi.new("plc_found *"), ffi.new("char[]", 4096)
        assert lib.plc_get(cache._region._handle, raw, len(raw), 0, buffer, 4096, found) == 0
        assert found.immutable == 1


def test_sync_in_memory_does_nothing_and_on_a_closed_cache_raises(tmp_path: Path) -> None:
    """It may be called anywhere."""
    cache = Cache(path=tmp_path / "r", size="4MiB")
    cache["key"] = 1
    assert cache.sync() is None
    cache.close()
    with pytest.raises(plib_cache.ClosedError):
        cache.sync()


def test_flipped_bytes_are_a_miss(disk: Path) -> None:
    """A damaged value is not served, is counted, and gives way to add."""
    path = disk / "r"
    text = b"a value that is looked for" * 10
    with Cache(path=path, size="4MiB") as cache:
        cache["key"] = text
    raw = bytearray(path.read_bytes())
    assert raw.count(text) == 1
    raw[raw.index(text) + 100] ^= 4
    path.write_bytes(raw)
    with Cache(path=path) as cache:
        assert [problem[:3] for problem in cache.check()] == ["I11"]
        assert "key" not in cache or cache.get("key") is None
        assert cache.get("key") is None
        assert cache.stats().as_dict()["corrupt_seen"] >= 1
        assert cache.add("key", b"another")
        assert cache["key"] == b"another"
        assert cache.check() == []


@pytest.mark.parametrize("version", [1, 2, 99])
def test_another_layout_is_refused_with_what_to_do(tmp_path: Path, version: int) -> None:
    """Older and newer ones; the message has the command, and it works."""
    path = tmp_path / "r"
    Cache(path=path, size="4MiB").close()
    with path.open("r+b") as file:
        file.seek(FORMAT_AT + 6)
        file.write(version.to_bytes(2, "little"))
    with pytest.raises(LayoutMismatchError) as caught:
        Cache(path=path)
    assert f"plib-cache rm {path}" in str(caught.value)
    assert os.path.exists(path)
    subprocess.run(
        [sys.executable, "-m", "plib_cache", "rm", "--yes", str(path)],
        check=True,
        capture_output=True,
    )
    with Cache(path=path, size="4MiB") as cache:
        cache["key"] = 1


def test_check_drains_if_asked(tmp_path: Path) -> None:
    """Everything is evicted, and all room is one piece again."""
    path = tmp_path / "r"
    with Cache(path=path, size="4MiB") as cache:
        for i in range(200):
            cache[f"key-{i}"] = b"x" * (i * 40)
    command = [sys.executable, "-m", "plib_cache", "check", str(path)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    with Cache(path=path) as cache:
        assert len(cache) > 0
    done = subprocess.run([*command, "--drain"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    with Cache(path=path) as cache:
        assert len(cache) == 0
