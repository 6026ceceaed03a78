# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache export`` and ``import``: what comes back, what is refused, what stays untouched."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import plib_cache
from plib_cache._core import SET, Given, Note, Terms
from plib_cache._core.notes import note_key
from plib_cache.cli.portable import Exported, ExportError, Reader, Writer

HANGS = 240  # seconds; only for what never ends
Command = Callable[..., Any]
calls: list[int] = []


def slow(x: int) -> list[int]:
    """A function to be decorated, which notes that it runs."""
    calls.append(x)
    return [x] * 3


def described(cache: plib_cache.Cache) -> dict[bytes, Any]:
    """All that is kept of each entry, but for what belongs to the region."""
    found = {}
    for raw, _ in cache._region.scan():
        one = cache._region.describe(raw, whole=True)
        assert one is not None
        names = [cache._region.noted(number) for number in (one.name, *one.tags) if number]
        found[raw] = (*one._replace(created_ms=0, name=0, tags=()), *sorted(map(str, names)))
    return found


def test_there_and_back(command: Command, mine: plib_cache.Cache, tmp_path: Path) -> None:
    """Values of all kinds come back with flags, expiry, tags, namespace, cost and form of key."""
    file = str(tmp_path / "file")
    mine.set_many({f"many{i}": [i] for i in range(200)}, 500, tags=["many"])
    mine["large"] = random.Random(1).randbytes(1 << 20)
    terms = Terms(cost=99, immutable=True, text=True)
    mine._region.put(SET, b"flags", Given(b"v", 17, 0xDEADBEEF, terms))
    told = command("export", "mine", file, "--json").json()
    assert told == {"file": file, "entries": len(mine), "left_out": 0}
    told = command("import", "other", file, "--size", "32MiB", "--json").json()
    assert (told["stored"], told["refused"], told["evicted"]) == (len(mine), 0, 0)
    with plib_cache.Cache("other") as other:
        assert described(other) == described(mine)
        other.invalidate_tag("many")
        assert len(other) == len(mine) - 200
        other.invalidate_namespace("site")
        assert other.get("news") is None
    assert mine["news"] == "today"


def test_results_of_functions_come_along(
    command: Command, mine: plib_cache.Cache, tmp_path: Path
) -> None:
    """A decorated function finds its results in the copy, and clears them there."""
    file = str(tmp_path / "file")
    cached = plib_cache.cache(cache=mine)(slow)
    assert [cached(1), cached(2)] == [[1] * 3, [2] * 3]
    mine.delete(note_key(mine.functions()[0].number))  # its name is found in the keys
    assert command("export", "mine", file).code == 0
    assert command("import", "other", file, "--size", "16MiB").code == 0
    with plib_cache.Cache("other") as other:
        again = plib_cache.cache(cache=other)(slow)
        calls.clear()
        assert [again(1), again(2)] == [[1] * 3, [2] * 3]
        assert calls == []
        again.cache_clear()
        assert again(1) == [1] * 3
        assert calls == [1]


def test_tags_that_nobody_knows(command: Command, mine: plib_cache.Cache, tmp_path: Path) -> None:
    """Entries whose tags cannot be told are left out, and that is said."""
    file = str(tmp_path / "file")
    found = mine._region.describe(b"news")
    assert found is not None
    mine.delete(note_key(found.tags[0]))
    ended = command("export", "mine", file, "--json")
    assert ended.json()["left_out"] == 1
    assert "1 entry was left out" in ended.err
    assert command("import", "other", file, "--size", "8MiB").code == 0
    with plib_cache.Cache("other") as other:
        assert set(other) == set(mine) - {"news"}


def test_what_is_there_stays_if_told(
    command: Command, mine: plib_cache.Cache, tmp_path: Path
) -> None:
    """--keep replaces nothing; without it what is there is replaced."""
    file = str(tmp_path / "file")
    command("export", "mine", file)
    mine["greeting"] = "changed"
    told = command("import", "mine", file, "--keep", "--json").json()
    assert (told["stored"], told["there_already"]) == (0, 5)
    assert mine["greeting"] == "changed"
    assert command("import", "mine", file).code == 0
    assert mine["greeting"] == "hello"


def test_what_is_out_of_date_is_left(command: Command, tmp_path: Path) -> None:
    """An entry that expired in the file is not stored."""
    file = tmp_path / "file"
    with file.open("wb") as out:
        writer = Writer(out, {})
        for key, deadline in ((b"past", time.time() - 5), (b"future", time.time() + 5000)):
            writer.entry(entry(key, deadline_ms=int(deadline * 1000)))
        writer.done()
    told = command("import", "fresh", str(file), "--size", "8MiB", "--json").json()
    assert (told["stored"], told["out_of_date"]) == (1, 1)
    with plib_cache.Cache("fresh") as cache:
        assert list(cache) == ["future"]


def test_data_only(command: Command, mine: plib_cache.Cache, tmp_path: Path) -> None:
    """--data-only leaves out pickles and what is unknown."""
    file = str(tmp_path / "file")
    mine._region.put(SET, b"own", Given(b"v", 200))
    command("export", "mine", file)
    ended = command("import", "other", file, "--size", "8MiB", "--data-only", "--json")
    assert (ended.json()["stored"], ended.json()["left_out"]) == (4, 2)
    with plib_cache.Cache("other", trust="data") as other:
        assert "object" not in other
        assert other["number"] == 42


def test_a_cache_that_is_too_small(command: Command, tmp_path: Path) -> None:
    """What is evicted or too large is counted, said, and makes the exit code 1."""
    file = str(tmp_path / "file")
    with plib_cache.Cache("large", size="32MiB") as cache:
        for i in range(400):
            cache[f"key{i}"] = bytes(16 << 10)
        cache["huge"] = bytes(8 << 20)
        entries = len(cache)
    command("export", "large", file)
    ended = command("import", "small", file, "--size", "4MiB")
    assert ended.code == 1
    assert "1 were refused, the first: " in ended.err
    assert "entries were evicted meanwhile" in ended.err
    told = command("import", "small", file, "--json").json()
    assert told["stored"] + told["refused"] == entries
    assert told["first_refusal"]
    with plib_cache.Cache("small") as small:
        assert small.check() == []


def test_through_a_pipe(mine: plib_cache.Cache) -> None:
    """- writes to standard output and reads from standard input, which may end too early."""
    start = [sys.executable, "-m", "plib_cache"]
    done = subprocess.run(
        [*start, "export", "mine", "-"], capture_output=True, timeout=HANGS, check=True
    )
    into = [*start, "import", "other", "-", "--size", "8MiB"]
    assert subprocess.run(into, input=done.stdout, timeout=HANGS).returncode == 0
    with plib_cache.Cache("other") as other:
        assert described(other) == described(mine)
        other.clear()
        cut = subprocess.run(into, input=done.stdout[:-60], capture_output=True, timeout=HANGS)
        assert cut.returncode == 1
        assert b"standard input is damaged" in cut.stderr
        assert b"entries were stored before that" in cut.stderr


def test_files_are_whole_or_not_there(
    command: Command, mine: plib_cache.Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is replaced only if told; an export that fails leaves no file behind."""
    file = tmp_path / "file"
    file.write_text("precious")
    ended = command("export", "mine", str(file))
    assert ended.code == 2
    assert "--yes" in ended.err
    assert file.read_text() == "precious"

    def broken(self: Writer) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Writer, "done", broken)
    ended = command("export", "mine", str(file), "--yes")
    assert ended.code == 1
    assert "No space left" in ended.err
    assert file.read_text() == "precious"
    monkeypatch.undo()
    assert command("export", "mine", str(tmp_path / "no" / "folder")).code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_wrong_use(command: Command, mine: plib_cache.Cache, tmp_path: Path) -> None:
    """No file, files that cannot be read or are something else, caches that are not there."""
    (tmp_path / "other").write_text("no export")
    for arguments, code, said in (
        (["import", "mine"], 2, "import what?"),
        (["import", "mine", str(tmp_path / "absent")], 1, "cannot be read"),
        (["import", "mine", str(tmp_path)], 1, ""),
        (["import", "mine", str(tmp_path / "other")], 1, "is no export"),
        (["export", "mine", "-", "--json"], 2, "standard output"),
        (["export", "absent", str(tmp_path / "file")], 1, "there is no cache"),
    ):
        ended = command(*arguments)
        assert ended.code == code, arguments
        assert said in ended.err
    assert not (tmp_path / "file").exists()


# ---- the format ----------------------------------------------------------------------------------


def entry(key: bytes, value: bytes = b"value", **changes: Any) -> Exported:
    """An entry of a file."""
    return Exported(key, value, 0, 0, True, False, 0, 0, (), 0, 0)._replace(**changes)


def exported() -> bytes:
    """A small export."""
    out = io.BytesIO()
    writer = Writer(out, {"from": "here"})
    writer.name(7, Note("t:tag", ""))
    writer.entry(entry(b"first", tags=(7,)))
    writer.entry(entry(b"second", bytes(50)))
    writer.done()
    return out.getvalue()


def read(data: bytes) -> list[bytes]:
    """The keys of an export."""
    return [one.key for one in Reader(io.BytesIO(data), "file")]


def test_every_damage_is_found() -> None:
    """Any byte changed, any byte missing at the end, anything behind it."""
    whole = exported()
    assert read(whole) == [b"first", b"second"]
    for at in range(len(whole)):
        for change in (0x01, 0x80, 0xFF):
            changed = bytearray(whole)
            changed[at] ^= change
            with pytest.raises(ExportError):
                read(bytes(changed))
        with pytest.raises(ExportError):
            read(whole[:at])
    with pytest.raises(ExportError, match="follows its end"):
        read(whole + b"x")


def test_blocks_cannot_be_moved() -> None:
    """Blocks that are left out, doubled or swapped are found, though each is whole."""
    whole = exported()
    starts = [whole.index(kind) for kind in (b"HEAD", b"NAME", b"ENTR")]
    second = whole.index(b"ENTR", starts[2] + 1)
    done = whole.index(b"DONE")
    head, name = whole[: starts[1]], whole[starts[1] : starts[2]]
    one, two, end = whole[starts[2] : second], whole[second:done], whole[done:]
    assert head + name + one + two + end == whole
    assert read(whole) == [b"first", b"second"]
    for parts in (
        (name, two, one, end), (name, one, one, two, end), (name, one, end), (one, two, end),
        (name, one, two), (name, one, two, end, end),
    ):  # fmt: skip
        with pytest.raises(ExportError):
            read(b"".join((head, *parts)))


def test_files_that_lie() -> None:
    """What is whole, and still makes no sense, is refused: names, versions, counts."""
    for make, said in (
        (lambda w: w.entry(entry(b"key", name=9)), "was not told"),
        (lambda w: w.name(3, Note("nonsense", "")), "makes no sense"),
        (lambda w: w.entry(entry(b"")), "contradict"),
        (lambda w: w._write(b"MORE", b""), "kind"),
        (lambda w: setattr(w, "entries", 5), "missing"),
    ):
        out = io.BytesIO()
        writer = Writer(out, {})
        make(writer)
        writer.done()
        with pytest.raises(ExportError, match=said):
            read(out.getvalue())
    out = io.BytesIO()
    Writer(out, {"version": 2}).done()
    with pytest.raises(ExportError, match="version 2"):
        read(out.getvalue())


def test_a_damaged_file_changes_nothing(
    command: Command, mine: plib_cache.Cache, tmp_path: Path
) -> None:
    """A file is examined before its first entry is stored; a cache is not even made."""
    file = tmp_path / "file"
    command("export", "mine", str(file))
    data = bytearray(file.read_bytes())
    data[-5] ^= 1  # behind all entries
    file.write_bytes(data)
    mine.clear()
    ended = command("import", "mine", str(file))
    assert ended.code == 1
    assert "is damaged near byte" in ended.err
    assert len(mine) == 0
    assert command("import", "fresh", str(file), "--size", "8MiB").code == 1
    assert command("stat", "fresh").code == 1


@pytest.mark.parametrize("yes", [[], ["--yes"]])
def test_a_folder_is_no_file(
    command: Command, mine: plib_cache.Cache, tmp_path: Path, yes: list[str]
) -> None:
    """It is told so, whether files may be replaced or not, and nothing is left in it."""
    ended = command("export", "mine", str(tmp_path), *yes)
    assert ended.code == 2
    assert "name another one" in ended.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["missing/file", "file/below"])
def test_where_nothing_can_be_written(
    command: Callable[..., Any], mine: plib_cache.Cache, tmp_path: Path, place: str
) -> None:
    """The place is named, with what to do; the machine is not to blame."""
    (tmp_path / "file").write_text("")
    ended = command("export", "mine", str(tmp_path / place))
    assert ended.code == 1
    assert f"{place} cannot be written (" in ended.err
    assert "name a file in a folder" in ended.err
