# SPDX-License-Identifier: BSD-3-Clause
"""A million spoilt lines of memcached's protocol beside a neighbour that is always answered right.

Writes a row; exit status 1 when something was answered wrong, or the process has grown.
"""

from __future__ import annotations

import gc
import os
import random
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from network.serve.fuzzing import fuzz

from plib_cache import Cache
from plib_cache.serve import Conversation, Counts, Limits, Store

LINES = 1_000_000
PARTS = 10  # what the first of them makes grow is not counted
GROWTH_KIB = 8 << 10


def memory() -> int:
    """This process's own memory, in KiB, without the region."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"^RssAnon:\s+(\d+)", status, re.M)[0])


def say(path: str, seed: int, lines: int) -> tuple[int, int]:
    """Say so many lines to a new region; how many connections it took, and KiB of growth."""
    begun, before, grown = 0, 0, 0
    with Cache(path=path, size="16MiB") as cache:
        store, counts = Store(cache), Counts()
        for part in range(PARTS):
            begun += fuzz(
                lambda: Conversation(store, Limits(), counts), seed + part, lines // PARTS
            )
            before = memory() if part == 0 else before
            grown = memory() - before
            print(f"{part + 1} of {PARTS}, {grown} KiB more", flush=True)
        assert cache.check() == []
    return begun, grown


def main() -> int:
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    lines = LINES * int(os.environ.get("ROUNDS") or 100) // 100
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="plc-test-serve-") as folder:
        begun, grown = say(f"{folder}/region", seed, lines)
    if grown > GROWTH_KIB:
        print(f"failed: {grown} KiB more")
        return 1
    figures = f"{lines:,} lines on {begun:,} connections"
    if table := os.environ.get("SOAK_TABLE"):
        with Path(table).open("a") as rows:
            rows.write(f"| memcached's protocol, spoilt | {figures} | ok |\n")
    print(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
