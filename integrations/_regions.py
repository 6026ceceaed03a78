# SPDX-License-Identifier: BSD-3-Clause
"""Opening a region for an integration, where a size is advice for the one who makes it."""

from __future__ import annotations

from typing import Any

from plib_cache import Cache, ConfigurationError


def attach_or_create(size: int | str | None, **options: Any) -> Cache:
    """The cache that the options name; ``size`` matters only if it has to be made.

    Raises:
        PlibCacheError: it can neither be attached to nor made.
    """
    try:
        return Cache(**options, create=False)
    except ConfigurationError:
        pass  # most likely there is none; if it is something else, creating says so
    try:
        return Cache(**options, size=size)
    except ConfigurationError as error:
        return _made_by_others(options, error)


def _made_by_others(options: dict[str, Any], error: ConfigurationError) -> Cache:
    """Attach to a region that somebody else made, with another size, since we looked."""
    try:
        return Cache(**options, create=False)
    except ConfigurationError:
        raise error from None
