# SPDX-License-Identifier: BSD-3-Clause
"""TLS, certificates of clients, users; and both read again on SIGHUP."""

from __future__ import annotations

import functools
import signal
import ssl
from pathlib import Path

import pytest
from pymemcache.client.base import Client as Memcache
from waiting import wait_until

from .certificates import Authority, Pair, serial
from .running import Client, Server, refused

LOGIN = b"set login 0 0 %d\r\n%s"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom the server and its clients trust."""
    return Authority(tmp_path)


def tls(pair: Pair) -> list[str]:
    """The options that show a certificate."""
    return ["--tls-cert", str(pair.cert), "--tls-key", str(pair.key)]


def users(path: Path, text: str, mode: int = 0o600) -> list[str]:
    """The option of a file of users, which is written."""
    path.write_text(text)
    path.chmod(mode)
    return ["--auth-file", str(path)]


def login(client: Client, user: bytes, password: bytes) -> bytes:
    """Say who one is, as memcached's clients do; the answer."""
    said = user + b" " + password
    return client.ask(LOGIN % (len(said), said))


def test_encrypted(tmp_path: Path, authority: Authority) -> None:
    """Clients verify the server, large values come whole, and who speaks no TLS gets nothing."""
    value = bytes(range(256)) * 3000
    with Server(tmp_path, *tls(authority.sign("server"))) as server:
        context = authority.trusting()
        client = Memcache(("localhost", server.port), tls_context=context, timeout=30)
        assert client.set("k", value)
        assert client.get("k") == value
        client.close()
        with server.connect() as plain:
            plain.send(b"get k\r\n")
            assert b"VALUE" not in plain.rest()
        with server.connect() as raw, raw.over_tls(context) as client_again:
            client_again.send(b"get k\r\n" * 50)  # more than the server has waiting at once
            for _ in range(50):
                assert value in client_again.until(b"END\r\n")
        stranger = Authority(tmp_path, "stranger").trusting()
        with server.connect() as raw, pytest.raises(ssl.SSLCertVerificationError):
            raw.over_tls(stranger)


def test_certificates_of_clients(tmp_path: Path, authority: Authority) -> None:
    """With --tls-ca only who shows a certificate that it signed is served."""
    options = [*tls(authority.sign("server")), "--tls-ca", str(authority.ca)]
    mine, strange = authority.sign("client"), Authority(tmp_path, "stranger").sign("strange")
    with Server(tmp_path, *options) as server:
        with server.connect() as raw, raw.over_tls(authority.trusting(mine)) as client:
            assert client.set("k", b"v") == b"STORED\r\n"
        for own in (None, strange):
            with (
                server.connect() as raw,
                pytest.raises((OSError, AssertionError)),  # SSLError is an OSError
                raw.over_tls(authority.trusting(own)) as client,
            ):
                client.ask(b"get k")


def test_new_certificates(tmp_path: Path, authority: Authority) -> None:
    """SIGHUP has new connections see the new one; a broken file changes nothing and is told."""
    old = authority.sign("server")
    with Server(tmp_path, *tls(old), "--processes", "2") as server:
        context = authority.trusting()

        def shown() -> int:
            with server.connect() as raw, raw.over_tls(context) as client:
                assert client.ask(b"version").startswith(b"VERSION")
                assert isinstance(client.sock, ssl.SSLSocket)
                return serial(client.sock)

        assert shown() == old.serial
        with server.connect() as raw, raw.over_tls(context) as kept:
            new = authority.sign("server")
            server.signal(signal.SIGHUP)
            wait_until(lambda: {shown() for _ in range(8)} == {new.serial}, "the new certificate")
            assert kept.set("k", b"v") == b"STORED\r\n"
            new.cert.write_text("broken")
            server.signal(signal.SIGHUP)
            wait_until(lambda: "not reloaded, and nothing is changed" in server.told())
            assert {shown() for _ in range(8)} == {new.serial}


def test_users(tmp_path: Path) -> None:
    """Nothing is done for who has not said who it is; then everything."""
    options = users(tmp_path / "users", "# who may\nalice:secret\n\nbob:other:secret\n")
    with Server(tmp_path, *options) as server:
        with server.connect() as client:
            assert b"unauthenticated" in client.ask(b"get k")
            assert b"authentication failure" in login(client, b"alice", b"other:secret")
            assert b"authentication failure" in login(client, b"carol", b"secret")
            assert b"authentication failure" in login(client, b"alice", b"secretsecret")
            assert login(client, b"alice", b"secret") == b"STORED\r\n"
            assert client.set("k", b"v") == b"STORED\r\n"
        with server.connect() as client:
            assert login(client, b"bob", b"other:secret") == b"STORED\r\n"
            assert client.get("k") == b"v"


def test_new_users(tmp_path: Path) -> None:
    """SIGHUP reads the file again; a broken one changes nothing, and is told."""
    path = tmp_path / "users"
    with Server(tmp_path, *users(path, "alice:secret\n"), "--processes", "2") as server:

        def may(user: bytes) -> bool:
            with server.connect() as client:
                return login(client, user, b"secret") == b"STORED\r\n"

        assert may(b"alice")
        assert not may(b"bob")
        users(path, "bob:secret\n")
        server.signal(signal.SIGHUP)
        wait_until(lambda: all(may(b"bob") for _ in range(8)), "bob to be let in")
        assert not may(b"alice")
        for text, mode in (("nonsense\n", 0o600), ("alice:secret\n", 0o640), ("", 0o600)):
            complaints = server.told().count("not reloaded") + 1
            users(path, text, mode)
            server.signal(signal.SIGHUP)
            wait_until(functools.partial(_said, server, "not reloaded", complaints))
            assert all(may(b"bob") for _ in range(8))
            assert not may(b"alice")


def _said(server: Server, text: str, times: int) -> bool:
    return server.told().count(text) >= times


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        ("alice:secret\n", 0o640, "must be readable by their owner only; chmod 600"),
        ("alice:secret\n", 0o604, "must be readable by their owner only"),
        ("alice\n", 0o600, "line 1 of"),
        ("# none\n\n", 0o600, "names no user"),
        ("alice:secret\nbob:\n", 0o600, "line 2 of"),
        ("alice:sec ret\n", 0o600, "write user:password"),
    ],
)
def test_files_of_users_that_are_refused(tmp_path: Path, text: str, mode: int, why: str) -> None:
    code, said = refused(
        tmp_path, "--listen", "127.0.0.1:0", *users(tmp_path / "users", text, mode)
    )
    assert why in said
    assert code == 2


def test_keys_that_are_refused(tmp_path: Path, authority: Authority) -> None:
    """A key that is another's, or needs a password, which nobody is asked for."""
    pair, other = authority.sign("server"), authority.sign("other")
    listen = ["--listen", "127.0.0.1:0"]
    mixed = ["--tls-cert", str(pair.cert), "--tls-key", str(other.key)]
    code, said = refused(tmp_path, *listen, *mixed)
    assert code == 2
    assert "are not a certificate and its key" in said
    code, said = refused(tmp_path, *listen, *tls(pair), "--tls-ca", str(other.key))
    assert code == 2
    assert "holds no certificates of an authority" in said
    locked = authority.lock(other, b"password")
    code, said = refused(tmp_path, *listen, *tls(locked))
    assert code == 2
    assert "the key has a password" in said


def test_tls_or_users_let_it_be_public(tmp_path: Path, authority: Authority) -> None:
    """Either is enough for a public address; what the other would add is told."""
    public = ["--listen", "0.0.0.0:0"]
    with Server(tmp_path, *public, *users(tmp_path / "users", "a:b"), listen=False) as server:
        assert "go over the network unencrypted" in server.told()
    with Server(tmp_path, *public, *tls(authority.sign("server")), listen=False) as server:
        assert "whoever can reach it can use it" in server.told()
