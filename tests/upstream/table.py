# SPDX-License-Identifier: BSD-3-Clause
"""Which versions of joblib and dask are tested, and which of joblib's own tests cannot pass here.

A test may be listed for two reasons only: it looks at the files of joblib's own store, or it
demands ``np.memmap``.  Each is listed with what its failure must say, so that another failure of
the same test is not taken for it; and a listed test that passes fails the run.
"""

from __future__ import annotations

from typing import NamedTuple

# Read by the Makefile, which installs each into build/joblib-VERSION.
VERSIONS = ("1.4.2", "1.5.3", "1.6.0")
TOO_OLD = "1.3.2"

# dask and distributed of a year ago; the Makefile installs them into build/dask-VERSION.
OLD_DASK = "2025.9.0"

FILES = "looks at the files of joblib's own store"
MEMMAP = "demands np.memmap"
AT_MOST = 12  # for each version


class Expected(NamedTuple):
    """A test of joblib's that fails here."""

    test: str  # without its parameters
    kind: str
    what: str
    says: str  # a regular expression for the failure
    since: str = "1.4"

    @property
    def reason(self) -> str:
        """Why it fails, in a sentence."""
        return f"{self.kind}: {self.what}"


_EXPECTED = (
    Expected(
        "test_parallel_call_cached_function_defined_in_jupyter",
        FILES,
        "counts the entries of the function's folder",
        r"No such file or directory: '.*/joblib'|os\.listdir|function listdir|== \['f'\]",
    ),
    Expected(
        "test_memory_numpy_check_mmap_mode",
        MEMMAP,
        "of results, as computed and from the cache; it then spoils the file of one",
        r"numpy\.memmap",
    ),
    Expected(
        "test_memory_numpy_check_mmap_mode_async",
        MEMMAP,
        "of results, as computed and from the cache; it then spoils the file of one",
        r"numpy\.memmap",
    ),
    Expected(
        "test_memorized_result_forwards_mmap_mode",
        MEMMAP,
        "of a result that a reference reads",
        r"numpy\.memmap",
        since="1.6",
    ),
    Expected("test_func_dir", FILES, "the function's folder", "function exists"),
    Expected("test_persistence", FILES, "the folder of a result", "function exists"),
    Expected(
        "test_call_and_shelve_lazily_load_stored_result",
        FILES,
        "when output.pkl was read last",
        # On a file system that notes no such times the test skips itself.
        r"No such file or directory: '.*/output\.pkl'|fine-grained access time",
    ),
    Expected(
        "test__get_items",
        FILES,
        "compares names and sizes of the items with those of folders and files",
        "get_1000_bytes",
    ),
    Expected("test_memory_clear", FILES, "that the location is an empty folder", r"region\.plib"),
    Expected(
        "test_memory_recomputes_after_an_error_while_loading_results",
        FILES,
        "spoils output.pkl",
        r"No such file or directory: '.*/output\.pkl'",
    ),
    Expected(
        "TestAutoGitignore::test_memory_creates_gitignore",
        FILES,
        "a .gitignore beside the store's own folder, with joblib's text",
        r"\.gitignore",
        since="1.5",
    ),
    Expected(
        "test_store_cached_func_code_is_not_written_in_place",
        FILES,
        "breaks the method that opens them",
        "DID NOT RAISE",
        since="1.6",
    ),
)

# These ask how long something took, or how old it is: on a slow machine they fail with any store.
# They get a clock that only their own sleeping moves on (plugin.py), which is what they mean.
CLOCKED = frozenset(
    {
        "test_memory_reduce_size_age_limit",
        "TestCacheValidationCallback::test_memory_only_cache_long_run",
        "TestCacheValidationCallback::test_memory_expires_after",
    }
)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def expected(version: str) -> dict[str, Expected]:
    """The tests of that version of joblib that fail here, by name."""
    return {one.test: one for one in _EXPECTED if _numbers(one.since) <= _numbers(version)}
