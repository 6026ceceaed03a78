# SPDX-License-Identifier: BSD-3-Clause
"""What else takes arrays of 64 MB: each gives a function that puts one, as its users would."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

from benchmarks.bench import MIB, Bench, module
from benchmarks.programs import BrokenError, MissingError

MEMCPY = "memcpy, warm memory"
RAW, LMDB, PYSCIQLOP = "raw shared_memory", "py-lmdb", "pysciqlop-cache"
RAY, RAY_RECYCLED = "ray, all kept", "ray, memory recycled"
DISKCACHE, REDIS = "diskcache", "redis"

Put = Callable[[], object]


@contextlib.contextmanager
def memcpy(bench: Bench, array: Any) -> Iterator[Put]:
    """The limit: NumPy's own copy into memory of this process that it has used before."""
    import numpy

    warm = numpy.ones_like(array)
    yield lambda: numpy.copyto(warm, array)


@contextlib.contextmanager
def raw(bench: Bench, array: Any) -> Iterator[Put]:
    """The same into one block of shared memory, which a protocol of one's own would recycle."""
    import numpy

    block = SharedMemory(create=True, size=array.nbytes)
    shared: list[Any] = [numpy.ndarray(array.shape, array.dtype, block.buf)]
    try:
        yield lambda: numpy.copyto(shared[0], array)
    finally:
        shared.clear()  # or the block could not be closed
        block.close()
        block.unlink()


@contextlib.contextmanager
def ray(bench: Bench, array: Any) -> Iterator[Put]:
    """ray.put of values that are all kept: each comes to memory that was not used before."""
    room = (bench.rounds + 17) * array.nbytes  # some before the rounds, one in each
    bench.room(room)
    with ray_session(room) as session:
        kept: list[object] = []
        yield lambda: kept.append(session.put(array))
        kept.clear()


@contextlib.contextmanager
def ray_recycled(bench: Bench, array: Any) -> Iterator[Put]:
    """ray.put of a value that goes with the next one, so that its memory is recycled, too."""
    with ray_session(array.nbytes) as session:
        kept: list[object] = []

        def put() -> None:
            kept[:] = [session.put(array)]

        yield put


@contextlib.contextmanager
def ray_session(room: int) -> Iterator[Any]:
    """A Ray of one's own, in a folder whose name is short; or the one that there is."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    session = module("ray")
    if session.is_initialized():
        yield session
        return
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        session.init(
            num_cpus=1, include_dashboard=False, object_store_memory=room + 256 * MIB,
            logging_level="ERROR", log_to_driver=False, _temp_dir=folder,
        )  # fmt: skip
        try:
            yield session
        finally:
            session.shutdown()


@contextlib.contextmanager
def diskcache(bench: Bench, array: Any) -> Iterator[Put]:
    """Its plain Cache, on tmpfs; it pickles the array into a file."""
    with module("diskcache").Cache(str(bench.fresh("diskcache"))) as cache:
        yield lambda: cache.set("array", array)


@contextlib.contextmanager
def redis(bench: Bench, array: Any) -> Iterator[Put]:
    """A server of one's own behind a unix socket; of the array only the elements, as bytes."""
    library = module("redis")
    with redis_server(bench) as address:
        client = library.Redis(unix_socket_path=address)
        elements = array.data.cast("B")
        client.set("array", elements)
        if client.get("array") != elements:
            raise BrokenError("redis does not give back what was stored")
        yield lambda: client.set("array", elements)
        client.close()


@contextlib.contextmanager
def redis_server(bench: Bench) -> Iterator[str]:
    """It writes nothing to a disk."""
    program = shutil.which("redis-server")
    if program is None:
        raise MissingError("redis-server is missing (Debian package redis-server)")
    address = str(bench.fresh("redis"))
    server = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", address, "--save", "", "--appendonly", "no"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd=bench.folder,
    )  # fmt: skip
    try:
        for _ in range(600):
            if Path(address).exists():
                break
            if server.poll() is not None:
                raise BrokenError(f"redis-server ended with {server.returncode}")
            time.sleep(0.05)
        yield address
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def lmdb(bench: Bench, array: Any) -> Iterator[Put]:
    """As in the rows of small values; the elements, as bytes."""
    env = module("lmdb").open(
        str(bench.fresh("lmdb")),
        map_size=4 * array.nbytes + 64 * MIB, sync=False, metasync=False, writemap=True,
        map_async=True,
    )  # fmt: skip

    def put() -> None:
        with env.begin(write=True) as transaction:
            transaction.put(b"array", array.data.cast("B"))

    yield put
    env.close()


@contextlib.contextmanager
def pysciqlop(bench: Bench, array: Any) -> Iterator[Put]:
    """Its plain Cache, on tmpfs."""
    cache = module("pysciqlop_cache").Cache(str(bench.fresh("pysciqlop")))
    yield lambda: cache.set("array", array)
    cache.close()


PEERS: dict[str, Callable[[Bench, Any], AbstractContextManager[Put]]] = {
    MEMCPY: memcpy,
    RAY: ray,
    RAY_RECYCLED: ray_recycled,
    DISKCACHE: diskcache,
    REDIS: redis,
    RAW: raw,
    LMDB: lmdb,
    PYSCIQLOP: pysciqlop,
}
