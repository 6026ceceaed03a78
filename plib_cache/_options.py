# SPDX-License-Identifier: BSD-3-Clause
"""The options of the decorator, checked and ready for use."""

from __future__ import annotations

import hashlib
import numbers
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple, Protocol, runtime_checkable

from plib_cache._identity import qualified_name
from plib_cache._inplace import Copy
from plib_cache._moments import Expire
from plib_cache.cache import Cache
from plib_cache.keys import code_digest, fingerprint, function_identity, version_digest

__all__ = ["Computed", "Copy", "Function", "Observer", "Options", "Tags"]

Function = Callable[..., Any]
Tags = Iterable[str] | Callable[..., Iterable[str]]


class Computed(NamedTuple):
    """A call that was computed: its key, what it gave, and what came of storing that."""

    key: bytes
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    value: Any
    seconds: float
    nbytes: int | None  # as stored; None: it was not


@runtime_checkable
class Observer(Protocol):
    """Who is told of the computations of a decorated function, in the thread that computes.

    What it raises gets to the caller of the function.
    """

    def computing(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A call is going to be computed."""

    def computed(self, call: Computed) -> Any:
        """A call was computed; the caller gets what this returns."""


def _is_list(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes))


def _is_amount(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not value < 0


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_to_come(value: Any) -> bool:
    """Whether it is no time before now; what is no time at all is found by who reads it."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return not (isinstance(seconds, numbers.Real) and seconds < 0)


# What each may be, and how that is said.  What is not here is refused where it is used first.
_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "expire": (_is_to_come, "seconds from now, or None for never"),
    "ignore": (
        lambda value: isinstance(value, Iterable),
        "the names of arguments, as a list of str",
    ),
    "key": (callable, "a function of the arguments"),
    "typed": (_is_bool, "True or False"),
    "single_flight": (_is_bool, "True or False"),
    "min_duration": (_is_amount, "seconds"),
    "max_bytes": (_is_amount, "a number of bytes, or None"),
    "depends_on": (_is_list, "a list of functions or other values, such as [function]"),
    "strict": (_is_bool, "True or False"),
    "observer": (
        lambda value: isinstance(value, Observer),
        "an object with the methods computing and computed, as Observer has",
    ),
    "maxsize": (lambda value: isinstance(value, numbers.Integral), "an int, or None"),
}


class Options(NamedTuple):
    """The options of the decorator, which documents them."""

    expire: Expire = None
    ignore: tuple[str, ...] = ()
    key: Function | None = None
    version: object = None
    typed: bool = True
    single_flight: bool = True
    namespace: str | None = None
    cache: str | Cache | None = None
    min_duration: float = 0.0
    max_bytes: int | None = None
    tags: Tags = ()
    depends_on: tuple[Any, ...] = ()
    strict: bool = False
    limit_ms: int = 300_000
    trust: str | None = None
    copy: Copy = True
    hashing: str = "blake2b"
    observer: Observer | None = None
    maxsize: int | None = None
    remote: Any = None

    @classmethod
    def check_kinds(cls, given: Mapping[str, object]) -> None:
        """Refuse what would only fail in a call, or silently keep nothing.

        Raises:
            TypeError: an option is something else than it is said to be.
        """
        for name, (allows, wanted) in _ALLOWED.items():
            default = cls._field_defaults[name]
            value = given.get(name, default)
            if value is not default and not allows(value):
                raise TypeError(f"{name}={value!r:.100} cannot be used: give {wanted}")

    def prefix_of(self, function: Function) -> bytes:
        """16 bytes that stand for a function: its name, its code and the options of its key."""
        if self.version is None:
            name, code = function_identity(function), code_digest(function, self.depends_on)
        else:
            name, code = qualified_name(function), version_digest(self.version, self.depends_on)
        chosen = (self.namespace, self.typed, tuple(sorted(self.ignore)))
        parts = (name.encode("utf-8", "surrogatepass"), code, fingerprint(chosen))
        return hashlib.blake2b(b"\0".join(parts), digest_size=16).digest()

    def observed(self, function: Function) -> Function:
        """The function, whose computations the observer is told of."""
        observer = self.observer
        if observer is None:
            return function

        def compute(*args: Any, **kwargs: Any) -> Any:
            observer.computing(args, kwargs)
            return function(*args, **kwargs)

        return compute
