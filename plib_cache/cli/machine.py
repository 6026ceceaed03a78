# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel says of the machine and of the limits of this process."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from plib_cache.cli.show import size

_FILES_FEW = 256
_SEVERAL_GIB = 8 << 30
_COLLAPSES = (6, 1)  # Linux, from here on, with MADV_COLLAPSE
_UNLIMITED_V1 = 1 << 60  # how version 1 of cgroups says "no limit"


class Finding(NamedTuple):
    """One line of the doctor's report."""

    state: str  # "ok", "note" or "change"
    topic: str
    found: str
    advice: str = ""


def cpu_flags() -> set[str]:
    """What the CPU can, in the kernel's words."""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(("flags", "Features")):
                return set(line.partition(":")[2].split())
    return set()


def file_system(folder: Path) -> str:
    """The type of the file system that a folder is on."""
    best, kind, real = "", "unknown", os.path.realpath(folder)
    for line in _text("/proc/mounts").splitlines():
        _, point, found, *_ = line.split()
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind


def huge_pages() -> Finding:
    """Whether shared memory can have pages of 2 MiB, which the core asks for one by one."""
    setting = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
    chosen = _text(setting)
    version = tuple(map(int, re.findall(r"\d+", platform.release())[:2]))
    if chosen and "[deny]" not in chosen and version >= _COLLAPSES:
        return Finding("ok", "huge pages", "the kernel has them for shared memory")
    advice = (
        "a process that reads a large value for the first time is slower without: Linux 6.1 and "
        f"later has them, where {setting} is there and not deny"
    )
    return Finding("note", "huge pages", "the kernel has none for shared memory", advice)


def limits() -> Iterator[Finding]:
    """The limits of this process (`ulimit`) that a cache can meet."""
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if space != resource.RLIM_INFINITY and space < _SEVERAL_GIB:
        advice = "a cache is mapped at its full size: raise `ulimit -v`, or use smaller caches"
        yield Finding("change", "address space", f"at most {size(space)} (ulimit -v)", advice)
    file, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if file != resource.RLIM_INFINITY:
        advice = "no cache can be larger: raise `ulimit -f`, or use smaller caches"
        yield Finding("change", "file size", f"at most {size(file)} (ulimit -f)", advice)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    state, advice = "ok", ""
    if files < _FILES_FEW:
        state, advice = "change", "each open cache takes two descriptors: raise `ulimit -n`"
    yield Finding(state, "open files", f"at most {files} (ulimit -n)", advice)
    children, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    most = "no limit" if children == resource.RLIM_INFINITY else f"at most {children}"
    found = f"{most} (ulimit -u); up to 1,023 processes can share a cache, and may fork"
    yield Finding("ok", "processes", found)


def memory_limit() -> Finding:
    """The memory limit of this process's control group."""
    limit = min(_group_limits(), default=None)
    if limit is None:
        return Finding("ok", "memory limit", "none (cgroup)")
    advice = (
        "what is in a cache counts for the container that stored it first: keep the sizes of the "
        "caches well below the limit"
    )
    return Finding("note", "memory limit", f"{size(limit)} (cgroup)", advice)


def _group_limits() -> Iterator[int]:
    for line in _text("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, name = (
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            if controllers
            else ("/sys/fs/cgroup", "memory.max")
        )
        group = Path(root, path.lstrip("/"))
        for folder in (group, *group.parents):
            if folder.is_relative_to(root):
                yield from _number(folder / name)


def _number(file: Path) -> Iterator[int]:
    text = _text(str(file)).strip()
    if text.isdigit() and int(text) < _UNLIMITED_V1:
        yield int(text)


def logout() -> Iterator[Finding]:
    """Whether the machine deletes a user's shared memory when he logs out."""
    if not Path("/run/systemd/system").is_dir() or os.getuid() == 0:
        return
    settings = _text("/etc/systemd/logind.conf").splitlines()
    if not any(line.strip().lower().replace(" ", "") == "removeipc=no" for line in settings):
        advice = (
            "systemd may delete your files in /dev/shm when you log out; to keep caches, set "
            "RemoveIPC=no in /etc/systemd/logind.conf, or run `loginctl enable-linger`"
        )
        yield Finding("note", "logout", "caches may be removed", advice)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
