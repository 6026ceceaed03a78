# SPDX-License-Identifier: BSD-3-Clause
"""Keys: of text and bytes, and of calls."""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plib_cache.exceptions import ConfigurationError, UnhashableArgumentError
from plib_cache.keys import (
    args_digest,
    compile_binder,
    fingerprint,
    key_bytes,
)

# Keys of entries


def test_text_and_bytes_of_the_same_utf8_are_one_key() -> None:
    """The flag only remembers how the key was given."""
    assert key_bytes("\u00e9") == (b"\xc3\xa9", True)
    assert key_bytes(b"\xc3\xa9") == (b"\xc3\xa9", False)


@pytest.mark.parametrize("key", ["", b"", "x" * 4097, b"x" * 4097, "\u00e9" * 2049, "\ud800"])
def test_keys_out_of_bounds_are_value_errors(key: str | bytes) -> None:
    """Empty, too long, or without UTF-8."""
    with pytest.raises(ValueError, match="1 to 4096 bytes|lone surrogate"):
        key_bytes(key)


def test_the_longest_key_is_accepted() -> None:
    """4096 bytes are a key."""
    assert len(key_bytes("x" * 4096)[0]) == 4096


@pytest.mark.parametrize("key", [1, None, bytearray(b"a"), ("a",)])
def test_keys_of_other_types_are_type_errors(key: Any) -> None:
    """The message says what to pass."""
    with pytest.raises(TypeError, match="pass str"):
        key_bytes(key)


# Arguments in normal form


def plain(a: Any, b: Any = 2) -> None: ...
def starred(a: Any, *args: Any, c: Any = 3, **kw: Any) -> None: ...
def positional(a: Any, b: Any = 1, /, c: Any = 2) -> None: ...
def keywords(a: Any, *, b: Any, c: Any = 5) -> None: ...
def hostile(_pairs: Any, tuple: Any = 1, sorted: Any = 2, **kw: Any) -> None: ...  # noqa: A002
def nothing() -> None: ...


FUNCTIONS = [plain, starred, positional, keywords, hostile, nothing]


@pytest.mark.parametrize(
    ("function", "calls", "normal"),
    [
        (plain, [((1,), {}), ((1, 2), {}), ((1,), {"b": 2}), ((), {"b": 2, "a": 1})], (1, 2)),
        (starred, [((1, 2, 3), {"z": 1, "y": 2}), ((1, 2, 3), {"y": 2, "c": 3, "z": 1})],
         (1, (2, 3), 3, (("y", 2), ("z", 1)))),
        (positional, [((1,), {}), ((1, 1), {"c": 2}), ((1, 1, 2), {})], (1, 1, 2)),
        (keywords, [((1,), {"b": 2}), ((), {"c": 5, "b": 2, "a": 1})], (1, 2, 5)),
        (hostile, [((0,), {"x": 1}), ((), {"x": 1, "_pairs": 0})], (0, 1, 2, (("x", 1),))),
        (nothing, [((), {})], ()),
    ],
)  # fmt: skip
def test_spellings_of_one_call_have_one_normal_form(
    function: Callable[..., Any], calls: list[Any], normal: tuple[Any, ...]
) -> None:
    """Defaults are filled in, and the order of keyword arguments does not matter."""
    binder = compile_binder(function)
    for args, kwargs in calls:
        assert binder.bind(*args, **kwargs) == normal
    assert len(binder.names) == len(normal)


@pytest.mark.parametrize("function", FUNCTIONS)
@given(args=st.lists(st.integers(0, 3), max_size=4), kwargs=st.dictionaries(
    st.sampled_from(["a", "b", "c", "z", "self"]), st.integers(0, 3)))  # fmt: skip
def test_the_binder_accepts_and_refuses_what_the_function_does(
    function: Callable[..., Any], args: list[int], kwargs: dict[str, int]
) -> None:
    """A wrong call raises the function's own error; a right one agrees with inspect."""
    binder = compile_binder(function)
    try:
        function(*args, **kwargs)
    except TypeError as error:
        with pytest.raises(TypeError, match=f"^{re.escape(str(error))}$"):
            binder.bind(*args, **kwargs)
        return
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    expected = tuple(
        tuple(sorted(value.items())) if isinstance(value, dict) else value
        for value in bound.arguments.values()
    )
    assert binder.bind(*args, **kwargs) == expected


def test_defaults_are_the_function_s_own_objects() -> None:
    """A default needs no source form."""
    marker = object()

    def f(a: object = marker, *, b: object = marker) -> None: ...

    assert compile_binder(f).bind() == (marker, marker)


def test_ignored_arguments_are_left_out() -> None:
    """Also those that arrive in **kwargs, and a method's self."""
    assert compile_binder(plain, ignore="b").bind(1, b=5) == (1,)
    binder = compile_binder(starred, ignore=("c", "verbose"))
    assert binder.bind(1, c=9, verbose=True, x=1) == (1, (), (("x", 1),))
    assert binder.names == ("a", "*args", "**kw")
    assert compile_binder(starred, ignore=["kw", "args"]).bind(1, 2, y=1) == (1, 3)
    with pytest.raises(ConfigurationError, match=r"\['x'\] are no parameters of plain"):
        compile_binder(plain, ignore=("x",))


def test_a_builtin_without_signature_takes_anything() -> None:
    """Its arguments are kept as they were given; what cannot be called is refused."""
    assert compile_binder(type).bind(1, b=2, a=3) == ((1,), (("a", 3), ("b", 2)))
    with pytest.raises(ConfigurationError, match="key="):
        compile_binder(5)  # type: ignore[arg-type]


def test_methods_and_partials_are_bound() -> None:
    """Whatever has a signature has a normal form."""
    assert compile_binder(functools.partial(plain, 1)).bind() == (2,)
    assert compile_binder("abc".split).bind() == (None, -1)


# Digests of arguments


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((1, 23), (12, 3)),
        (("a", "bc"), ("ab", "c")),
        (("a,b",), ("a", "b")),
        (("a\0b",), ("a", "b")),
        (((1, 2), 3), (1, (2, 3))),
        (((1,), (2,)), ((1, 2),)),
        (((1, 2),), (1, 2)),
        (((),), ()),
        (([1, 2],), ((1, 2),)),
        (([1], [2]), ([1, 2],)),
        (([],), ([[]],)),
        (({1: 2},), ({2: 1},)),
        (({"a": 1, "b": 2},), ({"a": 2, "b": 1},)),
        (({"a": "b"},), (["a", "b"],)),
        (({1, 2},), (frozenset({1, 2}),)),
        (({},), (set(),)),
        ((b"a",), ("a",)),
        ((None,), ("None",)),
        ((1,), ("1",)),
        ((1,), (True,)),
        ((1,), (1.0,)),
        ((0.0,), (-0.0,)),
        ((1.0,), (1 + 0j,)),
    ],
)
def test_different_arguments_have_different_digests(left: Any, right: Any) -> None:
    """Nothing runs together, and types matter."""
    assert args_digest(left) != args_digest(right)
    assert fingerprint(left) != fingerprint(right)


def test_untyped_digests_merge_equal_numbers_only() -> None:
    """As functools.lru_cache does."""
    for wrap in (lambda x: (x,), lambda x: ([x],), lambda x: ({"k": (x,)},), lambda x: ({x: x},)):
        same = {args_digest(wrap(x), typed=False) for x in (1, 1.0, True, 1 + 0j)}
        assert len(same) == 1
        assert args_digest(wrap("1"), typed=False) not in same
        assert args_digest(wrap(1.5), typed=False) not in same
    assert args_digest((0.0,), typed=False) == args_digest((-0.0,), typed=False)
    assert args_digest(("a",), typed=False) != args_digest((b"a",), typed=False)


def test_nan_is_one_argument() -> None:
    """A call with NaN can be a hit."""
    other = -float("nan")
    for wrap in (
        lambda x: (x,),
        lambda x: ([x, "a"],),
        lambda x: ({"k": x},),
        lambda x: ((x, []),),
    ):
        assert args_digest(wrap(float("nan"))) == args_digest(wrap(other))


def test_the_unhashable_argument_is_named() -> None:
    """The message has the argument, the function, the culprit and the way out."""
    lock = threading.Lock()
    binder = compile_binder(starred)
    with pytest.raises(UnhashableArgumentError) as info:
        args_digest(binder.bind([{"k": lock}]), names=binder.names, function=starred.__qualname__)
    assert str(info.value) == (
        "argument 'a' of starred (type list, because of a _thread.lock at [0]['k']) "
        "cannot be hashed stably; pass key= or ignore=('a',)"
    )
    with pytest.raises(UnhashableArgumentError, match=r"argument 'kw' of .*ignore=\('kw',\)"):
        args_digest(binder.bind(1, x=lock), names=binder.names)
    with pytest.raises(UnhashableArgumentError, match=r"\(type _thread\.lock\)"):
        args_digest((lock,))


GOLDEN_ARGUMENTS: list[tuple[tuple[Any, ...], str]] = [
    ((), "85020894aa0025a7b74eb744ec92f21e"),
    ((1, 2.5, "a\u00e9\ud800", b"b", None, True, -(2**70)), "46f3c4812f86c550f259e96899b22647"),
    (
        ((1, ("x",)), [1, [2]], {"k": (1,), 2: {"a"}}, frozenset({3}), float("nan"), 1j),
        "0f78e20570502d373150d4ab15a42154",
    ),
]


@pytest.mark.parametrize(("bound", "expected"), GOLDEN_ARGUMENTS, ids=range(3))
def test_golden_digests(bound: tuple[Any, ...], expected: str) -> None:
    """Keys written by other versions of Python and of this package are found again."""
    assert args_digest(bound).hex() == expected
