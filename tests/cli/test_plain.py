# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache get`` of pickles: builtin data is shown, the rest told of, and no code run."""

from __future__ import annotations

import datetime
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import plib_cache
from plib_cache._core import SET, Given
from plib_cache._frame import build_frame
from plib_cache.serialize import TypeCode

Command = Callable[..., Any]
PLAIN = [
    {"a": [1, 2.5, None, True], "b": (b"x", {"y"})}, [], (), {1: 2}, ["\x1b[31mred"], {3},
    frozenset({"z"}), [bytearray(b"q")], -(1 << 3000), [[[[("deep",)]]]],
]  # fmt: skip


class Point:
    """No plain data."""


def put_pickle(cache: plib_cache.Cache, payload: bytes) -> None:
    """Store a pickle that this package may not have made."""
    frame = b"".join(build_frame(TypeCode.PICKLE5, payload, []).parts)
    cache._region.put(SET, b"key", Given(frame, TypeCode.PICKLE5))


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: repr(value)[:20])
def test_plain_data_is_shown(command: Command, mine: plib_cache.Cache, value: object) -> None:
    """As Python writes it, though the cache pickles it (trust="code")."""
    assert mine._serializer.trust == "code"  # type: ignore[attr-defined]
    mine.set("key", value)
    ended = command("get", "mine", "key")
    assert (ended.code, ended.out) == (0, f"{value!r}\n")
    assert command("get", "mine", "key", "--json").json()["kind"] == "pickle"


@pytest.mark.parametrize(
    ("value", "needed"),
    [
        ([datetime.date(2026, 1, 2)], "datetime.date"), ({"x": Point()}, f"{__name__}.Point"),
        (1j, "builtins.complex"), ([print], "builtins.print"),
    ],
)  # fmt: skip
def test_what_else_there_is_is_told(
    command: Command, mine: plib_cache.Cache, value: object, needed: str
) -> None:
    """By the first name that the pickle needs."""
    mine.set("key", value)
    ended = command("get", "mine", "key")
    assert ended.code == 0
    assert ended.out.startswith(f"<pickle that needs {needed}, ")
    assert "--load unpickles it, if you trust its writer" in ended.out


def test_nothing_is_imported_or_called(
    command: Command, mine: plib_cache.Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a function of the system nor a module of somebody's, nor our own constructors."""
    (tmp_path / "hostile.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(str(tmp_path))
    ran = f"touch {tmp_path / 'ran'}".encode()
    for name, payload in {
        "posix.system": b"cposix\nsystem\n(X" + len(ran).to_bytes(4, "little") + ran + b"tR.",
        "hostile.thing": b"chostile\nthing\n.",
        "plib_cache._plain.make_range": b"cplib_cache._plain\nmake_range\n(K\x00K\x01K\x01tR.",
        r"'\x1b[2J.x'": b"c\x1b[2J\nx\n.",
    }.items():
        put_pickle(mine, payload)
        for options in ([], ["--json"]):
            ended = command("get", "mine", "key", *options)
            assert ended.code == 0
            assert options or f"needs {name}," in ended.out
            assert "\x1b" not in ended.out
    assert not (tmp_path / "ran").exists()
    assert "hostile" not in sys.modules


@pytest.mark.parametrize("payload", [b"", b"garbage", b"]\x94h\x05.", b"(", b"Pid\n.", b"}}b."])
def test_damaged_pickles(command: Command, mine: plib_cache.Cache, payload: bytes) -> None:
    """They are told of, like all that cannot be read."""
    put_pickle(mine, payload)
    ended = command("get", "mine", "key")
    assert ended.code == 0
    assert ended.out.startswith("<pickle, ")


@pytest.mark.parametrize("depth", [100, 100_000])
def test_what_python_does_not_write(command: Command, mine: plib_cache.Cache, depth: int) -> None:
    """Lists in lists without an end, and an integer of too many digits: no fault of the command."""
    put_pickle(mine, b"]" * depth + b"a" * (depth - 1) + b".")
    shown = command("get", "mine", "key")
    assert shown.code == 0
    assert shown.out == "[" * depth + "]" * depth + "\n" if depth == 100 else "<list" in shown.out
    assert command("get", "mine", "key", "--json").code == 0
    put_pickle(mine, pickle.dumps(1 << 20_000))
    assert "--raw writes its bytes" in command("get", "mine", "key").out
    assert command("get", "mine", "key", "--json").json()["value"] is None


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": [1, "b", None]}, {"a": [1, "b", None]}), ([1.5, True], [1.5, True]),
        ((1, 2), None), ({1: 2}, None), ([float("nan")], None), ([b"x"], None),
    ],
)  # fmt: skip
def test_json_has_what_json_can_hold(
    command: Command, mine: plib_cache.Cache, value: object, told: object
) -> None:
    """A value that JSON would give back as another one is null; its bytes are there anyhow."""
    mine.set("key", value)
    found = command("get", "mine", "key", "--json").json()
    assert found["value"] == told
    assert found["base64"]
