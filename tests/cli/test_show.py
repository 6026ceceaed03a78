# SPDX-License-Identifier: BSD-3-Clause
"""How tables, lists and counts look in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import plib_cache
from plib_cache.cli import show

Command = Callable[..., Any]


def test_titles_are_as_long_as_they_are(
    command: Command, mine: plib_cache.Cache, regions: Path
) -> None:
    """A narrow table does not break its title."""
    assert "Counted by all processes, since it was made or reset\n" in command("stat", "mine").out
    assert command("ls").out.startswith(f"Caches in {regions}\n")


def test_advice_is_broken_between_words(terminal: Callable[..., Any], tmp_path: Path) -> None:
    """On a terminal; each point goes on below its first word."""
    doctor = terminal("doctor", PLIB_CACHE_DIR=str(tmp_path / "mistyped"), lines=60)
    doctor.end()
    lines = [line.rstrip() for line in doctor.screen.display]
    at = next(i for i, line in enumerate(lines) if line.startswith("- region folder: there is no"))
    assert lines[at + 1].startswith("  ")
    text = " ".join(line.strip() for line in lines[at:])
    assert "correct PLIB_CACHE_DIR if that is not what you mean" in text


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 entries are"), (1, "1 entry is"), (2000, "2,000 entries are")]
)
def test_counts(count: int, told: str) -> None:
    """One is told as one."""
    assert show.many(count, "entry is", "entries are") == told


def test_one_entry_is_exported(command: Command, tmp_path: Path) -> None:
    """By the commands, too."""
    with plib_cache.Cache("one", size="4MiB") as cache:
        cache["key"] = 1
    file = str(tmp_path / "file")
    assert command("export", "one", file).out == f"1 entry is in {file}\n"
    assert command("import", "one", file).out == "1 entry is stored\n"


def test_a_long_name_in_a_pipe(
    command: Command, regions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who greps for a cache finds its name in one piece, however long it is."""
    monkeypatch.delenv("COLUMNS", raising=False)
    plib_cache.Cache("n" * 64, size="4MiB").close()
    assert "n" * 64 in command("ls").out
