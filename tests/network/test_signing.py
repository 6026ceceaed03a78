# SPDX-License-Identifier: BSD-3-Clause
"""What comes from the network is data, not code, and what it says that it is."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plib_cache import Cache, ConfigurationError
from plib_cache.remote.signing import DATA, OVERHEAD, Arrived, Rejected, Signer, secret_key
from plib_cache.serialize import DefaultSerializer, Encoded, TypeCode
from plib_cache.stats import RemoteStats

from .conftest import KEY
from .test_tiers_contract import DictTier

Node = Callable[..., Cache]
ALL = frozenset(range(256))


class Code:
    """What only a pickle can bring, and does something when it is read."""

    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _run, ()


def _run() -> str:
    Code.ran = True
    return "ran"


def counts(cache: Cache) -> RemoteStats:
    found = cache.stats().remote
    assert found is not None
    return found


def sent(node: Node, tier: DictTier, key: str, value: Any, **options: Any) -> bytes:
    """What a node has sent to a tier."""
    one = node(f"of {key}".replace(" ", "-"), tier, **options)
    one[key] = value
    assert one.wait_remote(30)
    return tier.held[key.encode()][0] if key.encode() in tier.held else b""


class TestSigned:
    """With a key that all nodes share."""

    @pytest.fixture(autouse=True)
    def with_key(self, signed: None) -> None:
        pass

    def test_code_is_taken_from_those_who_have_the_key(self, node: Node) -> None:
        tier, value = DictTier(), {"model": pytest}
        assert sent(node, tier, "k", Path("a/b"))
        assert node("other", tier)["k"] == Path("a/b")
        assert value

    def test_another_key(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        tier = DictTier()
        sent(node, tier, "k", 1)
        monkeypatch.setenv("PLIB_CACHE_KEY", "some other key, as long as it has to be")
        other = node("other", tier)
        assert other.get("k") is None
        assert counts(other).forged == 1

    def test_no_signature(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        tier = DictTier()
        monkeypatch.delenv("PLIB_CACHE_KEY")
        sent(node, tier, "k", 1)
        tier.held[b"raw"] = b"of another client", None
        monkeypatch.setenv("PLIB_CACHE_KEY", KEY)
        other = node("other", tier)
        assert other.get_many(["k", "raw"]) == {}
        assert counts(other).unsigned == counts(other).rejected == 2

    def test_trust_in_the_network_does_not_make_up_for_a_signature(
        self, node: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tier = DictTier()
        monkeypatch.delenv("PLIB_CACHE_KEY")
        sent(node, tier, "k", 1)
        monkeypatch.setenv("PLIB_CACHE_KEY", KEY)
        assert node("other", tier, trust="network").get("k") is None

    def test_replay_onto_another_key(self, node: Node) -> None:
        tier = DictTier()
        sent(node, tier, "guest", "rights of a guest")
        sent(node, tier, "root", "all rights")
        tier.held[b"guest"] = tier.held[b"root"]
        other = node("other", tier)
        assert other.get("guest") is None
        assert counts(other).forged == 1
        assert other["root"] == "all rights"

    def test_every_byte_counts(self, node: Node) -> None:
        tier = DictTier()
        raw = sent(node, tier, "k", b"value")
        other = node("other", tier)
        for at in range(len(raw)):
            changed = bytearray(raw)
            changed[at] ^= 1 << at % 8
            tier.held[b"k"] = bytes(changed), None
            assert other.get("k") is None, at
        for end in range(len(raw)):
            tier.held[b"k"] = raw[:end], None
            assert other.get("k") is None, end
        tier.held[b"k"] = raw + b"x", None
        assert other.get("k") is None
        assert len(other) == 0

    def test_a_longer_life(self, node: Node) -> None:
        """The deadline is signed."""
        signer = Signer(KEY.encode())
        raw = bytearray(signer.seal(b"k", [b"v"], Arrived(0, memoryview(b""), 0, 1)))
        with pytest.raises(Rejected, match="expired"):
            signer.open(b"k", bytes(raw), ALL)
        raw[8:16] = bytes(8)
        with pytest.raises(Rejected, match="forged"):
            signer.open(b"k", bytes(raw), ALL)

    def test_keys_and_values_do_not_run_into_each_other(self) -> None:
        signer = Signer(KEY.encode())
        raw = signer.seal(b"ab", [b"c", b"d"], Arrived(0, memoryview(b""), 0, 0))
        assert bytes(signer.open(b"ab", raw, ALL).payload) == b"cd"
        for key in (b"a", b"abc", b"ba"):
            with pytest.raises(Rejected, match="forged"):
                signer.open(key, raw, ALL)

    def test_large_values_are_signed_the_same(self) -> None:
        signer, value = Signer(KEY.encode()), os.urandom(1 << 20)
        head = Arrived(0, memoryview(b""), 7, 0)
        raw = signer.seal(b"k", [value[:10], memoryview(value)[10:]], head)
        assert raw == signer.seal(b"k", [value], head)
        assert len(raw) == len(value) + OVERHEAD
        assert signer.open(b"k", raw, ALL).cost == 7

    def test_trust_data_still_refuses_code(self, node: Node) -> None:
        tier = DictTier()
        sent(node, tier, "k", Code())
        Code.ran = False
        other = node("other", tier, trust="data")
        assert other.get("k") is None
        assert counts(other).code_refused == 1
        assert not Code.ran

    def test_a_serializer_of_ones_own(self, node: Node) -> None:
        tier = DictTier()
        sent(node, tier, "k", [1], serializer=Json())
        assert node("other", tier, serializer=Json())["k"] == [1]


class Json:
    """A serializer that a user may write."""

    name = "json"

    def dumps(self, value: object) -> Encoded:
        import json

        raw = json.dumps(value).encode()
        return Encoded(200, [raw], len(raw))

    def loads(self, type_code: int, data: memoryview) -> object:
        import json

        return json.loads(bytes(data))


class TestUnsigned:
    """Without a key."""

    def test_pickles_are_refused(self, node: Node) -> None:
        """Whoever can write to the server has nothing run here."""
        encoded = DefaultSerializer().dumps(Code())
        assert encoded.type_code in (TypeCode.PICKLE5, TypeCode.CLOUDPICKLE)
        payload = b"".join(encoded.parts)
        for code in (TypeCode.PICKLE5, TypeCode.CLOUDPICKLE, TypeCode.DATA):
            tier = DictTier()
            head = Arrived(code, memoryview(b""), 0, 0)
            tier.held[b"k"] = Signer().seal(b"k", [payload], head), None
            cache = node(f"code-{code}", tier)
            Code.ran = False
            assert cache.get("k") is None
            assert cache.get_many(["k"]) == {}
            assert cache.get_or_compute("k", lambda: 5) == 5
            assert not Code.ran
            assert counts(cache).code_refused + counts(cache).damaged == 3

    def test_they_are_not_sent(self, node: Node) -> None:
        """What would not be taken anyway stays here, and no old value stays there."""
        tier = DictTier()
        assert sent(node, tier, "k", "old")
        one = node("one", tier)
        one["k"] = Path("a")
        one.wait_remote(30)
        assert not tier.held
        assert counts(one).kept_local == 1
        assert one["k"] == Path("a")

    def test_plain_data_goes(self, node: Node) -> None:
        value = {"a": [1, (2.5, None)], "b": {b"x"}, "c": np.arange(3)}
        tier = DictTier()
        assert sent(node, tier, "k", value)
        found = node("other", tier)["k"]
        assert str(found) == str(value)

    def test_trust_network(self, node: Node) -> None:
        tier = DictTier()
        sent(node, tier, "k", Path("a"), trust="network")
        assert node("other", tier, trust="network")["k"] == Path("a")
        refusing = node("third", tier)
        assert refusing.get("k") is None
        assert counts(refusing).code_refused == 1

    def test_trust_network_from_the_environment(
        self, node: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PLIB_CACHE_TRUST", "network")
        tier = DictTier()
        sent(node, tier, "k", Path("a"))
        again = pickle.loads(pickle.dumps(node("other", tier)._options["trust"]))
        assert again == "network"

    def test_bytes_of_another_client(self, node: Node) -> None:
        """They are bytes; and nobody here knows for how long, so they are not kept."""
        tier = DictTier()
        tier.held[b"k"] = b"of another client", None
        cache = node("one", tier)
        assert cache["k"] == b"of another client"
        assert len(cache) == 0

    def test_a_serializer_of_ones_own_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="PLIB_CACHE_KEY"):
            Cache("x", remote=DictTier(), serializer=Json(), size="8MiB")

    def test_garbage_of_any_form(self, node: Node) -> None:
        """No bytes that a server may send get more than a miss out of it."""
        seed = random.SystemRandom().randrange(2**32)
        print("seed", seed)
        source, tier = random.Random(seed), DictTier()
        cache = node("one", tier)
        values = [b"v", "s", 3, 2.5, None, True, {"a": np.arange(9)}, np.arange(5), [1, 2]]
        for _ in range(2000):
            encoded = DefaultSerializer("data").dumps(source.choice(values))
            head = Arrived(encoded.type_code, memoryview(b""), 0, 0)
            raw = bytearray(Signer().seal(b"k", encoded.parts, head))
            for _ in range(source.randrange(1, 4)):
                raw[source.randrange(4, len(raw))] = source.randrange(256)
            tier.held[b"k"] = bytes(raw[: source.randrange(1, len(raw) + 1)]), None
            cache.get("k")
            cache._region.delete(b"k")

    def test_all_codes_are_known(self) -> None:
        """A new type code needs a decision whether it is data."""
        assert ALL & set(map(int, TypeCode)) - {8, 9} == DATA
        assert len(TypeCode) == 12


class TestKey:
    """Where the key comes from."""

    def test_none(self) -> None:
        assert secret_key() is None

    def test_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLIB_CACHE_KEY", KEY)
        assert secret_key() == KEY.encode()

    def test_too_short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLIB_CACHE_KEY", "short")
        with pytest.raises(ConfigurationError, match="at least 16"):
            Cache("x", remote=DictTier())

    def test_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        path = tmp_path / "key"
        path.write_text(KEY + "\n")
        monkeypatch.setenv("PLIB_CACHE_KEY_FILE", str(path))
        for mode, fine in ((0o600, True), (0o400, True), (0o640, False), (0o604, False)):
            path.chmod(mode)
            if fine:
                assert secret_key() == KEY.encode()
            else:
                with pytest.raises(ConfigurationError, match="chmod 600"):
                    secret_key()

    def test_file_of_somebody_else(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, untested: Any
    ) -> None:
        if os.geteuid():
            untested("a key file of another user: only root can make one")
        path = tmp_path / "key"
        path.write_text(KEY)
        path.chmod(0o600)
        os.chown(path, 12345, -1)
        monkeypatch.setenv("PLIB_CACHE_KEY_FILE", str(path))
        with pytest.raises(ConfigurationError, match="not yours"):
            secret_key()

    @pytest.mark.parametrize("which", ["absent", "folder"])
    def test_no_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, which: str) -> None:
        path = tmp_path / "absent" if which == "absent" else tmp_path
        monkeypatch.setenv("PLIB_CACHE_KEY_FILE", str(path))
        with pytest.raises(ConfigurationError, match="PLIB_CACHE_KEY_FILE"):
            secret_key()

    def test_both(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLIB_CACHE_KEY", KEY)
        monkeypatch.setenv("PLIB_CACHE_KEY_FILE", "/x")
        with pytest.raises(ConfigurationError, match="both"):
            secret_key()
