# SPDX-License-Identifier: BSD-3-Clause
"""What a function does, as text: its source, or its bytecode where there is no source.

The source is taken from the line of the ``def``: decorators are not part of it, so that another
option of a decorator is not another function.  It is the same under all versions of Python, which
bytecode is not.  Bytecode is used for lambdas (several may stand on one line), for what has no
source, and for a file that was changed after this module was loaded, whose text may no longer be
what runs.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import os
import time
import types
from collections.abc import Callable
from typing import Any

_LOADED_AT = time.time()
_EMPTY = "<empty cell>"
_SELF = "<itself>"
_SENTINEL = "<object()>"


def function_parts(function: types.FunctionType) -> tuple[object, ...]:
    """All that the result depends on, besides arguments and globals: text, defaults, closure."""
    return (
        code_text(function.__code__),
        tuple(map(_named, function.__defaults__ or ())) or None,
        {k: _named(v) for k, v in (function.__kwdefaults__ or {}).items()} or None,
        _closure(function),
    )


def code_text(code: types.CodeType) -> object:
    """The source of ``code`` as a str, or a tuple that describes its bytecode."""
    return _source(code) or _bytecode(code)


def _source(code: types.CodeType) -> str | None:
    if code.co_name == "<lambda>":
        return None
    if _changed_since_load(code.co_filename) and not _is_what_runs(code):
        return None
    import textwrap  # with the first function, not with the package

    try:
        text = textwrap.dedent(inspect.getsource(code))
        node = ast.parse(text).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name != code.co_name:
        return None
    return "".join(text.splitlines(keepends=True)[node.lineno - 1 :]).rstrip()


def _changed_since_load(filename: str) -> bool:
    try:
        found = os.stat(filename)  # noqa: PTH116 - nothing else here needs pathlib
        return max(found.st_mtime, found.st_ctime) > _LOADED_AT  # rsync and tar set the first back
    except OSError:
        return False


def _is_what_runs(code: types.CodeType) -> bool:
    """Whether the file, as it is now, compiles to ``code``."""
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename))
    try:
        pending = [compile(text, code.co_filename, "exec", dont_inherit=True)]
    except (SyntaxError, ValueError):
        return False
    while pending:
        inner = [item for item in pending.pop().co_consts if isinstance(item, types.CodeType)]
        if code in inner:
            return True
        pending += inner
    return False


def _bytecode(code: types.CodeType) -> tuple[object, ...]:
    """What the interpreter executes, without line numbers and file names."""
    return (
        code.co_code,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_flags,
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
        tuple(_constant(value) for value in code.co_consts),
        getattr(code, "co_exceptiontable", b""),
    )


def _constant(value: object) -> object:
    return ("code", *_bytecode(value)) if isinstance(value, types.CodeType) else value


def _closure(function: types.FunctionType) -> dict[str, object]:
    """The values that the function keeps from around it, by name."""
    names = function.__code__.co_freevars
    cells = function.__closure__ or ()
    return {name: _cell(function, name, cell) for name, cell in zip(names, cells, strict=True)}


def _cell(function: types.FunctionType, name: str, cell: types.CellType) -> object:
    """A cell's value; a function that calls itself is the same before and after its decoration."""
    try:
        value = cell.cell_contents
    except ValueError:
        return _SELF if name == function.__name__ else _EMPTY
    return _SELF if _unwrapped(value) is function else _named(value)


def _named(value: object) -> object:
    """The value, or what stands for a sentinel: ``object()`` says nothing but where it stands."""
    return _SENTINEL if type(value) is object else value


def _unwrapped(value: Any) -> Any:
    """What is behind wrappers that say what they wrap."""
    if not callable(value) or isinstance(value, type):
        return value
    try:
        return inspect.unwrap(value)
    except ValueError:
        return value


def essence(function: Callable[..., Any]) -> object:
    """What there is to know about the code of any callable: itself, or more telling values."""
    if isinstance(function, types.MethodType):
        return function.__func__
    if isinstance(function, type):
        functions = (types.FunctionType, staticmethod, classmethod, property)
        return function, {
            k: _plain(v) for k, v in vars(function).items() if isinstance(v, functions)
        }
    if isinstance(function, types.FunctionType):
        return function
    inner = function if has_own_call(type(function)) else _unwrapped(function)
    call = inspect.getattr_static(type(inner), "__call__", None)
    return (inner, call) if isinstance(call, types.FunctionType) else inner


def has_own_call(cls: type) -> bool:
    """Whether the instances of ``cls`` are called by a method written in Python."""
    return isinstance(inspect.getattr_static(cls, "__call__", None), types.FunctionType)


def _plain(member: Any) -> object:
    """The functions behind what a class wraps them in."""
    if isinstance(member, property):
        return member.fget, member.fset, member.fdel
    return getattr(member, "__func__", member)
