# SPDX-License-Identifier: BSD-3-Clause
"""Another process holds a shard's lock: it is stopped there, or killed with much memory touched."""

from __future__ import annotations

from benchmarks.bench import MIB, Bench
from benchmarks.figures import Goal, Line, Spread, compared
from benchmarks.programs import MissingError, Program
from benchmarks.turns import take_turns

KEYS = 1000
UNDISTURBED = "nobody stopped"
TOUCHED = 4096 * MIB
TAKEOVERS = 9
TOUCHED_LEAST = 256 * MIB  # with less it is gone before it is missed


def stopped(bench: Bench, work: str) -> list[Line]:
    """The time that 99 of 100 gets keep to, with and without a stopped holder of a lock."""
    count = bench.scaled(20_000, 1000)
    with Program("holder", bench.fresh("region"), 64 * MIB, bench.core) as program:
        program.ask("fill", KEYS)

        def beside_it() -> float:
            program.ask("hold", 0)
            spent = program.ask("gets", count, KEYS)[1]
            program.ask("kill")
            return spent

        samples = take_turns(
            {"ours": beside_it, UNDISTURBED: lambda: program.ask("gets", count, KEYS)[1]},
            bench.rounds,
        )
    line = compared(work, UNDISTURBED, samples["ours"], samples[UNDISTURBED],
                    direction="ours / theirs", goal=Goal(most=3))  # fmt: skip
    line.facts.append("each get is timed alone, which adds what two looks at the clock take")
    return [line]


def takeover(bench: Bench, work: str) -> list[Line]:
    """How long a set waits that needs the lock of a process that was killed this moment."""
    touched, short = bench.scaled(TOUCHED, TOUCHED_LEAST), ""
    while touched >= TOUCHED_LEAST:
        try:
            bench.room(touched + touched // 2)
            break
        except MissingError as error:
            touched, short = touched // 2, str(error)
    else:
        raise MissingError(short)
    with Program("holder", bench.fresh("region"), 64 * MIB) as program:
        spent, dying = [], 0
        for _ in range(min(TAKEOVERS, bench.rounds)):
            program.ask("hold", touched)
            nanoseconds, byte = program.ask("kill")
            spent.append(nanoseconds / 1e6)
            dying += int(byte)
    line = Line(work, unit="ms", ours=Spread.of(spent), goal=Goal(most=50, unit="ms"))
    line.facts.append(
        f"{touched / 2**30:.3g} GiB were mapped and touched; the slowest of {len(spent)} took "
        f"{max(spent):.3g} ms; {dying} times the kernel still held the dead one's record lock then"
    )
    if short:
        line.facts.append(f"not 4 GiB: {short}")
    return [line]
