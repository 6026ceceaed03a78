# SPDX-License-Identifier: BSD-3-Clause
"""What a user reads who has called something wrongly: public names, and the options that there are.

A class is made of parts that nobody has to know of, but Python's own ``TypeError`` names those.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Collection, Iterable
from typing import Any, ParamSpec, TypeVar

__all__ = ["check_options", "go_by", "options_of"]

P = ParamSpec("P")
R = TypeVar("R")


# What others call it, or where it is given, and what is not the nearest word of our own.
_MEANT = {
    ("cache", "size"): "cache=plib_cache.Cache(NAME, size=...)",
    ("cache", "ttl"): "'expire'",
}


def check_options(public: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse an option that a callable does not have.

    Raises:
        TypeError: there is one; the message has the nearest name, and all that there are.
    """
    for name in given:
        if name not in known:
            import difflib  # here: only a mistake needs it

            near = [repr(one) for one in difflib.get_close_matches(name, known, 1)]
            word = _MEANT.get((public, name)) or next(iter(near), "")
            meant = f" (did you mean {word}?)" if word else ""
            raise TypeError(
                f"{public}() has no option {name!r}{meant}: use one of {', '.join(known)}"
            )


def options_of(public: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function, or the ``__init__`` of a class, that users call by that name.

    Its TypeErrors then say which options there are.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        code = function.__code__
        most = code.co_argcount
        names = code.co_varnames[: most + code.co_kwonlyargcount]
        own = names[:1] == ("self",)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if len(args) > most:
                raise TypeError(
                    f"{public}() got {len(args) - own} arguments by place: give at most "
                    f"{most - own}, and the rest by name; there are {', '.join(names[own:])}"
                )
            check_options(public, kwargs, names[own:])
            return function(*args, **kwargs)

        return call

    return decorate


def go_by(kind: type[Any], until: type[Any] = object) -> None:
    """Let the methods that a class has from its parts, in this package, go by its own name.

    Args:
        until: a base that has a public name itself; it and what follows it are left alone.
    """
    for part in itertools.takewhile(lambda base: base is not until, kind.__mro__[1:]):
        for name, method in vars(part).items():
            if part.__module__.startswith("plib_cache.") and inspect.isfunction(method):
                method.__module__, method.__qualname__ = kind.__module__, f"{kind.__name__}.{name}"
