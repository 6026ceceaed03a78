# SPDX-License-Identifier: BSD-3-Clause
"""Everything that plib_cache raises or warns with.

::

    PlibCacheError(Exception)
    ├── ConfigurationError(ValueError)      an option or a setting makes no sense
    ├── ClosedError                         the cache was closed
    ├── BusyError(TimeoutError)             a write waited too long; nothing changed
    ├── ValueTooLargeError(ValueError)      the value can never fit into this region
    ├── RegionFullError                     no room, and nothing that may be evicted
    ├── ProtectionUnavailableError          the asked protection is not to be had here
    ├── LayoutMismatchError                 the region was made by another version
    ├── CorruptRegionError                  the region's bytes make no sense
    ├── SerializationError(TypeError)       a value cannot be stored, or not be read back
    ├── UnhashableArgumentError(TypeError)  an argument gives no stable key
    └── RemoteError                         another machine did not answer properly

    PlibCacheWarning(UserWarning)           a failure that was turned into a miss

Every message says what to do.  A miss is an outcome, not an error.
"""

from __future__ import annotations

__all__ = [
    "BusyError",
    "ClosedError",
    "ConfigurationError",
    "CorruptRegionError",
    "LayoutMismatchError",
    "PlibCacheError",
    "PlibCacheWarning",
    "ProtectionUnavailableError",
    "RegionFullError",
    "RemoteError",
    "SerializationError",
    "UnhashableArgumentError",
    "ValueTooLargeError",
]


class PlibCacheError(Exception):
    """Base of all errors of this package: catch it to catch them all."""


class ConfigurationError(PlibCacheError, ValueError):
    """An option contradicts another one, the machine, or the region that exists already.

    Attributes:
        passing: not the option is wrong: the process or the machine has no descriptors, memory or
            mappings left just now, or another process holds the folder's lock; what was asked for
            may be had later.
    """

    passing = False


class ClosedError(PlibCacheError):
    """The cache was closed; open a new ``Cache`` with the same name."""


class BusyError(PlibCacheError, TimeoutError):
    """A write gave way to other writers for too long; nothing changed, try again."""


class ValueTooLargeError(PlibCacheError, ValueError):
    """The value exceeds what one entry of this region can ever hold."""


class RegionFullError(PlibCacheError):
    """There is no room, and nothing that may be evicted to make some."""


class ProtectionUnavailableError(PlibCacheError):
    """The protection that was asked for is not to be had; the message says what is missing."""


class LayoutMismatchError(PlibCacheError):
    """The region was created by a version or a build with another layout."""


class CorruptRegionError(PlibCacheError):
    """The region's own structures make no sense; remove it and let it be created anew."""


class SerializationError(PlibCacheError, TypeError):
    """A value cannot be turned into bytes, or bytes not back into a value."""


class UnhashableArgumentError(PlibCacheError, TypeError):
    """A value gives no key that is the same in every process."""


class RemoteError(PlibCacheError):
    """A cache on another machine failed, or sent what cannot be trusted."""


class PlibCacheWarning(UserWarning):
    """The cache failed where it must not break the computation: it was a miss instead."""
