# SPDX-License-Identifier: BSD-3-Clause
"""Nodes that share memcached servers, under load: one server on each machine, and one program.

Each program looks for the same keys over and over, as a service does: what is not there is stored
again, some keys are deleted, some are asked for together.  It keeps nothing in its own region, so
that every look goes to the servers.  As a program it serves a test from a machine of
``machines.py``:

    python remote_nodes.py URL REGION PAUSE     a line of standard input is the name of a method of
                                                ``Load``, and the answer is what it gives, in JSON
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machines import Machines

from plib_cache import Cache
from plib_cache.remote.servers import Server

KEYS = [f"key-{n}" for n in range(120)]
_TOGETHER = 20
_PORT = 11211

_waited: Counter[int] = Counter()  # by thread of a caller: operations that a server has failed


def _note_waits() -> None:
    failed: Callable[[Any, Exception], None] = Server._failed

    def noted(server: Any, error: Exception) -> None:
        failed(server, error)
        thread = threading.current_thread()
        if not thread.name.startswith("plib_cache writes"):  # in the background, as probes are
            _waited[thread.ident or 0] += 1  # behind the count of openings, never before it

    Server._failed = noted  # type: ignore[method-assign]


def value_of(key: str) -> bytes:
    """What is stored under a key, and nothing else ever is."""
    return key.encode() * 8


class Load:
    """Calls of one thread, one behind the other, and what came of them.

    Args:
        pause: seconds between two calls.
    """

    def __init__(self, url: str, region: str, pause: float) -> None:
        self._cache = Cache(path=region, size="8MiB", remote=url + "promote=0", strict=True)
        self._pause = pause
        self._over = threading.Event()
        self._tally = self._new()
        self._calling = threading.Thread(target=self._call, daemon=True)
        self._calling.start()

    @staticmethod
    def _new() -> dict[str, Any]:
        return {"calls": 0, "found": 0, "missed": 0, "errors": [], "worst": 0.0}

    def _call(self) -> None:
        at = 0
        while not self._over.wait(self._pause) if self._pause else not self._over.is_set():
            tally, at = self._tally, at + 1
            try:
                self._turn(at, tally)
            except Exception as error:  # which no caller is to see
                tally["errors"].append(repr(error))

    def _turn(self, at: int, tally: dict[str, Any]) -> None:
        key = KEYS[at % len(KEYS)]
        keys = [key]
        if at % 10 == 9:
            keys = [KEYS[(at + n) % len(KEYS)] for n in range(_TOGETHER)]
        cache, passed = self._cache, key + "-passed"
        timed = _Timed(tally)
        if at % 10 == 8:
            timed(cache.set, passed, value_of(passed))
            timed(cache.delete, passed)
        if len(keys) > 1:
            found = timed(cache.get_many, keys)
        else:
            value = timed(cache.get, key)
            found = {} if value is None else {key: value}
        tally["found"] += len(found)
        for key in keys:
            if key not in found:
                tally["missed"] += 1
                timed(cache.set, key, value_of(key))
            elif found[key] != value_of(key):
                tally["errors"].append(f"{key} is {found[key]!r}")
        if len(found) < len(keys) or at % 10 == 8:
            cache.clear()  # of this node alone

    # ---- what a test asks

    def tally(self) -> dict[str, Any]:
        """What came of the calls since the last time that this was asked."""
        told, self._tally = self._tally, self._new()
        return told

    def found(self) -> int:
        """How many of the keys are there, one by one."""
        return sum(self._cache.get(key) == value_of(key) for key in KEYS)

    def homes(self) -> dict[str, int]:
        """How many keys live on each server."""
        tier = self._tier()
        return dict(Counter(tier.home(key.encode()).address.host for key in KEYS))

    def counts(self) -> dict[str, int]:
        """What the cache has counted; ``waits``, of the thread that waited most often; and how
        often the circuits of all servers have ``opened``."""
        remote = self._cache.stats().as_dict()["remote"]
        waits = max(_waited.values(), default=0)
        opened = sum(server.breaker.opened for server in self._tier()._servers)
        return {**remote, "waits": waits, "opened": opened}

    def _tier(self) -> Any:
        tiers: Any = self._cache._tiers
        (layer,) = tiers._stack._layers
        return layer.tier

    def close(self) -> None:
        """End the calls."""
        self._over.set()
        self._calling.join()
        self._cache.close()


class _Timed:
    """Calls something, and notes the longest call."""

    def __init__(self, tally: dict[str, Any]) -> None:
        self._tally = tally

    def __call__(self, call: Callable[..., Any], *args: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*args)
        finally:
            tally = self._tally
            tally["calls"] += 1
            tally["worst"] = max(tally["worst"], time.perf_counter() - began)


class RemoteNodes:
    """N machines with a server and a program each.

    Args:
        limits: of the tiers, as a URL says them.
        pause: see ``Load``.
    """

    def __init__(self, machines: Machines, folder: Path, limits: str, pause: float) -> None:
        self._machines = machines
        self.n = machines.n
        self._servers = [self._serve(at) for at in range(self.n)]
        hosts = ",".join(f"{machines.address(at)}:{_PORT}" for at in range(self.n))
        url = f"memcached://{hosts}?{limits}"
        self._log = (folder / "log").open("w")
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        self._programs = [
            machines.start(
                at,
                [sys.executable, __file__, url, str(folder / f"node-{at}"), str(pause)],
                env=env, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            )
            for at in range(self.n)
        ]  # fmt: skip

    def _serve(self, at: int) -> subprocess.Popen[Any]:
        user = ["-u", "root"] if os.geteuid() == 0 else []
        where = ["-l", self._machines.address(at), "-p", str(_PORT), "-U", "0"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return self._machines.start(at, ["memcached", "-m", "64", *user, *where], **quiet)

    def ask(self, at: int, name: str) -> Any:
        """Call a method of the ``Load`` of a node."""
        program = self._programs[at]
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(name + "\n")
        program.stdin.flush()
        line = program.stdout.readline()
        assert line, Path(self._log.name).read_text()
        return json.loads(line)

    def at_home(self, at: int) -> int:
        """How many keys live on the server of a node."""
        homes: dict[str, int] = self.ask(0, "homes")
        return homes[self._machines.address(at)]

    def lose(self, at: int, how: str) -> None:
        """Lose a node: its server is "killed" (its machine refuses), or its wire is "cut"."""
        if how == "killed":
            self._servers[at].kill()
            self._servers[at].wait()
        else:
            self._machines.cut(at)

    def bring_back(self, at: int, how: str) -> None:
        """It is back: with nothing, or with all that it had."""
        if how == "killed":
            self._servers[at] = self._serve(at)
        else:
            self._machines.join(at)

    def close(self) -> None:
        """The processes are the machines'."""
        self._log.close()


def main() -> None:
    """Serve until standard input ends."""
    warnings.simplefilter("ignore")
    _note_waits()
    load = Load(*sys.argv[1:3], float(sys.argv[3]))
    for line in sys.stdin:
        print(json.dumps(getattr(load, line.strip())()), flush=True)
    load.close()


if __name__ == "__main__":
    main()
