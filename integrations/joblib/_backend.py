# SPDX-License-Identifier: BSD-3-Clause
"""The store behind ``joblib.Memory(..., backend="plib")``, as joblib knows it."""

from __future__ import annotations

import datetime
from typing import Any

from joblib._store_backends import StoreBackendBase, StoreBackendMixin

from plib_cache import ConfigurationError
from plib_cache.integrations.joblib import _region
from plib_cache.integrations.joblib._functions import Functions
from plib_cache.integrations.joblib._items import Items
from plib_cache.integrations.joblib._versions import checked_mode
from plib_cache.signatures import go_by

__all__ = ["PlibStoreBackend"]


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
        self.options = _region.checked_options(given)
        if self.compress and self.options.get("trust") == "data":
            raise ConfigurationError(
                "compressed results are pickles, which need code to be read: leave compress= out, "
                "or trust='data'"
            )

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
        items = self._get_items_to_delete(bytes_limit, items_limit, age_limit)
        self._forget_paths([item.path for item in items])

    # ---- what joblib's own store needs for its files

    def create_location(self, location: str) -> None:
        """Nothing to do: a location is only a name here."""

    def _open_item(self, name: str, mode: str) -> Any:
        raise OSError(f"{name}: the results of backend 'plib' are no files")

    def _move_item(self, source: str, target: str) -> None:
        raise OSError(f"{source}: the results of backend 'plib' are no files")

    def _item_exists(self, location: str) -> bool:
        return False


go_by(PlibStoreBackend)
