# SPDX-License-Identifier: BSD-3-Clause
"""docs/migration-diskcache.md names all that diskcache has, and what it says of us is there."""

from __future__ import annotations

import inspect
import re
import subprocess
from pathlib import Path
from typing import Any

import diskcache
import pytest
from upstream.diskcache_table import APPLY, EXPECTED

from plib_cache.integrations.diskcache import Cache

PAGE = (Path(__file__).parents[3] / "docs" / "migration-diskcache.md").read_text(encoding="utf-8")
CLASSES = [diskcache.Cache, diskcache.FanoutCache, diskcache.Index, diskcache.Deque]


def section(title: str) -> str:
    """A section of the page."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert found, f"the page has no section {title!r}"
    return found[1]


def named(title: str) -> set[str]:
    """What stands in the first column of a section's table, as code."""
    rows = [line.split("|")[1] for line in section(title).splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_method_is_on_the_page(kind: Any) -> None:
    """In the table of its class; and nothing stands there that the class has not."""
    public = {name for name in dir(kind) if not name.startswith("_")}
    on_page = {name for name in named(f"`diskcache.{kind.__name__}`") if name.isidentifier()}
    assert public - on_page == set()
    assert on_page - public - {"len", "in", "iter", "reversed", "pickle", "del", "with"} == set()
    called = next(name for name in named(f"`diskcache.{kind.__name__}`") if "(" in name)
    own = list(inspect.signature(kind.__init__).parameters)[1:]
    assert called.startswith(kind.__name__)
    assert kind is diskcache.Index or [w for w in re.findall(r"\w+", called)[1:] if w] == own


def test_every_setting_is_on_the_page() -> None:
    """Each with what it does."""
    assert named("Settings") - {"disk_..."} == set(diskcache.DEFAULT_SETTINGS)


def test_every_argument_of_memoize_is_on_the_page() -> None:
    """And the attributes of the function."""
    own = set(inspect.signature(diskcache.Cache.memoize).parameters) - {"self"}
    assert named("`memoize`") == {*own, "__cache_key__", "__wrapped__"}


def test_every_public_name_is_on_the_page() -> None:
    """Also recipes, warnings and constants."""
    for name in {*diskcache.__all__, "DjangoCache"}:
        assert re.search(rf"`(diskcache\.)?{name}\b", PAGE), name


def test_our_class_has_the_methods_and_their_arguments() -> None:
    """In the same order, with the same defaults."""
    for name, theirs in inspect.getmembers(diskcache.Cache, inspect.isfunction):
        if name.startswith("_") and not (name.startswith("__") and name.endswith("__")):
            continue
        ours = inspect.signature(getattr(Cache, name)).parameters
        wanted = inspect.signature(theirs).parameters
        if name in ("__init__", "__exit__", "__getattribute__", "__setstate__"):
            continue
        assert list(ours) == list(wanted), name
        for one in wanted:
            assert repr(ours[one].default) == repr(wanted[one].default), (name, one)


def test_the_figures_of_their_tests() -> None:
    """As many as the table has."""
    total = sum(APPLY.values())
    assert f"{total - len(EXPECTED)} of {total} of its" in " ".join(PAGE.split())


@pytest.mark.parametrize("script", re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.M | re.S))
def test_shell_blocks_are_shell(script: str) -> None:
    """Each is whole."""
    subprocess.run(["sh", "-n"], input=script, text=True, check=True, timeout=60)
