# SPDX-License-Identifier: BSD-3-Clause
"""What a task computes, as 16 bytes: its key, its code, its arguments, and all that it depends on.

dask's key says which functions are called on what, but an importable function is in it by its name
alone: an edited one gives the same key.  And a key that the user has chosen (``dask_key_name=``, a
graph written by hand), or that has such a key's task fused into it, says nothing of the arguments.
So the key is joined here with the task as it is written: the code of every function in it (those
inside of fused tasks and of partials too, with the versions of the packages that they come from),
its arguments by content and order, and the fingerprints of its inputs, down to the data at the
leaves.

A task that has no stable fingerprint has none (None), nor has any that depends on it.
"""

from __future__ import annotations

import functools
import hashlib
import re
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any

from dask._task_spec import Alias, DataNode, Task, TaskRef

from plib_cache import UnhashableArgumentError
from plib_cache.keys import code_digest
from plib_cache.keys import fingerprint as fingerprint_of_value

_DIGESTS_MOST = 10_000
_digests: dict[Any, bytes] = {}  # of functions and classes, which nobody changes
_LASTING = (types.FunctionType, type)
_PLAIN = (int, str, float, complex, bool, bytes, type(None), type(Ellipsis))
_DASK = ("dask.", "distributed.")
# dask's tokens of content, and the random numbers that it gives to what has none.
_TOKEN = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def fingerprint(key: Any, node: Any, inputs: Iterable[bytes | None]) -> bytes | None:
    """The fingerprint of a task, from those of its inputs, in any order.

    Args:
        key: the task's.
        node: what dask runs, a ``GraphNode``.
    """
    below: set[bytes] = set()
    for one in inputs:
        if one is None:
            return None
        below.add(one)
    if isinstance(node, DataNode) and _says_all(key):
        return data_fingerprint(key)
    try:
        told = repr((key, _told(node))).encode("utf-8", "surrogatepass")
    except (UnhashableArgumentError, RecursionError):
        return None
    whole = hashlib.blake2b(told, digest_size=16)
    for part in (b"/", *sorted(below)):
        whole.update(part)
    return whole.digest()


def data_fingerprint(key: Any) -> bytes | None:
    """Of data that was given under a key (scattered, say); None if its key says nothing of it."""
    if not _says_all(key):
        return None
    return hashlib.blake2b(b"data " + repr(key).encode(), digest_size=16).digest()


def _says_all(key: Any) -> bool:
    """Whether dask has made the key of the content of its data."""
    return _TOKEN.search(str(key[0] if isinstance(key, tuple) else key)) is not None


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


def does_more(node: Any) -> bool:
    """Whether a task is run for more than what it returns: one that sends parts of a shuffle."""
    pending = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, Task):
            pending += [one.func, *one.args, *one.kwargs.values()]
        elif type(one) in (list, tuple):
            pending += one
        elif type(one) is dict:
            pending += one.values()
        elif callable(one) and (getattr(one, "__module__", None) or "").startswith(_DASK):
            name = getattr(one, "__name__", "")
            if name.endswith("_transfer") or name == "p2p_barrier":
                return True
    return False


def _told(one: Any) -> Any:
    """All that a part of a task says, in tuples and text of which equal ones mean the same.

    Raises:
        UnhashableArgumentError: something in it has no stable digest.
    """
    kind = type(one)
    if kind in _PLAIN:
        return kind.__name__, repr(one)
    if isinstance(one, TaskRef):
        return "ref", repr(one.key)
    if isinstance(one, Alias):
        return "ref", repr(one.target)
    if isinstance(one, DataNode):
        return "data", _told(one.value)
    if isinstance(one, Task):
        return "task", _told(one.func), _told(one.args), _told(one.kwargs)
    if kind in (list, tuple):
        return kind.__name__, tuple(map(_told, one))
    if kind in (set, frozenset):
        return kind.__name__, tuple(sorted(map(repr, map(_told, one))))
    if kind is dict:
        return "dict", tuple((_told(name), _told(value)) for name, value in one.items())
    if kind is slice:
        return "slice", _told((one.start, one.stop, one.step))
    return _called(one) if callable(one) else ("value", fingerprint_of_value(one))


def _called(function: Any) -> Any:
    """The same of something that may be called."""
    if type(function) is functools.partial:
        return "partial", _told(function.func), _told(function.args), _told(function.keywords)
    bound = getattr(function, "__self__", None)
    if bound is None or isinstance(bound, types.ModuleType):
        return "code", _digest(function)
    return "bound", _digest(function), _told(bound)


def _digest(function: Any) -> bytes:
    if not isinstance(function, _LASTING):
        return _computed(function)
    digest = _digests.get(function)
    if digest is None:
        if len(_digests) >= _DIGESTS_MOST:
            _digests.clear()
        digest = _digests[function] = _computed(function)
    return digest


def _computed(function: Any) -> bytes:
    code = code_digest(function)
    package = (getattr(function, "__module__", None) or "").partition(".")[0]
    version = getattr(sys.modules.get(package), "__version__", "")
    return hashlib.blake2b(f"{package} {version} ".encode() + code, digest_size=16).digest()
