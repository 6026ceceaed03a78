# SPDX-License-Identifier: BSD-3-Clause
"""Looking makes nothing, and what is made is told: neither a region nor a folder comes silently."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diskcache
import pytest

import plib_cache
from plib_cache import config
from plib_cache.cli import places

Command = Callable[..., Any]
LOOKING = (
    ["ls"], ["stat", "x"], ["top", "x"], ["watch", "x"], ["keys", "x"], ["get", "x", "key"],
    ["set", "x", "key", "value"], ["check", "x"], ["clear", "x", "-y"], ["rm", "x", "-y"],
    ["export", "x", "-"], ["top", "x", "--json"], ["ls", "--json"],
)  # fmt: skip


@pytest.fixture
def mistyped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PLIB_CACHE_DIR names a folder that is not there."""
    folder = tmp_path / "above" / "mistyped"
    monkeypatch.setenv("PLIB_CACHE_DIR", str(folder))
    return folder


@contextlib.contextmanager
def port_in_use() -> Iterator[str]:
    """An address that nobody else can listen on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_looking_makes_no_folder(command: Command, mistyped: Path, words: list[str]) -> None:
    """Where PLIB_CACHE_DIR names nothing, that is said, with what to do; and nothing is made."""
    ended = command(*words)
    assert ended.code == 1
    assert f"there is no folder {mistyped}" in ended.err
    assert "correct PLIB_CACHE_DIR, or unset it" in ended.err
    assert not mistyped.parent.exists()


def test_no_caches_yet(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual folder need not be there before the first cache is; nobody mistyped it."""
    monkeypatch.delenv("PLIB_CACHE_DIR")
    monkeypatch.setattr(config.os, "geteuid", lambda: 54323)
    usual = Path("/dev/shm/plib-cache-54323")
    listed = command("ls")
    assert (listed.code, listed.out) == (0, f"no caches in {usual}\n")
    ended = command("stat", "x")
    assert ended.code == 1
    assert f"there is no cache 'x' in {usual}: `plib-cache ls`" in ended.err
    assert not usual.exists()


def test_the_library_makes_no_folder_to_look(mistyped: Path) -> None:
    """A cache that is not to be created leaves its folder uncreated, too."""
    with pytest.raises(plib_cache.ConfigurationError, match="there is no such region"):
        plib_cache.Cache("x", create=False)
    assert not mistyped.parent.exists()
    plib_cache.Cache("x", size="4MiB").close()
    assert mistyped.is_dir()


def test_what_tries_cleans_up(command: Command, mistyped: Path, tmp_path: Path) -> None:
    """``doctor`` and ``bench`` need a place to try in, and leave none; doctor names what is not."""
    told = command("doctor", "--json").json()
    (finding,) = (one for one in told["findings"] if one["topic"] == "region folder")
    assert finding["state"] == "note"
    assert "correct PLIB_CACHE_DIR" in finding["advice"]
    assert {"trial", "unnamed files"} < {one["topic"] for one in told["findings"]}
    assert command("bench", "--seconds", "0.5", "--json").code == 0
    assert not list(tmp_path.iterdir())


def test_completion_makes_no_folder(mistyped: Path) -> None:
    """A shell that asks for names is told none."""
    assert places.complete("") == []
    assert not mistyped.parent.exists()


# ---- what is made is told ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "asked"), [("shpo", "Did you mean shop?"), ("elsewhere", None), ("shop", None)]
)
def test_serve_tells_of_a_new_cache(command: Command, name: str, asked: str | None) -> None:
    """A new name may be meant, or mistyped: it is told, and a name that is like it."""
    plib_cache.Cache("shop", size="4MiB").close()
    with port_in_use() as address:
        ended = command("serve", name, "--size", "4MiB", "--listen", address)
    assert ended.code == 1
    assert "in use" in ended.err
    new = f"there was no cache {name!r} in "
    assert (new in ended.err) == (name != "shop")
    assert ("Did you mean" in ended.err) == (asked is not None)
    assert (asked or "") in ended.err


def test_set_and_import_tell_of_a_new_cache(command: Command, tmp_path: Path) -> None:
    """With --size they make one, and say so on standard error; the next time there is one."""
    assert "there was no cache 'shop'" in command("set", "shop", "k", "v", "--size", "4MiB").err
    assert not command("set", "shop", "k", "v", "--size", "4MiB").err
    file = str(tmp_path / "file")
    assert command("export", "shop", file).code == 0
    ended = command("import", "shops", file, "--size", "4MiB")
    assert ended.code == 0
    assert "it is a new one. Did you mean shop?" in ended.err


def test_a_new_cache_of_diskcache_is_told(command: Command, tmp_path: Path) -> None:
    """Importing from diskcache makes a cache without being told to: that is told, too."""
    with diskcache.Cache(str(tmp_path)) as theirs:
        theirs["key"] = "value"
    dry = command("import", "fresh", "--diskcache", str(tmp_path), "--dry-run")
    assert "there was no cache" not in dry.err
    done = command("import", "fresh", "--diskcache", str(tmp_path))
    assert done.code == 0, done.err
    assert "there was no cache 'fresh'" in done.err


def test_what_was_not_made_is_not_told(command: Command) -> None:
    """Where it cannot be made, only that is said."""
    ended = command("set", "/dev/shm/x", "k", "v", "--size", "4MiB")
    assert ended.code == 2
    assert "new one" not in ended.err


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "nowhere", "0.0.0.0:2000"])
def test_a_wrong_address_makes_no_cache(command: Command, regions: Path, address: str) -> None:
    """What cannot be served is refused before the cache is made."""
    ended = command("serve", "fresh", "--size", "4MiB", "--listen", address)
    assert (ended.code, list(regions.iterdir())) == (2, [])
    assert "new one" not in ended.err


def test_a_size_that_changes_nothing(command: Command) -> None:
    """Who gives a cache another size hears that it keeps its own; the value is stored."""
    assert command("set", "x", "key", "value", "--size", "4MiB").code == 0
    same = command("set", "x", "key", "value", "--size", "4MiB")
    assert (same.code, same.err) == (0, "")
    ended = command("set", "x", "key", "more", "--size", "8MiB")
    assert (ended.code, command("get", "x", "key").out) == (0, "more\n")
    assert "the cache 'x' keeps the size it has" in ended.err


def test_ls_of_an_unsafe_folder(command: Command, regions: Path) -> None:
    """What is wrong with the folder is said once, and not of each cache in it."""
    for name in ("one", "two"):
        plib_cache.Cache(name, size="4MiB").close()
    regions.chmod(0o777)
    ended = command("ls")
    regions.chmod(0o700)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("`chmod 700 ") == 1
