"""What ``import plib_cache`` costs a program that uses nothing of it: which modules come along."""

import json
import subprocess
import sys

import plib_cache

# Each takes a tenth and more of what our own modules take together, or leads to some that do; a
# program that never does what they are for (coroutines, tiers, plain data, statistics) has none.
HEAVY = {
    "numpy", "pandas", "pyarrow", "joblib", "dask", "distributed", "cloudpickle", "xxhash",
    "typer", "click", "rich", "asyncio", "concurrent.futures", "multiprocessing", "subprocess",
    "logging", "socket", "selectors", "ssl", "email", "http", "dataclasses", "uuid", "platform",
    "decimal", "fractions", "zoneinfo", "tempfile", "shutil", "threading", "ctypes", "pickletools",
    "pathlib", "textwrap",
    "plib_cache.stats", "plib_cache.cli", "plib_cache.serve", "plib_cache.integrations",
    "plib_cache.remote.options", "plib_cache.remote.cache", "plib_cache._restricted",
    "plib_cache._describe_types", "plib_cache._sharing",
}  # fmt: skip

COUNTS = """
import json, sys
before = set(sys.modules)
import plib_cache
print(json.dumps(sorted(set(sys.modules) - before)))
"""

DECORATES = """
import sys
import plib_cache
@plib_cache.cache
def f(x): return x
assert plib_cache.Cache(path=sys.argv[1], size="8MiB").get("a") is None
print("asyncio" in sys.modules, "plib_cache.stats" in sys.modules)
assert isinstance(plib_cache.Stats, type) and "plib_cache.stats" in sys.modules
"""


def fresh(code: str, *arguments: str) -> str:
    """What a new interpreter says, without what a site or an editor puts into each."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    ).stdout


def test_import_brings_nothing_heavy_along() -> None:
    """None of the modules that take long to import is there after ``import plib_cache``."""
    came = set(json.loads(fresh(COUNTS)))
    assert {"plib_cache", "plib_cache.cache", "plib_cache.decorator"} <= came
    assert not came & HEAVY
    assert len(came) < 140, sorted(came)  # 120 on CPython 3.11


def test_nor_do_opening_and_decorating(tmp_path: object) -> None:
    """A cache that is opened and a function that is decorated need no more of the large ones."""
    assert fresh(DECORATES, f"{tmp_path}/r.plib").split() == ["False", "False"]


def test_what_comes_later_is_there_when_asked_for() -> None:
    """The names that are imported late can be listed, imported and are what they say."""
    assert {"Stats", "Info", *plib_cache.__all__} <= set(dir(plib_cache))
    out = fresh("from plib_cache import *; print(Stats.__module__, Info.__name__)")
    assert out.split() == ["plib_cache.stats", "Info"]
    assert fresh("import plib_cache; print(hasattr(plib_cache, 'Nothing'))").strip() == "False"
