# SPDX-License-Identifier: BSD-3-Clause
"""Runs the long forms of the tests, and renews the table in docs/reliability.md.

    python tests/soak/run.py              all of them
    python tests/soak/run.py kills fuzz   some

What runs: every native test that writes a row (it calls ``soak_line``), the fuzzer, the models,
workers of dask that are killed, and that live long; spoilt lines of memcached's protocol.
All run even if one fails; a failed one is in the table with its seed.  ``ROUNDS`` is percent of
each, ``JOBS`` how many run side by side, ``PAGE`` the page whose table is renewed (when everything
runs whole docs/reliability.md, otherwise a copy in build/soak).  What each printed is there too.

Exit status 1 when one failed or could not be run, 2 when a name is unknown.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "tests" / "native"
WORK = ROOT / "build" / "soak"
PROGRAMS = ROOT / "build" / "native" / "plain"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- make soak: begin -->", "<!-- make soak: end -->"

ALONE = ("storm", "lost", "kills", "holders", "takeover")
"""Of several processes each, or timed to the millisecond: nothing runs beside them."""
LIMIT_S = 4 * 3600  # for what hangs; each test has shorter ones of its own
TOLD_EVERY_S = 60


class Soak(NamedTuple):
    name: str
    command: list[str]
    only: str = ""
    """The part of the test that it is; empty: all of it."""

    @property
    def family(self) -> str:
        """The test's name."""
        return self.name.removesuffix(f"-{self.only}") if self.only else self.name


class Done(NamedTuple):
    soak: Soak
    rows: list[str]
    """``| what | figures | ok |``, as the test wrote them."""
    problem: str
    """Empty: all is well."""
    seconds: float


def operations() -> list[str]:
    """What somebody dies in: each takes minutes, and they may run side by side."""
    text = (NATIVE / "operations.c").read_text()
    rows = text.split("struct operation operations[] = {")[1].split("\n};")[0]
    return [*re.findall(r'^    \{"([a-z-]+)",', rows, flags=re.M), "deaths"]


def soaks() -> list[Soak]:
    """Everything that has a long form; those that want the machine for themselves come last."""
    writers = [path for path in sorted(NATIVE.glob("test_*.c")) if "soak_line(" in path.read_text()]
    found = []
    for path in writers:
        name, command = path.stem.removeprefix("test_"), [str(PROGRAMS / path.stem)]
        parts = operations() if name == "death" else []
        found += [Soak(f"{name}-{part}", command, part) for part in parts] or [Soak(name, command)]
    found.append(Soak("fuzz", [str(ROOT / "tests" / "fuzz" / "run")]))
    clusters = ROOT / "tests" / "integrations" / "clusters"
    found.append(Soak("dask-kills", [sys.executable, str(clusters / "storm.py")]))
    found.append(Soak("dask-life", [sys.executable, str(clusters / "life.py")]))
    found.append(Soak("serve", [sys.executable, str(Path(__file__).parent / "serve.py")]))
    found.append(Soak("models", [sys.executable, str(Path(__file__).parent / "protocol.py")]))
    return sorted(found, key=lambda soak: (soak.name in ALONE, soak.name))


def build(chosen: Sequence[Soak]) -> None:
    """The native programs, as they are released: optimised, without sanitizers."""
    names = {soak.command[0] for soak in chosen if str(PROGRAMS) in soak.command[0]}
    programs = sorted(Path(name).name for name in names)
    make = [
        "make",
        "-s",
        "-C",
        str(ROOT / "native"),
        f"-j{os.environ.get('JOBS', '2')}",
        "programs",
    ]
    subprocess.run([*make, "VARIANTS=plain", f"TESTS={' '.join(programs)}"], check=True)


def seed_of(log: str) -> str:
    """The seed that a native test prints first."""
    for line in log.splitlines():
        if line.startswith("seed "):
            return f"; SEED={line.split()[1]}"
    return ""


def problem_of(status: int | None, log: str, rows: list[str]) -> str:
    """What went wrong, in one line without the table's bars; empty: nothing."""
    if status == 0 and rows:
        return ""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    told = next((line for line in reversed(lines) if "failed" in line), lines[-1] if lines else "")
    how = (
        "hangs"
        if status is None
        else "not run here"
        if status in (0, 77)
        else f"ends with {status}"
    )
    return f"{how}: {told}{seed_of(log)}".replace("|", "/").replace(str(ROOT) + "/", "")


def run(soak: Soak) -> Done:
    """One of them; what it prints goes to a file, its rows to another."""
    table, log = WORK / f"{soak.name}.rows", WORK / f"{soak.name}.log"
    table.write_text("")
    environment = {**os.environ, "SOAK": "1", "SOAK_TABLE": str(table)}
    environment |= {"ONLY": soak.only} if soak.only else {}
    began, status = time.monotonic(), None
    with log.open("w") as out:
        try:
            status = subprocess.run(
                soak.command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT, timeout=LIMIT_S,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            pass
    rows = table.read_text().splitlines()
    problem = problem_of(status, log.read_text(errors="replace"), rows)
    return Done(soak, rows, problem, time.monotonic() - began)


class Progress:
    """Tells what runs, what has ended, and now and then what still runs."""

    def __init__(self) -> None:
        self._running: dict[str, float] = {}
        self._over = threading.Event()
        threading.Thread(target=self._tell, daemon=True).start()

    def _tell(self) -> None:
        while not self._over.wait(TOLD_EVERY_S):
            now = time.monotonic()
            since = [f"{name} {now - began:.0f} s" for name, began in list(self._running.items())]
            print("soak    running ", ", ".join(since), flush=True)

    def run(self, soak: Soak) -> Done:
        """``run``, and tell of it."""
        print(f"soak    begins   {soak.name}", flush=True)
        self._running[soak.name] = time.monotonic()
        done = run(soak)
        del self._running[soak.name]
        state = "FAILED " if done.problem else "ok     "
        print(f"soak    {state}  {done.seconds:6.0f} s  {soak.name}  {done.problem}", flush=True)
        for row in done.rows:
            print(f"        {row}", flush=True)
        return done

    def end(self) -> None:
        self._over.set()


def run_all(chosen: Sequence[Soak], jobs: int) -> list[Done]:
    """Side by side those that may, one behind another the rest."""
    progress = Progress()
    together = [soak for soak in chosen if soak.name not in ALONE]
    with ThreadPoolExecutor(jobs) as pool:
        done = list(pool.map(progress.run, together))
    done += [progress.run(soak) for soak in chosen if soak.name in ALONE]
    progress.end()
    return done


def machine() -> str:
    """Processor and kernel; no names."""
    told = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in told if line.startswith("model name")]
    processor = models[0] if models else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = platform.release().split("-")[0]
    return f"{len(os.sched_getaffinity(0))} x {processor}, {memory:.0f} GiB, Linux {kernel}"


def length(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def table(done: Sequence[Done], command: str, seconds: float) -> str:
    """The table in Markdown, with what was run where, when and for how long."""
    lines = [
        f"`{command}`, {datetime.now(timezone.utc):%Y-%m-%d}, {length(seconds)}, on {machine()}:",
        "",
        "| what | figures | time | result |",
        "|---|---|---|---|",
    ]
    for one in sorted(done, key=lambda one: one.soak.name):
        for row in one.rows:
            what, figures, result = (cell.strip() for cell in row.strip("| ").split("|"))
            lines.append(f"| {what} | {figures} | {length(one.seconds)} | {result} |")
        if one.problem:
            cells = f"{one.soak.name} | {one.problem} | {length(one.seconds)}"
            lines.append(f"| {cells} | **FAILED** |")
    return "\n".join(lines)


def renewed(page: str, text: str) -> str:
    """The page with another table; its words stay."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}"


def choose(names: Sequence[str]) -> list[Soak]:
    """Those that are named, or all; a name that is unknown ends the program."""
    known = soaks()
    unknown = set(names) - {name for soak in known for name in (soak.name, soak.family)}
    if unknown:
        print(f"no such soak: {', '.join(sorted(unknown))}; there are:", file=sys.stderr)
        print(*(soak.name for soak in known), file=sys.stderr)
        sys.exit(2)
    return [soak for soak in known if not names or {soak.name, soak.family} & set(names)]


def main() -> int:
    names = sys.argv[1:]
    chosen = choose(names)
    WORK.mkdir(parents=True, exist_ok=True)
    build(chosen)
    rounds = os.environ.get("ROUNDS", "100")
    whole = not names and rounds == "100"
    page = Path(os.environ.get("PAGE") or (PAGE if whole else WORK / PAGE.name))
    began = time.monotonic()
    done = run_all(chosen, int(os.environ.get("JOBS", "2")))
    command = "make soak" + ("" if rounds == "100" else f" ROUNDS={rounds}")
    command += f" SOAK_ONLY={shlex.quote(' '.join(names))}" if names else ""
    text = table(done, command, time.monotonic() - began)
    page.write_text(renewed(PAGE.read_text(), text))
    failed = [one.soak.name for one in done if one.problem]
    print(f"\n{text}\n\nwritten: {page}")
    if failed:
        print(f"FAILED: {', '.join(failed)}; what they printed is in {WORK}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
