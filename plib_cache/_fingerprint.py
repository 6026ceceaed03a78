# SPDX-License-Identifier: BSD-3-Clause
"""Any value as canonical bytes, the same in every process, on every machine.

A value becomes a *token*: a tag of one byte, the length of the payload, the payload.  Tokens
delimit themselves, so no two different values run together into the same bytes.  Scalars, and
containers of nothing but scalars, have marshal (version 2, which knows no references) as payload;
other containers have the tokens of their items, and all other values are described by the modules
beside this one, in terms of simpler values.

Order: lists and tuples have one; of dicts and sets the tokens are sorted.  NaN is equal to itself.
With ``typed=False`` an int, float, bool, complex or NumPy number is the same as any other that is
equal to it, as for ``functools.lru_cache``.

To support a type of your own give its class ``__plib_key__(self)``: return scalars, strings,
bytes, arrays, or containers of them, that say everything that matters.
"""

from __future__ import annotations

import enum
import marshal
import struct
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from plib_cache._code import function_parts, has_own_call
from plib_cache._describe import (
    NotDescribableError,
    describe_enum,
    describe_instance,
    describe_path,
)
from plib_cache._describe_numpy import describe_numpy
from plib_cache._describe_tables import describe_table
from plib_cache._identity import class_body, is_local, leads_to, qualified_name, was_sent

NAN = float("nan")
SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_LENGTH = struct.Struct("<cQ")
_BUILTIN_FUNCTIONS = (
    types.BuiltinFunctionType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.MethodWrapperType,
    types.ClassMethodDescriptorType,
)


class UnstableValueError(Exception):
    """A value gives no token; ``path`` leads to it."""

    def __init__(self, culprit: object) -> None:
        super().__init__()
        self.culprit = culprit
        self.path: list[str] = []


def marshalled(items: list[object]) -> bytes:
    """The items, exact scalars, as bytes."""
    return marshal.dumps(items, 2)


def _first(pair: tuple[str, object]) -> str:
    return pair[0]


def _token(tag: bytes, payload: bytes) -> bytes:
    return _LENGTH.pack(tag, len(payload)) + payload


def digest_token(digest: bytes) -> bytes:
    """The token of a value that is known by a digest alone."""
    return _token(b"h", digest)


DEFAULT_TOKEN = _token(b"D", b"")  # of an argument that was not given and has no token itself


class Encoder:
    """Makes tokens; one for each fingerprint, for it knows which values it is inside of."""

    def __init__(self, typed: bool = True) -> None:
        self._typed = typed
        self._inside: set[int] = set()

    def scalars(self, items: Iterable[object]) -> list[object] | None:
        """The items if all are exact scalars, in canonical form; None if not."""
        found = list(items)
        if not self._typed:
            found = [_merged(item) for item in found]
        kinds = set(map(type, found))
        if not kinds <= SCALARS:
            return None
        if float in kinds:
            found = [NAN if item != item else item for item in found]
        return found

    def token(self, value: object) -> bytes:
        """The token of any value.

        Raises:
            UnstableValueError: another process could not compute the same.
        """
        single = self.scalars((value,))
        if single is not None:
            return _token(b"s", marshalled(single))
        if id(value) in self._inside:
            return self._inner(value)
        self._inside.add(id(value))
        try:
            return self._container(value) or self._object(value)
        finally:
            self._inside.discard(id(value))

    def _inner(self, value: object) -> bytes:
        """A value inside of itself: functions, classes and members of enums may be, by name."""
        if isinstance(value, (types.FunctionType, type)):
            return _token(b"r", qualified_name(value).encode())
        if isinstance(value, enum.Enum):
            return _token(b"r", f"{qualified_name(type(value))}.{value._name_}".encode())
        raise UnstableValueError(value)

    def _container(self, value: Any) -> bytes | None:
        kind = type(value)
        if kind is complex:
            return _token(b"c", marshalled(self.scalars((value.real, value.imag)) or []))
        if kind is list or kind is tuple:
            return self._sequence(b"l" if kind is list else b"t", value)
        if kind is dict:
            return _token(b"d", self._pairs(value))
        if kind is set or kind is frozenset:
            return _token(b"e" if kind is set else b"f", self._unordered(value))
        return None

    def _sequence(self, tag: bytes, value: Any) -> bytes:
        plain = self.scalars(value)
        if plain is not None:
            return _token(tag, b"m" + marshalled(plain))
        return _token(tag, b"g" + b"".join(self._item_tokens(value)))

    def _item_tokens(self, value: Iterable[object]) -> Iterator[bytes]:
        for index, item in enumerate(value):
            try:
                yield self.token(item)
            except UnstableValueError as error:
                error.path.insert(0, f"[{index}]")
                raise

    def _pairs(self, value: dict[Any, Any]) -> bytes:
        names = self.scalars(value)
        if names and set(map(type, names)) == {str}:
            items = sorted(value.items(), key=_first)
            plain = self.scalars(item for _, item in items)
            if plain is not None:
                return b"m" + marshalled([key for key, _ in items] + plain)
        return b"g" + b"".join(sorted(self._pair_tokens(value)))

    def _pair_tokens(self, value: dict[Any, Any]) -> Iterator[bytes]:
        for key, item in value.items():
            try:
                yield self.token(key) + self.token(item)
            except UnstableValueError as error:
                error.path.insert(0, f"[{key!r:.40}]")
                raise

    def _unordered(self, value: Iterable[object]) -> bytes:
        return b"".join(sorted(map(self.token, value)))

    def _object(self, value: Any) -> bytes:
        """Everything that is neither a scalar nor a plain container, by its description."""
        if isinstance(value, type):
            return self._class(value)
        for family, describe in _LADDER:
            description = _attempt(describe, value)
            if description is not None:
                return _token(b"o", family + self._described(description))
        raise UnstableValueError(value)

    def _described(self, description: object) -> bytes:
        """The token of a description; of its structure only attributes are known to the user."""
        try:
            return self.token(description)
        except UnstableValueError as error:
            if isinstance(description, list) and error.path[:1] == ["[2]"] and error.path[1:]:
                error.path[:2] = ["." + error.path[1][2:-2]]
            else:
                error.path.clear()
            raise

    def _class(self, value: type) -> bytes:
        """A class is its name; one whose name does not lead to it also its methods."""
        name = qualified_name(value).encode()
        if not is_local(value) and (leads_to(value) or was_sent(value)):
            return _token(b"k", name)
        return _token(b"K", self.token(name) + self.token((value.__bases__, class_body(value))))


def _attempt(describe: Callable[[Any], object | None], value: Any) -> object | None:
    try:
        return describe(value)
    except NotDescribableError as error:
        raise UnstableValueError(value) from error


def _merged(item: Any) -> object:
    """One representative for all numbers that are equal."""
    if type(item).__module__ == "numpy" and hasattr(item, "item") and getattr(item, "ndim", 1) == 0:
        item = item.item()
    if type(item) is complex and item.imag == 0:
        item = item.real
    if type(item) is bool or (type(item) is float and item.is_integer()):
        return int(item)
    return item


def _by_own_key(value: Any) -> object | None:
    method = getattr(type(value), "__plib_key__", None)
    return None if method is None else (type(value), method(value))


def _by_table(value: Any) -> object | None:
    from plib_cache._describe_types import DESCRIPTIONS

    describe = DESCRIPTIONS.get(type(value))
    return None if describe is None else (qualified_name(type(value)), describe(value))


def _by_function(value: Any) -> object | None:
    if isinstance(value, types.FunctionType):
        return "function", qualified_name(value), function_parts(value)
    if isinstance(value, _BUILTIN_FUNCTIONS):
        owner = getattr(value, "__self__", None)
        bound = None if isinstance(owner, types.ModuleType) else owner
        return "builtin", qualified_name(value), bound
    if not callable(value) or has_own_call(type(value)):
        return None  # an instance is its state: two may wrap one function and do different things
    wrapped = getattr(value, "__wrapped__", None)
    return None if wrapped is None else ("wrapper", wrapped)


def _by_dask(value: Any) -> object | None:
    method = getattr(type(value), "__dask_tokenize__", None)
    return None if method is None else (type(value), method(value))


def _by_kind(value: Any) -> object | None:
    path = describe_path(value)
    if path is not None:
        return path
    if isinstance(value, enum.Enum):
        return describe_enum(value)
    if isinstance(value, (set, frozenset)):
        return type(value), frozenset(value), dict(getattr(value, "__dict__", {}))
    if isinstance(value, (Iterator, types.CodeType, types.FrameType)):
        raise NotDescribableError
    return None


# Tried in this order; the letter keeps descriptions of different families apart.
_LADDER: tuple[tuple[bytes, Callable[[Any], object | None]], ...] = (
    (b"k", _by_own_key),
    (b"v", _by_table),
    (b"f", _by_function),
    (b"n", describe_numpy),
    (b"t", describe_table),
    (b"d", _by_dask),
    (b"p", _by_kind),
    (b"i", describe_instance),
)
