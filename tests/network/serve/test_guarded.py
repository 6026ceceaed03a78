# SPDX-License-Identifier: BSD-3-Clause
"""Clients that must say who they are, clients that may only read, and what the region refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from network import servers
from plib_cache import Cache
from plib_cache.exceptions import BusyError, RegionFullError
from plib_cache.serve import Conversation, Counts

from .talking import Memcached, answers

Converse = Callable[..., Conversation]


def known(user: bytes, password: bytes) -> bool:
    """Whether they are those of the test."""
    return (user, password) == (b"user", b"secret")


ATTEMPTS = [
    [b"set x 0 0 11\r\nuser secret\r\n", b"set k 0 0 1\r\nx\r\nget k\r\n"],
    [b"set x 0 0 10\r\nuser wrong\r\n", b"set x 0 0 11\r\nuser secret\r\n", b"mn\r\n"],
    [b"get k\r\n", b"mn\r\n", b"quit\r\n", b"version\r\n", b"set x\r\n", b"set x 0 0 q\r\n"],
    [b"set x 0 0 4\r\nuser\r\n", b"set x 0 0 0\r\n\r\n"],
    [b"set x y z 18 what else\r\nuser secret  else \r\n", b"mn\r\n"],
    [b"set x 0 0 12\nuser  secret\r\n", b"mn\r\n"],
    [b"x" * 3000],
]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Running | None]:
    """A memcached whose clients must say who they are."""
    if servers.missing("memcached"):
        yield None
        return
    folder: Path = tmp_path_factory.mktemp("guarded")
    (folder / "users").write_text("user:secret\n")
    server = servers.memcached(folder, "-Y", str(folder / "users"), answers=b"CLIENT_ERROR")
    yield server
    server.stop()


@pytest.mark.parametrize("steps", ATTEMPTS)
def test_answers_to_strangers_are_those_of_memcached(
    steps: list[bytes],
    guarded: servers.Running | None,
    converse: Converse,
    untested: Callable[[str], NoReturn],
) -> None:
    """Each step has the same answer."""
    if guarded is None:
        untested("conversations with a memcached that has users: there is no memcached here")
    ours = converse(auth=known)
    with contextlib.closing(Memcached(guarded.where)) as theirs:
        expected = [theirs.ask(step) for step in steps]
    assert [answers(ours, step) for step in steps] == expected
    assert ours.closing is (expected[-1] == b"")


def test_nothing_is_done_for_strangers(cache: Cache, converse: Converse) -> None:
    """However they ask."""
    cache.set("k", b"v")
    counts = Counts()
    talk = converse(auth=known, counts=counts)
    asked = b"get k\r\ndelete k\r\nmg k v\r\nflush_all\r\nset k 0 0 1\r\nx\r\nincr k 1\r\nstats\r\n"
    answer = answers(talk, asked)
    assert b"VALUE" not in answer
    assert b"STAT" not in answer
    assert cache.get("k") == b"v"
    assert (counts.auth_cmds, counts.auth_errors) == (0, 0)
    assert answers(talk, b"set a b c 8\r\nuser bad\r\n") == (
        b"CLIENT_ERROR authentication failure\r\n"
    )
    assert answers(talk, b"set a b c 11\r\nuser secret\r\nget k\r\n") == (
        b"STORED\r\nVALUE k 0 1\r\nv\r\nEND\r\n"
    )
    assert (counts.auth_cmds, counts.auth_errors) == (2, 1)


def test_a_password_ends_as_it_says(converse: Converse) -> None:
    """With the end of a line, behind as many bytes as it was said to have."""
    talk = converse(auth=known)
    assert answers(talk, b"set x 0 0 2\r\nuser secret\r\n") == (
        b"CLIENT_ERROR bad command line termination\r\nCLIENT_ERROR unauthenticated\r\n"
    )


def test_a_password_has_an_end(converse: Converse) -> None:
    """What would be held for a stranger is little."""
    talk = converse(auth=known)
    assert talk.received(b"set a 0 0 1000000\r\n") == b"CLIENT_ERROR unauthenticated\r\n"
    assert talk.closing


READS = [b"get k\r\n", b"gets k\r\n", b"mg k v\r\n", b"mg k s t f c q\r\n", b"me k\r\n", b"mn\r\n"]
WRITES = [
    *(b"%s k 0 0 1\r\nx\r\n" % verb for verb in b"set add replace append prepend".split()),
    *(b"delete k\r\n", b"incr k 1\r\n", b"decr k 1\r\n", b"touch k 1\r\n", b"gat 1 k\r\n"),
    *(b"cas k 0 0 1 1\r\nx\r\n", b"flush_all\r\n", b"ms k 1\r\nx\r\n", b"md k\r\n", b"ma k\r\n"),
    *(b"mg k T1\r\n", b"mg j N1\r\n", b"mg k R999\r\n", b"md k I\r\n", b"gats 1 k\r\n"),
]


@pytest.mark.parametrize("asked", WRITES)
def test_read_only(cache: Cache, converse: Converse, asked: bytes) -> None:
    """Whatever would change an entry is refused, and what comes behind it is understood."""
    cache.set("k", b"5", expire=100)
    talk = converse(read_only=True)
    before = cache.gets("k")
    assert answers(talk, asked + b"get k\r\n") == (
        b"SERVER_ERROR read only\r\nVALUE k 0 1\r\n5\r\nEND\r\n"
    )
    assert cache.gets("k") == before
    assert len(cache) == 1
    quiet = asked.replace(b"\r\n", b" noreply\r\n", 1)
    if asked[:1] != b"m" and b"gat" not in asked:
        assert answers(talk, quiet + b"mn\r\n") == b"MN\r\n"


def test_read_only_reads(cache: Cache, converse: Converse) -> None:
    """Also stale entries, of which nobody becomes the one to renew them."""
    cache.set("k", b"5", expire=100)
    talk = converse(read_only=True)
    for asked in READS:
        assert b"ERROR" not in answers(talk, asked)
    answers(converse(), b"md k I\r\n")
    assert answers(talk, b"mg k v\r\nmg k v\r\n") == b"VA 1 X\r\n5\r\n" * 2
    assert answers(converse(), b"mg k v\r\n") == b"VA 1 X W\r\n5\r\n"


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (RegionFullError("the region is full"), b"SERVER_ERROR out of memory storing object\r\n"),
        (BusyError("others hold it\nwait"), b"SERVER_ERROR others hold it\r\n"),
    ],
)
def test_what_the_region_refuses_is_an_answer(
    cache: Cache,
    converse: Converse,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    answer: bytes,
) -> None:
    """And the conversation goes on."""

    def refuse(*args: object) -> None:
        raise error

    talk = converse()
    with monkeypatch.context() as patch:
        patch.setattr(type(cache._region), "put", refuse)
        patch.setattr(type(cache._region), "look_many", refuse)
        patch.setattr(type(cache._region), "answer", lambda *args: (b"", args[2], 0, 0, 0))
        asked = (
            b"set k 0 0 1\r\nx\r\nms k 1 q\r\nx\r\nget a b\r\nset k 0 0 1 noreply\r\nx\r\nmn\r\n"
        )
        assert answers(talk, asked) == answer * 3 + b"MN\r\n"
    assert answers(talk, b"set k 0 0 1\r\nx\r\nget k\r\n").startswith(b"STORED\r\nVALUE")


def test_flushes_that_wait(cache: Cache, converse: Converse) -> None:
    """The region keeps four moments; one more is refused, and the conversation goes on."""
    cache.set("k", b"v")
    asked = b"".join(b"flush_all %d\r\n" % (1000 + n) for n in range(6))
    refused = b"SERVER_ERROR four flush_all with a time are waiting already\r\n"
    assert answers(converse(), asked + b"get k\r\n") == (
        b"OK\r\n" * 4 + refused * 2 + b"VALUE k 0 1\r\nv\r\nEND\r\n"
    )


def test_a_delayed_flush_comes(
    cache: Cache, converse: Converse, eventually: Callable[..., object]
) -> None:
    """What was stored before it goes then, what is stored after it stays."""
    talk = converse()
    assert answers(talk, b"set k 0 0 1\r\nv\r\nflush_all 1\r\n") == b"STORED\r\nOK\r\n"
    eventually(lambda: answers(talk, b"get k\r\n") == b"END\r\n", "the flush")
    answers(talk, b"set k 0 0 1\r\nw\r\n")
    eventually(lambda: answers(talk, b"set k 0 0 1\r\nw\r\nget k\r\n")[8:9] == b"V", "a value")


def test_a_cache_that_is_closed_hangs_up(converse: Converse) -> None:
    """There is nothing more to say."""
    with Cache("served") as other:
        talk = converse()
        talk.store.cache = other
        assert answers(talk, b"set k 0 0 1\r\nx\r\n") == b"STORED\r\n"
    assert answers(talk, b"get k\r\n") == b""
    assert talk.closing
