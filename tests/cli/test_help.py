# SPDX-License-Identifier: BSD-3-Clause
"""Each ``--help`` reads well in a terminal of 80 columns, whatever version of typer writes it."""

from __future__ import annotations

import re

import pytest
import typer.main
from typer.testing import CliRunner

from plib_cache.cli import app

GROUP = typer.main.get_command(app)
COMMANDS = GROUP.commands  # type: ignore[attr-defined]
PAGES = [[], *([name] for name in COMMANDS)]


def help_of(words: list[str]) -> list[str]:
    """The lines of a page."""
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80", "LINES": "24"})
    assert shown.exit_code == 0
    lines: list[str] = shown.output.splitlines()
    return lines


def rows_of(lines: list[str], heading: str) -> list[str]:
    """The rows of a section, each with the lines that go on with it."""
    begin = lines.index(f"{heading}:") + 1
    section = "\n".join(lines[begin:]).partition("\n\n")[0]
    return [" ".join(row.split()) for row in re.split(r"\n(?=  \S)", section)]


@pytest.mark.parametrize("words", PAGES, ids=lambda words: " ".join(words) or "all")
def test_no_line_is_cut(words: list[str]) -> None:
    """Nothing ends in dots, breaks at a hyphen, or is wider than the terminal."""
    for line in help_of(words):
        assert len(line) <= 80, line
        assert "..." not in line.replace("COMMAND [ARGS]...", ""), line
        assert not line.endswith("-"), line


@pytest.mark.parametrize("words", PAGES, ids=lambda words: " ".join(words) or "all")
def test_plain_names(words: list[str]) -> None:
    """No doubled brackets, no braces, no types of Python: NAME, [FILE], --size SIZE."""
    for line in help_of(words):
        assert not re.search(r"\[\[|\]\]|[{}<>]", line), line


@pytest.mark.parametrize("words", PAGES, ids=lambda words: " ".join(words) or "all")
def test_whole_sentences(words: list[str]) -> None:
    """Each option, argument and command is told in a sentence."""
    lines = help_of(words)
    headings = [line[:-1] for line in lines if re.fullmatch(r"[A-Z][\w ]+:", line)]
    assert "Options" in headings
    for heading in headings:
        for row in rows_of(lines, heading):
            told = re.sub(r" \[default: \S+\]$", "", row)
            assert told.endswith("."), row


def test_usage_names_the_arguments() -> None:
    """What has to be given stands bare, what may be in brackets."""
    assert help_of(["get"])[0] == "Usage: plib-cache get [OPTIONS] NAME KEY"
    assert help_of(["keys"])[0] == "Usage: plib-cache keys [OPTIONS] NAME [PATTERN]"
    assert help_of(["import"])[0] == "Usage: plib-cache import [OPTIONS] NAME [FILE]"
    assert "[PATTERN] Only keys" in rows_of(help_of(["keys"]), "Arguments")[1]


def test_commands_are_in_order() -> None:
    """First what a newcomer needs, last what destroys; each in one line, under its heading."""
    lines = help_of([])
    told = {
        heading: [row.split()[0] for row in rows_of(lines, heading)]
        for heading in ("This machine", "Look at caches", "Entries", "Whole caches")
    }
    assert told["This machine"] == ["demo", "doctor", "bench"]
    assert told["Look at caches"] == ["ls", "stat", "top", "watch", "check"]
    assert told["Whole caches"][-2:] == ["clear", "rm"]
    assert [name for names in told.values() for name in names] == list(COMMANDS)
    for name, command in COMMANDS.items():
        summary = (command.callback.__doc__ or "").partition(".")[0] + "."
        assert any(re.fullmatch(rf"  {name} +{re.escape(summary)}", line) for line in lines), name


def test_shells_are_told_whole_sentences() -> None:
    """Completion tells what a command does; typer would cut that at 45 characters."""
    for name, command in COMMANDS.items():
        assert command.get_short_help_str().endswith("."), name
        assert "..." not in command.get_short_help_str(45), name


def test_defaults_are_told() -> None:
    """Of options that have one; none where nothing is meant."""
    options = rows_of(help_of(["watch"]), "Options")
    assert "--interval SECONDS Time between two looks. [default: 1]" in options
    assert not any("default" in row for row in options if row.startswith("--count"))
