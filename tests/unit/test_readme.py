"""What the README and the documents show can be copied, and works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAPERS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    if "```python" in path.read_text(encoding="utf-8")
)
HANGS = 240  # seconds; only for what never ends


def blocks(paper: str) -> str:
    """All Python blocks of a document as one program, each at its own line."""
    text = (ROOT / paper).read_text(encoding="utf-8")
    program, at = [""] * text.count("\n"), 0
    for block in re.finditer(r"^```python\n(.*?)^```$", text, flags=re.M | re.S):
        at = text.count("\n", 0, block.start(1))
        for n, line in enumerate(block.group(1).splitlines()):
            program[at + n] = line
    return "\n".join(program) + "\n"


@pytest.mark.parametrize("paper", PAPERS)
def test_python_blocks_run(paper: str, tmp_path: Path) -> None:
    """The Python blocks of a document, one behind the other, are a program that runs."""
    program = tmp_path / "program.py"  # not joblib.py, which would be imported
    program.write_text(blocks(paper), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, program.name],
        cwd=tmp_path,
        env={**os.environ, "PLIB_CACHE_DIR": str(tmp_path / "regions")},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr


def test_what_is_installed_can_be() -> None:
    """Each extra that a paper or a message names exists.  Papers take them from a clone, for there
    is no other place, and where they show the other form they say so."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = re.search(r"\[project.optional-dependencies\]\n(.*?)\n\[", text, re.S)
    assert extras is not None
    known = set(re.findall(r"^(\w+) = \[", extras[1], re.M))
    papers = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    code = [path for of in ("plib_cache", "integrations") for path in (ROOT / of).rglob("*.py")]
    named = set()
    for path in papers + code:
        for place, names in re.findall(r"'(\.|plib-cache)\[([a-z,]+)\]'", path.read_text()):
            named |= set(names.split(","))
            if path in papers and place != ".":
                assert "in no package index" in path.read_text(), path.name
    assert named >= {"joblib", "dask", "redis"}
    assert named <= known


def test_links_lead_somewhere() -> None:
    """Each relative link of the README and the documents names a file that is there."""
    broken = []
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            if not (path.parent / target).exists():
                broken.append(f"{path.name}: {target}")
    assert not broken
