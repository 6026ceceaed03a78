# SPDX-License-Identifier: BSD-3-Clause
"""The judge of tests of others: what counts as passed, and what fails a run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CONFTEST = """
from upstream.judge import Judge, Listed

class Ours:
    def use(self): pass

def pytest_configure(config):
    listed = Listed("why", "^it says so$"), Listed("why", "^$")
    names = "test_listed", "test_more.py::test_listed_too"
    judge = Judge("theirs", dict(zip(names, listed)), ["test_named"])
    judge.watch(Ours, "use")
    config.pluginmanager.register(judge)
"""
USES = "from conftest import Ours; Ours().use()\n"
NAMED = "def test_named(): pass\n"
SAYS_SO = "def test_listed(): raise ValueError('it says so')\n"
IMPORTS = "import pytest\n"


def judged(folder: Path, **files: str) -> tuple[int, set[str]]:
    """The exit status of a run of these tests, and how its tests have ended."""
    (folder / "conftest.py").write_text(CONFTEST)
    for name, source in files.items():
        (folder / f"{name}.py").write_text(IMPORTS + source)
    outer = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(folder), "-q"),
            *("-rA", "-p", "no:cacheprovider", str(folder)),
        ],
        cwd=folder,
        env={**outer, "PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ended = set(re.findall(r"^(PASSED|FAILED|XFAIL) \S*::(\w+)", done.stdout, re.M))
    ended |= {("ERROR", one) for one in re.findall(r"has no tests|used plib_cache", done.stdout)}
    return done.returncode, {" ".join(pair) for pair in ended}


def test_a_good_run(tmp_path: Path) -> None:
    """What is listed fails as listed; a file that is not run may have others."""
    good = judged(tmp_path, test_it=USES + NAMED + SAYS_SO)
    assert good == (0, {"PASSED test_named", "XFAIL test_listed"})


def test_by_the_name_of_its_file(tmp_path: Path) -> None:
    """A test may be listed for one file; the test of that name in another one must pass."""
    fails = "def test_listed_too(): raise ValueError\n"
    both = judged(tmp_path, test_it=USES + NAMED + SAYS_SO + fails, test_more=fails)
    assert both[0] == 1
    assert both[1] >= {"FAILED test_listed_too", "XFAIL test_listed_too"}


@pytest.mark.parametrize(
    "listed",
    [
        "def test_listed(): pass\n",
        "def test_listed(): raise ValueError('it says so not')\n",
        "def test_listed(): pytest.skip('because')\n",
    ],
    ids=["passes", "says something else", "skipped"],
)
def test_listed_and_not_as_listed(tmp_path: Path, listed: str) -> None:
    """Each fails the run."""
    ended = judged(tmp_path, test_it=USES + NAMED + listed)
    assert ended == (1, {"PASSED test_named", "FAILED test_listed"})


@pytest.mark.parametrize("does", ["pytest.skip('because')", "raise ValueError('it says so')"])
def test_not_listed(tmp_path: Path, does: str) -> None:
    """It must pass: a skip fails the run as any failure does."""
    ended = judged(tmp_path, test_it=USES + NAMED + SAYS_SO + f"def test_other(): {does}\n")
    assert ended == (1, {"PASSED test_named", "XFAIL test_listed", "FAILED test_other"})


@pytest.mark.parametrize("missing", [NAMED, SAYS_SO])
def test_named_and_not_there(tmp_path: Path, missing: str) -> None:
    """A table that names what does not exist is wrong: nothing is run."""
    source = (USES + NAMED + SAYS_SO).replace(missing, "")
    assert judged(tmp_path, test_it=source) == (4, {"ERROR has no tests"})


def test_nothing_of_ours(tmp_path: Path) -> None:
    """A run that has not used what stands in the place of theirs has shown nothing."""
    status, ended = judged(tmp_path, test_it=NAMED + SAYS_SO)
    assert status == 1
    assert ended == {"PASSED test_named", "XFAIL test_listed", "ERROR used plib_cache"}
