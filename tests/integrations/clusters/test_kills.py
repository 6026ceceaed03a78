# SPDX-License-Identifier: BSD-3-Clause
"""Workers and nannies that die by SIGKILL amid hand-overs: every computation ends, and is right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

HANGS = 1200 * float(os.environ.get("HANG_TIMES", "1"))  # seconds; only for what never ends

pytestmark = pytest.mark.timeout(HANGS + 60)


def run(name: str, *arguments: str) -> Any:
    """What one of the long programs beside this file found."""
    environment = {name: value for name, value in os.environ.items() if "SOAK" not in name}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(name)), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANGS,
        env=environment,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_storm_of_kills() -> None:
    """30 of them, at each moment of a hand-over; no page of the region is lost."""
    found = run("storm.py", "--kills", "30")
    assert found.pop("in time") >= 15
    assert found == {"kills": 30, "faults": [], "leased": 0, "used": 0}


def test_a_long_life_in_miniature() -> None:
    """After many graphs nothing has grown, and nothing is held."""
    found = run("life.py", "--graphs", "150")
    assert found["graphs"] == 150
