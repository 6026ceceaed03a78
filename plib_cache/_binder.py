# SPDX-License-Identifier: BSD-3-Clause
"""Arguments in one normal form, however a call spells them.

``f(1, 2)``, ``f(1, b=2)`` and ``f(a=1, b=2)`` are one call.  ``inspect.Signature.bind`` knows
that too but takes microseconds; here the work is left to the interpreter, by a lambda that has
the function's own signature and returns its parameters as a tuple.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from plib_cache.exceptions import ConfigurationError

_Parameter = inspect.Parameter
_BY_PLACE = (_Parameter.POSITIONAL_ONLY, _Parameter.POSITIONAL_OR_KEYWORD)
_ANY = [
    _Parameter("args", _Parameter.VAR_POSITIONAL),
    _Parameter("kwargs", _Parameter.VAR_KEYWORD),
]


class Binder(NamedTuple):
    """How to bring the arguments of one function into normal form.

    ``bind(*args, **kwargs)`` gives a tuple with one item for each name in ``names``; defaults are
    filled in, ``*args`` is a tuple, and ``**kwargs`` a tuple of pairs sorted by name.  A wrong
    call raises the TypeError that the function itself would raise.  ``defaults`` has the default of
    each name, ``inspect.Parameter.empty`` where there is none.  So many arguments as ``arity``, all
    given by place, are in normal form already; -1: never.
    """

    bind: Callable[..., tuple[Any, ...]]
    names: tuple[str, ...]
    defaults: tuple[Any, ...] = ()
    arity: int = -1


def compile_binder(function: Callable[..., Any], ignore: str | Iterable[str] = ()) -> Binder:
    """The binder of ``function``; arguments named in ``ignore`` are left out.

    Raises:
        ConfigurationError: the function tells no signature, or has no such parameter to ignore.

    Notes:
        A builtin that tells no signature is taken for one of ``(*args, **kwargs)``.
    """
    ignored = frozenset([ignore] if isinstance(ignore, str) else ignore)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        parameters = _ANY
    except TypeError as error:
        raise ConfigurationError(
            f"{function!r} tells no signature, so its arguments have no normal form: "
            "pass key=, a function of the arguments"
        ) from error
    _check_ignored(function, parameters, ignored)
    kept = [parameter for parameter in parameters if parameter.name not in ignored]
    bind = _compile(function, parameters, kept, ignored)
    by_place = len(kept) == len(parameters) and all(p.kind in _BY_PLACE for p in parameters)
    return Binder(
        bind,
        tuple(map(_shown_name, kept)),
        tuple(p.default for p in kept),
        len(parameters) if by_place else -1,
    )


def _check_ignored(function: Any, parameters: list[_Parameter], ignored: frozenset[str]) -> None:
    names = {parameter.name for parameter in parameters}
    open_ended = any(parameter.kind is _Parameter.VAR_KEYWORD for parameter in parameters)
    if unknown := sorted(ignored - names):
        if not open_ended:
            name = getattr(function, "__qualname__", function)
            raise ConfigurationError(
                f"ignore={unknown} are no parameters of {name}: give some of {sorted(names)}"
            )


def _shown_name(parameter: _Parameter) -> str:
    return str(parameter.replace(default=_Parameter.empty, annotation=_Parameter.empty))


def _compile(
    function: Any,
    parameters: list[_Parameter],
    kept: list[_Parameter],
    ignored: frozenset[str],
) -> Callable[..., tuple[Any, ...]]:
    helper = "_pairs"
    while any(parameter.name == helper for parameter in parameters):
        helper += "_"
    results = [f"{helper}({p.name})" if p.kind is _Parameter.VAR_KEYWORD else p.name for p in kept]
    source = f"lambda {_signature_source(parameters)}: ({''.join(r + ', ' for r in results)})"
    binder = eval(source, {helper: _pairs_without(ignored), "__builtins__": {}})
    _dress(binder, function, parameters)
    bound: Callable[..., tuple[Any, ...]] = binder
    return bound


def _signature_source(parameters: list[_Parameter]) -> str:
    """The parameters as source text, with None for each default."""
    words: list[str] = []
    before: Any = None
    for parameter in parameters:
        kind = parameter.kind
        if before is _Parameter.POSITIONAL_ONLY and kind is not before:
            words.append("/")
        if kind is _Parameter.KEYWORD_ONLY and before not in (kind, _Parameter.VAR_POSITIONAL):
            words.append("*")
        default = "" if parameter.default is _Parameter.empty else "=None"
        words.append(_shown_name(parameter) + default)
        before = kind
    if before is _Parameter.POSITIONAL_ONLY:
        words.append("/")
    return ", ".join(words)


def _dress(binder: types.FunctionType, function: Any, parameters: list[_Parameter]) -> None:
    """Give the lambda the function's defaults, and its name for the messages of wrong calls."""
    having = [p for p in parameters if p.default is not _Parameter.empty]
    keyword = {p.name: p.default for p in having if p.kind is _Parameter.KEYWORD_ONLY}
    binder.__defaults__ = tuple(p.default for p in having if p.name not in keyword) or None
    binder.__kwdefaults__ = keyword
    name = getattr(function, "__name__", type(function).__name__)
    binder.__code__ = binder.__code__.replace(co_name=name)
    binder.__name__ = name
    binder.__qualname__ = getattr(function, "__qualname__", name)


def _pairs_without(ignored: frozenset[str]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """A function that sorts keyword arguments by name."""

    def first(pair: tuple[str, Any]) -> str:
        return pair[0]

    def sorted_pairs(keywords: dict[str, Any]) -> tuple[Any, ...]:
        if not keywords:
            return ()
        return tuple(sorted([p for p in keywords.items() if p[0] not in ignored], key=first))

    return sorted_pairs
