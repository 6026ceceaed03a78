# SPDX-License-Identifier: BSD-3-Clause
"""Errors end in something that can be done at a shell, not in arguments of Python.

The messages that a command can pass on are found in the sources, so a new one is held to it too.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.test_messages import LISTED

import plib_cache
from plib_cache._core import SET, Given, failures
from plib_cache._frame import build_frame
from plib_cache.cli import words
from plib_cache.keys import key_bytes
from plib_cache.serialize import TypeCode

Command = Callable[..., Any]
PYTHON = re.compile(
    r"\b[a-z_]+=(?=$|[\s:,)'\"]|True|False|None)|\w\(\.\.\.\)|\b\w+\.\w+\(|\w\(\)"
    r"|\b(None|True|False|str|int|bool|datetime|pathlib)\b"
)
# Where messages come from that a command can pass on.
PASSED_ON = (
    "plib_cache/cli/", "plib_cache/serve/", "plib_cache/config.py", "plib_cache/keys.py",
    "plib_cache/_moments.py", "plib_cache/_attached.py", "plib_cache/_frame.py",
    "plib_cache/_restricted.py",
)  # fmt: skip
# Of those, what no command can meet, by how it begins.
NOT_MET = (
    "path={} is no path",  # it is a text
    "path={} contains a null character",  # no argument of a program does
    "expire is a {}",  # it is a number
    "expire={} has no time zone",
    "a key is str or bytes",  # it is one of them
    "the {} {} is a {}: give a str",  # names are
    "tags={} is one name",  # it is a list
    "write={} is for remote=",  # no command has remote caches
    "a value of type {}{} cannot be hashed",  # these are about decorated functions
    "argument {} of {}",
    "the code of {} depends",
    "name and path both",
)
MET = [
    one.text.replace("{}", "'x'")
    for one in LISTED
    if one.file.startswith(PASSED_ON) and not one.text.startswith(NOT_MET)
]


# What else a refusal may be due to.
MORE: dict[str, tuple[dict[str, Any], ...]] = {
    "FULL": ({"leased": 7}, {"a": 9, "b": 8}),
    "NO_SPACE": ({"a": 9, "b": 8},),
    "SYSTEM": ({"errno": errno.EAGAIN}, {"errno": errno.EMFILE}, {"errno": errno.EFBIG}),
}


def core() -> list[str]:
    """What the core refuses; CLOSED is met by no command, which closes last."""
    found = []
    for status in sorted(set(failures._TABLE) - {"CLOSED"}):
        for more in (dict[str, Any](), *MORE.get(status, ())):
            facts = failures.Facts(path="/x/y", key=b"k", nbytes=9, value_max=8)._replace(**more)
            found.append(str(failures.failure(status, facts)))
    return found


def of_a_key() -> str:
    """What is said of a key that is no text; its end is not where the rest of it is."""
    with pytest.raises(ValueError, match="surrogate") as refused:
        key_bytes("\udc80")
    return str(refused.value)


ALL = [*MET, *core(), of_a_key()]


@pytest.mark.parametrize("message", ALL)
def test_no_python_is_left(message: str) -> None:
    """As the command says it, a message names options, variables and commands."""
    told = words.for_shell(message)
    assert not PYTHON.search(told), told


def test_nothing_is_left_over() -> None:
    """Each phrase stands in some message that is passed on, each exemption for one."""
    passed = "\n".join(
        one.text.replace("{}", "'x'")
        for one in LISTED
        if one.file.startswith((*PASSED_ON, "plib_cache/_pickling.py", "plib_cache/serialize.py"))
    )
    for phrase in words._PHRASES:
        assert re.search(phrase, "\n".join([passed, *core(), of_a_key()])), phrase
    for begin in NOT_MET:
        assert any(one.text.startswith(begin) for one in LISTED), begin
    assert len(MET) > 50


def pickled(payload: bytes) -> bytes:
    """A pickle as it is stored."""
    return b"".join(build_frame(TypeCode.PICKLE5, payload, []).parts)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["stat", "a b"], "a file elsewhere is named by its path, with a slash"),
        (["set", "new", "k", "v", "--size", "1"], "the size 1 is 1 bytes: give a region from"),
        (["set", "new", "k", "v", "--size", "big"], "or with a unit: 512MiB or 2GB"),
        (["set", "mine", "k" * 5000, "v"], "such as `b2sum` gives"),
        (["set", "mine", "\udcff", "v"], "give it in hexadecimal, with --key-hex"),
        (["set", "mine", "k", "v", "--expire", "1e99"], "--expire 1e+99 is no usable time"),
        (["set", "mine", "k", "v", "--tag", ""], "give a name, or leave it out"),
        (["set", "mine", "k", "@{large}"], "make a larger one with --size"),
        (["serve", "mine", "--size", "8MiB"], "leave --size out"),
        (["serve", "mine", "--max-item", "?"], "--max-item: the size ? is no size: give bytes"),
        (["set", "{wide}/x", "k", "v", "--size", "4MiB"], "`chmod 700 "),
        (["set", "/dev/shm/x", "k", "v", "--size", "4MiB"], "by its path or PLIB_CACHE_DIR"),
        (["get", "mine", "object", "--load"], "set PYTHONPATH to the folder of its module"),
    ],
)  # fmt: skip
def test_commands_say_it(
    command: Command, mine: plib_cache.Cache, tmp_path: Path, arguments: list[str], told: str
) -> None:
    """What a user meets, with the remedy at its end."""
    large, wide = tmp_path / "large", tmp_path / "wide"
    large.write_bytes(bytes(15 << 20))
    wide.mkdir()
    wide.chmod(0o777)
    mine._region.put(SET, b"object", Given(pickled(b"\x80\x05cnowhere.at_all\nThing\n."), 8))
    ended = command(*(text.format(large=large, wide=wide) for text in arguments))
    assert ended.code in (1, 2)
    assert told in ended.err
    assert not PYTHON.search(ended.err.replace("mine", "")), ended.err


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("PLIB_CACHE_TRUST", "nobody", "is 'nobody': use 'code' or 'data', or unset it"),
        ("PLIB_CACHE_TRUST", "data", "set PLIB_CACHE_TRUST=code if you trust who wrote it"),
        ("PLIB_CACHE_PROTECTION", "all", "PLIB_CACHE_PROTECTION is 'all': use 'auto', 'pku' or"),
    ],
)  # fmt: skip
def test_variables(
    command: Command, mine: plib_cache.Cache, monkeypatch: pytest.MonkeyPatch, variable: str,
    value: str, told: str,
) -> None:  # fmt: skip
    """What a variable of the environment asks for wrongly is told by its name."""
    monkeypatch.setenv(variable, value)
    ended = command("get", "mine", "object", "--load")
    assert ended.code in (1, 2)
    assert told in ended.err
    assert not PYTHON.search(ended.err), ended.err


def test_ls_and_check_say_it_too(command: Command, regions: Path) -> None:
    """What is no cache is listed with what can be done at a shell."""
    wide = regions / "wide"
    wide.mkdir()
    for told in (command("ls").out, command("check", "wide", "--json").err):
        assert "choose another path" in told
        assert not PYTHON.search(told), told
