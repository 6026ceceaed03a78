# SPDX-License-Identifier: BSD-3-Clause
"""Who says how tests of others may end here; each of their plugins registers one.

A listed test must fail, and say what is listed; any other must pass, and not be skipped.  All that
is named exists.  A run that has not used what is put in the place of theirs has shown nothing.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Generator, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import pytest


class Failing(Protocol):
    """Why a test fails here."""

    @property
    def reason(self) -> str:
        """In a sentence."""

    @property
    def says(self) -> str:
        """A regular expression for its failure."""


class Listed(NamedTuple):
    """Why a test fails here, and what its failure says."""

    reason: str
    says: str  # a regular expression


def names_of(item: pytest.Item) -> tuple[str, str]:
    """The names of a test, without parameters: in its module, and with the name of its file."""
    name = item.nodeid.partition("::")[2].partition("[")[0]
    return name, f"{item.path.name}::{name}"


class Judge:
    """The plugin.

    Args:
        whose: the package whose tests they are, with its version if that matters.
        listed: what cannot pass, by either name; with that of a file, where the file is run.
        named: others that a table names.
    """

    def __init__(
        self, whose: str, listed: Mapping[str, Failing], named: Iterable[str] = ()
    ) -> None:
        self._whose = whose
        self._listed = listed
        self._named = {*listed, *named}
        self._uses = 0

    def watch(self, kind: type[Any], method: str) -> None:
        """Note each call of a method of ours."""
        plain = getattr(kind, method)

        @functools.wraps(plain)
        def noted(*args: Any, **options: Any) -> Any:
            self._uses += 1
            return plain(*args, **options)

        setattr(kind, method, noted)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """All that is named exists."""
        names = {name for item in items for name in names_of(item)}
        files = {item.path.name for item in items}
        named = {one for one in self._named if ".py::" not in one or one.split("::")[0] in files}
        if missing := named - names:
            raise pytest.UsageError(f"{self._whose} has no tests {sorted(missing)}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A listed test must fail as listed, and no other may be skipped."""
        report = yield
        listed = next((self._listed[one] for one in names_of(item) if one in self._listed), None)
        says = None if call.excinfo is None else str(call.excinfo.value)
        if listed is not None and call.when == "call" and report.passed:
            report.outcome = "failed"
            report.longrepr = f"passes, so it must not be listed: {listed}"
        elif listed is not None and says is not None and re.search(listed.says, says):
            report.outcome, report.wasxfail = "skipped", listed.reason
        elif report.skipped:
            report.outcome, report.longrepr = "failed", f"skipped: {says}"
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A run without any use of ours has shown nothing."""
        if not self._uses:
            print("\nno test has used plib_cache", file=sys.stderr)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
