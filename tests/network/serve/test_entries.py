# SPDX-License-Identifier: BSD-3-Clause
"""A Python process and a network client see the same entries."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from typing import Any

import numpy
import pytest

from plib_cache import Cache
from plib_cache.serialize import DefaultSerializer, TypeCode
from plib_cache.serve import Conversation

from .talking import answers

Converse = Callable[..., Conversation]


def value_of(answer: bytes) -> tuple[int, bytes]:
    """The flags and the value of the first of an answer's values."""
    line, _, rest = answer.partition(b"\r\n")
    words = line.split(b" ")
    assert words[0] == b"VALUE", answer
    return int(words[2]), rest[: int(words[3])]


VALUES: list[tuple[Any, TypeCode, bytes]] = [
    (b"v", TypeCode.BYTES, b"v"),
    ("t\xe4xt", TypeCode.STR, "t\xe4xt".encode()),
    (-12, TypeCode.INT, b"-12"),
    (0.5, TypeCode.FLOAT, struct.pack("<d", 0.5)),
    (True, TypeCode.BOOL, b"\1"),
    (None, TypeCode.NONE, b""),
    (bytearray(b"ab"), TypeCode.BYTEARRAY, b"ab"),
    (memoryview(b"ab"), TypeCode.MEMORYVIEW, b"ab"),
]


@pytest.mark.parametrize(("value", "code", "data"), VALUES)
def test_values_of_python_are_read_by_clients(
    cache: Cache, converse: Converse, value: Any, code: TypeCode, data: bytes
) -> None:
    """As bytes that are documented, with the number of the type for flags; by every get."""
    cache.set("k", value)
    assert value_of(answers(converse(), b"get k\r\n")) == (code, data)
    assert value_of(answers(converse(), b"gat 0 k\r\n")) == (code, data)
    answer = answers(converse(), b"mg k v f s\r\n")
    assert answer == b"VA %d f%d s%d\r\n%s\r\n" % (len(data), code, len(data), data)


@pytest.mark.parametrize("value", [numpy.arange(6.0), {"a": [1, 2]}, 1 << 3000])
def test_what_is_pickled_is_read_too(cache: Cache, converse: Converse, value: Any) -> None:
    """Its bytes are those that the serializer made, and that it reads."""
    cache.set("k", value)
    flags, data = value_of(answers(converse(), b"get k\r\n"))
    assert flags in (TypeCode.NDARRAY, TypeCode.PICKLE5)
    assert repr(DefaultSerializer().loads(flags, memoryview(data))) == repr(value)


def test_what_a_client_stores_is_bytes(cache: Cache, converse: Converse) -> None:
    """In Python; the client's flags stay beside them, whatever Python does with the rest."""
    talk = converse()
    assert answers(talk, b"set k 17 100 3\r\nabc\r\n") == b"STORED\r\n"
    assert cache.get("k") == b"abc"
    assert cache[b"k"] == b"abc"
    assert cache.touch("k", 500)
    assert cache.append("k", b"d")
    assert answers(talk, b"get k\r\n") == b"VALUE k 17 4\r\nabcd\r\nEND\r\n"
    cache.set("k", b"abc")
    assert answers(talk, b"get k\r\n") == b"VALUE k 0 3\r\nabc\r\nEND\r\n"


def test_keys(cache: Cache, converse: Converse) -> None:
    """A str is the key of its UTF-8; a key in base64 is bytes, and any bytes are a key so."""
    talk = converse()
    answers(talk, b"set \xc3\xa4 0 0 1\r\nx\r\nset plain 0 0 1\r\ny\r\nms AAEgCg== 1 b\r\nz\r\n")
    assert dict(cache.items()) == {"\xe4": b"x", "plain": b"y", b"\0\1 \n": b"z"}
    cache.set(b"\0 \xff", b"python")
    assert answers(talk, b"mg ACD/ b k v\r\n") == b"VA 6 kACD/ b\r\npython\r\n"
    cache.set("longer than memcached's keys: " + "k" * 300, 1)
    assert len(cache) == 5


def test_counters(cache: Cache, converse: Converse) -> None:
    """Numbers of Python are counted by clients and the other way round; they stay what they are."""
    talk = converse()
    cache.set("n", 7)
    cache.set("t", "10")
    assert answers(talk, b"incr n 5\r\ndecr n 2\r\nincr t 1\r\nma n D5 v\r\n") == (
        b"12\r\n10\r\n11\r\nVA 2\r\n15\r\n"
    )
    assert cache.get("n") == 15
    assert cache.get("t") == "11"
    answers(talk, b"set c 0 0 1\r\n5\r\n")
    assert cache.incr("c") == 6
    assert cache.get("c") == b"6"
    cache.set("negative", -5)
    cache.set("half", 0.5)
    refused = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
    assert answers(talk, b"incr negative 1\r\nincr half 1\r\nma half\r\n") == refused * 3


def test_tokens(cache: Cache, converse: Converse) -> None:
    """The token of ``gets`` is the same here and there."""
    talk = converse()
    cache.set("k", b"1")
    found = cache.gets("k")
    assert found is not None
    assert answers(talk, b"gets k\r\n") == b"VALUE k 0 1 %d\r\n1\r\nEND\r\n" % found[1]
    assert answers(talk, b"cas k 0 0 1 %d\r\n2\r\n" % found[1]) == b"STORED\r\n"
    assert not cache.cas("k", b"3", found[1])
    token = int(answers(talk, b"ms k 1 c\r\n4\r\n")[4:])
    assert cache.cas("k", b"5", token)
    assert answers(talk, b"get k\r\n") == b"VALUE k 0 1\r\n5\r\nEND\r\n"


def test_only_bytes_are_appended_to(cache: Cache, converse: Converse) -> None:
    """A text would not be text any more, and an array no array."""
    cache.set("t", "text")
    refused = b"CLIENT_ERROR cannot append or prepend to a value that is not bytes\r\n"
    asked = b"append t 0 0 1\r\nx\r\nprepend t 0 0 1\r\nx\r\nms t 1 MA\r\nx\r\nms t 1 MP s\r\nx\r\n"
    assert answers(converse(), asked) == refused * 4
    assert cache.get("t") == "text"


def test_namespaces_and_tags(cache: Cache, converse: Converse) -> None:
    """What a client counts, touches, renews or appends to goes with its namespace and tags."""
    talk = converse()
    for name in ("touched", "counted", "renewed", "longer", "again"):
        cache.set(name, b"7", expire=1000, namespace="space", tags=["tag"])
    asked = (
        b"touch touched 500\r\nma counted c\r\nmg renewed R2000\r\nappend longer 0 0 1\r\n1\r\n"
        b"set again 0 0 1\r\n7\r\n"
    )
    assert b"ERROR" not in answers(talk, asked)
    cache.invalidate_tag("tag")
    assert answers(talk, b"get touched counted renewed longer again\r\n") == (
        b"VALUE again 0 1\r\n7\r\nEND\r\n"
    )


def test_flush_all_empties_the_cache(cache: Cache, converse: Converse) -> None:
    """Also what Python has stored; and ``clear`` what clients have."""
    talk = converse()
    cache.set("k", 1)
    assert answers(talk, b"flush_all\r\nset j 0 0 1\r\nx\r\n") == b"OK\r\nSTORED\r\n"
    assert dict(cache.items()) == {"j": b"x"}
    cache.clear()
    assert answers(talk, b"get j k\r\n") == b"END\r\n"


# ---- marks


def test_won_values_are_values(cache: Cache, converse: Converse) -> None:
    """A client that is told to renew a value leaves it to Python as it was."""
    talk = converse()
    array = numpy.arange(1000.0)
    values = {"b": b"x", "s": "text", "i": 5, "n": None, "p": {"a": 1}, "m": memoryview(b"view")}
    for key, value in {**values, "a": array}.items():
        cache.set(key, value, expire=100)
        won = answers(talk, b"mg %s R1000 f\r\nmg %s f\r\n" % (key.encode(), key.encode()))
        lines = won.splitlines()
        assert (lines[0].split()[-1], lines[1].split()[-1]) == (b"W", b"Z")
        assert lines[0].split()[1] == lines[1].split()[1]
    assert {key: cache[key] for key in values} == values
    assert (cache["a"] == array).all()
    assert (cache.get("a", copy=False) == array).all()
    assert bytes(cache.view("a")) == array.tobytes()
    assert cache.get_many(["b", "i"]) == {"b": b"x", "i": 5}
    assert answers(talk, b"incr i 2\r\nget i\r\n") == b"7\r\nVALUE i 2 1\r\n7\r\nEND\r\n"
    assert cache["i"] == 7


def test_pickles_stay_untrusted(cache: Cache, converse: Converse) -> None:
    """A mark does not make code readable for who trusts data only."""
    from plib_cache.exceptions import SerializationError

    cache.set("p", range, expire=100)
    assert answers(converse(), b"mg p R1000\r\n") == b"HD W\r\n"
    with Cache("served", trust="data") as other, pytest.raises(SerializationError):
        other.get("p")


def test_stale_values_are_misses(cache: Cache, converse: Converse) -> None:
    """For Python, without a warning; clients go on seeing them, until somebody stores anew."""
    talk = converse()
    cache.set("k", "text", expire=100)
    assert answers(talk, b"md k I\r\n") == b"HD\r\n"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.get("k", "missing") == "missing"
        assert cache.gets("k") is None
        assert cache.get("k", "missing", copy=False) == "missing"
        assert cache.get_many(["k"]) == {}
        with pytest.raises(KeyError):
            cache["k"]
        assert answers(talk, b"mg k v f\r\n") == b"VA 4 f1 X W\r\ntext\r\n"
        assert cache.get_or_compute("k", lambda: "new") == "new"
    assert answers(talk, b"mg k v f\r\n") == b"VA 3 f1\r\nnew\r\n"


def test_vacant_entries_are_misses(cache: Cache, converse: Converse) -> None:
    """What a client is to fill; ``setdefault`` and ``get_or_compute`` do not wait for it."""
    talk = converse()
    answers(talk, b"mg k N100\r\nmg j N100\r\nmg i N100\r\n")
    assert cache.get("k") is None
    assert cache.setdefault("k", 1) == 1
    assert cache.get_or_compute("j", lambda: 2) == 2
    assert answers(talk, b"get k j\r\nget i\r\n") == (
        b"VALUE k 2 1\r\n1\r\nVALUE j 2 1\r\n2\r\nEND\r\nVALUE i 0 0\r\n\r\nEND\r\n"
    )
    assert answers(talk, b"ms i 1\r\nx\r\n") == b"HD\r\n"
    assert cache.get("i") == b"x"


def test_results_of_functions_can_be_spoilt(converse: Converse) -> None:
    """What is kept by what it depends on never changes: to mark it as stale removes it."""
    with Cache("served", immutable=True) as kept:
        kept.set("k", 1)
        assert answers(converse(), b"md k I\r\nmg k\r\n") == b"HD\r\nEN\r\n"
        kept.set("k", 1, expire=50)
        assert answers(converse(), b"mg k R100 v\r\n") == b"VA 1 W\r\n1\r\n"
        assert kept.get("k") == 1
