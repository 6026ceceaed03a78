# SPDX-License-Identifier: BSD-3-Clause
"""The region of a worker: opened, and proved to be the same one as another worker's.

Two workers share memory if they have mapped the same file of the same running kernel.  Addresses
and host names say nothing about that (containers, pods, NAT).  So the proof is the kernel's boot
id, the file's device and inode, and the random number that was written into it when it was made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from plib_cache import Cache, ConfigurationError
from plib_cache.config import check_trust
from plib_cache.integrations._regions import attach_or_create
from plib_cache.integrations.dask._config import Options, size_of
from plib_cache.serialize import DefaultSerializer

# A value whose pickle, without its buffers, is longer would be rebuilt by copying, so there would
# be nothing to share.
PICKLE_MAX = 1 << 18


class Proof(NamedTuple):
    """Tells a region from all others; equal proofs are the same memory."""

    boot: str
    device: int
    inode: int
    number: str


class Opened(NamedTuple):
    """A region that is open."""

    cache: Cache  # for what workers hold in place
    serializer: DefaultSerializer  # of that
    results: Cache  # the same region, for any value
    proof: Proof

    def close(self) -> None:
        """Detach; what is held of it stays."""
        self.results.close()
        self.cache.close()


def open_region(options: Options) -> Opened:
    """The region that is meant, made if there is none.

    Raises:
        PlibCacheError: it cannot be opened.
    """
    asked: dict[str, Any] = options.region
    size = size_of(options.size, asked["path"])
    serializer = DefaultSerializer(check_trust(asked["trust"]), pickle_max=PICKLE_MAX)
    cache = attach_or_create(size, **asked, in_place=options.share, serializer=serializer)
    try:
        if not cache.info().in_place:
            raise ConfigurationError(
                f"{cache.path} is open for copies only in this process, so workers cannot share "
                "what is in it: open it with in_place=True everywhere"
            )
        results = Cache(path=cache.path, trust=asked["trust"], in_place=options.share, create=False)
        return Opened(cache, serializer, results, prove(cache))
    except BaseException:
        cache.close()
        raise


def prove(cache: Cache) -> Proof:
    """The proof of an open cache.

    Raises:
        ConfigurationError: its file was removed or replaced since it was opened.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    info = cache.info()
    if info.retired:
        raise ConfigurationError(f"{cache.path} was removed while it was being opened: try again")
    found = Path(cache.path).stat()
    return Proof(boot, found.st_dev, found.st_ino, info.region_id)
