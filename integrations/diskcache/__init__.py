# SPDX-License-Identifier: BSD-3-Clause
"""``diskcache.Cache``'s interface, over a region that all processes of the machine share.

::

    from plib_cache.integrations.diskcache import Cache  # and not: from diskcache

    with Cache("folder", size_limit=2**30) as cache:
        cache.set("key", {"any": "value"}, expire=60, tag="red")
        cache.evict("red")

It needs neither diskcache nor SQLite.  Entries are in one file, ``folder/cache.plib``, so they are
there again tomorrow; ``plib-cache import --diskcache OLD folder --drop-in`` brings those of a
diskcache along.  What is not as there (transactions, eviction policies, files of one's own) is in
docs/migration-diskcache.md, method by method.
"""

from plib_cache.integrations.diskcache._base import Timeout
from plib_cache.integrations.diskcache._cache import Cache
from plib_cache.integrations.diskcache._disk import ENOVAL, UNKNOWN, Disk, JSONDisk
from plib_cache.integrations.diskcache._settings import DEFAULT_SETTINGS

__all__ = ["DEFAULT_SETTINGS", "ENOVAL", "UNKNOWN", "Cache", "Disk", "JSONDisk", "Timeout"]
