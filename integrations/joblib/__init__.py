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
``expected_entry``, ``trust``, ``protection`` and ``remote`` as for ``plib_cache.Cache``.

Versions of a function live side by side: an edited function computes anew, and processes that
still run the old code go on with its results.  ``clear`` forgets all of them.

With ``mmap_mode`` "r" arrays and tables are used where they lie in the shared memory: read-only,
without a copy, whatever their size.  "c" is the same, but what is written to is copied first, for
this process alone.  With None they are copies of one's own.  "r+" and "w+" would change what others
read and are refused.  Results that are stored with ``compress`` are copies, always.

What fails in the cache becomes one warning for each function, and the function is computed;
``failures`` counts.
"""

from __future__ import annotations

try:
    import joblib
except ImportError as error:
    raise ImportError(
        f"plib_cache.integrations.joblib needs joblib ({error}): pip install 'plib-cache[joblib]'"
    ) from error

__all__ = ["Memory", "PlibStoreBackend", "failures", "why_miss"]

if tuple(map(int, joblib.__version__.split(".")[:2])) < (1, 4):
    raise ImportError(
        "plib_cache.integrations.joblib needs joblib 1.4 or later, and this is "
        f"{joblib.__version__}: pip install 'joblib>=1.4'"
    )

from plib_cache.integrations.joblib._backend import PlibStoreBackend
from plib_cache.integrations.joblib._memory import Memory
from plib_cache.integrations.joblib._store import failures
from plib_cache.integrations.joblib._why import why_miss

joblib.register_store_backend("plib", PlibStoreBackend)
