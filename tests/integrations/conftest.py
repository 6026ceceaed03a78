# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the integrations share: programs in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HANGS = 240 * float(os.environ.get("HANG_TIMES", "1"))  # seconds; only for what never ends


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Any]:
    """``program(source, *arguments)`` runs a program and returns the JSON of its last line."""

    def run(source: str, *arguments: str, name: str = "program.py", **environment: str) -> Any:
        script = tmp_path / name
        script.write_text(source, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(script), *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=HANGS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


class Dialogue:
    """A process that evaluates one expression for each line that it is sent."""

    _LOOP = """
import json, sys
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
"""

    def __init__(self, script: Path, source: str) -> None:
        script.write_text(source + self._LOOP, encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=script.parent,
        )

    def __call__(self, expression: str) -> Any:
        """The value of the expression over there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(expression + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        assert self._process.wait(timeout=HANGS) == 0


@pytest.fixture
def dialogue(tmp_path: Path) -> Iterator[Callable[[str, str], Dialogue]]:
    """``dialogue(folder, source)`` starts a process that answers; see ``Dialogue``."""
    started: list[Dialogue] = []

    def start(folder: str, source: str) -> Dialogue:
        (tmp_path / folder).mkdir()
        started.append(Dialogue(tmp_path / folder / "same.py", source))
        return started[-1]

    yield start
    for one in started:
        one.close()
