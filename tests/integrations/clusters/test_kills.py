# SPDX-License-Identifier: BSD-3-Clause
"""Workers and nannies that die by SIGKILL amid hand-overs: every computation ends, and is right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed")

HANGS = 1200 * float(os.environ.get("HANG_TIMES", "1"))  # seconds; only for what never ends
STORM = Path(__file__).with_name("storm.py")


@pytest.mark.timeout(HANGS + 60)
def test_a_storm_of_kills() -> None:
    """30 of them, at each moment of a hand-over; no page of the region is lost."""
    environment = {name: value for name, value in os.environ.items() if "SOAK" not in name}
    done = subprocess.run(
        [sys.executable, str(STORM), "--kills", "30"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANGS,
        env=environment,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("in time") >= 15, done.stdout
    assert found == {"kills": 30, "faults": [], "leased": 0, "used": 0}
