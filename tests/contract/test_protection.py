# SPDX-License-Identifier: BSD-3-Clause
"""The level of protection: which one there is and why, and what explains a stray access.

Each test tests something whether the machine has protection keys or not; what it is to find, it is
told by the kernel (pkey_alloc) and not by the library.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plib_cache import Cache, ConfigurationError, ProtectionUnavailableError

HANG_S = 60.0 * float(os.environ.get("HANG_TIMES", "1"))
PKEY_ALLOC, PKEY_FREE = 330, 331  # on x86-64
TAKE_ALL = """
import ctypes
libc = ctypes.CDLL(None)
while libc.syscall(330, 0, 1) >= 0:
    pass
"""


def offered() -> bool:
    """Does this machine give out protection keys?"""
    if platform.machine() != "x86_64":
        return False
    libc = ctypes.CDLL(None)
    key = libc.syscall(PKEY_ALLOC, 0, 1)
    return bool(key >= 0 and libc.syscall(PKEY_FREE, key) == 0)


KEYS = offered()
BEST = "pku" if KEYS else "none"
NONE = "(this CPU has no protection keys|the kernel does not offer the CPU's protection keys.*)"
WHY = "" if KEYS else NONE


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment says nothing of protection, unless the test does."""
    for variable in ("PLIB_CACHE_PROTECTION", "PLIB_CACHE_EXPLAIN"):
        monkeypatch.delenv(variable, raising=False)


class TestLevel:
    """Which level a cache has."""

    def test_auto(self) -> None:
        """The best that there is; where that is none, info says why."""
        with Cache("one", size="4MiB") as cache:
            info = cache.info()
            cache["a"] = 1
            assert cache["a"] == 1
        assert info.protection == info.as_dict()["protection"] == BEST
        assert re.fullmatch(WHY, info.unprotected)

    def test_pku(self, regions: Path) -> None:
        """It is there, or the error says what is missing, and nothing was made."""
        if KEYS:
            with Cache("one", size="4MiB", protection="pku") as cache:
                cache["a"] = [1]
                assert cache["a"] == [1]
                assert (cache.info().protection, cache.info().unprotected) == ("pku", "")
            return
        with pytest.raises(ProtectionUnavailableError, match=f"{WHY}.*'none'"):
            Cache("one", size="4MiB", protection="pku")
        assert not list(regions.iterdir())

    def test_none(self) -> None:
        """It always works, and is no fault of the machine."""
        with Cache("one", size="4MiB", protection="none") as cache:
            cache["a"] = 1
            assert cache["a"] == 1
            assert cache.info().protection == "none"
            assert 'protection="none" was asked for' in cache.info().unprotected

    def test_both_at_once(self) -> None:
        """Caches of different levels live in one process, and each tells its own."""
        with Cache("one", size="4MiB") as one, Cache("two", size="4MiB", protection="none") as two:
            one["a"], two["a"] = 1, 2
            assert (one["a"], two["a"]) == (1, 2)
            assert (one.info().protection, two.info().protection) == (BEST, "none")

    def test_open_without(self) -> None:
        """A cache that this process has open without keys is not closed for a second opening."""
        with Cache("one", size="4MiB", protection="none") as first:
            first["a"] = 1
            wanted = "has the cache open without them: close it first" if KEYS else WHY
            with pytest.raises(ProtectionUnavailableError, match=wanted):
                Cache("one", protection="pku")
            with Cache("one") as second:  # "auto" takes what is there
                assert second["a"] == 1
                assert second.info().protection == "none"
                assert "was asked for" in second.info().unprotected
        with Cache("one") as again:
            assert again["a"] == 1
            assert again.info().protection == BEST

    def test_open_with(self) -> None:
        """Who wants none, and shares it with one who has keys, has them too."""
        with Cache("one", size="4MiB") as first, Cache("one", protection="none") as second:
            first["a"] = 1
            assert second["a"] == 1
            assert second.info().protection == BEST

    def test_all_keys_taken(self, python: Callable[..., str]) -> None:
        """Other code of the process has all keys: an error, or none and the reason."""
        said = python(
            f"""{TAKE_ALL if KEYS else ""}
import plib_cache
try:
    plib_cache.Cache("one", size="4MiB", protection="pku")
except plib_cache.ProtectionUnavailableError as error:
    print(error)
with plib_cache.Cache("one", size="4MiB") as cache:
    cache["a"] = 1
    print(cache["a"], cache.info().protection, cache.info().unprotected)
"""
        ).splitlines()
        why = "all protection keys are taken by other code in this process" if KEYS else WHY
        assert re.search(f"{why}.*'none'", said[0])
        assert re.fullmatch(f"1 none {why}", said[1])

    def test_children(self, fork: Callable[..., Any]) -> None:
        """A forked child has the level of its parent."""
        with Cache("one", size="4MiB") as cache:
            cache["a"] = 1
            child = fork(lambda: (cache["a"], cache.info().protection))
            assert child.result() == (1, BEST)


class TestEnvironment:
    """PLIB_CACHE_PROTECTION overrides what the program says."""

    @pytest.mark.parametrize("argument", ["auto", "pku", "none"])
    def test_none(self, monkeypatch: pytest.MonkeyPatch, argument: str) -> None:
        """Whatever was asked for: a program is run without keys as it is."""
        monkeypatch.setenv("PLIB_CACHE_PROTECTION", "none")
        with Cache("one", size="4MiB", protection=argument) as cache:
            assert cache.info().protection == "none"

    @pytest.mark.parametrize("argument", ["auto", "pku", "none"])
    def test_pku(self, monkeypatch: pytest.MonkeyPatch, argument: str) -> None:
        """Keys are demanded of programs that do not ask for them."""
        monkeypatch.setenv("PLIB_CACHE_PROTECTION", "pku")
        if KEYS:
            with Cache("one", size="4MiB", protection=argument) as cache:
                assert cache.info().protection == "pku"
            return
        with pytest.raises(ProtectionUnavailableError, match=WHY):
            Cache("one", size="4MiB", protection=argument)

    def test_auto(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What there is, also for a program that wants none."""
        monkeypatch.setenv("PLIB_CACHE_PROTECTION", "auto")
        with Cache("one", size="4MiB", protection="none") as cache:
            assert cache.info().protection == BEST

    def test_empty(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As if it were not set."""
        monkeypatch.setenv("PLIB_CACHE_PROTECTION", "")
        with Cache("one", size="4MiB", protection="none") as cache:
            assert cache.info().protection == "none"

    def test_nonsense(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The message says whose value is wrong; a wrong argument is never passed over."""
        monkeypatch.setenv("PLIB_CACHE_PROTECTION", "keys")
        with pytest.raises(ConfigurationError, match="^PLIB_CACHE_PROTECTION is 'keys'"):
            Cache("one", size="4MiB", protection="none")
        monkeypatch.setenv("PLIB_CACHE_PROTECTION", "none")
        with pytest.raises(ConfigurationError, match="^protection is 'much'"):
            Cache("one", size="4MiB", protection="much")

    @pytest.mark.parametrize("value", ["", "none", "pku"])
    def test_doctor(self, value: str) -> None:
        """Its line says which level caches have here, and why not the other one."""
        done = subprocess.run(
            [sys.executable, "-m", "plib_cache", "doctor", "--json"],
            env={**os.environ, "PLIB_CACHE_PROTECTION": value},
            capture_output=True, text=True, timeout=HANG_S, check=False,
        )  # fmt: skip
        found = {each["topic"]: each for each in json.loads(done.stdout)["findings"]}
        keys = "has protection keys" if KEYS else "protection keys"
        assert keys in found["CPU"]["found"]
        if value == "pku" and not KEYS:
            assert re.search(WHY, found["trial"]["advice"])
            assert done.returncode == 1
            return
        line = found["protection"]
        if value == "none":
            assert line["found"] == "none: PLIB_CACHE_PROTECTION asks for it"
        elif KEYS:
            assert (line["state"], line["found"].partition(":")[0]) == ("ok", "pku")
        else:
            assert (line["state"], bool(re.fullmatch(f"none: {WHY}", line["found"]))) == (
                "note", True,
            )  # fmt: skip


# ---- what explains a stray access ----------------------------------------------------------------

STRAY = """
import ctypes, faulthandler, os, sys, threading
if {faulthandler}:
    faulthandler.enable()
import plib_cache
other = plib_cache.Cache("other", size="4MiB")
cache = plib_cache.Cache("mine", size="4MiB")
{before}
lines = open("/proc/self/maps").read().splitlines()
at = min(int(line.split("-")[0], 16) for line in lines if line.endswith("/mine")) + 4096 - 80
print(cache.path, f"{{at:x}}", flush=True)
{access}
print("survived")
"""
LOAD, STORE = "ctypes.string_at(at, 1)", "ctypes.memset(at, 0, 1)"
ASK = "plib_cache.explain_faults()"
TWICE = f"{ASK}; {ASK}"


def stray(access: str, *, before: str = "", faulthandler: bool = False, explain: str = "") -> Any:
    """A program that touches the memory of the cache "mine": how it ended, and the line expected.

    Python's own traceback may be there besides.
    """
    source = STRAY.format(access=access, before=before, faulthandler=faulthandler)
    environment = {**os.environ, "PLIB_CACHE_EXPLAIN": explain}
    environment.pop("PYTHONFAULTHANDLER", None)
    done = subprocess.run(
        [sys.executable, "-c", source],
        env=environment, capture_output=True, text=True, timeout=HANG_S, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    path, at = done.stdout.splitlines()[0].split()
    verb = "load from" if access == LOAD else "store to"
    line = (
        f"plib_cache: a {verb} 0x{at}, which belongs to region mine ({path}, byte 4016): it was "
        "touched outside the library, where a protection key closes it"
    )
    return done, line


class TestExplain:
    """``explain_faults`` and PLIB_CACHE_EXPLAIN."""

    @pytest.mark.parametrize("faulthandler", [False, True])
    @pytest.mark.parametrize("access", [LOAD, STORE])
    def test_line(self, access: str, faulthandler: bool) -> None:
        """One line says what was touched; then the process dies as it would have."""
        done, line = stray(access, before=TWICE, faulthandler=faulthandler)
        if not KEYS:
            assert (done.returncode, done.stderr) == (0, "")
            return
        assert done.returncode == -signal.SIGSEGV
        said, _, rest = done.stderr.partition("\n")
        assert said == line
        assert ("Fatal Python error: Segmentation fault" in rest) is faulthandler
        assert rest.count('File "<string>", line') == faulthandler

    def test_environment(self) -> None:
        """PLIB_CACHE_EXPLAIN=1 asks for it; without it nothing is said."""
        for explain, wanted in (("1", True), ("0", False), ("", False)):
            done, line = stray(LOAD, explain=explain)
            assert done.returncode == (-signal.SIGSEGV if KEYS else 0)
            assert done.stderr == (f"{line}\n" if wanted and KEYS else "")

    def test_nonsense(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variable is named."""
        monkeypatch.setenv("PLIB_CACHE_EXPLAIN", "yes")
        with pytest.raises(ConfigurationError, match="PLIB_CACHE_EXPLAIN is 'yes'"):
            Cache("one", size="4MiB")

    @pytest.mark.parametrize("faulthandler", [False, True])
    def test_thread(self, faulthandler: bool) -> None:
        """Also in another thread, which has no stack of its own for signals."""
        access = f"def f(): {LOAD}\nt = threading.Thread(target=f); t.start(); t.join()"
        done, line = stray(access, before=ASK, faulthandler=faulthandler)
        assert done.returncode == (-signal.SIGSEGV if KEYS else 0)
        assert not KEYS or line.replace("store to", "load from") in done.stderr.splitlines()

    @pytest.mark.parametrize("faulthandler", [False, True])
    def test_other_faults(self, faulthandler: bool) -> None:
        """A fault that has nothing to do with a cache is none of its business."""
        for access in ("ctypes.string_at(8)", "os.kill(os.getpid(), 11)"):
            done, _ = stray(access, before=ASK, faulthandler=faulthandler)
            assert done.returncode == -signal.SIGSEGV
            assert "plib_cache:" not in done.stderr
            assert ("Fatal Python error" in done.stderr) is faulthandler

    def test_faulthandler_afterwards(self) -> None:
        """Who came later has the signal first: no line, one traceback, and the same end."""
        done, _ = stray(LOAD, before=f"{ASK}; faulthandler.enable()")
        assert done.returncode == (-signal.SIGSEGV if KEYS else 0)
        assert "plib_cache:" not in done.stderr
        assert done.stderr.count("Fatal Python error") == KEYS

    def test_closed(self) -> None:
        """A cache that is closed owns its addresses no longer."""
        done, _ = stray("cache.close(); " + LOAD, before=ASK)
        assert done.returncode == -signal.SIGSEGV  # nothing is mapped there any more
        assert done.stderr == ""
