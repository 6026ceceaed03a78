# SPDX-License-Identifier: BSD-3-Clause
"""``copy="shared"``: in place, and by reference to other processes."""

from __future__ import annotations

import pickle
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest

import plib_cache
from plib_cache import Cache

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
