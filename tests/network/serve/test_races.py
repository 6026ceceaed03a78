# SPDX-License-Identifier: BSD-3-Clause
"""What two clients want at the same moment, one of them gets: the other comes in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plib_cache import Cache
from plib_cache.serve import Conversation, Store

from .talking import answers

Converse = Callable[..., Conversation]


def between(
    patch: pytest.MonkeyPatch, method: str, talk: Conversation, said: bytes, heard: list[bytes]
) -> None:
    """Have a conversation say something just before the store does that, the first time."""
    does = getattr(Store, method)

    def first(store: Store, *args: Any, **options: Any) -> Any:
        patch.setattr(Store, method, does)
        heard.append(answers(talk, said))
        return does(store, *args, **options)

    patch.setattr(Store, method, first)


CASES: dict[str, tuple[str, bytes, bytes, bytes, bytes]] = {
    # what is done, what both say, what the faster one hears, and the other one
    "vivify": ("vacate", b"", b"mg k N30\r\n", b"HD W\r\n", b"HD Z\r\n"),
    "renew": ("remake", b"ms k 1 T50\r\nx\r\n", b"mg k R90\r\n", b"HD W\r\n", b"HD Z\r\n"),
    "stale": ("remake", b"ms k 1\r\nx\r\nmd k I\r\n", b"mg k\r\n", b"HD X W\r\n", b"HD Z X\r\n"),
    "count": ("remake", b"ms k 1\r\n5\r\n", b"ma k c v\r\n", b"6", b"7"),
    "make a number": ("put", b"", b"ma k N0 J5 v\r\n", b"VA 1\r\n5\r\n", b"VA 1\r\n6\r\n"),
    "append": ("remake", b"ms k 1\r\nx\r\n", b"ms k 1 MA s\r\ny\r\n", b"HD s2\r\n", b"HD s3\r\n"),
}


@pytest.mark.parametrize("name", CASES)
def test_both_at_once(
    name: str, cache: Cache, converse: Converse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody wins twice, and nothing that was counted or appended is lost."""
    method, before, said, faster, slower = CASES[name]
    talk, other = converse(), converse()
    answers(talk, before)
    heard: list[bytes] = []
    between(monkeypatch, method, other, said, heard)
    answer = answers(talk, said)
    if name == "count":
        assert (heard[0].split()[-1], answer.split()[-1]) == (faster, slower)
    else:
        assert (heard, answer) == ([faster], slower)


def test_a_mark_does_not_bring_back_what_was_stored_over(
    cache: Cache, converse: Converse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that is stored while another client marks the old one stays."""
    talk, other = converse(), converse()
    heard: list[bytes] = []
    answers(talk, b"ms k 3 T50\r\nold\r\n")
    between(monkeypatch, "remake", other, b"ms k 3 T500\r\nnew\r\n", heard)
    assert answers(talk, b"mg k R90 v\r\n") == b"VA 3\r\nnew\r\n"
    between(monkeypatch, "remake", other, b"ms k 5\r\nnewer\r\n", heard)
    assert answers(talk, b"md k I\r\nmg k v\r\n") == b"HD\r\nVA 5 X W\r\nnewer\r\n"
    between(monkeypatch, "remake", other, b"md k\r\n", heard)
    assert answers(talk, b"md k I\r\n") == b"NF\r\n"
    assert heard == [b"HD\r\n"] * 3
    assert cache.get("k") is None
