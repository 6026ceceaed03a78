# SPDX-License-Identifier: BSD-3-Clause
"""A server of ours behind the caches of other nodes (``remote=``)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from plib_cache import Cache

from .running import Server

Node = Callable[..., Cache]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with a region of its own."""
    with Server(tmp_path, "--size", "32MiB") as started:
        yield started


def test_what_one_node_stores_others_find(server: Server, node: Node, signed: None) -> None:
    """Values of any kind, through the server; and deletes reach it."""
    url = f"memcached://127.0.0.1:{server.port}?timeout=20&connect=20"
    one, other = node("one", url), node("other", url)
    array = numpy.arange(1000.0)
    values: dict[str | bytes, Any] = {"text": "t\xe4xt", "array": array, "none": None}
    one.set_many({**values, "dict": {"a": [1, None]}})
    one.set("key with blanks", b"bytes", expire=500)
    assert one.wait_remote(60)
    assert other.get("text") == "t\xe4xt"
    assert (other.get("array") == array).all()
    assert other.get_many(["dict", "none", "no"]) == {"dict": {"a": [1, None]}, "none": None}
    assert other.get("key with blanks") == b"bytes"
    other.delete("text")
    assert other.wait_remote(60)
    assert node("third", url).get("text") is None


def test_one_of_all_nodes_computes(server: Server, node: Node, signed: None) -> None:
    """The server's claims are those of memcached (N, W, Z, C)."""
    url = f"memcached://127.0.0.1:{server.port}?timeout=20&connect=20"
    one, other = node("one", url), node("other", url)
    begun, go_on, calls = threading.Event(), threading.Event(), []

    def compute() -> str:
        calls.append(1)
        begun.set()
        assert go_on.wait(60)
        return "computed"

    found: list[str] = []
    threads = [
        threading.Thread(target=lambda c=c: found.append(c.get_or_compute("k", compute)))
        for c in (one, other)
    ]
    threads[0].start()
    assert begun.wait(60)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert found == ["computed"] * 2
    assert len(calls) == 1


def test_what_a_tier_stores_is_an_envelope(server: Server, node: Node, signed: None) -> None:
    """Who reads the server's region as such sees the bytes that nodes send each other."""
    one = node("one", f"memcached://127.0.0.1:{server.port}?timeout=20&connect=20")
    one.set("k", "text")
    assert one.wait_remote(60)
    with Cache(path=server.region) as region:
        raw = region.get("k")
        assert raw.startswith(b"\x93plc")
        assert raw.endswith(b"text")
