# SPDX-License-Identifier: BSD-3-Clause
"""What a task computes, as 16 bytes: its key, its code, and the same of all that it depends on.

dask's key says which functions are called on what, but an importable function is in it by its name
alone: an edited one gives the same key.  So the key is joined here with the code of every function
in the task (those inside of fused tasks and of partials too), with the versions of the packages
that they come from, and with the fingerprints of the inputs, down to the data at the leaves.

A task that has no stable fingerprint has none (None), nor has any that depends on it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dask._task_spec import DataNode, GraphNode, Task, TaskRef

from plib_cache import UnhashableArgumentError
from plib_cache.keys import code_digest

_DIGESTS_MOST = 10_000
_digests: dict[Any, bytes | None] = {}  # by function


def fingerprint(key: Any, node: Any, inputs: Iterable[bytes | None]) -> bytes | None:
    """The fingerprint of a task, from those of its inputs, in any order.

    Args:
        key: the task's.
        node: what dask runs, a ``GraphNode``.
    """
    codes: set[bytes] = set()
    for function in _functions(node):
        digest = _digest(function)
        if digest is None:
            return None
        codes.add(digest)
    below: set[bytes] = set()
    for one in inputs:
        if one is None:
            return None
        below.add(one)
    whole = hashlib.blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=16)
    for part in (*sorted(codes), b"/", *sorted(below)):
        whole.update(part)
    return whole.digest()


def data_fingerprint(key: Any) -> bytes:
    """Of data that was given under a key (scattered, say) that nobody has computed."""
    return hashlib.blake2b(b"data " + repr(key).encode(), digest_size=16).digest()


def graph_fingerprints(graph: Mapping[Any, Any]) -> dict[Any, bytes | None]:
    """The fingerprints of all tasks of a graph of ``GraphNode``s."""
    found: dict[Any, bytes | None] = {}
    for start in graph:
        pending = [start]
        while pending:
            key = pending[-1]
            if key in found:
                pending.pop()
                continue
            node = graph[key]
            missing = [one for one in node.dependencies if one not in found and one in graph]
            if missing:
                pending += missing
                continue
            pending.pop()
            found[key] = fingerprint(key, node, [found.get(one) for one in node.dependencies])
    return found


def _functions(node: Any) -> Iterator[Any]:
    """Every function that a task may call."""
    pending = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, Task):
            pending += [one.func, *one.args, *one.kwargs.values()]
        elif isinstance(one, DataNode):
            pending.append(one.value)
        elif isinstance(one, (TaskRef, GraphNode, str, bytes, int, float, type(None))):
            continue
        elif isinstance(one, dict):
            pending += one.values()
        elif type(one) in (list, tuple, set, frozenset):
            pending += one
        elif callable(one):
            yield one


def _digest(function: Any) -> bytes | None:
    try:
        if function in _digests:
            return _digests[function]
    except TypeError:  # it cannot be hashed by Python
        return _computed(function)
    if len(_digests) >= _DIGESTS_MOST:
        _digests.clear()
    digest = _digests[function] = _computed(function)
    return digest


def _computed(function: Any) -> bytes | None:
    try:
        code = code_digest(function)
    except UnhashableArgumentError:
        return None
    package = (getattr(function, "__module__", None) or "").partition(".")[0]
    version = getattr(sys.modules.get(package), "__version__", "")
    return hashlib.blake2b(f"{package} {version} ".encode() + code, digest_size=16).digest()
