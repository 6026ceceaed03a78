# SPDX-License-Identifier: BSD-3-Clause
"""Plain data as a pickle that names nothing but constructors of plain data.

A pickle is a program, and whoever can write the store could have a reader run it.  Here both
sides are narrow: the writer refuses every value that is not plain data, and the reader resolves
no name except the constructors of ``_plain``.  A hostile pickle can waste memory and be refused;
it cannot call, import or change anything.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import pickletools
from typing import Any

from plib_cache._arrow import arrow_kind
from plib_cache._frame import BufferCollector, damaged
from plib_cache._pickling import guarded, type_name
from plib_cache._plain import CONSTRUCTORS, REDUCERS, Constructor, reduce_arrow, reduce_numpy
from plib_cache.exceptions import SerializationError

_MODULE = Constructor.__module__
_DEPTH_MAX = 10_000
_NESTING = (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.FROZENSET)
_NESTING_NAMES = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET"})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})


class NotPlainError(SerializationError):
    """A value is not plain data, or a pickle of it names something else; ``what`` is that."""

    what = ""


def _refusal(what: str) -> NotPlainError:
    error = NotPlainError(
        f"{what} is not plain data, and trust='data' neither stores nor reads anything else: "
        "convert it (to a dict, a NumPy array, an Arrow table), or open the cache with "
        "trust='code' if you trust everybody who can write to it"
    )
    error.what = what
    return error


class _PlainPickler(pickle.Pickler):
    """Refuses whatever is neither a plain container or scalar nor has a constructor."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is Constructor:
            return obj.name
        known = REDUCERS.get(type(obj))
        if known is not None:
            constructor, arguments = known
            return constructor, arguments(obj)
        return _reduce_foreign(obj)


def _reduce_foreign(obj: Any) -> Any:
    """NumPy and Arrow, which are never imported for those who do not use them."""
    root = obj.__class__.__module__.partition(".")[0]
    reduced = reduce_numpy(obj) if root == "numpy" else None
    if reduced is None and root == "pyarrow":
        kind = arrow_kind(obj)
        reduced = reduce_arrow(kind, obj) if kind else None
    if reduced is None:
        raise _refusal(f"a {type_name(obj)}")
    return reduced


class _PlainUnpickler(pickle.Unpickler):
    """Resolves no name except constructors of plain data."""

    def find_class(self, module: str, name: str, /) -> Any:
        if module == _MODULE and name in CONSTRUCTORS:
            return CONSTRUCTORS[name]
        raise _refusal(f"{module}.{name}")


class _NamelessUnpickler(pickle.Unpickler):
    """Resolves no name at all."""

    def find_class(self, module: str, name: str, /) -> Any:
        raise _refusal(f"{module}.{name}")


def dump_plain(value: object) -> tuple[bytes, list[memoryview]]:
    """A pickle of plain data and its buffers.

    Raises:
        SerializationError: the value is, or holds, something else; the message names its type.
    """
    file = io.BytesIO()
    buffers = BufferCollector()
    try:
        _PlainPickler(file, protocol=5, buffer_callback=buffers).dump(value)
    except RecursionError as error:
        raise SerializationError("the value is nested too deeply: store its parts") from error
    return file.getvalue(), buffers


def load_plain(payload: bytes, buffers: list[memoryview]) -> object:
    """The value of a pickle of plain data; anything else in it is refused."""
    return _load(payload, buffers, _PlainUnpickler)


def load_nameless(payload: bytes, buffers: list[memoryview]) -> object:
    """The value of any pickle, whoever made it, if it is builtin containers and scalars.

    Raises:
        NotPlainError: it names something, which was neither imported nor called.
        SerializationError: it is damaged.
    """
    return _load(payload, buffers, _NamelessUnpickler)


def _load(payload: bytes, buffers: list[memoryview], unpickler: type[pickle.Unpickler]) -> object:
    def load() -> object:
        if getattr(copyreg, "_inverted_registry", None):
            _refuse_extensions(payload)
        if len(payload) > _DEPTH_MAX:
            _refuse_depth(payload)
        try:
            return unpickler(io.BytesIO(payload), buffers=buffers).load()
        except MemoryError as error:  # a length that a hostile pickle claims
            raise damaged("a value of plain data needs more memory than there is") from error

    return guarded(load)


def _refuse_depth(payload: bytes) -> None:
    """Hashing a tuple in tuples takes C stack for each, and no count stops it before the end.

    No writer nests so deep, for pickling would be stopped by the recursion limit.
    """
    if sum(map(payload.count, _NESTING)) <= _DEPTH_MAX:
        return
    stack: list[int | None] = []  # how deep each object is; None for a mark
    memo: dict[Any, int | None] = {}
    for opcode, argument, _ in pickletools.genops(payload):
        name = opcode.name
        if name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in _PUTS:
            memo[argument] = stack[-1]
        elif name in _GETS:
            stack.append(memo.get(argument, 0))
        elif name == "MARK" or name == "DUP":
            stack.append(None if name == "MARK" else stack[-1])
        elif not opcode.stack_before:
            stack.append(0)
        else:
            _apply(opcode, stack)


def _apply(opcode: pickletools.OpcodeInfo, stack: list[int | None]) -> None:
    """Take from the stack what an opcode takes, and put there how deep its result is."""
    before = opcode.stack_before
    taken: list[int | None] = []
    if pickletools.markobject in before:
        while stack and (depth := stack.pop()) is not None:
            taken.append(depth)
        before = before[: before.index(pickletools.markobject)]
    taken += [stack.pop() for _ in before]
    deepest = 0
    if opcode.name in _NESTING_NAMES:
        deepest = 1 + max([depth or 0 for depth in taken], default=0)
        if deepest > _DEPTH_MAX:
            raise _refusal(f"a tuple nested more than {_DEPTH_MAX} deep")
    stack += [deepest] * len(opcode.stack_after)


def _refuse_extensions(payload: bytes) -> None:
    """Extension codes name what the program registered, and may come from a cache of pickle's."""
    for opcode, _, _ in pickletools.genops(payload):
        if opcode.name.startswith("EXT"):
            raise _refusal("an extension code")
