# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache get``, ``set`` and ``keys``: what they show, store and leave alone."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import plib_cache
from plib_cache.testing import private_regions

HANGS = 240  # seconds; only for what never ends
Command = Callable[..., Any]


class Loud:
    """What says so when it is unpickled."""

    def __init__(self, path: str = "") -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return _loaded, (self.path,)


def _loaded(path: str) -> Loud:
    Path(path).write_text("it was unpickled", encoding="utf-8")
    return Loud(path)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "text"), ("two\nlines", "two\nlines"), (b"bytes", "bytes"), (42, "42"),
        (2.5, "2.5"), (True, "True"), (None, "None"), ("", ""), ("ünïcode", "ünïcode"),
        (b"\x00\xff", "<bytes, 2 B: --raw writes them, --hex in hexadecimal>"),
    ],
)  # fmt: skip
def test_get_shows_values(
    command: Command, mine: plib_cache.Cache, value: object, shown: str
) -> None:
    """Text as it is, numbers as Python writes them, other bytes only told of."""
    mine.set("key", value)
    ended = command("get", "mine", "key")
    assert ended.out == shown + "\n"
    assert ended.code == 0


def test_get_shows_arrays(command: Command, mine: plib_cache.Cache) -> None:
    """An array is shown as NumPy shows it."""
    numpy = pytest.importorskip("numpy")
    mine.set("key", numpy.arange(3))
    assert command("get", "mine", "key").out == "array([0, 1, 2])\n"


def test_get_runs_no_code(command: Command, mine: plib_cache.Cache, tmp_path: Path) -> None:
    """What has to be unpickled is told of; only --load unpickles it."""
    mark = tmp_path / "mark"
    mine.set("key", Loud(str(mark)))
    for options in ([], ["--raw"], ["--hex"], ["--json"]):
        ended = command("get", "mine", "key", *options) if options != ["--raw"] else None
        assert ended is None or ended.code == 0
        assert not mark.exists()
    assert command("get", "mine", "key").out.startswith("<pickle that needs ")
    assert command("keys", "mine", "--long").code == 0
    assert not mark.exists()
    ended = command("get", "mine", "key", "--load")
    assert "Loud" in ended.out
    assert mark.exists()


def test_get_writes_bytes(mine: plib_cache.Cache) -> None:
    """--raw writes what is stored, without a line end; --hex in hexadecimal."""
    mine.set("key", bytes(range(256)))
    for option, wanted in (("--raw", bytes(range(256))), ("--hex", bytes(range(256)).hex())):
        words = [sys.executable, "-m", "plib_cache", "get", "mine", "key", option]
        done = subprocess.run(words, capture_output=True, timeout=HANGS, check=True)
        assert done.stdout == (wanted if isinstance(wanted, bytes) else wanted.encode() + b"\n")


def test_get_json(command: Command, mine: plib_cache.Cache) -> None:
    """One document with all that is kept of an entry."""
    told = command("get", "mine", "news", "--json").json()
    assert told.pop("created") <= time.time()
    assert 900 < told.pop("expires") - time.time() <= 1000
    assert told == {
        "key": "news", "hex": b"news".hex(), "found": True, "kind": "str", "bytes": 5, "flags": 0,
        "namespace": "site", "tags": ["a", "b"], "value": "today",
        "base64": base64.b64encode(b"today").decode(),
    }  # fmt: skip
    told = command("get", "mine", "ff00", "--key-hex", "--json").json()
    assert (told["key"], told["value"]) == (None, None)
    assert base64.b64decode(told["base64"]) == b"raw\x00"
    mine.set("nan", float("nan"))
    assert command("get", "mine", "nan", "--json").json()["value"] == "nan"


def test_get_of_what_is_not_there(command: Command, mine: plib_cache.Cache) -> None:
    """It ends with 1, and says so."""
    ended = command("get", "mine", "absent")
    assert ended.code == 1
    assert "there is no value of 'absent'" in ended.err
    ended = command("get", "mine", "absent", "--json")
    assert ended.code == 1
    assert ended.json() == {"key": "absent", "hex": b"absent".hex(), "found": False}


def test_looking_changes_nothing(command: Command, mine: plib_cache.Cache) -> None:
    """Neither a hit nor a miss is counted, and no entry has been read."""
    before = mine.stats()
    command("get", "mine", "greeting")
    command("get", "mine", "absent")
    command("keys", "mine", "--long")
    assert (mine.stats().hits, mine.stats().misses) == (before.hits, before.misses)
    assert not mine._region.was_read(b"greeting")


def test_set(command: Command, mine: plib_cache.Cache, tmp_path: Path) -> None:
    """Text by default; bytes, files, standard input, expiry, namespace and tags."""
    assert command("set", "mine", "key", "välue").code == 0
    assert mine["key"] == "välue"
    assert command("set", "mine", "key", "välue", "--raw").code == 0
    assert mine["key"] == "välue".encode()
    assert command("set", "mine", "0x6b6579", "00ff", "--hex", "--key-hex").code == 0
    assert mine["key"] == b"\x00\xff"
    file = tmp_path / "file"
    file.write_bytes(b"from a file\n")
    assert command("set", "mine", "key", f"@{file}").code == 0
    assert mine["key"] == "from a file\n"
    options = ["--expire", "100", "--namespace", "site", "--tag", "x", "--tag", "y", "--json"]
    told = command("set", "mine", "key", "v", *options).json()
    assert (told["stored"], told["kind"], told["tags"]) == (True, "str", ["x", "y"])
    assert 50 < told["expires"] - time.time() <= 100
    mine.invalidate_tag("y")
    assert mine.get("key") is None


def test_set_from_standard_input(
    command: Command, mine: plib_cache.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """- stores what comes, to the last byte."""
    stdin = SimpleNamespace(buffer=io.BytesIO(b"\x00\x01\n"), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", stdin)
    assert command("set", "mine", "key", "-", "--raw").code == 0
    assert mine["key"] == b"\x00\x01\n"


def test_set_makes_a_cache_only_if_told(command: Command) -> None:
    """Without --size an unknown name is an error that says so."""
    ended = command("set", "fresh", "key", "value")
    assert ended.code == 1
    assert "--size" in ended.err
    assert command("set", "fresh", "key", "value", "--size", "8MiB").code == 0
    assert command("set", "fresh", "key", "other", "--size", "16MiB").code == 0  # it is there
    with plib_cache.Cache("fresh") as cache:
        assert cache["key"] == "other"
        assert cache.info().size == 8 << 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["key", "zz", "--hex"], "hexadecimal"),
        (["zz", "value", "--key-hex"], "hexadecimal"),
        (["", "value"], "1 to 4096 bytes"),
        (["key", "value", "--expire", "nan"], "no usable time"),
        (["key", "value", "--expire", "-5"], "give more than 0 seconds"),
        (["key", "value", "--expire", "0"], "give more than 0 seconds"),
        (["key", "value", "--tag", "a", "--tag", "b", "--tag", "c", "--tag", "d", "--tag", "e"],
         "at most 4"),
        (["key", "@/nowhere/at/all"], "cannot be read"),
        (["key", "v", "--namespace", "n" * 5000], "at most"),
    ],
)  # fmt: skip
def test_set_refuses(
    command: Command, mine: plib_cache.Cache, arguments: list[str], said: str
) -> None:
    """What cannot be stored ends with 2, and changes nothing."""
    before = len(mine)
    ended = command("set", "mine", *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert len(mine) == before


def test_keys(command: Command, mine: plib_cache.Cache) -> None:
    """Each key in a line, those that are no text in hexadecimal; a pattern chooses."""
    shown = command("keys", "mine").out.splitlines()
    assert sorted(shown) == ["0xff00", "greeting", "news", "number", "object"]
    assert sorted(command("keys", "mine", "n*").out.splitlines()) == ["news", "number"]
    assert len(command("keys", "mine", "--limit", "2").out.splitlines()) == 2
    assert command("keys", "mine", "nothing").out == ""
    long = command("keys", "mine", "--long").out
    assert all(word in long for word in ("site", "a, b", "pickle", "int", "5 B", "never"))


def test_keys_json(command: Command, mine: plib_cache.Cache) -> None:
    """One document, short and long; of an empty cache too."""
    told = command("keys", "mine", "--json").json()
    assert told["name"] == "mine"
    assert {row["hex"]: row["key"] for row in told["keys"]}[b"\xff\x00".hex()] is None
    long = command("keys", "mine", "n*", "--long", "--json").json()["keys"]
    assert {row["key"]: row["kind"] for row in long} == {"news": "str", "number": "int"}
    mine.clear()
    assert command("keys", "mine", "--json").json() == {"name": "mine", "keys": []}


def test_marked_and_foreign_values(command: Command, mine: plib_cache.Cache) -> None:
    """What network clients have marked, and what another serializer stored, has a kind too."""
    from plib_cache._core import SET, Given

    for key, code in ((b"stale", 12), (b"vacant", 14), (b"won", 17), (b"own", 200)):
        mine._region.put(SET, key, Given(b"value", code))
    kinds = {
        row["key"]: row["kind"]
        for row in command("keys", "mine", "--long", "--json").json()["keys"]
    }
    assert (kinds["stale"], kinds["vacant"], kinds["won"], kinds["own"]) == (
        "stale", "vacant", "str", "type 200",
    )  # fmt: skip
    assert command("get", "mine", "won").out == "value\n"
    assert command("get", "mine", "own").out.startswith("<type 200, 5 B")


def test_near_names(command: Command, mine: plib_cache.Cache) -> None:
    """A name that is nearly one is answered with it."""
    ended = command("get", "mien", "key")
    assert ended.code == 1
    assert "did you mean mine?" in ended.err


def test_names_are_completed(mine: plib_cache.Cache) -> None:
    """The shell is told the names of caches, and of commands."""
    script = Path(sys.executable).with_name("plib-cache")
    for words, at, wanted in (("plib-cache stat mi", 2, "mine"), ("plib-cache wat", 1, "watch")):
        done = subprocess.run(
            [script],
            env={
                "_PLIB_CACHE_COMPLETE": "complete_bash", "COMP_WORDS": words,
                "COMP_CWORD": str(at), "PLIB_CACHE_DIR": str(Path(mine.path).parent),
            },
            capture_output=True, text=True, timeout=HANGS,
        )  # fmt: skip
        assert done.stdout.split() == [wanted], done.stderr


def test_completion_without_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where there can be no caches, nothing is completed, and nothing said."""
    from plib_cache.cli.places import complete

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PLIB_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert complete("") == []


# ---- what every command promises -----------------------------------------------------------------

EVERY = [
    ["stat", "mine"], ["ls"], ["check", "mine"], ["doctor"], ["top", "mine", "--interval", "0.1"],
    ["get", "mine", "greeting"], ["set", "mine", "key", "value"], ["keys", "mine"],
    ["bench", "--seconds", "0.5"], ["clear", "mine", "--yes"], ["rm", "mine", "--yes"],
]  # fmt: skip


@pytest.mark.parametrize("words", EVERY, ids=lambda words: words[0])
def test_json_is_one_document(command: Command, mine: plib_cache.Cache, words: list[str]) -> None:
    """With --json standard output is one JSON document, whatever the command."""
    ended = command(*words, "--json")
    assert isinstance(json.loads(ended.out), dict)
    assert ended.code in (0, 1)


@pytest.mark.parametrize("words", [words for words in EVERY if "mine" in words], ids=lambda w: w[0])
def test_no_traceback(
    command: Command, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that are no caches, folders, links, nothing at all: an error in words, no traceback."""
    (tmp_path / "foreign").write_bytes(b"something else" * 1000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "foreign")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "empty").touch()
    for name in ("foreign", "folder", "link", "dangling", "empty", "absent"):
        asked = [str(tmp_path / name) if word == "mine" else word for word in words]
        ended = command(*asked)
        assert ended.code in (1, 2), name
        if words[0] != "check" or ended.err:
            assert "error: " in ended.err, name
    with private_regions() as folder:
        (folder / "mine").write_text("no cache")
        assert command(*words).code in (1, 2)


def test_a_mistake_in_the_command_is_told(
    command: Command, mine: plib_cache.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even what nobody foresaw is a line with an exit code of its own; the traceback on demand."""

    def broken(*arguments: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("plib_cache.cli.regions.stat", broken)
    ended = command("stat", "mine")
    assert ended.code == 3
    assert "RuntimeError: out of order" in ended.err
    assert "Traceback" not in ended.err
    monkeypatch.setattr("plib_cache.cli.regions.listing", lambda json: open("/dev/full/x"))  # noqa: SIM115
    assert command("ls").code == 1
    monkeypatch.setenv("PLIB_CACHE_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        command("stat", "mine")


def test_no_keys_is_said(command: Command, mine: plib_cache.Cache) -> None:
    """To who looks, on standard error; a program that reads the list is given nothing."""
    for options in ([], ["--long"]):
        ended = command("keys", "mine", "nothing*", *options)
        assert (ended.code, ended.out, ended.err) == (0, "", "no keys\n")
    assert "'greet*' is those that begin so" in command("keys", "mine", "greet").err
    assert not command("keys", "mine", "greeting").err


def test_absent_keys_are_told_with_a_way_on(command: Command, mine: plib_cache.Cache) -> None:
    """What keys there are; or, of a key as ``keys`` lists it, how it is given."""
    mine.set(b"\xff", "value")
    assert "`plib-cache keys mine` shows the keys" in command("get", "mine", "absent").err
    assert "add --key-hex" in command("get", "mine", "0xff").err
    assert command("get", "mine", "0xff", "--key-hex").out == "value\n"
    assert "add --key-hex" not in command("get", "mine", "0xfe", "--key-hex").err
