# SPDX-License-Identifier: BSD-3-Clause
"""Stock kernels of Debian for the guest, fetched by apt-get and unpacked; nothing is installed.

They lie in ``${XDG_CACHE_HOME:-~/.cache}/plib-cache-guest``, one folder for each, which is there
whole or not at all; once they are, no network is needed.  Delete a folder to fetch a newer kernel.
The cloud kernels will not do: they cannot mount a folder of the host (9p).

    PYTHONPATH=tests .venv/bin/python -m protection.image    # fetches what is missing
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGES = {
    "6.1": r"^linux-image-6\.1\.[0-9]+-[0-9]+-amd64$",
    "6.12": r"^linux-image-6\.12\.[0-9]+(-[0-9]+)?\+deb[0-9]+-amd64$",
}
"""What Debian calls them; of those that match, the newest is taken."""
KERNELS = tuple(PACKAGES)
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
"""What the guest must load to see the host's root."""
KEYS = "CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS=y"

COMPRESSED = {b"\xfd7zXZ\0": ("xz", "-dcq"), b"\x28\xb5\x2f\xfd": ("zstd", "-dcq")}
"""How a kernel is compressed, and what undoes it, if it is installed."""


class UnavailableError(Exception):
    """Something that the guest needs is missing and cannot be had; the message says what."""


class Image(NamedTuple):
    """A kernel that can be booted."""

    kernel: Path
    modules: list[Path]
    """In the order in which they must be loaded."""
    package: str
    """Name and version of the package that it is from."""


def cache() -> Path:
    """Where the kernels lie."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plib-cache-guest"


def image(release: str) -> Image:
    """The kernel of this series, fetched if it is not there; raises ``UnavailableError``."""
    folder = cache() / release
    if not folder.is_dir():
        fetch(release, folder)
    return Image(
        folder / "kernel",
        sorted((folder / "modules").iterdir()),
        (folder / "package").read_text().strip(),
    )


def fetch(release: str, folder: Path) -> None:
    """Fill a folder beside this one, and move it here when it is complete."""
    package = newest(release)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{release}.", dir=folder.parent) as scratch:
            made = Path(scratch) / "made"
            pick(unpack(package, Path(scratch)), made)
            try:
                made.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another run was quicker
                    raise
    except OSError as error:
        raise UnavailableError(f"kernel {release} cannot be kept in {folder}: {error}") from error


def apt(*command: str, folder: Path | None = None) -> str:
    """What a command of apt prints, with what it complains of if it fails."""
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise UnavailableError(f"{command[0]} is missing: this is no Debian") from error
    if done.returncode != 0:
        raise UnavailableError(
            f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout}"
        )
    return done.stdout


def newest(release: str) -> str:
    """The newest package of this series; the lists are renewed only if none is known."""
    search = ("apt-cache", "search", "--names-only", PACKAGES[release])
    found = apt(*search)
    if not found and os.geteuid() == 0:
        apt("apt-get", "-q", "update")
        found = apt(*search)
    if not found:
        raise UnavailableError(
            f"no package {PACKAGES[release]} is known to apt (does /etc/apt/sources.list name the "
            "Debian release that has it? has `apt-get update` been run?)"
        )
    return max((line.split()[0] for line in found.splitlines()), key=by_version)


def by_version(package: str) -> list[int]:
    """6.12.9 comes before 6.12.10."""
    return [int(number) for number in re.findall(r"\d+", package)]


def unpack(package: str, scratch: Path) -> Path:
    """The folder of the unpacked package, named like it."""
    print(f"fetching {package} (once; it is kept in {cache()})", file=sys.stderr, flush=True)
    apt("apt-get", "-q", "download", package, folder=scratch)
    [file] = scratch.glob("*.deb")
    apt("dpkg-deb", "-x", str(file), file.stem, folder=scratch)
    return scratch / file.stem


def pick(unpacked: Path, made: Path) -> None:
    """Copy what is needed of a package, and its name and version."""
    [kernel] = (unpacked / "boot").glob("vmlinuz-*")
    [settings] = (unpacked / "boot").glob("config-*")
    if KEYS not in settings.read_text().splitlines():
        raise UnavailableError(f"{unpacked.name} is built without protection keys ({KEYS})")
    (made / "modules").mkdir(parents=True)
    (made / "kernel").write_bytes(decompressed(kernel.read_bytes()))
    for at, (name, content) in enumerate(in_order(unpacked)):
        (made / "modules" / f"{at:02}-{name}.ko").write_bytes(content)
    (made / "package").write_text(unpacked.name + "\n")


def decompressed(kernel: bytes) -> bytes:
    """The ELF file inside, which spares each boot seconds; else the kernel as it is."""
    for magic, tool in COMPRESSED.items():
        if (at := kernel.find(magic)) >= 0 and shutil.which(tool[0]):
            found = subprocess.run(tool, input=kernel[at:], capture_output=True).stdout
            if found.startswith(b"\x7fELF"):
                return found
    return kernel


def in_order(unpacked: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of the modules, each behind those that it depends on."""
    files = {
        file.name.partition(".ko")[0].replace("-", "_"): file
        for file in (unpacked / "lib" / "modules").glob("*/kernel/**/*.ko*")
    }
    seen = set()

    def visit(name: str) -> Iterator[tuple[str, bytes]]:
        if name in seen or name not in files:  # what has no file is built in
            return
        seen.add(name)
        content = module(files[name])
        for other in depends(content):
            yield from visit(other)
        yield name, content

    for name in MODULES:
        yield from visit(name)


def module(file: Path) -> bytes:
    """A module, decompressed."""
    content = file.read_bytes()
    if file.suffix == ".xz":
        return lzma.decompress(content)
    if file.suffix != ".ko":
        raise UnavailableError(f"{file.name} is compressed in a way that is unknown here")
    return content


def depends(content: bytes) -> list[str]:
    """The modules that must be loaded before this one."""
    found = re.search(rb"\0depends=([^\0]*)\0", content)
    names = found.group(1).decode().split(",") if found else []
    return [name.replace("-", "_") for name in names if name]


def main() -> int:
    missing = False
    for release in KERNELS:
        try:
            print(f"{release:5} {image(release).package}")
        except UnavailableError as error:
            print(f"{release:5} MISSING: {error}", file=sys.stderr)
            missing = True
    return int(missing)


if __name__ == "__main__":
    sys.exit(main())
