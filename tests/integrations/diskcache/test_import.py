# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache import --diskcache``: what comes over, what does not, and what is told."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import pickle
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diskcache
import pytest

import plib_cache
from plib_cache.cli import main
from plib_cache.integrations.diskcache import Cache

HANGS = 240  # seconds; only for what never ends
LARGE = 100_000
PLAIN: dict[Any, Any] = {
    "text": "ä",
    "bytes": b"\0\xff",
    "int": -7,
    "float": 2.5,
    "none": None,
    "long": 2**100,
    "large text": "ü" * LARGE,
    "large bytes": b"b" * LARGE,
    "list": [1, {"a": (None, b"x")}],
    "large list": [[n] for n in range(LARGE // 3)],
    b"key": 1,
    17: "seventeen",
    0.5: "half",
    "k" * 3000: "long key",
}
PICKLED: dict[Any, Any] = {("tuple", 1): [1], None: "none", ("x" * 9000,): "long", True: 1}
CODE: dict[Any, Any] = {"date": datetime.date(2026, 1, 2), "large": [datetime.date.max] * 9000}


class Bomb:
    """Ends the process of whoever reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (3,)


def filled(folder: Path, **values: dict[Any, Any]) -> Path:
    """A directory of diskcache with these values, whose database is whole."""
    with diskcache.Cache(folder) as cache:
        for group in values.values():
            for key, value in group.items():
                cache[key] = value
    return folder


def seen(folder: Path) -> dict[str, tuple[str, int]]:
    """What is in a folder: names, contents, times of change."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
        )
        for path in (folder, *folder.rglob("*"))  # of a folder also when it was changed last
    }


@pytest.fixture
def imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, Any]]:
    """``imported("name", "--diskcache", ...)``: its exit code, and what it told as JSON."""

    def run(*arguments: object) -> tuple[int, Any]:
        words = ["plib-cache", "import", *map(str, arguments), "--json"]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, json.loads(out) if out else err

    return run


def test_everything_comes_over(tmp_path: Path, imported: Callable[..., Any]) -> None:
    """With --drop-in every key and every value of every mode, and nothing of DIR is changed."""
    folder = filled(tmp_path / "old", plain=PLAIN, pickled=PICKLED)
    before = seen(folder)
    code, told = imported(tmp_path / "new", "--diskcache", folder, "--drop-in")
    assert code == 0, told
    assert told["entries"] == told["stored"] == len(PLAIN) + len(PICKLED)
    with Cache(tmp_path / "new") as cache, diskcache.Cache(folder) as old:
        for key in [*PLAIN, *PICKLED]:
            assert cache[key] == old[key]
            assert type(cache[key]) is type(old[key])
        assert list(cache) == list(old)
        assert cache.size_limit == old.size_limit
        with cache.read("large bytes") as reader:
            assert reader.read() == PLAIN["large bytes"]
    same = [name for name in before if name != "." and "cache.db" not in name]
    after = seen(folder)  # diskcache has been there meanwhile, too
    assert [after[name] for name in same] == [before[name] for name in same]


def test_nothing_of_the_directory_is_changed(tmp_path: Path, imported: Callable[..., Any]) -> None:
    """Not its database either, nor are logs made beside it, and the same with a log."""
    folder = filled(tmp_path / "old", plain=PLAIN)
    before = seen(folder)
    assert imported("mine", "--diskcache", folder)[0] == 0
    assert seen(folder) == before
    with diskcache.Cache(folder) as cache:
        cache["in the log"] = 1
        assert (folder / "cache.db-wal").stat().st_size
        before = seen(folder)
        assert imported("mine", "--diskcache", folder)[0] == 0
        assert seen(folder) == before
    assert plib_cache.Cache("mine")["in the log"] == 1


def test_into_a_cache(tmp_path: Path, imported: Callable[..., Any]) -> None:
    """Keys of text and bytes stay, numbers become their digits, and other keys are told."""
    folder = filled(tmp_path / "old", plain=PLAIN, pickled=PICKLED)
    code, told = imported("mine", "--diskcache", folder)
    assert (code, told["keys_left_out"], told["stored"]) == (1, len(PICKLED), len(PLAIN))
    assert "pickled" in told["first"]["keys_left_out"]
    cache = plib_cache.Cache("mine")
    for key, value in PLAIN.items():
        assert cache[key if isinstance(key, (str, bytes)) else str(key)] == value


def test_expiry_and_tags(tmp_path: Path, imported: Callable[..., Any]) -> None:
    """What has expired stays away; what has not expires when it would have; tags are tags."""
    folder = tmp_path / "old"
    with diskcache.Cache(folder, cull_limit=0) as old:
        old.set("gone", 1, expire=0.001)
        old.set("later", 2, expire=1000, tag="red")
        old.set("number", 3, tag=17)
        expires = old.get("later", expire_time=True)[1]
        while time.time() < old._sql("SELECT MIN(expire_time) FROM Cache").fetchone()[0] + 0.01:
            time.sleep(0.01)
    for name, more in ((tmp_path / "new", ["--drop-in"]), ("mine", [])):
        code, told = imported(name, "--diskcache", folder, *more)
        assert (code, told["expired"], told["stored"]) == (0, 1, 2)
    with Cache(tmp_path / "new") as cache:
        assert cache.get("later", expire_time=True, tag=True) == (2, expires, "red")
        assert (cache.evict("red"), cache.evict(17), len(cache)) == (1, 1, 0)
    native = plib_cache.Cache("mine")
    native.invalidate_tag("red")
    assert ("later" in native, "number" in native) == (False, True)
    native.invalidate_tag("17")
    assert "number" not in native


@pytest.mark.parametrize("drop_in", [False, True])
def test_pickles(tmp_path: Path, imported: Callable[..., Any], drop_in: bool) -> None:
    """What needs code is left out, and told; --pickles brings it along without running it."""
    folder = filled(tmp_path / "old", plain={"plain": [1]}, code=CODE, bomb={"bomb": Bomb()})
    more = ["--drop-in"] if drop_in else []
    name = tmp_path / ("new" if drop_in else "mine.plib")
    code, told = imported(name, "--diskcache", folder, *more)
    assert (code, told["stored"], told["left_out"]) == (1, 1, 3)
    assert "datetime" in told["first"]["left_out"]
    assert "TRUST" not in told["first"]["left_out"]  # which would change nothing
    code, told = imported(name, "--diskcache", folder, "--pickles", *more)
    assert (code, told["stored"], told["left_out"]) == (0, 4, 0)
    with Cache(name) if drop_in else plib_cache.Cache(path=name) as cache:
        assert {key: cache[key] for key in CODE} == CODE
    with (
        pytest.warns(plib_cache.PlibCacheWarning) if drop_in else pytest.raises(TypeError),
        (
            Cache(name, trust="data") if drop_in else plib_cache.Cache(path=name, trust="data")
        ) as cache,
    ):
        assert cache.get("bomb") is None


def damage(folder: Path, statement: str, *values: Any) -> None:
    with sqlite3.connect(folder / "cache.db") as database:
        assert database.execute(statement, values).rowcount == 1
    database.close()


def test_damage_is_told_and_skipped(tmp_path: Path, imported: Callable[..., Any]) -> None:
    """A file that is missing, cut, elsewhere or no file; a pickle that is none; an odd mode."""
    names = ["missing", "cut", "outside", "linked", "pickle", "mode", "none", "text", "fine"]
    folder = filled(tmp_path / "old", values=dict.fromkeys(names, b"b" * LARGE))
    (tmp_path / "secret").write_bytes(b"b" * LARGE)
    paths = {}
    with diskcache.Cache(folder) as old:
        for name in names:
            with old.read(name) as reader:
                paths[name] = Path(reader.name)
    paths["missing"].unlink()
    paths["cut"].write_bytes(b"b" * 10)
    paths["linked"].unlink()
    paths["linked"].symlink_to(tmp_path / "secret")
    update = "UPDATE Cache SET {} WHERE key = ?"
    damage(folder, update.format("filename = '../secret'"), "outside")
    damage(folder, update.format("mode = 4"), "pickle")
    damage(folder, update.format("mode = 9"), "mode")
    damage(folder, update.format("filename = NULL"), "none")
    damage(folder, update.format("mode = 3, size = 1, filename = 'odd'"), "text")
    (folder / "odd").write_bytes(b"\xff")
    code, told = imported("mine", "--diskcache", folder)
    assert (code, told["stored"]) == (1, 1), told
    assert told["damaged"] + told["left_out"] == len(names) - 1
    assert list(plib_cache.Cache("mine")) == ["fine"]


def test_a_dry_run_stores_nothing(tmp_path: Path, imported: Callable[..., Any]) -> None:
    """It counts what an import would do."""
    folder = filled(tmp_path / "old", plain=PLAIN, code=CODE)
    for name, more in (("mine", []), (tmp_path / "new", ["--drop-in"])):
        dry = imported(name, "--diskcache", folder, "--dry-run", *more)
        assert not (tmp_path / "new").exists()
        assert plib_cache.Cache("probe").path.replace("probe", "mine") != str(name)
        wet = imported(name, "--diskcache", folder, *more)
        assert dry[1].pop("dry_run") is True
        assert wet[1].pop("dry_run") is False
        assert dry == wet


def test_keep_and_merge(tmp_path: Path, imported: Callable[..., Any]) -> None:
    """--keep replaces nothing; keys that become one are told."""
    folder = filled(tmp_path / "old", values={"a": "old", 1: "number", "1": "text"})
    plib_cache.Cache("mine")["a"] = "new"
    code, told = imported("mine", "--diskcache", folder, "--keep")
    assert (told["there_already"], plib_cache.Cache("mine")["a"]) == (2, "new")
    code, told = imported("mine", "--diskcache", folder)
    assert (code, told["merged"], told["stored"]) == (1, 1, 3)
    assert plib_cache.Cache("mine")["a"] == "old"


def test_what_does_not_fit_is_told(tmp_path: Path, imported: Callable[..., Any]) -> None:
    """A value that is too large, and entries that others have evicted."""
    folder = filled(tmp_path / "old", values={"huge": b"b" * (8 << 20), "small": 1})
    code, told = imported("mine", "--diskcache", folder, "--size", "4MiB")
    assert (code, told["refused"], told["stored"]) == (1, 1, 1)
    many = filled(tmp_path / "many", values={n: os.urandom(40_000) for n in range(200)})
    code, told = imported("small", "--diskcache", many, "--size", "4MiB")
    assert code == 1
    assert told["evicted"] > 0


def test_results_that_are_imported_are_found(tmp_path: Path, imported: Callable[..., Any]) -> None:
    """A function that diskcache has memoized is not computed again."""
    calls = []

    def slow(x: int, *, y: Any = 1) -> Any:
        calls.append(x)
        return [x, y]

    with diskcache.Cache(tmp_path / "old") as old:
        assert old.memoize()(slow)(3, y="a") == [3, "a"]
        old.memoize(name="typed", typed=True)(slow)(4.0)
    assert (
        imported(tmp_path / "new", "--diskcache", tmp_path / "old", "--drop-in", "--pickles")[0]
        == 0
    )
    with Cache(tmp_path / "new") as new:
        assert new.memoize()(slow)(3, y="a") == [3, "a"]
        assert new.memoize(name="typed", typed=True)(slow)(4.0) == [4.0, 1]
    assert calls == [3, 4.0]


def test_what_is_no_directory_of_diskcache(tmp_path: Path, imported: Callable[..., Any]) -> None:
    """Each mistake is told with what to do, and ends with 1 or 2."""
    assert "give the directory" in str(imported("mine", "--diskcache", tmp_path)[1])
    (tmp_path / "cache.db").write_bytes(b"no database, " * 100)
    assert "cannot be read" in str(imported("mine", "--diskcache", tmp_path)[1])
    with diskcache.FanoutCache(tmp_path / "fanout", shards=2) as shards:
        shards["a"] = 1
    assert "000, 001" in str(imported("mine", "--diskcache", tmp_path / "fanout")[1])
    folder = filled(tmp_path / "old", values={"a": 1})
    assert "--drop-in" in str(imported(tmp_path, "--diskcache", folder)[1])
    assert imported("mine")[0] == 2


def test_it_needs_no_diskcache(tmp_path: Path) -> None:
    """Neither does what is imported for: the package is not there."""
    folder = filled(tmp_path / "old", values={"a": (1, 2)})
    program = (
        "import sys; sys.modules['diskcache'] = None; from plib_cache.cli import main; "
        "sys.argv[1:] = ['import', sys.argv[1], '--diskcache', sys.argv[2], '--drop-in']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "new"), str(folder)],
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr
    assert "1 are stored" in done.stdout
    assert pickle.loads(pickle.dumps(Cache(tmp_path / "new")))["a"] == (1, 2)
