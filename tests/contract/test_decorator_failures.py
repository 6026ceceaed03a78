# SPDX-License-Identifier: BSD-3-Clause
"""``@plib_cache.cache`` when something fails: the result is returned all the same."""

from __future__ import annotations

import gc
import threading
import warnings
from typing import Any

import pytest

import plib_cache
from plib_cache import (
    Cache,
    ClosedError,
    PlibCacheWarning,
    SerializationError,
)

from .counting import counting


class TestFailures:
    def test_results_that_cannot_be_stored(self) -> None:
        """They are returned, with one warning for the function."""

        @plib_cache.cache(version=1)
        def function(x: int) -> Any:
            return threading.Lock()

        with pytest.warns(PlibCacheWarning, match="function runs without its cache") as caught:
            function(1)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            function(1)
            function(2)

    def test_strict(self) -> None:
        """strict=True raises instead."""

        @plib_cache.cache(version=1, strict=True)
        def function() -> Any:
            return threading.Lock()

        with pytest.raises(SerializationError, match="lock"):
            function()

    def test_closed_cache(self) -> None:
        """A closed cache is a miss with a warning, or a ClosedError."""
        with Cache("mine", size="4MiB") as mine:
            function, _ = counting(cache=mine)
            strict, _ = counting(cache=mine, strict=True)
            function(1)
            strict(1)
        with pytest.warns(PlibCacheWarning, match="closed"):
            assert function(1) == [1, 2]
        with pytest.raises(ClosedError):
            strict(1)

    def test_default_that_was_closed_is_opened_anew(self) -> None:
        """The default cache comes back by itself."""
        function, calls = counting()
        function(1)
        plib_cache.get_cache().close()
        with pytest.warns(PlibCacheWarning):
            function(1)
        function(1)
        assert len(calls) == 1

    def test_no_cache_to_be_had(self, monkeypatch: Any, tmp_path: Any) -> None:
        """Where no region can be opened, functions work without."""
        monkeypatch.setenv("PLIB_CACHE_DIR", str(tmp_path / "file"))
        (tmp_path / "file").touch()
        function, calls = counting()
        with pytest.warns(PlibCacheWarning):
            assert function(1) == [1, 2]
        assert function(1) == [1, 2]
        assert len(calls) == 2

    def test_removed_region(self) -> None:
        """After the region was removed, computations go to the new one."""
        from plib_cache._core import remove_region

        function, _ = counting()
        function(1)
        remove_region(plib_cache.get_cache().path)
        function(2)
        assert plib_cache.get_cache()[function.cache_key(2)] == [2, 2]

    def test_damaged_result(self) -> None:
        """What cannot be read is computed anew."""
        function, _ = counting()
        function(1)
        cache = plib_cache.get_cache()
        broken = b"\x80\x05garbage"
        from plib_cache._core import SET, Terms
        from plib_cache.serialize import Encoded

        cache._region.store(SET, function.cache_key(1), Encoded(8, [broken], len(broken)), Terms())
        with pytest.warns(PlibCacheWarning, match="damaged"):
            assert function(1) == [1, 2]
        assert function(1) == [1, 2]

    def test_collected(self) -> None:
        """A decorated function that is gone leaves nothing behind in the process."""
        function, _ = counting()
        function(1)
        del function
        gc.collect()
