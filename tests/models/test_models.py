# SPDX-License-Identifier: BSD-3-Clause
"""Every model holds in all its runs, and finds every bug that is planted in it; the machines are as
weak as they say."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .catalogue import MODELS, PARTS
from .explore import Program, explore
from .fences import FENCES
from .model import Model
from .words import (
    Broken,
    Op,
    Thread,
    acq,
    add_rel,
    add_rlx,
    fence_full,
    gone,
    gone_unsettled,
    later,
    put_rel,
    put_rlx,
    rlx,
    swap,
    value,
)

AS_IS = [(model, machine) for model in MODELS for machine in model.machines]
PLANTED = [
    (model, bug, machine)
    for model in MODELS
    for bug, machines in model.bugs.items()
    for machine in machines
]


@pytest.mark.parametrize(
    ("model", "machine"), AS_IS, ids=lambda x: x if isinstance(x, str) else x.name
)
def test_holds(model: Model, machine: str) -> None:
    """No run of the protocol as it is breaks a promise."""
    found = explore(model.build(""), machine)
    print(f"{model.name} on {machine}: {found.states} states")
    assert found.broken is None, "\n".join([found.broken, *found.path])


@pytest.mark.parametrize(
    ("model", "bug", "machine"), PLANTED, ids=lambda x: x if isinstance(x, str) else x.name
)
def test_finds(model: Model, bug: str, machine: str) -> None:
    """A run of the protocol with the planted bug breaks a promise."""
    found = explore(model.build(bug), machine)
    print(f"{model.name} with {bug} on {machine}: {found.states} states: {found.broken}")
    assert found.broken is not None
    assert found.path


def tree_of(part: ModuleType) -> ast.Module:
    return ast.parse(Path(str(part.__file__)).read_text(encoding="utf-8"))


def asked_for(part: ModuleType) -> set[object]:
    """The bugs that a file compares `bug` with."""
    return {
        node.value
        for compare in ast.walk(tree_of(part))
        if isinstance(compare, ast.Compare)
        and isinstance(compare.left, ast.Name)
        and compare.left.id == "bug"
        for node in ast.walk(compare)
        if isinstance(node, ast.Constant)
    }


def taken_from(part: ModuleType, other: ModuleType) -> bool:
    """Does a file use something of the other one?"""
    name = other.__name__.rpartition(".")[2]
    return any(
        isinstance(node, ast.ImportFrom) and node.module == name for node in ast.walk(tree_of(part))
    )


def test_every_bug_is_planted() -> None:
    """A bug that a model names is asked for in its file, or in one whose steps it takes; and the
    other way round."""
    for part in PARTS:
        named = {bug for model in part.MODELS for bug in model.bugs}
        own = asked_for(part)
        borrowed = [asked_for(other) for other in PARTS if taken_from(part, other)]
        assert own <= named <= own.union(*borrowed), part.__name__


def test_one_yield_in_a_statement() -> None:
    """What a thread has in hand between two yields is in its locals: the explorer sees it."""
    for part in PARTS:
        for node in ast.walk(ast.parse(Path(str(part.__file__)).read_text(encoding="utf-8"))):
            if isinstance(node, ast.stmt):
                inside = [
                    child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
                ]
                yields = [
                    x
                    for child in inside
                    for x in ast.walk(child)
                    if isinstance(x, ast.Yield | ast.YieldFrom)
                ]
                assert len(yields) <= 1, f"{part.__name__}, line {node.lineno}"


SOURCE = Path(__file__).parents[2] / "native" / "src"
NAMED = re.compile(r"\b(\w+\.[ch]): ([^.;:]+)")
BEGINS = re.compile(r"^(?!typedef|#)\w[\w *(),]*?\b(\w+)\(", re.MULTILINE)


def functions_of(file: str) -> set[str]:
    """What a file of the core defines or declares."""
    text = (SOURCE / file).read_text(encoding="utf-8")
    return set(BEGINS.findall(re.sub(r"__attribute__\(\(.*?\)\)\s*", "", text)))


def names_in(text: str) -> list[str]:
    """The names of a list, without what is said besides."""
    items = (item.strip() for item in re.split(r",| and |\(.*?\)", text))
    found = (re.match(r"[a-z0-9]+_\w+|[a-z]+$", item) for item in items)
    return [name[0] for name in found if name]


def test_steps_name_what_is_in_the_core() -> None:
    """Where a step says which function it stands for, that function is in that file."""
    wrong, named = [], 0
    for part in PARTS:
        for node in ast.walk(tree_of(part)):
            text = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
            for file, names in NAMED.findall(" ".join((text or "").split())):
                there = functions_of(file)
                named += len(names_in(names))
                wrong += [f"{part.__name__}: {file}: {names}"] if not names_in(names) else []
                wrong += [f"{file}: {name}" for name in names_in(names) if name not in there]
    assert not wrong, wrong
    assert named > 150


def test_mirrors_are_in_the_core() -> None:
    """What a model says that it mirrors is in the core; so is what the core's README says of it."""
    there = {name for path in SOURCE.glob("*.[ch]") for name in functions_of(path.name)}
    readme = (SOURCE.parent / "README.md").read_text(encoding="utf-8")
    rows = {
        name: columns[2]
        for columns in (line.split("|") for line in readme.splitlines() if line.startswith("| `"))
        for name in re.findall(r"`([\w-]+)`", columns[1])
    }
    told = [name for model in MODELS for name in re.split(r"[,;:] ", model.mirrors)]
    told += [n for model in MODELS for n in re.findall(r"`(\w+)`", rows[model.name])]
    assert [name for name in told if name.islower() and name not in there] == []


def fences_of(path: Path) -> list[tuple[str, str, str]]:
    """File, function and kind of each fence in a file."""
    found, function = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        plain = re.sub(r"__attribute__\(\(.*?\)\)\s*", "", line)
        begins = re.match(r"(?:\w[\w *]*?)?\b(\w+)\(.*[{,]$", plain)
        function = begins[1] if begins else function
        found += [
            (path.name, function, kind)
            for kind in re.findall(r"\bfence_(full|acquire|release)\(\);", line)
        ]
    return found


def test_every_fence_is_accounted_for() -> None:
    """A fence has a bug that a model finds without it, or a reason why it has none."""
    there = [f for path in sorted(SOURCE.glob("*.[ch]")) for f in fences_of(path)]
    assert sorted(there) == sorted((f.file, f.function, f.kind) for f in FENCES)
    bugs = {(model.name, bug) for model in MODELS for bug in model.bugs}
    assert [f for f in FENCES if f.model and (f.model, f.bug) not in bugs] == []
    assert [f for f in FENCES if not f.model and len(f.bug) < 20] == []


# ---- the machines, by what is known of them ----------------------------------------------------

Two = tuple[Callable[[], Thread], Callable[[], Thread]]


def outcomes(pair: Two, machine: str, words: tuple[str, ...] = ()) -> set[tuple[Any, ...]]:
    """What the two threads can return, or what the words can be in the end."""
    seen: set[tuple[Any, ...]] = set()

    def gather(memory: dict[str, Any], results: dict[str, Any]) -> None:
        seen.add(tuple(memory[word] for word in words) if words else tuple(results.values()))

    explore(Program({"x": 0, "y": 0}, {"a": pair[0], "b": pair[1]}, gather), machine)
    return seen


def crossing(mine: str, other: str, fence: bool) -> Callable[[], Thread]:
    def thread() -> Thread:
        yield put_rel(mine, 1)
        if fence:
            yield fence_full()
        seen = yield acq(other)
        return seen

    return thread


def test_stores_are_overtaken_by_loads() -> None:
    """Store buffering: on x86 and weaker, unless both threads have a full fence."""
    bare = (crossing("x", "y", False), crossing("y", "x", False))
    assert [(0, 0) in outcomes(bare, m) for m in ("sc", "tso", "weak")] == [False, True, True]
    for fenced in (bare[0], crossing("x", "y", True)):
        both = (fenced, crossing("y", "x", True))
        assert ((0, 0) in outcomes(both, "weak")) == (fenced is bare[0])
        assert ((0, 0) in outcomes(both, "tso")) == (fenced is bare[0])


@pytest.mark.parametrize("release", [False, True])
@pytest.mark.parametrize("acquire", [False, True])
def test_messages(release: bool, acquire: bool) -> None:
    """What was stored before a release is seen behind an acquire; else only on x86."""

    def sender() -> Thread:
        yield put_rlx("x", 1)
        yield put_rel("y", 1) if release else put_rlx("y", 1)

    def receiver() -> Thread:
        flag = yield acq("y") if acquire else rlx("y")
        message = yield rlx("x")
        return flag, message

    assert (None, (1, 0)) not in outcomes((sender, receiver), "tso")
    assert ((None, (1, 0)) in outcomes((sender, receiver), "weak")) == (not (release and acquire))


@pytest.mark.parametrize(
    ("store", "free"),
    [(put_rlx, True), (put_rel, False), (add_rlx, True), (add_rel, False)],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_loads_are_overtaken_by_stores(store: Callable[[str, int], Op], free: bool) -> None:
    """On the weak machine, for values that are looked at later, by what is relaxed."""

    def thread(mine: str, other: str) -> Callable[[], Thread]:
        def run() -> Thread:
            loaded = yield later(other)
            yield store(mine, 1)
            seen = yield value(loaded)
            return seen

        return run

    pair = (thread("x", "y"), thread("y", "x"))
    assert [(1, 1) in outcomes(pair, m) for m in ("sc", "tso", "weak")] == [False, False, free]


@pytest.mark.parametrize("release", [False, True])
def test_stores_are_overtaken_by_stores(release: bool) -> None:
    """Both threads store two words, in opposite order: both first stores may end up last."""

    def thread(first: str, second: str) -> Callable[[], Thread]:
        def run() -> Thread:
            yield put_rlx(first, 1)
            yield put_rel(second, 2) if release else put_rlx(second, 2)

        return run

    pair = (thread("x", "y"), thread("y", "x"))
    assert (1, 1) not in outcomes(pair, "tso", ("x", "y"))
    assert (1, 1) in outcomes(pair, "weak", ("x", "y"))


@pytest.mark.parametrize("machine", ["sc", "tso", "weak"])
def test_swaps_are_one_access(machine: str) -> None:
    """Of two that swap from the same value one wins."""

    def thread() -> Thread:
        won = yield swap("x", 0, 1)
        return won

    assert outcomes((thread, thread), machine) == {(True, False), (False, True)}


@pytest.mark.parametrize(("machine", "arrives"), [("sc", True), ("tso", False), ("weak", False)])
def test_kills(machine: str, arrives: bool) -> None:
    """A thread is killed behind any store; all of them have arrived once that is settled."""

    def victim() -> Thread:
        yield put_rlx("x", 1)
        yield put_rlx("y", 1)
        yield acq("x")

    def survivor(settled: bool) -> Callable[[], Thread]:
        def run() -> Thread:
            dead = yield gone("victim") if settled else gone_unsettled("victim")
            if dead:
                seen = yield rlx("x")
                if seen == 0:
                    raise Broken("a dead one's store arrives late")

        return run

    for settled in (True, False):
        threads = {"victim": victim, "survivor": survivor(settled)}
        program = Program({"x": 0, "y": 0}, threads, killed=("victim",))
        assert (explore(program, machine).broken is None) == (settled or arrives)
