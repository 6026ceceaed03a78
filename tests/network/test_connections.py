# SPDX-License-Identifier: BSD-3-Clause
"""The connections of a server: kept for the next operation, and closed when they are let go."""

from __future__ import annotations

import pytest

from plib_cache.remote.counts import Counts
from plib_cache.remote.servers import Server
from plib_cache.remote.sockets import Address, Limits


class Wire:
    """A connection that notes that it was closed."""

    def __init__(self, made: list[Wire]) -> None:
        self.closed = False
        made.append(self)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def made() -> list[Wire]:
    return []


@pytest.fixture
def server(made: list[Wire]) -> Server[Wire]:
    return Server(Address("nowhere", 1), Limits(), lambda address: Wire(made), Counts())


def test_one_is_used_again(server: Server[Wire], made: list[Wire]) -> None:
    assert server.ask(lambda wire: wire) is server.ask(lambda wire: wire)
    assert [one.closed for one in made] == [False]
    server.let_go()
    assert [one.closed for one in made] == [True]


def test_one_that_is_in_use_when_they_are_let_go(server: Server[Wire], made: list[Wire]) -> None:
    """It is closed when its operation is done, not before; the next operation has another one."""

    def operation(wire: Wire) -> bool:
        server.let_go()
        return wire.closed

    assert server.ask(operation) is False
    assert [one.closed for one in made] == [True]
    assert server.ask(lambda wire: wire.closed) is False
    assert [one.closed for one in made] == [True, False]
