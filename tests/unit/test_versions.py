# SPDX-License-Identifier: BSD-3-Clause
"""A function's digest: another one when the function is edited, the same in every process."""

from __future__ import annotations

import functools
import importlib
import linecache
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from plib_cache.exceptions import UnhashableArgumentError
from plib_cache.keys import (
    code_digest,
    function_identity,
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


# Arguments in normal form


def plain(a: Any, b: Any = 2) -> None: ...
def starred(a: Any, *args: Any, c: Any = 3, **kw: Any) -> None: ...
def keywords(a: Any, *, b: Any, c: Any = 5) -> None: ...


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


def test_the_digest_of_source_is_golden(tmp_path: pathlib.Path) -> None:
    """Text is the same under every version of Python."""
    assert (
        code_digest(loaded(tmp_path / "edited.py", BASE).f).hex()
        == "de1eeed4bcc1953c834d9858ac58b597"
    )
