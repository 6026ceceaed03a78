# SPDX-License-Identifier: BSD-3-Clause
"""Keys: of entries, of calls, and of functions.

The key of a call is the same in every process, under every hash seed and version of Python, for
the same function, the same code and the same arguments; and different if any of them differs.

Arguments are fingerprinted by content: exact scalars, strings and containers; dates, Decimal,
UUID, paths, enums, ranges; classes, functions (with their code), partials and methods; NumPy,
pandas and Arrow data; objects with ``__plib_key__`` or ``__dask_tokenize__``; and instances whose
class could be pickled, by class and state.  What has no content that another process could see
too (open files, generators, locks, sockets, ``object()``, values that contain themselves) is an
``UnhashableArgumentError``.  It never depends on which libraries happen to be imported.

Types matter unless ``typed=False``: 1, 1.0 and True are three keys, and so are 0.0 and -0.0.  NaN
is one key.  The order of a dict's or set's items does not matter.

Keys by content (``content_args_digest``, ``value_digest``) are the same for what is small, and ten
times faster and more for large arrays, frames, tables and strings, by XXH3-128 over several
threads.  That is not cryptographic: for arguments that somebody may choose to make two calls look
like one, use ``args_digest``, which is BLAKE2b throughout and what ``@plib_cache.cache`` uses.
They need the package xxhash, which ``pip install 'plib-cache[joblib]'`` brings along.
"""

from __future__ import annotations

import functools
import marshal
import types
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from plib_cache._binder import Binder, compile_binder
from plib_cache._code import essence, has_own_call
from plib_cache._fingerprint import DEFAULT_TOKEN, NAN, SCALARS, Encoder, UnstableValueError
from plib_cache._identity import is_local, qualified_name
from plib_cache._pickling import type_name
from plib_cache.exceptions import UnhashableArgumentError

if TYPE_CHECKING:
    from plib_cache._by_content import ContentEncoder

__all__ = [
    "MAX_KEY_BYTES",
    "Binder",
    "args_digest",
    "code_digest",
    "compile_binder",
    "content_args_digest",
    "fingerprint",
    "function_identity",
    "key_bytes",
    "value_digest",
]

MAX_KEY_BYTES = 4096
DIGEST_BYTES = 16


def key_bytes(key: str | bytes) -> tuple[bytes, bool]:
    """The bytes of a key, and whether it was text; text is its UTF-8.

    Raises:
        TypeError: the key is neither str nor bytes.
        ValueError: it is empty, longer than 4096 bytes, or holds a lone surrogate.
    """
    if isinstance(key, str):
        raw, text = utf8(key, "key", "bytes, such as os.fsencode(key)"), True
    elif isinstance(key, bytes):
        raw, text = bytes(key), False
    else:
        raise TypeError(f"a key is str or bytes, not {type_name(key)}: pass str(key), or bytes")
    if not raw:
        raise ValueError(f"a key is empty: give one of 1 to {MAX_KEY_BYTES} bytes")
    if len(raw) > MAX_KEY_BYTES:
        raise ValueError(
            f"a key has 1 to {MAX_KEY_BYTES} bytes, this one has {len(raw)}: "
            "use a digest of what is longer, such as hashlib.blake2b(key).hexdigest()"
        )
    return raw, text


def utf8(text: str, what: str, instead: str) -> bytes:
    """Text as bytes.

    Raises:
        ValueError: it holds a lone surrogate; says ``what`` it is, and what to pass ``instead``.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the {what} {text!r:.60} holds a lone surrogate, which has no UTF-8: pass {instead}"
        ) from error


def fingerprint(value: object, typed: bool = True) -> bytes:
    """16 bytes that say what ``value`` is.

    Raises:
        UnhashableArgumentError: another process could not compute the same.
    """
    try:
        return _digest(Encoder(typed).token(value))
    except (UnstableValueError, RecursionError) as error:
        raise _unhashable_value(value, error) from None


def value_digest(value: object) -> bytes:
    """16 bytes that say what ``value`` is, by content; what a ``__plib_digest__`` returns.

    Raises:
        UnhashableArgumentError: another process could not compute the same.
        TypeError: a ``__plib_digest__`` returned something else than 16 bytes or None.
    """
    try:
        return _content_encoder().value_digest(value)
    except (UnstableValueError, RecursionError) as error:
        raise _unhashable_value(value, error) from None


def _unhashable_value(value: object, error: Exception) -> UnhashableArgumentError:
    return UnhashableArgumentError(
        f"a value of type {type_name(value)}{_detail(value, error)} cannot be hashed stably: "
        "give its class a __plib_key__ method that returns plain data"
    )


def _content_encoder() -> ContentEncoder:
    from plib_cache._by_content import ContentEncoder  # needs xxhash, which may be missing

    return ContentEncoder()


def args_digest(
    bound: tuple[Any, ...],
    typed: bool = True,
    *,
    names: Sequence[str] = (),
    defaults: Sequence[object] = (),
    function: str = "the function",
) -> bytes:
    """16 bytes that say what arguments in normal form are.

    Args:
        bound: what ``Binder.bind`` returned.
        typed: whether 1, 1.0 and True are different arguments.
        names: ``Binder.names``, and ``function`` the function's name, for messages.
        defaults: ``Binder.defaults``; an argument that is its default itself and gives no stable
            key (``object()``, say) stands for "the default".

    Raises:
        UnhashableArgumentError: names the argument that gives no stable key.
    """
    kinds = set(map(type, bound))
    if typed and kinds <= SCALARS:
        if float in kinds:
            bound = tuple([NAN if item != item else item for item in bound])
        return blake2b(marshal.dumps(bound, 2), digest_size=DIGEST_BYTES).digest()
    return _digest(_tokens(Encoder(typed), bound, names, defaults, function))


def content_args_digest(
    bound: tuple[Any, ...],
    *,
    names: Sequence[str] = (),
    defaults: Sequence[object] = (),
    function: str = "the function",
) -> bytes:
    """As ``args_digest``, by content; types always matter.

    Raises:
        UnhashableArgumentError: names the argument that gives no stable key.
        TypeError: a ``__plib_digest__`` returned something else than 16 bytes or None.
    """
    encoder = _content_encoder()
    if set(map(type, bound)) <= SCALARS and not any(map(encoder.is_large, bound)):
        return args_digest(bound)
    return encoder.digest(_tokens(encoder, bound, names, defaults, function))


def _tokens(
    encoder: Encoder,
    bound: tuple[Any, ...],
    names: Sequence[str],
    defaults: Sequence[object],
    function: str,
) -> bytes:
    """The tokens of arguments, one behind the other."""
    tokens = []
    for index, item in enumerate(bound):
        try:
            tokens.append(encoder.token(item))
        except (UnstableValueError, RecursionError) as error:
            if index < len(defaults) and item is defaults[index]:
                tokens.append(DEFAULT_TOKEN)
                continue
            name = names[index] if index < len(names) else f"#{index}"
            raise _unhashable_argument(name, function, item, error) from None
    return b"".join(tokens)


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST_BYTES).digest()


def _unhashable_argument(
    name: str, function: str, item: object, error: Exception
) -> UnhashableArgumentError:
    bare = name.lstrip("*")
    return UnhashableArgumentError(
        f"argument {bare!r} of {function} (type {type_name(item)}{_detail(item, error)}) cannot be "
        f"hashed stably; pass key= or ignore=({bare!r},)"
    )


def _detail(value: object, error: Exception) -> str:
    """What is wrong inside of ``value``, if it is not ``value`` itself."""
    if not isinstance(error, UnstableValueError):
        return ", nested too deeply"
    if error.culprit is value and not error.path:
        return ""
    place = "".join(error.path)
    return f", because of a {type_name(error.culprit)}" + (f" at {place}" if place else " in it")


def code_digest(function: Callable[..., Any], depends_on: Iterable[Any] = ()) -> bytes:
    """16 bytes that say what ``function`` does.

    They cover its source (its bytecode, where there is none), the values of its defaults and of
    its closure, and those of the functions in ``depends_on``, which may also hold other values.
    Globals and called functions are not followed.  Compute it after the module is complete: a
    closure may name what is defined later.

    Raises:
        UnhashableArgumentError: a default, a closure or a dependency gives no stable digest.
    """
    others = [code_digest(item) if callable(item) else fingerprint(item) for item in depends_on]
    described = essence(function)
    try:
        return _digest(Encoder().token(described) + b"".join(others))
    except (UnstableValueError, RecursionError) as error:
        raise UnhashableArgumentError(
            f"the code of {qualified_name(function)} depends on a default or a closure"
            f"{_detail(described, error)} that cannot be hashed stably: pass version="
        ) from None


def version_digest(version: object, depends_on: Iterable[Any]) -> bytes:
    """As ``code_digest``, with ``version`` in the place of the function itself."""
    others = [code_digest(item) if callable(item) else fingerprint(item) for item in depends_on]
    return _digest(Encoder().token(version) + b"".join(others)) if others else fingerprint(version)


def function_identity(function: Callable[..., Any]) -> str:
    """The name under which a function's results are kept: its module and qualified name.

    Where the name does not lead to the function (lambdas, functions in functions) the digest of
    its code is added; a method has its object's fingerprint added, a partial its arguments'.
    """
    if isinstance(function, types.MethodType):
        return _named(function.__func__, function.__self__)
    if isinstance(function, functools.partial):
        return _named(function.func, (function.args, function.keywords))
    own = has_own_call(type(function))
    inner = function if own else getattr(function, "__wrapped__", function)
    if own or not hasattr(inner, "__qualname__"):
        return f"{qualified_name(type(inner))}.__call__@{fingerprint(inner).hex()}"
    name = qualified_name(inner)
    return f"{name}#{code_digest(inner).hex()}" if is_local(inner) else name


def _named(function: Callable[..., Any], bound: object) -> str:
    return f"{function_identity(function)}@{fingerprint(bound).hex()}"
