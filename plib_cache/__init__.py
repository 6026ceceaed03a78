# SPDX-License-Identifier: BSD-3-Clause
"""plib_cache: a cache in memory that all processes of a machine share, without a server.

::

    import plib_cache

    @plib_cache.cache
    def slow(x): ...

    c = plib_cache.Cache("mine", size="1GiB")
    c["key"] = {"any": "picklable value"}
"""

import typing

from plib_cache import _at_need  # noqa: F401 - it puts itself in place
from plib_cache import remote as _remote  # noqa: F401 - and so does this
from plib_cache._core import explain_faults
from plib_cache._functions import FunctionStats
from plib_cache._held import Held
from plib_cache._shared import configure, get_cache
from plib_cache.cache import Cache
from plib_cache.decorator import CachedFunction, CacheInfo, cache
from plib_cache.exceptions import (
    BusyError,
    ClosedError,
    ConfigurationError,
    CorruptRegionError,
    LayoutMismatchError,
    PlibCacheError,
    PlibCacheWarning,
    ProtectionUnavailableError,
    RegionFullError,
    RemoteError,
    SerializationError,
    UnhashableArgumentError,
    ValueTooLargeError,
)

if typing.TYPE_CHECKING:
    from plib_cache.stats import Info, Stats
else:

    def __getattr__(name: str) -> object:
        """``Stats`` and ``Info``: making them costs more than any other module does."""
        if name not in ("Info", "Stats"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from plib_cache import stats

        return getattr(stats, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__version__ = "0.1.0"

__all__ = [
    "BusyError",
    "Cache",
    "CacheInfo",
    "CachedFunction",
    "ClosedError",
    "ConfigurationError",
    "CorruptRegionError",
    "FunctionStats",
    "Held",
    "Info",
    "LayoutMismatchError",
    "PlibCacheError",
    "PlibCacheWarning",
    "ProtectionUnavailableError",
    "RegionFullError",
    "RemoteError",
    "SerializationError",
    "Stats",
    "UnhashableArgumentError",
    "ValueTooLargeError",
    "__version__",
    "cache",
    "configure",
    "explain_faults",
    "get_cache",
]
