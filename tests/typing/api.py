"""The public API, used as a user would use it.  Only type-checked, never run."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plib_cache
from plib_cache import (
    BusyError,
    Cache,
    ClosedError,
    ConfigurationError,
    CorruptRegionError,
    FunctionStats,
    Info,
    LayoutMismatchError,
    PlibCacheError,
    ProtectionUnavailableError,
    RegionFullError,
    RemoteError,
    SerializationError,
    Stats,
    ValueTooLargeError,
    cache,
    configure,
    explain_faults,
    get_cache,
)

# ---- opening -------------------------------------------------------------------------------------

by_name: Cache = Cache("results")
by_size: Cache = Cache("results", size="1GiB")
in_bytes: Cache = Cache("results", size=1 << 30, expected_entry=4096)
by_path: Cache = Cache(path="/data/results.plib")
by_path_object: Cache = Cache(path=Path("/data/results.plib"), create=False)
plain_data: Cache = Cache("results", trust="data", protection="auto", strict=True)
far: Cache = Cache("results", remote="memcached://a:11211,b:11211", write="sync")
several: Cache = Cache("results", remote=["memcacheds://a", "redis://b"], trust="network")
far.clear(remote=True)
told: bool = far.wait_remote(limit=1.5)
shared: Cache = get_cache()
configure(size="2GiB", remote="memcached://a")
explain_faults()

with Cache("results") as c:
    pass

# ---- a mapping -----------------------------------------------------------------------------------

c["a"] = [1, 2, 3]
c[b"a"] = {"x": 1.5}
value: Any = c["a"]
del c["a"]
there: bool = "a" in c
count: int = len(c)
keys: Iterator[str | bytes] = iter(c)

# ---- the verbs of memcached ----------------------------------------------------------------------

c.set("a", 1)
c.set("a", 1, expire=60)
c.set("a", 1, expire=1.5)
c.set("a", 1, expire=dt.timedelta(minutes=5))
c.set("a", 1, expire=dt.datetime(2100, 1, 1, tzinfo=dt.timezone.utc))
c.set("a", 1, expire=None)
got: Any = c.get("a")
fallback: Any = c.get("a", default=0)
added: bool = c.add("a", 1, expire=60)
replaced: bool = c.replace("a", 2)
appended: bool = c.append("a", b"tail")
prepended: bool = c.prepend("a", b"head")
deleted: bool = c.delete("a")
touched: bool = c.touch("a", 60)
renewed: Any = c.gat("a", 60)

found = c.gets("a")
if found is not None:
    current, token = found
    swapped: bool = c.cas("a", current, token, expire=60)

up: int | None = c.incr("n")
down: int | None = c.decr("n", delta=2)

many: dict[Any, Any] = c.get_many(["a", "b"])
c.set_many({"a": 1, "b": 2})
removed: int = c.delete_many(["a", "b"])
c.clear()

# ---- computing once ------------------------------------------------------------------------------


def compute() -> str:
    return "text"


computed: str = c.get_or_compute("a", compute)
computed_again: str = c.get_or_compute("a", compute, expire=60)

# ---- looking after it ----------------------------------------------------------------------------

c.invalidate_tag("tag")
c.invalidate_namespace("namespace")
stats: Stats = c.stats()
functions: list[FunctionStats] = c.functions()
info: Info = c.info()
as_dict: dict[str, Any] = stats.as_dict()
info_as_dict: dict[str, Any] = info.as_dict()
level: str = info.protection
size: int = info.size
problems: int = len(c.check())
c.close()

# ---- the decorator -------------------------------------------------------------------------------


@cache
def bare(x: int, y: float = 1.0) -> str:
    return str(x * y)


@cache(expire=60, ignore=("verbose",), version=2, tags=("model",), namespace="features")
def with_arguments(path: str, verbose: bool = False) -> list[int]:
    return [len(path)]


@cache(cache="other", min_duration=0.1, max_bytes=1 << 20, single_flight=True, strict=False)
def elsewhere(x: bytes) -> bytes:
    return x


@cache
async def coroutine(x: int) -> str:
    return str(x)


text: str = bare(1, y=2.0)
numbers: list[int] = with_arguments("a", verbose=True)
same: bytes = elsewhere(b"")
hits: int = bare.cache_info().hits
bare.cache_clear()
parameters: dict[str, Any] = bare.cache_parameters()
bare.invalidate(1, y=2.0)
fresh: str = bare.refresh(1, y=2.0)
key = bare.cache_key(1)
original: str = bare.__wrapped__(1)


async def wait_for_it() -> str:
    return await coroutine(1)


class Model:
    @cache
    def method(self, x: int) -> str:
        return str(x)


# ---- errors --------------------------------------------------------------------------------------

errors: list[type[PlibCacheError]] = [
    BusyError,
    ClosedError,
    ConfigurationError,
    CorruptRegionError,
    LayoutMismatchError,
    ProtectionUnavailableError,
    RegionFullError,
    RemoteError,
    SerializationError,
    ValueTooLargeError,
]
value_errors: list[type[ValueError]] = [ConfigurationError]
timeouts: list[type[TimeoutError]] = [BusyError]

version: str = plib_cache.__version__
