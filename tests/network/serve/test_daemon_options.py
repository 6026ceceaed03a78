# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache serve``: each option does what it says, and a wrong one ends it with the reason."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import stat
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from plib_cache import Cache, ConfigurationError
from plib_cache.cli import main
from plib_cache.serve.daemon import Daemon
from plib_cache.serve.settings import Settings
from plib_cache.serve.worker import new_loop

from .running import Server, refused


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (["--listen", "nonsense"], 2, "'nonsense' is no address: give HOST:PORT"),
        (["--listen", "127.0.0.1:65536"], 2, "with a port of 0"),
        (["--listen", "::1:11211"], 2, "[IPv6]:PORT"),
        (["--listen", ":11211"], 2, "0.0.0.0 and [::]"),
        (["--listen", "unix:"], 2, "give unix:PATH"),
        (["--listen", "unix:/" + "x" * 200], 2, "at most 107 bytes"),
        (["--listen", "unix:/absent/socket"], 1, "look whether /absent is there"),
        (["--listen", "no.such.host.invalid:1"], 1, "has no address"),
        (["--listen", "192.0.2.1:0", "--insecure"], 1, "no address of this machine"),
        (["--listen", "0.0.0.0:0"], 2, "or --insecure, if the network keeps everybody else out"),
        (["--listen", "[::]:0"], 2, "can be reached from other machines"),
        (["--metrics", "0.0.0.0:0"], 2, "can be read from other machines"),
        (["--metrics", "unix:/tmp/metrics"], 2, "Prometheus asks over TCP"),
        (["--processes", "0"], 2, "--processes is 0: give a number from 1"),
        (["--processes", "x"], 2, "Invalid value"),
        (["--max-connections", "0"], 2, "--max-connections is 0"),
        (["--idle-timeout", "-1"], 2, "--idle-timeout is -1"),
        (["--idle-timeout", "nan"], 2, "--idle-timeout is nan"),
        (["--max-item", "big"], 2, "--max-item: the size big is no size"),
        (["--max-item", "0"], 2, "--max-item is 0"),
        (["--size", "1KiB"], 2, "give a region from"),
        (["--tls-cert", "/absent"], 2, "--tls-cert and --tls-key together"),
        (["--tls-ca", "/absent"], 2, "--tls-cert and --tls-key together"),
        (["--tls-cert", "/absent", "--tls-key", "/absent"], 2, "TLS: /absent and /absent"),
        (["--auth-file", "/absent"], 2, "--auth-file /absent cannot be read"),
        (["--nonsense"], 2, "No such option"),
    ],
)  # fmt: skip
def test_wrong_options(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    code: int,
    why: str,
) -> None:
    """It ends before it serves, with an exit code and a message that says what to do."""
    where = [] if "--listen" in options else ["--listen", "127.0.0.1:0"]
    command = ["plib-cache", "serve", str(tmp_path / "region"), *where, *options]
    monkeypatch.setattr("sys.argv", command)
    monkeypatch.setattr(Daemon, "run", lambda _: pytest.fail("it serves"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert why in " ".join(capsys.readouterr().err.split())
    assert ended.value.code == code


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_port_in_use(tmp_path: Path, processes: str) -> None:
    """Also one that sockets of this user share, where the kernel would let a further one in."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = refused(tmp_path, "--listen", where, "--processes", processes)
    assert code == 1
    assert f"cannot listen on {where}" in said
    assert "another server listens there" in said


def test_another_servers_metrics(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = refused(tmp_path, "--listen", "127.0.0.1:0", "--metrics", where)
    assert code == 1
    assert f"cannot serve metrics on {where}" in said


def test_too_few_files(tmp_path: Path) -> None:
    """More connections than the kernel allows anybody to have files."""
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    code, said = refused(tmp_path, "--listen", "127.0.0.1:0", "--max-connections", str(most))
    assert code == 1
    assert f"--max-connections {most} needs {most + 64} open files" in said


def test_metrics_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    settings = Settings(str(tmp_path / "region"), metrics="127.0.0.1:0", listen=("127.0.0.1:0",))
    with pytest.raises(ConfigurationError, match=r"pip install 'plib-cache\[serve\]'"):
        Daemon(settings)


def test_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_loop()
    assert isinstance(loop, asyncio.BaseEventLoop)
    loop.close()


def test_as_many_files_as_it_may(tmp_path: Path) -> None:
    """The soft limit is raised to the hard one, which the server processes inherit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def lower() -> None:  # in the child
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))

    with Server(tmp_path, preexec_fn=lower) as server:
        for pid in server.pids():
            assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (hard, hard)


def test_a_region_of_another_size(tmp_path: Path) -> None:
    Cache(path=tmp_path / "region", size="8MiB").close()
    code, said = refused(tmp_path, "--listen", "127.0.0.1:0", "--size", "16MiB")
    assert code == 2
    assert "region" in said


def test_several_addresses_and_the_size(tmp_path: Path) -> None:
    """TCP, IPv6 and unix sockets lead to one region, which is made as large as was told."""
    path = str(tmp_path / "socket")
    options = ["--size", "32MiB", "--listen", f"unix:{path}"]
    if socket.has_ipv6 and Path("/proc/net/if_inet6").exists():
        options += ["--listen", "[::1]:0"]
    with Server(tmp_path, *options) as server:
        with server.connect() as one, server.connect(path) as other:
            assert one.set("k", b"value") == b"STORED\r\n"
            assert other.get("k") == b"value"
        assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
        assert server.said.count("listening on") == len(options) // 2
        with Cache(path=server.region, create=False) as cache:
            assert cache.info().size == 32 << 20
            assert cache["k"] == b"value"
    assert not Path(path).exists()


def test_unix_sockets_that_are_there(tmp_path: Path) -> None:
    """A stale one is replaced; one that somebody listens on, or another file, is not touched."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    listen = ["--listen", f"unix:{path}"]
    with Server(tmp_path, *listen, listen=False) as server, server.connect(str(path)) as client:
        assert client.set("k", b"v") == b"STORED\r\n"
        code, said = refused(tmp_path, *listen)
        assert code == 1
        assert "another server listens there" in said
        assert client.get("k") == b"v"
    path.write_text("a file")
    code, said = refused(tmp_path, *listen)
    assert code == 2
    assert "no socket" in said
    assert path.read_text() == "a file"


def test_limits_of_items_and_read_only(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    listen = ["--listen", f"unix:{path}"]
    with Cache(path=tmp_path / "region", size="16MiB") as cache:
        cache["k"] = b"v"
        with (
            Server(tmp_path, *listen, "--read-only", listen=False) as server,
            server.connect(path) as client,
        ):
            assert client.get("k") == b"v"
            assert b"STORED" not in client.set("k", b"w")
            assert client.get("k") == b"v"
        with (
            Server(tmp_path, *listen, "--max-item", "2KiB", listen=False) as server,
            server.connect(path) as client,
        ):
            assert client.set("k", bytes(1500)) == b"STORED\r\n"
            assert client.set("k", bytes(2100)) == b"SERVER_ERROR object too large for cache\r\n"
            assert client.set("small", b"v") == b"STORED\r\n"


def test_insecure_is_said_loudly(tmp_path: Path) -> None:
    """A public address without anything is served if it is meant, and the log tells everybody."""
    listen = ["--listen", "0.0.0.0:0", "--metrics", "0.0.0.0:0", "--insecure"]
    with Server(tmp_path, *listen, listen=False) as server, server.connect() as client:
        assert client.set("k", b"v") == b"STORED\r\n"
        assert server.told().count("WARNING: INSECURE: whoever can reach 0.0.0.0:") == 2


def test_a_removed_region(tmp_path: Path) -> None:
    """When its file is removed, the server makes another one, which others then see."""
    with Server(tmp_path, "--size", "8MiB") as server, server.connect() as client:
        client.set("k", b"v")
        Path(server.region).unlink()
        wait_until(lambda: client.get("k") is None, "the new region")
        client.set("k", b"w")
        with Cache(path=server.region, create=False) as cache:
            assert cache["k"] == b"w"
