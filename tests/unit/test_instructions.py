# SPDX-License-Identifier: BSD-3-Clause
"""What instructions and memory are spent on: the map and the parts agree with the core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import overhead
from benchmarks.instruction_rows import NAMED, lines_of
from benchmarks.programs import build

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "instructions"
SOURCES = ROOT / "native" / "src"


def said(program: str, *arguments: str) -> str:
    """What a program that uses tests/instructions prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=HERE, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_what_the_map_names_is_there() -> None:
    """A name that no function has any more would say nothing, and nobody would see it."""
    program = """
import groups, sys
from pathlib import Path
src = Path(sys.argv[1])
files = [*src.glob("*.[ch]")]
there = {name for path in files for _first, _last, name in groups.functions(path)}
print(*(set(groups.FILES) - {path.name for path in files}), *(set(groups.FUNCTIONS) - there))
"""
    assert said(program, str(SOURCES)) == ""


def test_what_has_no_group_is_an_error(tmp_path: Path) -> None:
    strange = tmp_path / "strange.c"
    strange.write_text("static int f(int x) {\n    return x;\n}\n", encoding="utf-8")
    program = """
import groups, sys
from pathlib import Path
try:
    print(groups.group_of(Path(sys.argv[1]), 2))
except groups.UngroupedError as error:
    print(error)
"""
    assert said(program, str(strange)).startswith("strange.c:2 (f) runs in a hot operation")


def test_a_line_belongs_to_the_function_around_it() -> None:
    """An inlined function of a header, one with attributes over two lines, a macro's line."""
    text = (SOURCES / "index.h").read_text(encoding="utf-8").splitlines()
    line = 1 + next(i for i, each in enumerate(text) if "hash_mix(h)" in each)
    program = """
import groups, sys
from pathlib import Path
path = Path(sys.argv[1])
print(groups.function_at(path, int(sys.argv[2])), groups.group_of(path, int(sys.argv[2])))
"""
    found = said(program, str(SOURCES / "index.h"), str(line))
    assert found == "index_place buckets and slots"


@pytest.mark.parametrize("code", ["\tdiv    %r8", "\tidivl 0x8(%rax)", "\tudiv x0, x1, x2"])
def test_divisions_are_seen(code: str) -> None:
    program = """
import hot, sys
print(bool(hot.DIVIDES.search(f" {sys.argv[1].strip()} ")))
print(bool(hot.DIVIDES.search(" add %rax,%rbx ")))
"""
    assert said(program, code).split() == ["True", "False"]


def test_lines_of_the_report() -> None:
    counted = json.loads('{"get_hit": {"keyed hash": 130.0, "pin": 0.5}}')
    (line,) = lines_of("w", counted)
    assert line.work == f"w: {NAMED['get_hit']}"
    assert line.judged == 130.5
    assert line.facts == ["keyed hash 130, pin 0"]


def test_overhead_is_all_of_the_memory() -> None:
    """What the program tells of is divided by the entries; key and value are no overhead."""
    said = {"entries": 10, "memory": 1800, "payload": 1160, "header": 400, "tables": 240}
    line = overhead.line_of("w", said)
    assert (line.judged, line.state) == (64.0, "not met")
    assert line.facts == ["10 entries; of each: header 40.0, tables 24.0"]


def test_overhead_of_a_small_region(tmp_path: Path) -> None:
    """The parts that the program tells are the whole file, and the header is layout.h's."""
    environment = {**os.environ, "PLIB_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [build("overhead"), "8", "100", "160"],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    said = json.loads(done.stdout)
    parts = sum(n for name, n in said.items() if name not in ("entries", "memory"))
    assert parts == said["memory"]
    assert said["entries"] > 10_000
    assert min(said.values()) >= 0
