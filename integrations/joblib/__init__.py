# SPDX-License-Identifier: BSD-3-Clause
"""``joblib.Memory`` with its results in memory that all processes of the machine share.

::

    import joblib
    import plib_cache.integrations.joblib  # makes backend="plib" known

    memory = joblib.Memory("cache", backend="plib")

    @memory.cache
    def slow(x): ...

The results are in one file, ``cache/joblib/region.plib``, so they are there again tomorrow; on a
tmpfs they are never written to a disk.  Where a region cannot be there, or with
``backend_options={"memory": True}``, they are in the memory of the machine.  More options:
``size`` (8 GiB, or half of what is free if that is less; a region that exists keeps its size),
``expected_entry``, ``trust`` and ``protection`` as for ``plib_cache.Cache``.

Versions of a function live side by side: an edited function computes anew, and processes that
still run the old code go on with its results.  ``clear`` forgets all of them.

Arrays come back as copies of one's own, so nothing in the cache can change: with ``mmap_mode``
"r" they are read-only, with None and "c" writable.  "r+" and "w+" would change what others read
and are refused.  ``compress`` is accepted, but values are stored as they are.

What fails in the cache becomes one warning for each function, and the function is computed.
"""

from __future__ import annotations

import datetime
from typing import Any

try:
    import joblib
    from joblib._store_backends import StoreBackendBase, StoreBackendMixin
except ImportError as error:
    raise ImportError(
        f"plib_cache.integrations.joblib needs joblib ({error}): pip install 'plib-cache[joblib]'"
    ) from error

__all__ = ["PlibStoreBackend"]

if tuple(map(int, joblib.__version__.split(".")[:2])) < (1, 4):
    raise ImportError(
        "plib_cache.integrations.joblib needs joblib 1.4 or later, and this is "
        f"{joblib.__version__}: pip install 'joblib>=1.4'"
    )

from plib_cache.integrations.joblib import _region
from plib_cache.integrations.joblib._functions import Functions
from plib_cache.integrations.joblib._items import Items
from plib_cache.integrations.joblib._versions import checked_mode


class PlibStoreBackend(Functions, Items, StoreBackendBase, StoreBackendMixin):  # type: ignore[misc]
    """The store behind ``joblib.Memory(..., backend="plib")``; made and called by joblib.

    Notes:
        It is only data, so it can be pickled and compared; the region that it stands for is
        opened once in each process, at the first use.
    """

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}  # until it is configured

    def configure(
        self, location: str, verbose: int = 1, backend_options: dict[str, Any] | None = None
    ) -> None:
        """Take the options of a ``joblib.Memory``; nothing is opened yet.

        Raises:
            ValueError: a mmap_mode that would write into the cache, or an option that makes no
                sense.
        """
        given = dict(backend_options or {})
        self.location = location
        self.verbose = verbose
        self.mmap_mode = checked_mode(given.pop("mmap_mode", None))
        self.compress = given.pop("compress", False)
        if self.compress:
            _region.warn_once("backend 'plib' stores values as they are: compress is ignored")
        self.options = _region.checked_options(given)

    def enforce_store_limits(
        self,
        bytes_limit: int | str | None,
        items_limit: int | None = None,
        age_limit: datetime.timedelta | None = None,
    ) -> None:
        """Forget the oldest results until the limits are met.

        Raises:
            ValueError: a negative age, which joblib refuses only from 1.5 on.
        """
        if age_limit is not None and age_limit.total_seconds() < 0:
            raise ValueError("age_limit has to be a positive timedelta")
        super().enforce_store_limits(bytes_limit, items_limit, age_limit)

    # ---- what joblib's own store needs for its files

    def create_location(self, location: str) -> None:
        """Nothing to do: a location is only a name here."""

    def _open_item(self, name: str, mode: str) -> Any:
        raise OSError(f"{name}: the results of backend 'plib' are no files")

    def _move_item(self, source: str, target: str) -> None:
        raise OSError(f"{source}: the results of backend 'plib' are no files")

    def _item_exists(self, location: str) -> bool:
        return False


joblib.register_store_backend("plib", PlibStoreBackend)
