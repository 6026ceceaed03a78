# SPDX-License-Identifier: BSD-3-Clause
"""Which of Django's own tests run with the backend of ours, and which of them cannot pass, and why.

The backend is put in the place of the one in local memory, so all tests of it are run: those that
every backend has to pass (``BaseCacheTests``), and those of what is made of a cache.
"""

from __future__ import annotations

from .judge import Listed

APPLY = (
    *(
        f"cache.tests.{name}"
        for name in (
            "LocMemCacheTests",
            "CacheClosingTests",
            "CacheHEADTest",
            "CacheHandlerTest",
            "CacheI18nTest",
            "CacheMiddlewareTest",
            "CacheUtils",
            "CustomCacheKeyValidationTests",
            "DefaultNonExpiringCacheKeyTests",
            "PrefixedCacheI18nTest",
            "PrefixedCacheUtils",
            "TestMakeTemplateFragmentKey",
            "TestWithTemplateResponse",
        )
    ),
    "sessions_tests.tests.CacheDBSessionTests",
    "sessions_tests.tests.CacheSessionTests",
    "sessions_tests.tests.SessionMiddlewareTests",
    "template_tests.syntax_tests.test_cache",
)
LEAST = 290  # tests that pass

COUNTED = "a number of entries is the limit (MAX_ENTRIES); a region is bounded by its size"
LOCAL = "looks at a lock of the backend in local memory"
CLOCK = "sets Python's clock; that of a region is the machine's"

EXPECTED = {
    "cache.tests.LocMemCacheTests.test_cull": Listed(COUNTED, "49 != 29"),
    "cache.tests.LocMemCacheTests.test_zero_cull": Listed(COUNTED, "49 != 19"),
    "cache.tests.LocMemCacheTests.test_lru_get": Listed(COUNTED, "6 is not None"),
    "cache.tests.LocMemCacheTests.test_lru_incr": Listed(COUNTED, "6 is not None"),
    "cache.tests.LocMemCacheTests.test_lru_set": Listed(COUNTED, "0 is not None"),
    "cache.tests.LocMemCacheTests.test_locking_on_pickle": Listed(LOCAL, "no attribute '_lock'"),
    "cache.tests.CacheMiddlewareTest.test_cache_control_max_age": Listed(CLOCK, "10:00:03 GMT"),
}
