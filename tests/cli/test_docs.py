# SPDX-License-Identifier: BSD-3-Clause
"""What docs/cli.md shows is what happens: its sessions run, its tables name what there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import typer.main

from plib_cache.cli import app

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "docs" / "cli.md"
COMMANDS = ROOT / "plib_cache" / "cli"
HANGS = 240  # seconds; only for what never ends


def sessions() -> list[tuple[str, str]]:
    """Each command of the document's sessions, and what it is to print."""
    text = PAPER.read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```$", text, flags=re.M | re.S)
    found = []
    for block in blocks:
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def matches(shown: str, pattern: str) -> bool:
    """Whether an output is as the document says; ... stands for anything, also for lines."""
    pieces = [re.escape(piece) for piece in re.split(r"\.\.\.", pattern)]
    return re.fullmatch(".*?".join(pieces), shown, flags=re.S) is not None


def test_sessions_run(tmp_path: Path) -> None:
    """Each command of the document, one after the other, prints what the document shows."""
    found = sessions()
    assert len(found) > 20
    (tmp_path / "regions").mkdir(mode=0o700)
    folder = str(Path(sys.executable).parent)
    environment = {
        **os.environ, "PLIB_CACHE_DIR": str(tmp_path / "regions"), "COLUMNS": "100",
        "PATH": folder + os.pathsep + os.environ["PATH"],
    }  # fmt: skip
    for command, wanted in found:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True,
            text=True, timeout=HANGS,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert matches(done.stdout, wanted), f"{command}\n{done.stdout}\nis not\n{wanted}"


def test_every_command_is_told_of() -> None:
    """The table has each command, and the JSON of each is shown by an example."""
    text = PAPER.read_text(encoding="utf-8")
    commands = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert {"top", "watch", "export", "import", "bench", "keys"} <= set(commands)
    examples = {command.split()[1] for command, _ in sessions() if "--json" in command}
    for name in commands:
        assert f"| `plib-cache {name}" in text, name
        assert name in examples or name in ("demo", "serve"), name


def test_every_exit_code_is_told_of() -> None:
    """The codes in the sources are those in the table."""
    table = PAPER.read_text(encoding="utf-8").partition("## Exit codes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([\d, ]+) \|", table, flags=re.M)
    told = {int(code) for row in rows for code in row.split(",")}
    used = set()
    for path in COMMANDS.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        used |= {int(code) for code in re.findall(r"\bfail\(.*?(?:code=|, )(\d)\)", source)}
    assert used >= {1, 2, 3}
    assert used | {0, 130, 143} == told
