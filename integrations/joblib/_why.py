# SPDX-License-Identifier: BSD-3-Clause
"""Why a call has no result: what differs from the nearest one that has."""

from __future__ import annotations

from typing import Any

from plib_cache.integrations.joblib._memorized import Quick, Session, digest
from plib_cache.integrations.joblib._notes import (
    Note,
    argument,
    read_blocks,
    shown,
    write_all,
)
from plib_cache.integrations.joblib._store import ABSENT


def why_miss(function: Any, /, *args: Any, **kwargs: Any) -> str:
    """What keeps a call of a memorized function from being a hit, in a sentence or a few.

    Args:
        function: what ``Memory.cache`` of this package returned.

    Raises:
        TypeError: it is no such function, or cannot be called so.
        UnhashableArgumentError: an argument gives no stable key.
        PlibCacheError: the region cannot be opened.
    """
    if not isinstance(function, Quick):
        raise TypeError(
            f"{function!r:.80} is not memorized: give a function that has been decorated by a "
            "plib_cache.integrations.joblib.Memory"
        )
    session = function.session
    key = session.cached.cache_key(*args, **kwargs)
    if session.cache.get(key, ABSENT, copy=False) is not ABSENT:
        return _there(function, session.metadata(key))
    known = _known(session, function.func_id)
    if not known:
        return f"{function.func_id} has no results in {function.store_backend.location}"
    if any(note.key == key.hex() for note in known):
        return "it was stored, and has been evicted or forgotten since"
    return _compared(session.bound(args, kwargs), key.hex()[:32], known)


def _there(function: Any, metadata: Any) -> str:
    validate = function.cache_validation_callback
    if validate is not None and (metadata is ABSENT or not validate(metadata)):
        return "there is a result, and cache_validation_callback does not take it"
    return "there is a result: it is a hit"


def _known(session: Session, func_id: str) -> list[Note]:
    """What is known of the results of a function, of all its versions."""
    write_all()
    return [note for name, note in read_blocks(session.cache) if name == func_id]


def _compared(bound: list[tuple[str, Any]], version: str, known: list[Note]) -> str:
    """What differs from the nearest result: of this version if there is one, else of another."""
    mine = {name: argument(value, digest) for name, value in bound}
    current = [note for note in known if note.key.startswith(version)]
    nearest = max(current or known, key=lambda note: _alike(mine, note.arguments))
    lines = [] if current else ["its code, defaults, closure or options have changed"]
    for name in {**mine, **nearest.arguments}:
        here, there = mine.get(name, ABSENT), nearest.arguments.get(name, ABSENT)
        if not _same(here, there):
            lines.append(f"{name}: {_told(here)} here, {_told(there)} there")
    return "nearest result: " + "; ".join(lines or ["the same arguments"])


def _alike(mine: dict[str, Any], theirs: dict[str, Any]) -> int:
    return sum(_same(value, theirs.get(name, ABSENT)) for name, value in mine.items())


def _same(one: Any, other: Any) -> bool:
    """Whether they are one argument, of which 1, 1.0 and True are three."""
    return type(one) is type(other) and (one == other or one != one != other)


def _told(value: Any) -> str:
    return "absent" if value is ABSENT else shown(value)
