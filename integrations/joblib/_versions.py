# SPDX-License-Identifier: BSD-3-Clause
"""Which version of a function asks, and in which mode it reads arrays.

joblib tells a store the function's name and a digest of its arguments, but not its code; so two
processes, or two functions of one name, that differ in their code get each other's results.  The
``MemorizedFunc`` that asks knows its code, and a ``MemorizedResult`` was told the version; either
is found among the callers.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import weakref
from typing import Any, NamedTuple

from joblib.memory import MemorizedFunc, MemorizedResult

OURS = "plib_cache"  # our part of the metadata of a computation
_CALLERS = 4  # the one who asks is the second or third of them
_FIRST_LINE = "# first line:"


class Asker:
    """The memorized function or result that has called the store."""

    def __init__(self, caller: Any) -> None:
        self._caller = caller

    @property
    def function(self) -> Any:
        """The memorized function; None for a result."""
        return self._caller if isinstance(self._caller, MemorizedFunc) else None

    @property
    def version(self) -> str | None:
        """The version of the function's code, if the caller knows it."""
        if isinstance(self._caller, MemorizedFunc):
            return code_version(self._caller.func_code_info[0])
        return known_version(vars(self._caller).get("metadata"))

    @property
    def code(self) -> str | None:
        """The function's code in the form in which joblib stores it; None for a result."""
        if not isinstance(self._caller, MemorizedFunc):
            return None
        code, _, first_line = self._caller.func_code_info
        return f"{_FIRST_LINE} {first_line}\n{code}"

    def mode(self, default: str | None) -> str | None:
        """The mmap_mode of a function; the default for a result, which was not told it."""
        mode = self._caller.mmap_mode if isinstance(self._caller, MemorizedFunc) else default
        return None if mode is None else str(mode)

    @property
    def validates(self) -> bool:
        """Whether it wants to see what is known of a computation, before it takes the result."""
        return getattr(self._caller, "cache_validation_callback", None) is not None


class _Looker(NamedTuple):
    """A memorized function that has looked for a result, and what stands for it with that code."""

    function: weakref.ref[MemorizedFunc]
    code: Any
    versioned: str


# Those functions, by the identity of their names: each has a str of its own.
_lookers: dict[int, _Looker] = {}


def looking(func_id: str) -> tuple[MemorizedFunc, str] | None:
    """The memorized function that looks for a result, which it does at each call, and what stands
    for its version: without a walk and a digest if it has done so before."""
    looker = _lookers.get(id(func_id))
    if looker is not None:
        function = looker.function()
        if (
            function is not None
            and function.func_id is func_id
            and getattr(function.func, "__code__", None) is looker.code  # it may be exchanged
        ):
            return function, looker.versioned
    return _remembered(asking(func_id, 1))


def _remembered(asker: Asker | None) -> tuple[MemorizedFunc, str] | None:
    function = None if asker is None else asker.function
    if function is None:
        return None
    code = getattr(function.func, "__code__", None)
    at, version = id(function.func_id), code_version(function.func_code_info[0])
    key = versioned(function.func_id, version)
    reference = weakref.ref(function, lambda _: _lookers.pop(at, None))
    _lookers[at] = _Looker(reference, code, key)
    return function, key


def loads_next() -> bool:
    """Whether what joblib is looking for is loaded then: it neither checks nor shelves."""
    try:
        caller = sys._getframe(3)
    except ValueError:  # nobody has called from so far above
        return False
    above = caller.f_back
    return (
        caller.f_code.co_name == "_cached_call"
        and above is not None
        and above.f_code.co_name != "call_and_shelve"
    )


def asking(func_id: str, above: int = 0) -> Asker | None:
    """The memorized function of that name, or result of it, that has called, if there is one."""
    frame = sys._getframe(2 + above)
    for _ in range(_CALLERS):
        caller = frame.f_locals.get("self")
        if isinstance(caller, (MemorizedFunc, MemorizedResult)) and caller.func_id == func_id:
            return Asker(caller)
        if frame.f_back is None:
            break
        frame = frame.f_back
    return None


def known_version(metadata: dict[str, Any] | None) -> str | None:
    """The version that the metadata of a computation tell."""
    version = (metadata or {}).get(OURS, {}).get("version")
    return None if version is None else str(version)


@functools.lru_cache(maxsize=1024)
def code_version(code: str) -> str:
    """A short name for a text of code, which joblib may have preceded by its first line."""
    first, _, rest = code.partition("\n")
    text = rest if first.startswith(_FIRST_LINE) else code
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def digest(*parts: str) -> str:
    """A short name for any texts."""
    raw = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


@functools.lru_cache(maxsize=1024)
def versioned(func_id: str, version: str) -> str:
    """What stands for a version of a function."""
    return digest(func_id, version)


def read_only(value: Any) -> Any:
    """The value with its arrays read-only, also those in lists, tuples and dicts."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        if not value.flags.writeable:
            return value
        view = value.view()
        view.setflags(write=False)
        return view
    if type(value) in (list, tuple):
        return type(value)(map(read_only, value))
    if type(value) is dict:
        return {key: read_only(one) for key, one in value.items()}
    return value


def checked_mode(mode: str | None) -> str | None:
    """The mmap_mode, if arrays can be read in it.

    Raises:
        ValueError: it would write into the cache.
    """
    if mode not in (None, "r", "c"):
        raise ValueError(
            f"mmap_mode={mode!r} would change results that others read: use 'r' (read-only), 'c' "
            "or None (a copy of one's own)"
        )
    return mode
