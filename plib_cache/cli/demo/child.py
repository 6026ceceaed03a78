# SPDX-License-Identifier: BSD-3-Clause
"""What the processes of the demo say to the one that started them: lines of JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Event = dict[str, Any]


def options() -> argparse.Namespace:
    """What the starting process says about this one's part."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--search", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--victim", action="store_true")
    parser.add_argument("--folder", default="")
    return parser.parse_args()


def emit(event: Event) -> None:
    """Tell the starting process."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def serve(ways: Mapping[str, Callable[[], Iterable[Event]]]) -> None:
    """Do one search in each way that the starting process asks for, until it closes the line."""
    emit({"event": "ready"})
    for line in sys.stdin:
        for event in ways[line.strip()]():
            emit(event)
        emit({"event": "end"})
