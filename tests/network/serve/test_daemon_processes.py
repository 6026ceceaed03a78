# SPDX-License-Identifier: BSD-3-Clause
"""Several server processes over one region; what happens when one dies, and when all are to end."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import urllib.request
from pathlib import Path

from pymemcache.client.base import Client as Memcache
from waiting import HANG_S, stop, wait_until

from plib_cache import Cache

from .load import Load
from .running import Client, Server

ENOUGH = 200  # writes


def entries(server: Server) -> dict[bytes, bytes]:
    """What is in the region; no server is needed for it."""
    with Cache(path=server.region, create=False) as cache:
        assert cache.check() == []
        assert cache.stats().evictions == 0
        return {key if isinstance(key, bytes) else key.encode(): cache[key] for key in cache}


def of_each(server: Server, count: int) -> dict[int, list[Client]]:
    """So many connections to each of the server processes, which the kernel distributes."""
    found: dict[int, list[Client]] = {pid: [] for pid in server.pids()}
    for _ in range(1000):
        client = server.connect()
        mine = found[int(client.stats()["pid"])]
        mine.append(client)
        if all(len(some) >= count for some in found.values()):
            return found
    raise AssertionError(f"the kernel gives nobody to some of {found}")


def metric(server: Server, name: str) -> float:
    """What Prometheus would read."""
    with urllib.request.urlopen(server.metrics, timeout=HANG_S) as answer:
        text = answer.read().decode()
    found = re.search(rf"^plib_cache_serve_{name} (\S+)$", text, flags=re.M)
    assert found, text
    return float(found.group(1))


def test_one_of_two_is_killed(tmp_path: Path) -> None:
    """The others go on as if nothing was; nothing acknowledged is lost; it is started again."""
    with Server(tmp_path, "--size", "64MiB", "--processes", "2") as server:
        ours = of_each(server, 2)
        victim, survivor = server.pids()
        with Load([*ours[victim], *ours[survivor]]) as load:
            load.more(ENOUGH)
            os.kill(victim, signal.SIGKILL)
            count = len(ours[victim])
            wait_until(lambda: all(one.hung_up for one in load.writers[:count]), "the end of some")
            for writer in load.writers[count:]:
                writer.more(ENOUGH)
            wait_until(lambda: len(server.pids()) == 2, "another process")
        assert not any(writer.hung_up for writer in load.writers[count:])
        assert load.lost(entries(server)) == []
        assert f"server process {victim} ended (signal SIGKILL): starting it again" in server.told()
        wait_until(lambda: "again" in server.told())
        (new,) = set(server.pids()) - {survivor}
        wait_until(lambda: _answers(server, new), "the new process to be given somebody")


def _answers(server: Server, pid: int) -> bool:
    with contextlib.suppress(OSError), server.connect() as client:
        return client.stats()["pid"] == str(pid)
    return False


def test_a_process_that_keeps_dying(tmp_path: Path) -> None:
    """It is started again after longer and longer pauses, and who comes meanwhile waits."""
    with Server(tmp_path) as server:
        for turn, pause in enumerate((0.1, 0.2, 0.4)):
            with server.connect() as client:
                assert client.set(f"k{turn}", b"v") == b"STORED\r\n"
                (pid,) = server.pids()
                os.kill(pid, signal.SIGKILL)
                assert client.rest() == b""
            wait_until(functools.partial(_says, server, f"starting it again in {pause} s"))
        with server.connect() as client:
            assert client.get("k2") == b"v"


def _says(server: Server, text: str) -> bool:
    return text in server.told()


def test_the_parent_is_killed(tmp_path: Path) -> None:
    """Its processes drain and end: nobody serves what nobody looks after."""
    server = Server(tmp_path, "--processes", "2").ready()
    try:
        with server.connect() as client:
            pids = server.pids()
            assert client.set("k", b"v") == b"STORED\r\n"
            server.process.kill()
            assert client.rest() == b""
        wait_until(lambda: not any(map(_runs, pids)), "the end of its processes")
        assert entries(server) == {b"k": b"v"}
    finally:
        server.kill()
        server.close()


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"  # where nobody reaps orphans
    return False


def test_the_end_under_load(tmp_path: Path) -> None:
    """SIGTERM loses nothing that was acknowledged, and ends with 0."""
    server = Server(tmp_path, "--size", "64MiB", "--processes", "2").ready()
    try:
        ours = of_each(server, 2)
        with Load([client for some in ours.values() for client in some]) as load:
            load.more(ENOUGH)
            server.signal(signal.SIGTERM)
            assert server.wait() == 0, server.told()
            wait_until(lambda: all(writer.ended() for writer in load.writers), "their end")
        assert load.lost(entries(server)) == []
        assert "cut off" not in server.told()
    finally:
        server.kill()
        server.close()


def test_what_was_asked_is_finished(tmp_path: Path) -> None:
    """At the end idle clients are hung up on; who is in the middle of a command may finish it."""
    with Server(tmp_path) as server, server.connect() as idle, server.connect() as busy:
        assert idle.set("k", b"v") == b"STORED\r\n"
        assert busy.get("k") == b"v"
        busy.send(b"set half 0 0 10\r\n12345")
        assert idle.get("half") is None  # the server has seen it by now
        server.signal(signal.SIGTERM)
        assert idle.rest() == b""
        busy.send(b"67890\r\n")
        assert busy.rest() == b"STORED\r\n"
        assert server.wait() == 0
        assert entries(server) == {b"k": b"v", b"half": b"1234567890"}


def test_the_grace_ends(tmp_path: Path) -> None:
    """Who does not finish is cut off, and it is told; the end is a good one."""
    with Server(tmp_path, "--grace", "0.5") as server, server.connect() as client:
        client.ask(b"version")
        client.send(b"set half 0 0 10\r\n12345")
        with server.connect() as other:
            other.ask(b"version")
        server.signal(signal.SIGTERM)
        assert client.rest() == b""
        assert server.wait() == 0
        assert "cut off 1 connections that took too long" in server.told()


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with Server(tmp_path, "--grace", "3600") as server, server.connect() as client:
        client.ask(b"version")
        client.send(b"set half 0 0 10\r\n12345")
        client.send(b"")
        server.signal(signal.SIGINT)
        with contextlib.suppress(OSError):
            while True:  # until it does not listen any more
                server.connect().close()
        server.signal(signal.SIGINT)
        assert server.wait() == 0
        assert "a second time: ending at once" in server.told()


def test_a_process_that_does_not_end(tmp_path: Path) -> None:
    """One that hangs is killed when the grace is over."""
    with Server(tmp_path, "--grace", "0") as server:
        stop(server.pids()[0])
        assert server.end() == 0
        assert "does not end: killing it" in server.told()


def test_clients_over_several_processes(tmp_path: Path) -> None:
    """What one process has stored, the others give; statistics and metrics are those of all."""
    options = ["--processes", "2", "--metrics", "127.0.0.1:0"]
    with Server(tmp_path, *options) as server:
        ours = of_each(server, 1)
        clients = [Memcache(("127.0.0.1", server.port), timeout=HANG_S) for _ in range(8)]
        for at, client in enumerate(clients):
            assert client.set(f"k{at}", b"%d" % at, noreply=False)
        for client in clients:
            assert client.get_many([f"k{at}" for at in range(8)]) == {
                f"k{at}": b"%d" % at for at in range(8)
            }
        connected = len(clients) + sum(map(len, ours.values()))
        told = ours[server.pids()[0]][0].stats
        wait_until(lambda: told()["cmd_set"] == "8", "the counts of all")
        assert told()["cmd_get"] == "64"
        assert int(told()["curr_connections"]) == connected
        assert metric(server, "connections") == connected
        wait_until(lambda: metric(server, "cmd_get_total") == 64, "the metrics of all")
        assert metric(server, "processes") == 2
        assert metric(server, "restarts_total") == 0
        assert metric(server, "region_sets_total") == 8
        for client in clients:
            client.close()
        os.kill(server.pids()[1], signal.SIGKILL)
        wait_until(lambda: metric(server, "restarts_total") == 1, "the count of the restart")
        wait_until(lambda: metric(server, "processes") == 2, "the new process")
        assert metric(server, "cmd_get_total") == 64
        assert metric(server, "cmd_set_total") == 8
