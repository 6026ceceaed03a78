# SPDX-License-Identifier: BSD-3-Clause
"""Why a call has no result: what differs from the nearest one that has."""

from __future__ import annotations

from typing import Any

from plib_cache.integrations.joblib._memorized import Quick, Session, digest
from plib_cache.integrations.joblib._short import short
from plib_cache.integrations.joblib._store import ABSENT, OWN_KEY, metadata_name
from plib_cache.integrations.joblib._versions import OURS


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
            f"{function!r:.80} was not memorized by plib_cache.integrations.joblib.Memory"
        )
    session = function.session
    key = session.cached.cache_key(*args, **kwargs)
    if session.cache.get(key, ABSENT, copy=False) is not ABSENT:
        return _there(function, session.metadata(key))
    known = _known(session, function.func_id)
    if not known:
        return f"{function.func_id} has no results in {function.store_backend.location}"
    if any(one[OURS]["args"] == OWN_KEY + key.hex() for one in known):
        return "it was stored, and has been evicted or forgotten since"
    return _compared(session.bound(args, kwargs), key[:16].hex(), known)


def _there(function: Any, metadata: Any) -> str:
    validate = function.cache_validation_callback
    if validate is not None and (metadata is ABSENT or not validate(metadata)):
        return "there is a result, and cache_validation_callback does not take it"
    return "there is a result: it is a hit"


def _known(session: Session, func_id: str) -> list[dict[str, Any]]:
    """What is known of the results of a function, of all its versions."""
    begin = metadata_name(OWN_KEY)
    keys = [key for key in session.cache if isinstance(key, str) and key.startswith(begin)]
    found = session.cache.get_many(keys).values()
    return [one for one in found if isinstance(one, dict) and one[OURS]["func"] == func_id]


def _compared(bound: list[tuple[str, Any]], version: str, known: list[dict[str, Any]]) -> str:
    """What differs from the nearest result: of this version if there is one, else of another."""
    digests = {name: digest(value) for name, value in bound}
    current = [one for one in known if one[OURS]["version"] == version]
    nearest = max(current or known, key=lambda one: _alike(digests, one["digests"]))
    lines = [] if current else ["its code, defaults, closure or options have changed"]
    values = dict(bound)
    for name in {**digests, **nearest["digests"]}:
        if digests.get(name) != nearest["digests"].get(name):
            here = short(values[name]) if name in values else "absent"
            lines.append(f"{name}: {here} here, {nearest['input_args'].get(name, 'absent')} there")
    return "nearest result: " + "; ".join(lines or ["the same arguments"])


def _alike(mine: dict[str, str], theirs: dict[str, str]) -> int:
    return sum(theirs.get(name) == value for name, value in mine.items())
