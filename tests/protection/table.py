# SPDX-License-Identifier: BSD-3-Clause
"""What runs in the guest, on each kernel: the one place where it is listed.

``make test-pku`` runs everything, ``make test`` (its step ``keys``) what is ``short``.  A command
is the shell's, in the root of the tree, with HANG_TIMES set and ``$PYTHON`` this interpreter.  Code
is 10 to 15 times slower in the guest, a new process 35 times: choose ROUNDS and tests accordingly.
Exit status 77 is "cannot be tested here", and its last line says why.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

PROBE = "build/protection/probe"
BYPASS = "build/native/plain/bypass"
SOME = " ".join(
    [
        "tests/contract/test_cache.py::TestVerbs",
        "tests/contract/test_cache_life.py::TestLife",
        "tests/contract/test_forks.py::test_children_have_different_places",
        "tests/contract/test_stopped.py::test_killed_holder",
        "tests/contract/test_threads.py::test_no_step_of_a_counter_is_lost",
    ]
)
"""Of the contract, what is quick and yet sees threads, children and a death."""


PROTECTION = (
    "tests/contract/test_protection.py -k '(TestLevel and not taken) or "
    "(TestEnvironment and not doctor) or (test_line and string_at and True)'"
)
"""Without most of its programs of their own, which take half a minute each."""


PEEKING = ("lock", "process", "insert", "lost", "garbage", "stopped")
"""Of those that look into the region, what ends within minutes; the host does all of them."""


class Entry(NamedTuple):
    """One line of the table."""

    name: str
    command: str
    short: bool = False

    @property
    def log(self) -> str:
        """The file that has what it printed."""
        return f"{self.name}.log"


def native(name: str, rounds: int, short: bool = False, level: str = "pku") -> Entry:
    """A native test at level pku, with that percentage of its rounds; peek: it looks inside."""
    command = f"PROTECTION={level} ROUNDS={rounds} build/native/plain/test_{name}"
    return Entry(f"native-{name}", command, short)


def python(name: str, tests: str, short: bool = False) -> Entry:
    """Python tests; the arguments are pytest's."""
    return Entry(name, f"$PYTHON -m pytest -q -p no:cacheprovider -o timeout=6000 {tests}", short)


TABLE = (
    Entry("probe", PROBE, short=True),
    native("keys", 100, short=True),
    native("gate", 100, short=True),
    Entry("bypass", BYPASS, short=True),
    native("verbs", 100, short=True),
    native("flight", 100, short=True),
    native("model", 3, short=True),
    native("threads", 3, short=True),
    native("storm", 5, short=True),
    native("kills", 2, short=True),
    native("takeover", 5),
    python("contract-some", SOME, short=True),
    native("explain", 100, short=True),
    python("protection-some", PROTECTION, short=True),
    python("protection", "tests/contract/test_protection.py"),
    Entry("smoke", "$PYTHON tests/protection/smoke.py", short=True),
    python(
        "joblib",
        "tests/integrations/test_joblib.py -k 'computed_once or references or arrays'",
    ),
    python("dask", "tests/integrations/test_dask.py -k test_preload"),
    python(
        "contract-cache",
        "tests/contract/test_cache.py tests/contract/test_bad_input.py "
        "tests/contract/test_bad_files.py",
    ),
    python("contract-decorator", "tests/contract/test_decorator.py tests/contract/test_flight.py"),
    python("contract-threads", "tests/contract/test_threads.py"),
    python(
        "contract-processes",
        "tests/contract/test_forks.py tests/contract/test_many_processes.py "
        "tests/contract/test_stopped.py",
    ),
    python("unit", "tests/unit/test_fast_key.py tests/unit/test_serialize_trust.py"),
    native("policy", 20),
    native("space", 1),
    *(native(name, 10, level="peek") for name in PEEKING),
)


def chosen(names: Sequence[str], short: bool) -> list[Entry]:
    """Those that are named, or all, or the short form; KeyError with names that are unknown."""
    unknown = set(names) - {entry.name for entry in TABLE}
    if unknown:
        raise KeyError(*sorted(unknown))
    return [
        entry for entry in TABLE if (entry.name in names if names else entry.short or not short)
    ]


def programs(entries: Sequence[Entry]) -> list[str]:
    """The native tests that must be built for them."""
    found = re.findall(r"build/native/plain/(\w+)", " ".join(entry.command for entry in entries))
    return sorted(set(found))
