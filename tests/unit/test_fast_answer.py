# SPDX-License-Identifier: BSD-3-Clause
"""memcached's reading lines answered in C: as a slow, obvious model answers them, or not at all."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from plib_cache import Cache
from plib_cache._native import ffi, lib

from .hot import must_be_there

must_be_there()

fast: Any = sys.modules["plib_cache._fast"]
PLENTY = 1 << 26
Answer = tuple[bytes, int, int, int, int]


class Stored(NamedTuple):
    value: bytes
    flags: int = 0
    kind: int = 0
    token: int = 0


class Server:
    """A region, and what a server with it must answer."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.stored: dict[bytes, Stored] = {}

    @property
    def address(self) -> int:
        port: Any = self.cache._region.port
        return int(port.address)

    def put(self, key: bytes, stored: Stored) -> None:
        alive = [ffi.from_buffer(key), ffi.from_buffer(stored.value)]
        part = ffi.new("plc_part *", {"bytes": alive[1], "length": len(stored.value)})
        entry = ffi.new("plc_entry *", {"key": alive[0], "key_length": len(key), "parts": part})
        entry.part_count, entry.type, entry.client_flags = 1, stored.kind, stored.flags
        entry.own_token = stored.token
        token = ffi.new("uint64_t *")
        handle = ffi.cast("plc_cache *", self.address)
        while (status := lib.plc_store(handle, lib.PLC_SET, entry, token)) == lib.PLC_AGAIN:
            assert lib.plc_assist(handle, 50) == lib.PLC_OK
        assert status == lib.PLC_OK
        self.stored[key] = stored._replace(token=token[0])

    def answer(self, data: bytes | bytearray, start: int = 0, most: int = PLENTY) -> Answer:
        answer: Answer = fast.answer(self.address, data, start, most)
        return answer

    def model(self, data: bytes, start: int = 0, most: int = PLENTY) -> Answer:
        """What must be answered."""
        whole, lines, hits, misses = b"", 0, 0, 0
        while (end := data.find(b"\n", start)) >= 0:
            one = self.one_line(data[start:end].removesuffix(b"\r"))
            if one is None or len(whole) + len(one[0]) > most:
                break
            whole, start, lines = whole + one[0], end + 1, lines + 1
            hits, misses = hits + one[1], misses + one[2]
        return whole, start, lines, hits, misses

    def one_line(self, line: bytes) -> tuple[bytes, int, int] | None:
        verb, _, rest = line.partition(b" ")
        keys = [key for key in rest.split(b" ") if key]
        there = [(key, self.stored[key]) for key in keys if key in self.stored]
        usual = verb in (b"get", b"gets") and keys
        if not usual or any(len(key) > 250 or b"\0" in key or b"\r" in key for key in keys):
            return None
        if any(stored.kind >= 12 for _, stored in there):
            return None
        made = b"".join(shown(key, stored, verb == b"gets") for key, stored in there)
        return made + b"END\r\n", len(there), len(keys) - len(there)


def shown(key: bytes, stored: Stored, tokens: bool) -> bytes:
    head = b"VALUE %s %d %d" % (key, stored.flags or stored.kind, len(stored.value))
    token = b" %d" % stored.token if tokens else b""
    return head + token + b"\r\n" + stored.value + b"\r\n"


@pytest.fixture
def server() -> Iterator[Server]:
    with Cache("answers", size="32MiB") as cache:
        yield Server(cache)


def fill(server: Server, chance: random.Random) -> None:
    """Values of all kinds; one longer than what is read at once."""
    lengths = [0, 1, 100, 128, 5000, 20_000, 65_536, 70_000, 300_000]
    for i in range(300):
        length = chance.choice(lengths[:4]) if chance.random() < 0.8 else chance.choice(lengths)
        flags = chance.choice([0, 0, 1, 5, 2**32 - 1])
        own = chance.choice([0, 0, 1, 2**64 - 1])
        kind = chance.choice([0, 0, 1, 2, 3, 11]) if i % 60 else 12
        server.put(b"key-%d" % i, Stored(chance.randbytes(length), flags, kind, own))
    server.put(b"k" * 250, Stored(b"the longest key"))


class TestAnswer:
    def test_one_of_each(self, server: Server) -> None:
        """A hit, a miss, a token, flags, the type where there are none."""
        server.put(b"a", Stored(b"one", flags=7, token=99))
        server.put(b"b", Stored(b"zwei", kind=1))
        assert server.answer(b"get a b c\r\ngets a\n") == (
            b"VALUE a 7 3\r\none\r\nVALUE b 1 4\r\nzwei\r\nEND\r\nVALUE a 7 3 99\r\none\r\nEND\r\n",
            18, 2, 3, 1,
        )  # fmt: skip
        server.cache.set("d", b"from Python")
        assert server.answer(b"get d\r\n")[0] == b"VALUE d 0 11\r\nfrom Python\r\nEND\r\n"

    @pytest.mark.parametrize(
        "line",
        [
            b"", b"get a", b"get a\r", b"get", b"get\r\n", b"get \r\n", b"get  \n", b"gets \r\n",
            b"GET a\r\n", b"getsa\r\n", b"gat 0 a\r\n", b"mg a v\r\n", b"set a 0 0 1\r\n", b"\r\n",
            b"get a\0b\r\n", b"get a\rb\r\n", b"get a " + b"k" * 251 + b"\r\n", b"get odd\r\n",
            b"get a odd a\r\n", b" get a\r\n", b"get\ta\r\n", b"g", b"\n",
        ],
    )  # fmt: skip
    def test_stops_before(self, server: Server, line: bytes) -> None:
        """What is not usual is left, and nothing of it is answered."""
        server.put(b"a", Stored(b"one"))
        server.put(b"odd", Stored(b"?", kind=12))
        assert server.answer(line) == (b"", 0, 0, 0, 0)
        usual = b"get a\r\n"
        end = b"VALUE a 0 3\r\none\r\nEND\r\n"
        assert server.answer(usual + line) == (end, 7, 1, 1, 0)
        assert server.answer(usual + line, 7) == (b"", 7, 0, 0, 0)

    def test_most(self, server: Server) -> None:
        """Never more bytes than are wanted; only whole lines."""
        for length in (3, 20_000, 100_000):
            server.put(b"a", Stored(b"x" * length))
            one = len(server.model(b"get a\r\n")[0])
            for most in (0, 1, one - 1, one, 2 * one - 1, 2 * one, 3 * one):
                data = b"get a\r\n" * 3
                assert server.answer(data, 0, most) == server.model(data, 0, most), most
        assert server.answer(b"get none\r\n", 0, 4) == (b"", 0, 0, 0, 0)
        assert server.answer(b"get none\r\n", 0, -1) == (b"", 0, 0, 0, 0)

    def test_start(self, server: Server) -> None:
        server.put(b"a", Stored(b"one"))
        assert server.answer(b"get a\r\n", -5) == server.model(b"get a\r\n")
        assert server.answer(b"get a\r\n", 7) == (b"", 7, 0, 0, 0)
        assert server.answer(b"get a\r\n", 100) == (b"", 7, 0, 0, 0)

    def test_as_the_model(self, server: Server) -> None:
        """Random lines, of up to some hundreds of keys, usual ones and others."""
        seed = random.randrange(2**32)
        print("seed", seed)
        chance = random.Random(seed)
        fill(server, chance)
        keys = [b"key-%d" % i for i in range(330)] + [b"k" * 250]
        for _ in range(300):
            data = b""
            for _ in range(chance.choice([1, 2, 10, 300])):
                most = chance.choice([1, 1, 3, 20, 600]) if len(data) < 10_000 else 1
                blank = chance.choice([b" ", b" ", b"  "])
                asked = blank.join(chance.choice(keys) for _ in range(chance.randint(1, most)))
                verb = chance.choice([b"get ", b"get ", b"gets ", b"gets  "])
                data += verb + asked + chance.choice([b"\r\n", b"\n", b" \r\n"])
            data += chance.choice([b"", b"get key-1", b"version\r\n"])
            start = data.find(b"\n") + 1 if chance.random() < 0.2 else 0
            limit = chance.choice([PLENTY, 1000, 50_000])
            kept = bytearray(data) if chance.random() < 0.5 else data
            assert server.answer(kept, start, limit) == server.model(data, start, limit)

    def test_gives_the_bytes_back(self, server: Server) -> None:
        """What was read can be changed, and is held by nobody."""
        data = bytearray(b"get a\r\nget")
        assert server.answer(data)[1] == 7
        data.clear()
        held = sys.getrefcount(data)
        for _ in range(100):
            server.answer(data)
        assert sys.getrefcount(data) == held

    def test_refusals(self, server: Server) -> None:
        """No bytes, no answer."""
        for data in (1, "get a\r\n", None):
            with pytest.raises(TypeError):
                fast.answer(server.address, data, 0, 1)

    def test_closed(self) -> None:
        """A handle that is closed answers nothing."""
        with Cache("answers", size="8MiB") as cache:
            address = Server(cache).address
        assert fast.answer(address, b"get a\r\n", 0, PLENTY) == (b"", 0, 0, 0, 0)

    def test_while_values_change(self, server: Server) -> None:
        """What grows or goes between two looks is whole, or not there."""
        sizes = [10, 3000, 60_000, 66_000, 200_000]
        ended = threading.Event()

        def change() -> None:
            chance = random.Random(1)
            while not ended.is_set():
                size = chance.choice(sizes)
                server.cache.set("v", bytes([size % 251]) * size)
                if chance.random() < 0.1:
                    server.cache.delete("v")

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        other = threading.Thread(target=change)
        other.start()
        try:
            looked: set[int] = set()
            for _ in range(500):
                while len(looked) < len(sizes) + 1:  # misses too; the limit of the test ends a hang
                    self.look(server, looked, sizes)
                self.look(server, looked, sizes)
        finally:
            ended.set()
            other.join()
            sys.setswitchinterval(interval)

    def look(self, server: Server, looked: set[int], sizes: list[int]) -> None:
        answer, _, lines, hits, misses = server.answer(b"get v v v\r\n")
        assert (lines, hits + misses) == (1, 3)
        for _ in range(hits):
            head, _, rest = answer.partition(b"\r\n")
            size = int(head.split(b" ")[3])
            assert size in sizes
            assert rest[:size] == bytes([size % 251]) * size
            answer = rest[size + 2 :]
            looked.add(size)
        if misses:
            looked.add(-1)
        assert answer == b"END\r\n"
