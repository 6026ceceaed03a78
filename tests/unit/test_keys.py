# SPDX-License-Identifier: BSD-3-Clause
"""Keys of entries, of calls and of functions."""

from __future__ import annotations

import functools
import importlib
import inspect
import linecache
import os
import pathlib
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plib_cache.exceptions import ConfigurationError, UnhashableArgumentError
from plib_cache.keys import (
    args_digest,
    code_digest,
    compile_binder,
    fingerprint,
    function_identity,
    key_bytes,
)


def child(**more: str) -> dict[str, str]:
    """An environment in which another interpreter finds the same packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}


def output(script: str, *arguments: str, **more: str) -> str:
    """What another interpreter prints."""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=child(**more))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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


# Digests of code


def loaded(path: pathlib.Path, text: str, name: str = "edited") -> Any:
    """A module made from text, by the import system, as of long ago."""
    path.write_text(text, encoding="utf-8")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    linecache.clearcache()
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    exec(compile(text, str(path), "exec", dont_inherit=True), module.__dict__)
    return module


BASE = "def f(x, k=1):\n    return x + 1\n"


@pytest.mark.parametrize(
    "changed",
    [
        BASE.replace("+ 1", "+ 2"),
        BASE.replace("+", "-"),
        BASE.replace("x + 1", "x + y"),
        BASE.replace("k=1", "k=2"),
        BASE.replace("k=1", "*, k=1"),
        BASE.replace("return x", "return (lambda: x)()"),
    ],
)
def test_an_edited_function_has_another_digest(tmp_path: pathlib.Path, changed: str) -> None:
    """Its text, its constants, its names and its defaults count, with and without source."""
    path = tmp_path / "edited.py"
    assert code_digest(loaded(path, BASE).f) != code_digest(loaded(path, changed).f)
    assert digest_without_source(BASE) != digest_without_source(changed)


def digest_without_source(text: str) -> bytes:
    """The digest of a function whose source is nowhere."""
    namespace: dict[str, Any] = {"__name__": "edited"}
    exec(text, namespace)
    return code_digest(namespace["f"])


def test_where_a_function_stands_and_its_decorators_do_not_matter(tmp_path: pathlib.Path) -> None:
    """A function that moved, or whose decorator got another option, is the same."""
    path = tmp_path / "edited.py"
    decorators = "\n\nimport functools\ndef d(**k): return lambda f: f\n@d(\n    expire=5,\n)\n"
    expected = code_digest(loaded(path, BASE).f)
    assert code_digest(loaded(path, decorators + BASE).f) == expected
    assert code_digest(loaded(path, decorators.replace("5", "6") + BASE).f) == expected
    assert digest_without_source("\n\n" + BASE) == digest_without_source(BASE)


def test_a_file_edited_under_a_running_program_is_not_believed(tmp_path: pathlib.Path) -> None:
    """What runs is the old code, so the new text must not name its results."""
    path = tmp_path / "edited.py"
    module = loaded(path, BASE)
    path.write_text(BASE.replace("+ 1", "+ 2"), encoding="utf-8")
    linecache.clearcache()
    os.utime(path)
    running = code_digest(module.f)
    changed = loaded(path, BASE.replace("+ 1", "+ 2"))
    assert code_digest(changed.f) != running


def make(offset: object) -> Callable[[int], Any]:
    """A closure."""

    def inner(x: int) -> Any:
        return x, offset

    return inner


def test_closures_differ_by_what_they_keep() -> None:
    """The values of cells are part of the code."""
    assert code_digest(make(1)) == code_digest(make(1))
    assert code_digest(make(1)) != code_digest(make(2))
    assert code_digest(make([1])) != code_digest(make([2]))
    assert function_identity(make(1)) != function_identity(make(2))
    with pytest.raises(UnhashableArgumentError, match=r"inner.*_thread\.lock.*version="):
        code_digest(make(threading.Lock()))


def test_a_function_may_call_itself() -> None:
    """Its digest is the same before and after it is decorated."""

    def fact(n: int) -> int:
        return n and n * fact(n - 1)

    inner = fact
    before = code_digest(inner)
    fact = functools.lru_cache(inner)  # type: ignore[assignment]
    assert code_digest(inner) == before
    assert code_digest(fact) == before


def test_dependencies_are_part_of_the_digest() -> None:
    """Helpers, wrapped helpers and plain values can be named."""
    assert code_digest(plain) != code_digest(plain, (starred,))
    assert code_digest(plain, (starred,)) != code_digest(plain, (keywords,))
    assert code_digest(plain, (1, "a")) != code_digest(plain, (1, "b"))
    assert code_digest(plain, (make(1),)) != code_digest(plain, (make(2),))
    assert code_digest(plain, (functools.lru_cache(starred),)) == code_digest(plain, (starred,))


class Model:
    """A class with methods and a call."""

    def __init__(self, weight: int) -> None:
        self.weight = weight

    def __call__(self, x: int) -> int:
        return x * self.weight

    def predict(self, x: int) -> int:
        return x * self.weight


def test_every_callable_has_an_identity_and_a_digest() -> None:
    """Functions, methods, partials, builtins, classes and instances."""
    module = __name__
    assert function_identity(plain) == f"{module}.plain"
    assert function_identity(functools.lru_cache(plain)) == f"{module}.plain"
    assert function_identity(Model.predict) == f"{module}.Model.predict"
    assert function_identity(len) == "builtins.len"
    different: list[Any] = [
        plain, starred, len, Model, Model.predict, Model(1), Model(2), Model(1).predict,
        Model(2).predict, functools.partial(plain, 1), functools.partial(plain, 2),
        lambda x: x, lambda x: x + 1,
    ]  # fmt: skip
    assert len(set(map(function_identity, different))) == len(different)
    assert all(len(code_digest(function)) == 16 for function in different)
    assert code_digest(Model(1).predict) == code_digest(Model(2).predict)


SCRIPT = """
import sys
from plib_cache.keys import code_digest, fingerprint, function_identity
from enum import Enum
class Kind(Enum):
    A = "a"
    def method(self): return {"p", "q", "r"}
class Thing:
    def __init__(self): self.names = {"x", "y", "z"}; self.kind = Kind.A
def outer(k):
    def inner(x):
        return x in {"a", "b", "c"} and k
    return inner
def f(x, y={"a", "b"}): return x in {"d", "e", "f"}, lambda: {"g", "h"}
g = outer(frozenset("abcdef"))
for function in (f, g, lambda: {"i", "j"}):
    print(function_identity(function), code_digest(function, (g,)).hex())
print(fingerprint([Thing(), Kind.A, {"a", "b"}, {"x": 1, "y": 2}, f, Thing, g, print, sys]).hex())
"""


def test_keys_do_not_depend_on_the_process(tmp_path: pathlib.Path) -> None:
    """Three hash seeds, as text and as a script, give the same keys."""
    assert len({output(SCRIPT, PYTHONHASHSEED=seed) for seed in ("0", "1", "4711")}) == 1
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    answers = set()
    for seed in ("0", "1", "4711"):
        done = subprocess.run(
            [sys.executable, str(path)],
            capture_output=True,
            text=True,
            env=child(PYTHONHASHSEED=seed),
        )
        answers.add(done.stdout)
        assert done.returncode == 0, done.stderr
    assert len(answers) == 1


def test_a_module_run_by_name_is_the_module(tmp_path: pathlib.Path) -> None:
    """python -m tool shares results with programs that import tool."""
    (tmp_path / "tool.py").write_text(
        "from plib_cache.keys import code_digest, fingerprint, function_identity\n"
        "class C: pass\n"
        "def f(x): return x\n"
        "def show(): print(function_identity(f), code_digest(f).hex(), fingerprint(C()).hex())\n"
        "if __name__ == '__main__': show()\n",
        encoding="utf-8",
    )
    os.utime(tmp_path / "tool.py", (1_600_000_000, 1_600_000_000))
    env = child()
    env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{env['PYTHONPATH']}"
    answers = {
        subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, check=True, env=env
        ).stdout
        for command in (["-m", "tool"], ["-c", "import tool; tool.show()"])
    }
    assert len(answers) == 1
    assert "tool.f " in answers.pop()


def test_spawned_processes_agree_with_the_script_that_started_them(tmp_path: pathlib.Path) -> None:
    """The main module of a child of multiprocessing is the parent's."""
    path = tmp_path / "script.py"
    path.write_text(
        "import multiprocessing\n"
        "from plib_cache.keys import fingerprint, function_identity\n"
        "class C: pass\n"
        "def show(_): return function_identity(show), fingerprint(C())\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(show, [0])[0] == show(0))\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, env=child())
    assert done.stdout.strip() == "True", done.stderr


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


def test_the_digest_of_source_is_golden(tmp_path: pathlib.Path) -> None:
    """Text is the same under every version of Python."""
    assert (
        code_digest(loaded(tmp_path / "edited.py", BASE).f).hex()
        == "de1eeed4bcc1953c834d9858ac58b597"
    )
