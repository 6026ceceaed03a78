# SPDX-License-Identifier: BSD-3-Clause
"""One process against a plain model: random operations, and a dict that does the same."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plib_cache import Cache
from plib_cache.testing import private_regions

KEYS = st.sampled_from(["a", "b", "c", b"a", "\N{SNOWMAN}", b"\xff", "k" * 300])
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.integers(0, 120_000).map(lambda n: b"x" * n),
    st.lists(st.integers(), max_size=3),
)
NUMBERS = st.integers(0, 2**64 - 1)
WORDS = st.sampled_from(["red", "blue"])


class Entry:
    """What the model knows of a key."""

    def __init__(self, given: str | bytes, value: Any, names: frozenset[str] = frozenset()) -> None:
        self.given = given
        self.value = value
        self.names = names


class AgainstModel(RuleBasedStateMachine):
    """Each rule does the same to the cache and to the model, and compares the answers."""

    def __init__(self) -> None:
        super().__init__()
        self.regions = private_regions()
        self.regions.__enter__()
        self.cache = Cache("model", size="8MiB", strict=True)
        self.model: dict[bytes, Entry] = {}
        self.tokens: dict[bytes, int] = {}

    @staticmethod
    def raw(key: str | bytes) -> bytes:
        return key.encode() if isinstance(key, str) else key

    @initialize(filling=st.integers(0, 300))
    def fill(self, filling: int) -> None:
        """Other entries around."""
        self.cache.set_many({f"filling-{i}": i for i in range(filling)})
        for i in range(filling):
            self.model[b"filling-%d" % i] = Entry(f"filling-{i}", i)

    def put(self, key: str | bytes, value: Any, names: frozenset[str] = frozenset()) -> None:
        self.model[self.raw(key)] = Entry(key, value, names)

    @rule(key=KEYS, value=VALUES)
    def set(self, key: Any, value: Any) -> None:
        self.cache[key] = value
        self.put(key, value)

    @rule(key=KEYS, value=VALUES, tags=st.lists(WORDS, max_size=3), namespace=WORDS)
    def set_named(self, key: Any, value: Any, tags: list[str], namespace: str) -> None:
        self.cache.set(key, value, 3600, tags=tags, namespace=namespace)
        self.put(key, value, frozenset([f"n:{namespace}", *(f"t:{tag}" for tag in tags)]))

    @rule(key=KEYS, value=VALUES)
    def set_gone(self, key: Any, value: Any) -> None:
        self.cache.set(key, value, expire=0)
        self.model.pop(self.raw(key), None)

    @rule(items=st.dictionaries(KEYS, VALUES, max_size=4))
    def set_many(self, items: dict[Any, Any]) -> None:
        self.cache.set_many(items)
        for key, value in items.items():
            self.put(key, value)

    @rule(key=KEYS)
    def get(self, key: Any) -> None:
        entry = self.model.get(self.raw(key))
        value = self.cache.get(key, self)
        assert (
            (value == entry.value and type(value) is type(entry.value)) if entry else value is self
        )

    @rule(keys=st.lists(KEYS, max_size=4))
    def get_many(self, keys: list[Any]) -> None:
        expected = {k: self.model[self.raw(k)].value for k in keys if self.raw(k) in self.model}
        assert self.cache.get_many(keys) == expected

    @rule(key=KEYS, value=VALUES)
    def add(self, key: Any, value: Any) -> None:
        absent = self.raw(key) not in self.model
        assert self.cache.add(key, value) is absent
        if absent:
            self.put(key, value)

    @rule(key=KEYS, value=VALUES)
    def replace(self, key: Any, value: Any) -> None:
        there = self.raw(key) in self.model
        assert self.cache.replace(key, value) is there
        if there:
            self.put(key, value)

    @rule(key=KEYS)
    def gets(self, key: Any) -> None:
        found, entry = self.cache.gets(key), self.model.get(self.raw(key))
        assert (found is None) is (entry is None)
        if found is not None and entry is not None:
            assert found[0] == entry.value
            self.tokens[self.raw(key)] = found[1]
            entry.names |= {f"token {found[1]}"}

    @rule(key=KEYS, value=VALUES)
    def cas(self, key: Any, value: Any) -> None:
        raw = self.raw(key)
        token, entry = self.tokens.get(raw, 1), self.model.get(raw)
        fits = entry is not None and f"token {token}" in entry.names
        assert self.cache.cas(key, value, token) is fits
        if fits:
            self.put(key, value)

    @rule(key=KEYS, piece=st.binary(max_size=10_000), behind=st.booleans())
    def extend(self, key: Any, piece: bytes, behind: bool) -> None:
        extend = self.cache.append if behind else self.cache.prepend
        entry = self.model.get(self.raw(key))
        if entry is not None and type(entry.value) is not bytes:
            self.raises(TypeError, extend, key, piece)
            return
        assert extend(key, piece) is (entry is not None)
        if entry is not None:
            value = entry.value + piece if behind else piece + entry.value
            self.put(entry.given, value, self.without_token(entry))

    @rule(key=KEYS, delta=st.one_of(st.integers(0, 5), NUMBERS), down=st.booleans())
    def count(self, key: Any, delta: int, down: bool) -> None:
        count = self.cache.decr if down else self.cache.incr
        entry = self.model.get(self.raw(key))
        if entry is None:
            assert count(key, delta) is None
            return
        number = self.number(entry.value)
        if number is None:
            self.raises(ValueError, count, key, delta)
            return
        expected = max(0, number - delta) if down else (number + delta) % 2**64
        assert count(key, delta) == expected
        kind = type(entry.value)
        value = b"%d" % expected if kind is bytes else kind(expected)
        self.put(entry.given, value, self.without_token(entry))

    @staticmethod
    def number(value: Any) -> int | None:
        digits = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if type(value) not in (int, str, bytes) or not (digits.isascii() and digits.isdigit()):
            return None
        return int(digits) if int(digits) < 2**64 else None

    @staticmethod
    def without_token(entry: Entry) -> frozenset[str]:
        return frozenset(name for name in entry.names if not name.startswith("token"))

    def raises(self, error: type[Exception], function: Any, *args: Any) -> None:
        try:
            function(*args)
        except error:
            return
        raise AssertionError(f"{function.__name__}{args!r:.80} did not raise {error.__name__}")

    @rule(key=KEYS)
    def delete(self, key: Any) -> None:
        assert self.cache.delete(key) is (self.model.pop(self.raw(key), None) is not None)

    @rule(keys=st.lists(KEYS, max_size=4))
    def delete_many(self, keys: list[Any]) -> None:
        there = {self.raw(key) for key in keys} & self.model.keys()
        assert self.cache.delete_many(keys) == len(there)
        for raw in there:
            del self.model[raw]

    @rule(key=KEYS, expire=st.sampled_from([3600, None, 0]))
    def touch(self, key: Any, expire: Any) -> None:
        assert self.cache.touch(key, expire) is (self.raw(key) in self.model)
        if expire == 0:
            self.model.pop(self.raw(key), None)

    @rule(word=WORDS, tag=st.booleans())
    def invalidate(self, word: str, tag: bool) -> None:
        (self.cache.invalidate_tag if tag else self.cache.invalidate_namespace)(word)
        name = f"t:{word}" if tag else f"n:{word}"
        self.model = {k: entry for k, entry in self.model.items() if name not in entry.names}

    @rule(key=KEYS, value=VALUES)
    def compute(self, key: Any, value: Any) -> None:
        entry = self.model.get(self.raw(key))
        assert self.cache.get_or_compute(key, lambda: value) == (entry.value if entry else value)
        if entry is None:
            self.put(key, value)

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.model.clear()

    @rule()
    def reopen(self) -> None:
        self.cache.close()
        self.cache = Cache("model", strict=True)

    @invariant()
    def same_keys(self) -> None:
        assert len(self.cache) == len(self.model)
        assert sorted(map(repr, self.cache)) == sorted(repr(e.given) for e in self.model.values())

    def teardown(self) -> None:
        try:
            assert self.cache.check() == []
            self.cache.close()
        finally:
            self.regions.__exit__(None, None, None)


AgainstModel.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
TestAgainstModel = AgainstModel.TestCase
