# SPDX-License-Identifier: BSD-3-Clause
"""A machine about as weak as C11 allows, and thereby weaker than arm64.

A word has a history of stores, and a thread's *view* says for each word how much of it the thread
has seen; it may read any store that is not older.  A release store carries the view of who stored
it, an acquire load takes it over; a relaxed store carries the view of the last release fence, and
what relaxed loads met is taken over by the next acquire fence.  Full fences exchange views through
one that all of them share.  A store goes behind everything that its thread has seen, not
necessarily behind everything that there is; nothing comes between a compare-and-swap and what it
replaced.  A load by ``later`` is performed at any time before its value is looked at, or before
the next release store, swap, ordered add or fence: relaxed stores and adds may overtake it, as on
arm64.

What is not in it: a load by ``acq`` or ``rlx`` is not overtaken by stores behind it.  The core
looks at those values before it stores, and a store behind a branch waits for the load; only bytes
that are copied and looked at later can be overtaken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .machines import State, Steps, Strong, put
from .words import Op

View = tuple[int, ...]


class Store(NamedTuple):
    """One store in a word's history; swapped: nothing comes between it and the one before."""

    value: Any
    view: View
    swapped: bool = False


class Seen(NamedTuple):
    """A thread: its view, what an acquire fence adds, what a release fence fixed, pending loads."""

    now: View
    met: View
    fixed: View
    late: tuple[tuple[int, Any], ...] = ()  # (word, None) or (word, (value,)) once performed
    rests: bool = False  # it has ended, was killed, or has not begun: nothing is kept for it


def join(a: View, b: View) -> View:
    return a if a == b else tuple(map(max, a, b))


class Weak(Strong):
    """The state is (histories, a Seen for each thread, the view that full fences share)."""

    name = "weak"

    def start(self) -> State:
        zero = (0,) * len(self.initial)
        histories = tuple((Store(value, zero),) for value in self.initial)
        return histories, (Seen(zero, zero, zero),) * self.threads, zero

    def final(self, state: State) -> State:
        return tuple(history[-1].value for history in state[0])

    def settled(self, state: State, t: int) -> bool:
        return True

    def ended(self, state: State, t: int, known: bool = False) -> State:
        histories, threads, shared = state
        view = threads[t].met if known else (0,) * len(self.initial)
        return self._tidy(histories, put(threads, t, Seen(view, view, view, rests=True)), shared)

    def begun(self, state: State, t: int) -> State:
        histories, threads, shared = state
        top = tuple(len(history) - 1 for history in histories)
        return self._tidy(histories, put(threads, t, Seen(top, top, top)), shared)

    def told(self, state: State, t: int, other: int) -> State:
        histories, threads, shared = state
        return self._tidy(
            histories, put(threads, t, self._gain(threads[t], threads[other].met)), shared
        )

    def drift(self, state: State) -> Iterator[State]:
        histories, threads, shared = state
        for t, seen in enumerate(threads):
            for n, (i, done) in enumerate(seen.late):
                if done is None:
                    for p, after in self._loads(histories, seen, i, acquire=False):
                        late = put(seen.late, n, (i, (histories[i][p].value,)))
                        yield histories, put(threads, t, after._replace(late=late)), shared

    def step(self, state: State, t: int, op: Op) -> Steps:
        seen: Seen = state[1][t]
        pending = any(done is None for _, done in seen.late)
        if op.kind == "value":
            assert isinstance(op.value, int)
            done = seen.late[op.value][1]
            if done is not None:
                yield done[0], state
        elif op.kind == "later":
            late = (*seen.late, (self.place[op.at], None))
            yield len(late) - 1, (state[0], put(state[1], t, seen._replace(late=late)), state[2])
        elif op.kind == "membarrier":
            for each in (t, *range(self.threads), t):
                state = state if state[1][each].rests else self._fence(state, each)
            yield None, state
        elif pending and (op.kind != "load" or op.acquire):
            relaxed = op.kind in ("store", "add") and not (op.acquire or op.release)
            if relaxed and all(i != self.place[op.at] for i, _ in seen.late):
                yield from (self._store if op.kind == "store" else self._swap)(state, t, op)
        elif op.kind == "fence":
            yield (
                None,
                self._fence(state, t)
                if op.acquire and op.release
                else self._half_fence(state, t, op),
            )
        elif op.kind == "load":
            histories, threads, shared = state
            i = self.place[op.at]
            for p, after in self._loads(histories, seen, i, op.acquire):
                yield histories[i][p].value, self._tidy(histories, put(threads, t, after), shared)
        elif op.kind == "store":
            yield from self._store(state, t, op)
        else:
            yield from self._swap(state, t, op)

    # ---- the parts -------------------------------------------------------------------------------

    @staticmethod
    def _gain(seen: Seen, view: View) -> Seen:
        return seen._replace(now=join(seen.now, view), met=join(seen.met, view))

    def _loads(
        self, histories: State, seen: Seen, i: int, acquire: bool
    ) -> Iterator[tuple[int, Seen]]:
        for p in range(seen.now[i], len(histories[i])):
            after = seen
            if p != seen.now[i]:
                now = put(seen.now, i, p)
                after = seen._replace(now=now, met=join(seen.met, now))
            view = histories[i][p].view
            if acquire:
                after = self._gain(after, view)
            else:
                after = after._replace(met=join(after.met, view))
            yield p, after

    def _fence(self, state: State, t: int) -> State:
        histories, threads, shared = state
        view = join(threads[t].met, shared)
        return self._tidy(
            histories, put(threads, t, threads[t]._replace(now=view, met=view, fixed=view)), view
        )

    def _half_fence(self, state: State, t: int, op: Op) -> State:
        histories, threads, shared = state
        seen = threads[t]
        seen = seen._replace(now=seen.met) if op.acquire else seen._replace(fixed=seen.now)
        return self._tidy(histories, put(threads, t, seen), shared)

    def _store(self, state: State, t: int, op: Op) -> Steps:
        i = self.place[op.at]
        for p in range(state[1][t].now[i] + 1, len(state[0][i]) + 1):
            if p == len(state[0][i]) or not state[0][i][p].swapped:
                yield None, self._insert(state, t, i, p, op.to, op.release, None)

    def _swap(self, state: State, t: int, op: Op) -> Steps:
        histories, threads, shared = state
        i = self.place[op.at]
        for p, after in self._loads(histories, threads[t], i, op.acquire):
            now = histories[i][p].value
            free = p + 1 == len(histories[i]) or not histories[i][p + 1].swapped
            moved = (histories, put(threads, t, after), shared)
            if op.kind == "add":
                if free:
                    to = now + op.value
                    yield (
                        now,
                        self._insert(moved, t, i, p + 1, to, op.release, histories[i][p].view),
                    )
            elif now != op.value:
                yield False, self._tidy(*moved)
            elif free:
                yield (
                    True,
                    self._insert(moved, t, i, p + 1, op.to, op.release, histories[i][p].view),
                )

    def _insert(
        self, state: State, t: int, i: int, p: int, to: Any, release: bool, before: View | None
    ) -> State:
        """A store at place p of a history; before: the view of the store that a swap replaces."""
        histories, threads, shared = state
        if p < len(histories[i]):  # the later ones move on

            def moved(view: View) -> View:
                return put(view, i, view[i] + 1) if view[i] >= p else view

            histories = tuple(
                tuple(store._replace(view=moved(store.view)) for store in history)
                for history in histories
            )
            threads = tuple(
                seen._replace(now=moved(seen.now), met=moved(seen.met), fixed=moved(seen.fixed))
                for seen in threads
            )
            shared = moved(shared)
        seen = threads[t]
        now = put(seen.now, i, p)
        view = put(now if release else seen.fixed, i, p)
        view = view if before is None else join(view, before)
        store = Store(to, view, before is not None)
        histories = put(histories, i, (*histories[i][:p], store, *histories[i][p:]))
        seen = seen._replace(now=now, met=join(seen.met, now))
        return self._tidy(histories, put(threads, t, seen), shared)

    def _tidy(self, histories: State, threads: State, shared: View) -> State:
        """What nobody can read any more is forgotten, so that equal states are equal."""
        views = [seen.now for seen in threads if not seen.rests]
        least = (
            tuple(map(min, zip(*views, strict=True)))
            if views
            else tuple(len(h) - 1 for h in histories)
        )
        if not any(least):
            return histories, threads, shared

        def less(view: View) -> View:
            return tuple(max(0, v - low) for v, low in zip(view, least, strict=True))

        histories = tuple(
            tuple(
                Store(store.value, less(store.view), store.swapped and n > 0)
                for n, store in enumerate(history[low:])
            )
            for history, low in zip(histories, least, strict=True)
        )
        threads = tuple(
            seen._replace(now=less(seen.now), met=less(seen.met), fixed=less(seen.fixed))
            for seen in threads
        )
        return histories, threads, less(shared)
