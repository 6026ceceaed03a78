# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache demo``, in its quick form."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plib_cache.cli.demo import report
from plib_cache.cli.demo.crew import Event, Run
from plib_cache.cli.demo.parts import PARTS, Outcome

for needed in ("sklearn", "joblib", "distributed"):
    pytest.importorskip(needed)

HANGS = 280  # seconds; only for what never ends


def leftovers() -> set[Path]:
    """The folders of demos."""
    return {
        *Path("/dev/shm").glob("plib-cache-demo-*"),
        *Path(os.environ.get("TMPDIR", "/tmp")).glob("plib-cache-demo-*"),
    }


def test_demo_shows_what_it_promises(tmp_path: Path) -> None:
    """All checks of the demo hold, a process is killed in it, and nothing is left behind."""
    before = leftovers()
    done = subprocess.run(
        [sys.executable, "-m", "plib_cache", "demo", "--quick"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert done.stdout.count("  ok  ") == 6
    assert "SIGKILL" in done.stdout
    assert not list(tmp_path.iterdir())
    made = {path for path in leftovers() - before if path.name in done.stdout}
    assert not made


def test_demo_says_what_is_missing(tmp_path: Path) -> None:
    """Without scikit-learn the demo ends with 2 and the command that installs it."""
    hide = "import sys; sys.modules['sklearn'] = None\n"
    program = hide + (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'sklearn' else find(name, *rest)\n"
        "sys.argv = ['plib-cache', 'demo']\n"
        "from plib_cache.cli import main; main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=HANGS
    )
    assert done.returncode == 2
    assert "pip install" in done.stderr


def task(name: str, *, computed: bool, value: float = 0.5, pid: int = 1) -> Event:
    """What a process of the demo says of a task."""
    made = [f"fit: {name}"] if computed else []
    return {"task": name, "pid": pid, "value": value, "computed": made, "seconds": 1.0}


def outcome() -> Outcome:
    """What should come out of the first part: two tasks that two processes asked for."""
    both = ["a", "b", "a", "b"]
    return Outcome(
        PARTS[0],
        plain=Run(2.0, [task(name, computed=True) for name in both]),
        shared=Run(
            1.0, [task(name, computed=n < 2) for n, name in enumerate(both)], {"pid": 9, "what": ""}
        ),
        again=Run(0.1, [task(name, computed=False) for name in both]),
        hits=6,
    )


def failed(result: Outcome) -> list[str]:
    """The checks that do not hold."""
    return [text for text, holds in report._checks([result]) if not holds]


def test_demo_notices_what_goes_wrong() -> None:
    """Each check of the demo fails when what it checks is not so."""
    assert failed(outcome()) == []
    assert outcome().saved_seconds == 2.0

    other = outcome()
    other.again.tasks[0] = task("a", computed=False, value=0.6)
    assert failed(other) == ["every result is the same, in all runs and all processes"]

    unfinished = outcome()
    del unfinished.again.tasks[0]
    assert failed(unfinished) == ["every search was finished, but that of the killed process"]

    alone = outcome()
    alone.shared.tasks = alone.plain.tasks
    assert failed(alone) == [
        "with plib_cache less was computed than without",
        "nothing was computed twice",
    ]

    immortal = outcome()
    immortal.shared.killed = None
    assert failed(immortal) == ["a process was killed, and the others did its work"]

    forgetful = outcome()
    forgetful.again.tasks[0] = task("a", computed=True)
    assert failed(forgetful) == ["new processes computed nothing"]
