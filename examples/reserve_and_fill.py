"""Reserve room in the cache, fill it in place, and seal it: a file is unpacked once for all."""

import gzip
import hashlib
import multiprocessing
import tempfile
from pathlib import Path

import plib_cache

NAME = "example-reserve-and-fill"


def packed(path: Path) -> int:
    """Write some compressed measurements; how many bytes they have unpacked."""
    lines = b"".join(b"%d,%d\n" % (n, n * n % 9973) for n in range(1_000_000))
    path.write_bytes(gzip.compress(lines, 1))
    return len(lines)


def unpack(cache: plib_cache.Cache, path: Path, nbytes: int) -> None:
    """Unpack it straight into the memory that all processes will read: there is no other copy."""
    with cache.reserve(path.name, nbytes) as room, gzip.open(path) as file:
        filled = 0
        while filled < nbytes:
            filled += file.readinto(room.buffer[filled:])  # type: ignore[attr-defined]
    # here it was sealed; had anything failed, nobody would ever have seen it


def worker(name: str) -> None:
    """Read it where it lies."""
    with plib_cache.Cache(NAME) as cache, cache.view(name) as lines:
        digest = hashlib.sha256(lines).hexdigest()[:8]
        print(f"{len(lines):,} bytes, digest {digest}, read-only: {lines.readonly}", flush=True)


def main() -> None:
    """One process unpacks, two read."""
    with tempfile.TemporaryDirectory() as folder, plib_cache.Cache(NAME, size="64MiB") as cache:
        cache.clear()
        path = Path(folder) / "measurements.csv.gz"
        unpack(cache, path, packed(path))
        context = multiprocessing.get_context("spawn")
        for each in [context.Process(target=worker, args=(path.name,)) for _ in range(2)]:
            each.start()
            each.join()


if __name__ == "__main__":
    main()
