# SPDX-License-Identifier: BSD-3-Clause
"""The table of the paper that this cache follows, measured here, with the gate and without.

"Safe, Fast Sharing of memcached as a Protected Library" (ICPP 2020) made memcached a library whose
memory a protection key closes outside of calls.  A row measures one of its operations in one
interleaved run of C programs: level none, level pku where the machine has keys, and memcached over
a unix socket; what the paper's own machine took stands beside it.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from typing import NamedTuple

from benchmarks.bench import MIB, Bench, not_measured, tried
from benchmarks.figures import Line, Spread, compared
from benchmarks.native_hot import STARTS, prepared
from benchmarks.programs import BrokenError, MissingError, Program, build, undisturbed
from benchmarks.turns import started_often, take_turns

OPEN, GATED, MEMCACHED, LOOP = "without the gate", "with the gate", "libmemcached", "the loop alone"
VALUE, LARGE = 128, 5 * 1024
GATE = ("domain_key_open", "domain_key_close")
CALLS = 2  # of the two functions


class Says(NamedTuple):
    """What the paper's talk gives, in microseconds; "-" where it gives nothing."""

    memcached: str
    gated: str  # its library, protected
    open: str = "-"  # the same without protection


class Operation(NamedTuple):
    """One line of the table."""

    name: str
    work: str
    verb: str  # driver.c's name for it
    value: int
    says: Says


OPERATIONS = [
    Operation("paper-get-128", "get 128 B", "get", VALUE, Says("13 us", "0.67 us", "0.64 us")),
    Operation("paper-get-5k", "get 5 KB", "get", LARGE, Says("13 us", "0.67 us")),
    Operation("paper-miss", "get, absent", "miss", VALUE, Says("-", "-")),
    Operation("paper-set-128", "set 128 B", "set", VALUE, Says("13 us", "1.2 us")),
    Operation("paper-set-5k", "set 5 KB", "set", LARGE, Says("17 us", "1.5 us")),
    Operation("paper-delete", "delete", "delete", VALUE, Says("10 us", "0.21 us", "0.18 us")),
    Operation("paper-incr", "increment", "incr", VALUE, Says("54 us", "1.6 us")),
]


def gated(bench: Bench) -> Program:
    """The core at level pku; MissingError where the machine has no keys."""
    program = Program("ours-pku", bench.fresh("ours"), 64 * MIB, bench.core)
    try:
        program.ask("used")  # it is open when it answers
    except BrokenError as error:
        if "NO_PROTECTION" in str(error):
            raise MissingError("no keys: this machine offers no protection keys") from None
        raise
    return program


def paper(bench: Bench, operation: Operation, work: str) -> list[Line]:
    """One operation of the paper's table."""
    missing: dict[str, str] = {}
    left_out: list[float] = []
    samples = started_often(
        STARTS,
        bench.rounds,
        lambda rounds: started(bench, operation, rounds, missing, left_out),
    )
    lines = []
    if GATED in samples:
        lines.append(compared(work, OPEN, samples[GATED], samples[OPEN], direction="ours - theirs"))
    if MEMCACHED in samples:
        lines.append(compared(work, MEMCACHED, samples[OPEN], samples[MEMCACHED]))
    loop = Spread.of(samples[LOOP]).median
    for line in lines:
        line.facts.append(f"{loop:.1f} ns of every figure are the loop itself")
        line.facts.append(undisturbed(left_out))
    lines += not_measured(work, {OPEN: missing[GATED]} if GATED in missing else {})
    lines += not_measured(work, {MEMCACHED: missing[MEMCACHED]} if MEMCACHED in missing else {})
    for line in lines:
        line.paper = (operation.work, *operation.says)
        line.without = Spread.of(samples[OPEN])
    return lines


def started(
    bench: Bench,
    operation: Operation,
    rounds: int,
    missing: dict[str, str],
    left_out: list[float],
) -> dict[str, list[float]]:
    """Samples of programs that are started for them, and end."""
    with contextlib.ExitStack() as stack:

        def plain(name: str) -> Program:
            return stack.enter_context(Program(name, bench.fresh(name), 64 * MIB, bench.core))

        def server() -> Program:
            address = stack.enter_context(bench.memcached())
            return stack.enter_context(Program("memcached", address, 64 * MIB, bench.core))

        stores = {OPEN: plain("ours"), LOOP: plain("nothing")}
        if program := tried(GATED, lambda: stack.enter_context(gated(bench)), missing):
            stores[GATED] = program
        if program := tried(MEMCACHED, server, missing):
            stores[MEMCACHED] = program
        for program in stores.values():
            program.ask("value", operation.value)
        candidates = {
            name: prepared(bench, program, operation.verb) for name, program in stores.items()
        }
        samples = take_turns(candidates, rounds)
        left_out += stores[OPEN].left_out
    return samples


# ---- the gate in instructions --------------------------------------------------------------------


def gate(bench: Bench, work: str) -> list[Line]:
    """What a call executes more at level pku: the gate's two functions, by their machine code.

    They have one way through, which is counted to its end; valgrind cannot, since it shows no keys.
    """
    del bench
    counted = sum(straight(name) for name in GATE) + CALLS
    line = Line(work, unit="instructions", ours=Spread.of([counted]))
    line.facts.append(
        f"counted in the machine code of {' and '.join(GATE)}, and their calls; two of them write "
        "the register, which takes most of the time; at level none there are none of these"
    )
    return [line]


def straight(function: str) -> int:
    """The instructions from the beginning of a function of ours to its return."""
    if shutil.which("objdump") is None:
        raise MissingError("objdump is missing (Debian package binutils)")
    done = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", "--no-addresses", build("ours-pku")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return straight_in(done.stdout, function)


def straight_in(listing: str, function: str) -> int:
    """The same of objdump's text.

    MissingError if the function writes no register here, BrokenError if there are several ways
    through it: all its branches must lead to the trap.
    """
    found = re.search(
        rf"^<{function}(?!\.cold)[.\w]*>:\n(.*?)(?:\n\n|\Z)", listing, flags=re.M | re.S
    )
    if found is None:
        raise BrokenError(f"objdump shows no {function}")
    lines = [line.split() for line in found.group(1).splitlines() if line.strip()]
    if not any(words[0] == "wrpkru" for words in lines):
        raise MissingError("no keys: this processor's instructions have none")
    way = []
    for words in lines:
        way.append(words[0])
        if words[0] == "ret":
            break
    if [name for name in way if name.startswith("j")] != ["jne"] or way[-1] != "ret":
        raise BrokenError(f"{function} has several ways through: {' '.join(way)}")
    return len(way)
