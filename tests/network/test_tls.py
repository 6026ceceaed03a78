# SPDX-License-Identifier: BSD-3-Clause
"""Tiers over TLS: who answers is verified, and who asks can be."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from waiting import readable

from plib_cache import Cache, ConfigurationError

from . import servers
from .test_signing import counts

Start = Callable[..., servers.Running]
Node = Callable[..., Cache]
pytestmark = pytest.mark.filterwarnings("ignore:remote cache:plib_cache.PlibCacheWarning")


@pytest.fixture
def certificate(tmp_path: Path, untested: Callable[[str], NoReturn]) -> tuple[Path, Path]:
    """A certificate of this machine that signs itself, and its key."""
    if shutil.which("openssl") is None:
        untested("tiers over TLS: there is no openssl to make a certificate")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(
        ["openssl", "req", *options, "-addext", names, "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return cert, key


@pytest.fixture
def front(start: Start, certificate: tuple[Path, Path]) -> Iterator[Callable[..., int]]:
    """``front(client_certificates)`` speaks TLS before a memcached; its port."""
    path = start("memcached").where
    opened: list[servers.Fake] = []

    def begun(clients: bool = False) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificate[0])
        opened.append(servers.Fake(_relaying(context, path)))
        return opened[-1].port

    yield begun
    for one in opened:
        one.close()


def _relay(client: ssl.SSLSocket, server: socket.socket) -> None:
    """Pass on what comes, in both directions and in whatever pieces, until one side hangs up."""
    while True:
        ready = [client] if client.pending() else readable([client, server])
        for one in ready:
            data = one.recv(1 << 16)
            if not data:
                return
            (server if one is client else client).sendall(data)


def _relaying(context: ssl.SSLContext, path: str) -> servers.Behaviour:
    def behave(connection: socket.socket) -> None:
        with socket.socket(socket.AF_UNIX) as server, connection:
            server.connect(path)
            try:
                client = context.wrap_socket(connection, server_side=True)
            except (OSError, ssl.SSLError):
                return
            with client:
                _relay(client, server)

    return behave


def test_verified(front: Any, certificate: Any, node: Node) -> None:
    url = f"memcacheds://127.0.0.1:{front()}?timeout=20&connect=20&ca={certificate[0]}"
    one, other = node("one", url), node("other", url)
    one["k"] = 1
    assert one.wait_remote(30)
    assert other["k"] == 1
    assert counts(other).errors == 0


def test_an_unknown_certificate_is_refused(front: Any, node: Node) -> None:
    cache = node("one", f"memcacheds://127.0.0.1:{front()}?timeout=20&connect=20")
    assert cache.get("k") is None
    assert counts(cache).errors == 1


def test_unless_told(front: Any, node: Node) -> None:
    url = f"memcacheds://127.0.0.1:{front()}?timeout=20&connect=20&insecure=1"
    one, other = node("one", url), node("other", url)
    one["k"] = 1
    assert one.wait_remote(30)
    assert other["k"] == 1


def test_client_certificates(front: Any, certificate: tuple[Path, Path], node: Node) -> None:
    cert, key = certificate
    url = f"memcacheds://localhost:{front(True)}?timeout=20&connect=20&ca={cert}"
    without = node("without", url)
    without["k"] = 1
    assert without.get("absent") is None
    assert counts(without).errors >= 1
    one, other = (node(name, f"{url}&cert={cert}&key={key}") for name in ("one", "other"))
    one["k"] = 1
    assert one.wait_remote(30)
    assert other["k"] == 1


def test_a_server_without_tls(node: Node) -> None:
    with servers.fake(servers.answering(b"END\r\n")) as server:
        url = server.url.replace("memcached:", "memcacheds:")
        cache = node("one", url)
        assert cache.get("k") is None
        assert counts(cache).errors + counts(cache).timeouts == 1


def test_a_server_that_hangs_in_the_handshake(node: Node) -> None:
    with servers.fake(servers.hanging) as server:
        cache = node("one", server.url.replace("memcached:", "memcacheds:"))
        assert cache.get("k") is None
        assert counts(cache).timeouts == 1


def test_files_that_are_no_certificates(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nonsense")
    with pytest.raises(ConfigurationError, match="TLS"):
        Cache("x", size="8MiB", remote=f"memcacheds://localhost?ca={tmp_path}/x.pem")
