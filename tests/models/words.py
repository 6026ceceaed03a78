# SPDX-License-Identifier: BSD-3-Clause
"""What a thread of a model can do: the vocabulary of ``sync.h``, one shared access each.

A thread is a generator function.  It yields one of these and gets the answer back; between two
yields it computes for itself, in no time.  At most one yield (or yield from) stands in a
statement, and locals are hashable: the explorer knows where a thread is by its line and its
locals.  A thread that finds a promise broken raises ``Broken``.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable
from typing import Any, NamedTuple

Thread = Generator["Op", Any, Any]


class Broken(Exception):  # noqa: N818
    """A promise of the protocol does not hold."""


class Op(NamedTuple):
    """One access: what is done, where, and in which order relative to the thread's others."""

    kind: str
    at: str = ""
    value: Hashable = None
    to: Hashable = None
    acquire: bool = False
    release: bool = False


def acq(at: str) -> Op:
    """word_acq: a load that nothing behind it overtakes."""
    return Op("load", at, acquire=True)


def rlx(at: str) -> Op:
    """word_rlx: a load in no order but that of its own word."""
    return Op("load", at)


def later(at: str) -> Op:
    """A relaxed load whose value is looked at later, by ``value``: stores may overtake it."""
    return Op("later", at)


def value(loaded: Hashable) -> Op:
    """The value that ``later`` has loaded: what depends on it waits for it."""
    return Op("value", value=loaded)


def put_rel(at: str, to: Hashable) -> Op:
    """word_put_rel: a store that overtakes nothing before it."""
    return Op("store", at, to=to, release=True)


def put_rlx(at: str, to: Hashable) -> Op:
    """word_put_rlx, and the bytes of an entry."""
    return Op("store", at, to=to)


def swap(at: str, old: Hashable, to: Hashable) -> Op:
    """word_swap: a compare-and-swap, acquire and release; True if it was done."""
    return Op("swap", at, old, to, acquire=True, release=True)


def add(at: str, n: int) -> Op:
    """A fetch_add, acquire and release; the value before it."""
    return Op("add", at, n, acquire=True, release=True)


def add_rel(at: str, n: int) -> Op:
    """A fetch_add, fetch_sub or fetch_or that overtakes nothing before it."""
    return Op("add", at, n, release=True)


def add_rlx(at: str, n: int) -> Op:
    """word_add_rlx; the value before it."""
    return Op("add", at, n)


def fence_full() -> Op:
    """Between what is before it and what is behind it, in one order with all other full fences."""
    return Op("fence", acquire=True, release=True)


def fence_acquire() -> Op:
    """No load before it is overtaken by anything behind it."""
    return Op("fence", acquire=True)


def fence_release() -> Op:
    """No store behind it overtakes anything before it."""
    return Op("fence", release=True)


def membarrier() -> Op:
    """os_membarrier: every thread of the model passes a full fence."""
    return Op("membarrier")


def gone(who: str) -> Op:
    """Proved dead, and settled: is that thread killed, and can all that it stored be seen?"""
    return Op("gone", who, acquire=True)


def gone_unsettled(who: str) -> Op:
    """Is that thread killed?  What it stored may still be on its way."""
    return Op("gone", who)


def note(at: str, to: Hashable) -> Op:
    """Writes a word of the model's own, which no order concerns."""
    return Op("note", at, to=to)


def see(at: str) -> Op:
    """Reads such a word."""
    return Op("see", at)
