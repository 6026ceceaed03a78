# SPDX-License-Identifier: BSD-3-Clause
"""The machines that a model's threads run on: which answers an access may have, and what is then.

``sc``    every access at once, in the order of the program.
``tso``   x86: stores wait in the thread's queue and leave it in order; locked instructions and full
          fences wait until it is empty.
``weak``  weak.py: C11, and with it arm64.

A state is a tuple.  ``step(state, t, op)`` yields (answer, next state) for each way the access can
go; none: the thread has to wait.  ``drift(state)`` yields what happens by itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from .words import Op

State = tuple[Any, ...]
Steps = Iterator[tuple[Any, State]]


def put(values: State, i: int, to: Any) -> State:
    """The tuple with another value at a place."""
    return (*values[:i], to, *values[i + 1 :])


class Strong:
    """Sequential consistency."""

    name = "sc"

    def __init__(self, memory: dict[str, Hashable], threads: int) -> None:
        self.place = {name: i for i, name in enumerate(memory)}
        self.initial = tuple(memory.values())
        self.threads = threads

    def start(self) -> State:
        return self.initial

    def final(self, state: State) -> State:
        """The words' values, when everything has arrived."""
        return state

    def drift(self, state: State) -> Iterator[State]:
        return iter(())

    def settled(self, state: State, t: int) -> bool:
        """Has everything that the thread stored arrived?"""
        return True

    def ended(self, state: State, t: int, known: bool = False) -> State:
        """The thread does nothing more, or nothing yet; known: others may be told what it saw."""
        return state

    def begun(self, state: State, t: int) -> State:
        """The thread begins, when all others are at rest and everything has arrived."""
        return state

    def told(self, state: State, t: int, other: int) -> State:
        """Thread t knows all that the other, which was killed, has seen and stored."""
        return state

    def step(self, state: State, t: int, op: Op) -> Steps:
        if op.kind in ("fence", "membarrier"):
            yield None, state
        elif op.kind == "value":
            yield op.value, state
        else:
            i = self.place[op.at]
            yield from self._access(state, i, state[i], op)

    def _access(self, state: State, i: int, now: Any, op: Op) -> Steps:
        if op.kind in ("load", "later"):
            yield now, state
        elif op.kind == "store":
            yield None, put(state, i, op.to)
        elif op.kind == "add":
            yield now, put(state, i, now + op.value)
        elif now == op.value:
            yield True, put(state, i, op.to)
        else:
            yield False, state


class Buffered(Strong):
    """x86: the state is (words, a queue of stores for each thread)."""

    name = "tso"

    def start(self) -> State:
        return self.initial, ((),) * self.threads

    def final(self, state: State) -> State:
        words: State = state[0]
        return words

    def drift(self, state: State) -> Iterator[State]:
        words, queues = state
        for t, queue in enumerate(queues):
            if queue:
                (i, to), *rest = queue
                yield put(words, i, to), put(queues, t, tuple(rest))

    def settled(self, state: State, t: int) -> bool:
        return not state[1][t]

    def step(self, state: State, t: int, op: Op) -> Steps:
        words, queues = state
        if op.kind == "value":
            yield op.value, state
        elif op.kind == "membarrier":
            if not any(queues):
                yield None, state
        elif op.kind == "fence":
            if not queues[t] or not (op.acquire and op.release):
                yield None, state
        elif op.kind == "store":
            yield None, (words, put(queues, t, (*queues[t], (self.place[op.at], op.to))))
        elif op.kind in ("load", "later"):
            i = self.place[op.at]
            own = [to for j, to in queues[t] if j == i]
            yield own[-1] if own else words[i], state
        elif not queues[t]:
            i = self.place[op.at]
            for answer, after in self._access(words, i, words[i], op):
                yield answer, (after, queues)
