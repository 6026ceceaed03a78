# SPDX-License-Identifier: BSD-3-Clause
"""``copy="shared"``: in place, and by reference to other processes."""

from __future__ import annotations

import ctypes
import pickle
import weakref
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pandas as pd
import pytest

import plib_cache
from plib_cache import Cache
from plib_cache._shared_array import lease_under

from .mapped import DATA, lies_in


@pytest.mark.parametrize(
    "value", [DATA, [DATA, {"a": DATA}], (DATA, 1)], ids=["array", "nested", "tuple"]
)
def test_arrays_go_by_reference(protected: Cache, value: Any) -> None:
    """Those in lists, tuples and dicts too; and the value is what it was."""
    protected["value"] = value
    found = protected.get("value", copy="shared")
    sent = ForkingPickler.dumps(found)
    assert len(sent) < 5000 < len(pickle.dumps(found))
    back = ForkingPickler.loads(sent)
    for one in (found, back):
        array = one if isinstance(one, np.ndarray) else one[0]
        assert np.array_equal(array, DATA)
        assert not array.flags.writeable
        assert type(one) is type(value) or isinstance(one, np.ndarray)


def test_frames_go_by_reference(protected: Cache) -> None:
    """As whatever holds arrays; ``test_containers`` has all kinds."""
    frame = pd.DataFrame({"a": DATA, "b": -DATA})
    protected["frame"] = frame
    found = protected.get("frame", copy="shared")
    back = ForkingPickler.loads(ForkingPickler.dumps(found))
    assert len(ForkingPickler.dumps(back)) < 5000 < len(pickle.dumps(back))
    assert lies_in(protected, back["a"].to_numpy())
    assert frame.equals(back)


def test_a_lease_says_which_value_it_is(protected: Cache) -> None:
    """So an array over it needs no attributes; and it is gone with the last of them."""
    protected["value"] = DATA
    array = protected.get("value", copy="shared")
    found = protected._region.lease(b"value")
    assert found is not None
    for lease in (lease_under(array), lease_under(array[3:].reshape(-1, 1)), found[1]):
        assert (lease.type_code, lease.token) == (found[0], found[3])
        assert lease.handle == protected._region._address
        assert bytes(lease) == ctypes.string_at(lease.address, lease.nbytes)
        assert lease.run() == found[1].run()
        with pytest.raises(AttributeError):
            lease.token = 0
    assert not hasattr(array, "__dict__")
    gone = weakref.ref(lease_under(array))
    part = array[1:]
    del array, lease
    assert gone() is lease_under(part)
    del part
    assert gone() is None


class Exact:
    """Something that takes an ndarray and no subclass of it."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __setstate__(self, state: dict[str, Any]) -> None:
        if type(state["array"]) is not np.ndarray:
            raise TypeError("not an ndarray")
        self.array = state["array"]


def test_what_insists_on_plain_arrays_gets_them(protected: Cache) -> None:
    """It is read in place all the same; then its bytes are sent."""
    protected["value"] = Exact(DATA)
    found = protected.get("value", copy="shared")
    assert lies_in(protected, found.array)
    assert np.array_equal(ForkingPickler.loads(ForkingPickler.dumps(found)).array, DATA)


def test_what_needs_no_reference_is_as_ever(protected: Cache) -> None:
    """Values without arrays."""
    for value in (bytes(100_000), "x" * 100_000, 5, None, ["text"] * 50_000):
        protected["value"] = value
        assert protected.get("value", copy="shared") == value


def test_a_function_gives_them_too(protected: Cache) -> None:
    """From the second call on: what was computed is given as it is."""
    cached = plib_cache.cache(cache=protected, copy="shared")(lambda: DATA)
    assert cached() is DATA
    found = cached()
    assert lies_in(protected, found)
    assert len(ForkingPickler.dumps(found)) < 2000


def test_no_other_word(protected: Cache) -> None:
    """A way to read that there is not is an error that says which there are."""
    with pytest.raises(ValueError, match="'shared'"):
        protected.get("value", copy="both")  # type: ignore[arg-type]
