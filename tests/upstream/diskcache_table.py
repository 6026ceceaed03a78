# SPDX-License-Identifier: BSD-3-Clause
"""Which of diskcache's own tests hold for our ``Cache``, and why the rest cannot.

A listed test is listed with what its failure must say, and one that passes fails the run.
"""

from __future__ import annotations

from .judge import Listed

VERSION = "5.6.3"  # read by the Makefile

# The tests of ``Cache``, of what is built on it, and of recipes with it.
APPLY = {"test_core.py": 87, "test_fanout.py": 42, "test_recipes.py": 5}

REST = {
    "test_index.py": "Index, which demands eviction_policy='none': that nothing is ever evicted",
    "test_deque.py": "Deque, which demands the same",
    "test_djangocache.py": "a backend for Django",
    "test_doctest.py": "diskcache's own examples",
}

EVICTION = "what is evicted when: the region makes room by itself, when it is full"
EXPIRED = "counts or lists what has expired; here that is gone"
FILES = "a file of its own for a large value"
INSIDE = "puts something in the place of diskcache's own parts"
NUMBERS = "that the keys of a queue begin anew when it was emptied"
SQLITE = "the database"


EXPECTED = {
    "test_core.py::test_custom_filename_disk": Listed(FILES, "No such file or directory"),
    "test_core.py::test_pragma_error": Listed(SQLITE, "does not have the attribute '_local'"),
    "test_core.py::test_close_error": Listed(SQLITE, "does not have the attribute '_local'"),
    "test_core.py::test_get_keyerror4": Listed(FILES, "DID NOT RAISE"),
    "test_core.py::test_set_twice": Listed(FILES, "has no file of its own"),
    "test_core.py::test_set_timeout": Listed(SQLITE, "does not have the attribute '_local'"),
    "test_core.py::test_path": Listed(FILES, "has no file of its own"),
    "test_core.py::test_expire_rows": Listed(EXPIRED, r"assert \d+ == 15"),
    "test_core.py::test_least_recently_stored": Listed(EVICTION, "assert 20 == 10"),
    "test_core.py::test_least_recently_used": Listed(EVICTION, "assert 11 == 6"),
    "test_core.py::test_least_frequently_used": Listed(EVICTION, "assert 11 == 6"),
    "test_core.py::test_check": Listed(FILES, "has no file of its own"),
    "test_core.py::test_integrity_check": Listed(SQLITE, r"No such file .*cache\.db"),
    "test_core.py::test_clear_timeout": Listed(INSIDE, "does not have the attribute '_transact'"),
    "test_core.py::test_add_timeout": Listed(SQLITE, "does not have the attribute '_local'"),
    "test_core.py::test_iter_expire": Listed(EXPIRED, r"assert \d+ == 100"),
    "test_core.py::test_push_pull_extras": Listed(NUMBERS, r"assert \(?50000000000000[1-9]"),
    "test_core.py::test_peek_ioerror": Listed(INSIDE, "^$"),
    "test_core.py::test_cull_eviction_policy_none": Listed(EVICTION, "eviction_policy='none'"),
    "test_core.py::test_cull_timeout": Listed(INSIDE, "does not have the attribute '_transact'"),
    "test_core.py::test_custom_eviction_policy": Listed(EVICTION, "eviction_policy='lru-gt-1s'"),
    "test_core.py::test_cleanup_dirs": Listed(FILES, "assert 2 > 2"),
    "test_core.py::test_disk_write_os_error": Listed(FILES, "DID NOT RAISE"),
    "test_fanout.py::test_expire": Listed(EXPIRED, r"assert \d+ == 100"),
    "test_fanout.py::test_iter_expire": Listed(EXPIRED, r"assert set\(\) =="),
    "test_fanout.py::test_custom_filename_disk": Listed(FILES, "No such file or directory"),
}

# These ask how fast the machine is: their seconds take longer.
STRETCHED = frozenset(
    {
        "test_core.py::test_pop",
        "test_core.py::test_incr",
        "test_core.py::test_incr_update_keyerror",
        "test_core.py::test_decr",
        "test_recipes.py::test_lock",
        "test_recipes.py::test_rlock",
        "test_recipes.py::test_semaphore",
    }
)
STRETCH = 20
