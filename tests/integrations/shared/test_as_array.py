# SPDX-License-Identifier: BSD-3-Clause
"""Arrays over the memory of a cache are plain ones to all but who sends them on this machine."""

from __future__ import annotations

import copy
import io
import multiprocessing.connection
import pickle
import threading
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import cloudpickle
import handed_arrays as handed
import joblib
import numpy as np
import pytest
from handed_arrays import N, pickled

from plib_cache import Cache, _handing, _known, keys
from plib_cache._sending import shared
from plib_cache._shared_array import SMALLEST, lease_under
from plib_cache.keys import value_digest

# ---- by value ------------------------------------------------------------------------------------


def plain(value: Any) -> bool:
    return type(value) is np.ndarray and handed.where(value)[0] == 0


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_holds_a_plain_array(array: Any, protocol: int) -> None:
    """What is pickled for anywhere is an array as any other, and so are copies."""
    letter = pickle.dumps({"a": [array]}, protocol)
    assert b"plib_cache" not in letter
    assert plain(pickle.loads(letter)["a"][0])
    assert np.array_equal(pickle.loads(letter)["a"][0], array)


def test_others_make_plain_arrays_of_it(array: Any, tmp_path: Path) -> None:
    """cloudpickle, joblib.dump, copies."""
    joblib.dump(array, tmp_path / "array")
    file = io.BytesIO()
    np.save(file, array)
    file.seek(0)
    for made in (
        pickle.loads(cloudpickle.dumps(array)),
        joblib.load(tmp_path / "array"),
        copy.copy(array),
        copy.deepcopy(array),
        copy.deepcopy([array])[0],
        np.load(file),
        np.array(array),
    ):
        assert plain(made)
        assert np.array_equal(made, array)


def test_small_parts_go_by_value(array: Any) -> None:
    """A copy of little is as fast as a reference to it."""
    small = array[: SMALLEST // 8 - 1]
    assert plain(ForkingPickler.loads(pickled(small)))
    assert handed.where(ForkingPickler.loads(pickled(array[: SMALLEST // 8]))) == handed.where(
        array
    )
    assert len(_handing._kept) == 1


def test_what_lies_elsewhere_goes_by_value(array: Any, path: str) -> None:
    """Only what lies in the value goes by reference to it."""
    for other in (array.copy(), np.concatenate([array, array]), array.astype("f4")):
        assert plain(ForkingPickler.loads(pickled(other)))
        assert np.array_equal(ForkingPickler.loads(pickled(other)), other)
    other = np.arange(float(N))
    assert shared(other) is other
    private = handed.cache(path).get("a", copy="cow")
    assert shared(private) is private


@pytest.mark.parametrize(("family", "by_value"), [("AF_INET", True), ("AF_UNIX", False)])
def test_over_the_network(array: Any, family: str, by_value: bool) -> None:
    """A connection of multiprocessing to another machine carries bytes; its pipes do not."""
    with multiprocessing.connection.Listener(family=family) as listener:
        received: list[Any] = []

        def receive() -> None:
            with listener.accept() as end:
                received.append(end.recv())

        thread = threading.Thread(target=receive)
        thread.start()
        with multiprocessing.connection.Client(listener.address) as end:
            end.send(array)
            thread.join()
    assert np.array_equal(received[0], array)
    assert plain(received[0]) == by_value


# ---- as an array ---------------------------------------------------------------------------------


def test_it_is_an_array(array: Any) -> None:
    """What is computed from it is plain; slices stay; nobody can write to it."""
    assert isinstance(array, np.ndarray)
    assert array.__class__ is np.ndarray
    for result in (array + 1, array > 3, np.sqrt(array), array @ np.ones((N, 2))):
        assert type(result) is np.ndarray
    for scalar in (array.sum(), array.max(), array.mean(), array[7], np.dot(array, array)):
        assert type(scalar) is np.float64
    for view in (array[5:], array.reshape(10, -1), array.reshape(10, -1).T, array.view("u8")):
        assert type(view) is type(array)
        assert lease_under(view) is lease_under(array)
    assert type(array.copy()) is type(array[array > 3].copy()) is np.ndarray
    assert lease_under(array[array > 3]) is None
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(ValueError, match="read-only|WRITEABLE"):
        array.setflags(write=True)


@pytest.mark.parametrize("order", ["C", "F"])
def test_it_has_the_hash_of_a_plain_array(path: str, order: Any) -> None:
    """Keys that are made of it are those of any array with that content."""
    value = np.asarray(np.arange(float(N)).reshape(100, -1), order=order)
    array = handed.put(path, "hashed", value)
    assert joblib.hash(array) == joblib.hash(value)
    assert joblib.hash(array[3:]) == joblib.hash(value[3:])
    assert joblib.hash({"a": array}) == joblib.hash({"a": value})


def test_it_has_the_key_of_a_plain_array(array: Any) -> None:
    """So do keys of decorated functions."""
    from plib_cache.keys import fingerprint

    assert fingerprint((array,)) == fingerprint((np.arange(float(N)),))


@pytest.mark.parametrize("trust", ["code", "data"])
def test_it_is_stored_as_a_plain_array(array: Any, trust: str) -> None:
    """In a cache it is an array again, whatever holds it."""
    with Cache("others", size="16MiB", trust=trust) as other:
        other["b"] = array
        assert other._region.get(b"b")[0] == 7  # without pickle
        other["c"] = [array]
        for got in (other["b"], other["c"][0]):
            assert type(got) is np.ndarray
            assert np.array_equal(got, array)


def test_its_digest_is_kept_beside_it(array: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the digest of an array in the cache has it computed once, wherever it is
    asked for; that of a part is kept nowhere."""
    digest = array.__plib_digest__()
    assert digest == array[:].__plib_digest__() == value_digest(np.array(array))
    for part in (array[1:], array[::2], array[::-1]):
        assert part.__plib_digest__() is None
    _known._remembered.clear()
    monkeypatch.setattr(keys, "value_digest", lambda value: b"computed anew..")
    assert array.__plib_digest__() == digest
    assert ForkingPickler.loads(pickled(array)).__plib_digest__() == digest
    assert len(_known._remembered) == 1
    assert array.view("i8").__plib_digest__() == b"computed anew.."


def test_its_digest_is_that_of_a_plain_array(array: Any) -> None:
    """However it is looked at."""
    plain = np.array(array)
    for one, same in (
        (array, plain),
        (array.reshape(100, -1), plain.reshape(100, -1)),
        (array.view("i8"), plain.view("i8")),
        (array[1:], plain[1:]),
    ):
        assert value_digest(one) == value_digest(same) == value_digest(one)
    assert shared(np.asarray(array)).__plib_digest__() == value_digest(plain)
