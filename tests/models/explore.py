# SPDX-License-Identifier: BSD-3-Clause
"""Runs a model in every possible way.

A program is a few threads (words.py) on a machine (machines.py, weak.py).  ``explore`` takes every
order of their accesses, every answer that the machine allows, and, where the program says so,
kills a thread behind each of its stores.  A stop needs no step of its own: a thread that is not
chosen for a while is stopped.  What a thread notes or sees of the model's own words happens
together with its access before.

A thread's place is its line and its locals, so runs that come to the same place with the same
memory are one, and a loop that waits has an end.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from types import GeneratorType
from typing import Any, NamedTuple

from .machines import Buffered, State, Strong, put
from .weak import Weak
from .words import Broken, Op, Thread

MACHINES: dict[str, type[Strong]] = {machine.name: machine for machine in (Strong, Buffered, Weak)}


class Program(NamedTuple):
    """A model, ready to run."""

    words: dict[str, Hashable]
    threads: Mapping[str, Callable[[], Thread]]
    """Their results: what they return, or None when they were killed."""
    promise: Callable[[dict[str, Any], dict[str, Any]], str | None] = lambda words, results: None
    """Asked when all have ended, with the words and the results: what is broken, or None."""
    notes: dict[str, Hashable] = {}  # noqa: RUF012  (nobody changes it)
    """Words of the model's own; the promise finds them beside the others."""
    killed: tuple[str, ...] = ()
    """Who may be killed,"""
    kills: int = 1
    """and how many of them."""
    last: str = ""
    """A thread that begins when all others have ended and everything they stored has arrived."""


class Explored(NamedTuple):
    states: int
    broken: str | None
    path: list[str]
    """How it came to that: what each thread did."""


class Node:
    """A place in a thread."""

    __slots__ = ("broken", "history", "next", "op", "result", "stored")

    def __init__(self, history: tuple[Any, ...], stored: bool) -> None:
        self.history = history
        self.stored = stored
        self.op: Op | None = None
        self.result: Any = None
        self.broken: str | None = None
        self.next: dict[Any, Node] = {}


KILLED = Node((), False)
UNBORN = Node((), False)


def place(thread: Thread) -> tuple[Any, ...]:
    """Where a generator is: code, line and locals of it and of those that it yields from."""
    parts: list[Any] = []
    at: Any = thread
    while isinstance(at, GeneratorType) and at.gi_frame is not None:
        parts.append((at.gi_code, at.gi_frame.f_lasti, tuple(sorted(at.gi_frame.f_locals.items()))))
        at = at.gi_yieldfrom
    return tuple(parts)


class Runner:
    """One thread's places, found by running it again from its beginning."""

    def __init__(self, name: str, make: Callable[[], Thread]) -> None:
        self.name = name
        self.make = make
        self.nodes: dict[tuple[Any, ...], Node] = {}
        self.first = self._run((), stored=False)

    def advance(self, node: Node, answer: Any) -> Node:
        if answer not in node.next:
            assert node.op is not None
            with_it = node.op.kind in ("note", "see") or (
                node.op.kind == "fence" and node.op.acquire != node.op.release
            )
            stored = node.stored if with_it else node.op.kind in ("store", "swap", "add")
            node.next[answer] = self._run((*node.history, answer), stored)
        return node.next[answer]

    def _run(self, history: tuple[Any, ...], stored: bool) -> Node:
        thread = self.make()
        node = Node(history, stored)
        try:
            node.op = next(thread)
            for answer in history:
                node.op = thread.send(answer)
        except StopIteration as end:
            node.op, node.result = None, end.value
            return self.nodes.setdefault(("ended", stored, end.value), node)
        except Broken as broken:
            node.op, node.broken = None, f"{self.name}: {broken}"
            return node
        return self.nodes.setdefault((stored, place(thread)), node)


class Explorer:
    def __init__(self, program: Program, machine: str) -> None:
        self.program = program
        self.runners = [Runner(name, make) for name, make in program.threads.items()]
        self.names = list(program.threads)
        self.machine = MACHINES[machine](program.words, len(self.names))
        self.notes = {name: i for i, name in enumerate(program.notes)}

    def start(self) -> State:
        nodes = tuple(
            UNBORN if name == self.program.last else r.first
            for name, r in zip(self.names, self.runners, strict=True)
        )
        machine = self.machine.start()
        if self.program.last:
            machine = self.machine.ended(machine, self.names.index(self.program.last))
        state = (nodes, machine, tuple(self.program.notes.values()), self.program.kills)
        for t, node in enumerate(nodes):
            state = self._settle(state, t) if node is not UNBORN else state
        return state

    def _settle(self, state: State, t: int) -> State:
        """What goes together with the access before: notes, and fences that concern nobody else."""
        nodes, machine, notes, kills = state
        node = nodes[t]
        while node.op is not None:
            op = node.op
            if op.kind == "note":
                notes, answer = put(notes, self.notes[op.at], op.to), None
            elif op.kind == "see":
                answer = notes[self.notes[op.at]]
            elif op.kind == "fence" and not (op.acquire and op.release):
                after = list(self.machine.step(machine, t, op))
                if not after:
                    break
                answer, machine = after[0]
            else:
                break
            node = self.runners[t].advance(node, answer)
        if node.op is None and node.broken is None:
            machine = self.machine.ended(machine, t)
        return put(nodes, t, node), machine, notes, kills

    def following(self, state: State) -> Iterator[tuple[str, State]]:
        nodes, machine, notes, kills = state
        for after in self.machine.drift(machine):
            yield "something arrives", (nodes, after, notes, kills)
        for t, node in enumerate(nodes):
            if node.op is None:
                continue
            for answer, after in self._answers(state, t, node.op):
                went = put(nodes, t, self.runners[t].advance(node, answer))
                yield (
                    f"{self.names[t]}: {told(node.op)} -> {answer}",
                    self._settle((went, after, notes, kills), t),
                )
            if kills and node.stored and self.names[t] in self.program.killed:
                after = self.machine.ended(machine, t, known=True)
                yield f"{self.names[t]} is killed", (put(nodes, t, KILLED), after, notes, kills - 1)

    def _answers(self, state: State, t: int, op: Op) -> Iterator[tuple[Any, State]]:
        if op.kind != "gone":
            return self.machine.step(state[1], t, op)
        other = (
            self.names.index(op.at) if op.at in self.names else -1
        )  # others live, and do nothing more
        if other < 0 or state[0][other] is not KILLED:
            return iter([(False, state[1])])
        if not op.acquire:
            return iter([(True, state[1])])
        if not self.machine.settled(state[1], other):
            return iter([])
        return iter([(True, self.machine.told(state[1], t, other))])

    def rested(self, state: State) -> State | str | None:
        """All have ended: the state in which the last one begins, or what is broken."""
        nodes, machine, notes, _ = state
        if any(node.op is not None for node in nodes):
            return "nobody can go on"
        if UNBORN in nodes:
            t = nodes.index(UNBORN)
            machine = self.machine.begun(machine, t)
            return self._settle((put(nodes, t, self.runners[t].first), machine, notes, 0), t)
        words = dict(zip(self.program.words, self.machine.final(machine), strict=True))
        words |= dict(zip(self.program.notes, notes, strict=True))
        return self.program.promise(
            words, {n: node.result for n, node in zip(self.names, nodes, strict=True)}
        )

    def run(self, most: int) -> Explored:
        start = self.start()
        seen = {start}
        stack = [("", iter(list(self.following(start))))]
        while stack:
            step = next(stack[-1][1], None)
            if step is None:
                stack.pop()
                continue
            label, state = step
            if state in seen:
                continue
            seen.add(state)
            assert len(seen) <= most, f"more than {most} states"
            broken: Any = next((node.broken for node in state[0] if node.broken), None)
            after = [] if broken else list(self.following(state))
            if not after and not broken:
                broken = self.rested(state)
                if isinstance(broken, tuple):
                    after, broken = [("the last one begins", broken)], None
            if broken:
                return Explored(len(seen), broken, [label for label, _ in stack[1:]] + [label])
            stack.append((label, iter(after)))
        return Explored(len(seen), None, [])


def told(op: Op) -> str:
    order = {
        (False, False): "",
        (True, False): ".acq",
        (False, True): ".rel",
        (True, True): ".full",
    }
    words = [str(x) for x in (op.at, op.value, op.to) if x not in (None, "")]
    return f"{op.kind}{order[op.acquire, op.release]} {' '.join(words)}"


def explore(program: Program, machine: str, most: int = 2_000_000) -> Explored:
    """Every run of the program; or those up to the first that breaks a promise."""
    return Explorer(program, machine).run(most)
