# SPDX-License-Identifier: BSD-3-Clause
"""What figures mean little without: the machine, its load, and the versions of everything."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.programs import ROOT, compiler, core_flags

PACKAGES = ["plib-cache", "lmdb", "pylibmc", "diskcache", "pysciqlop-cache", "ray", "redis",
            "numpy", "pandas", "pyarrow", "joblib", "xxhash", "dask", "distributed",
            "pymemcache", "cffi", "matplotlib"]  # fmt: skip
COMMANDS = {
    "memcached": ["memcached", "-V"],
    "redis-server": ["redis-server", "--version"],
    "compiler": [compiler(), "--version"],
}
DEBIAN = ["liblmdb-dev", "libmemcached-dev"]


def facts() -> dict[str, Any]:
    """Everything, for the report."""
    return {
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _found(r"model name\s*:\s*(.*)", "/proc/cpuinfo") or platform.machine(),
        "hypervisor": "hypervisor" in _read("/proc/cpuinfo"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "huge_pages": _chosen("enabled"),
        "huge_pages_of_tmpfs": _chosen("shmem_enabled"),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "flags": core_flags(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of every peer; "missing" where there is none."""
    found = {}
    for name in PACKAGES:
        found[name] = "missing"
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    for name, command in COMMANDS.items():
        found[name] = (_said(command) or "missing").splitlines()[0]
    for name in DEBIAN:
        found[name] = _said(["dpkg-query", "-W", "-f", "${Version}", name]) or "unknown"
    return found


def used_s() -> tuple[float, float]:
    """Seconds of processors that all have used since the start, and that this process has.

    The second has the children that have ended, the first what a hypervisor has taken away.
    """
    counts = [int(word) for word in _read("/proc/stat").partition("\n")[0].split()[1:9]]
    user, nice, system, _idle, _wait, *others = counts
    own = os.times()
    return (
        sum((user, nice, system, *others)) / os.sysconf("SC_CLK_TCK"),
        own.user + own.system + own.children_user + own.children_system,
    )


def _commit() -> str:
    name = _said(["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]) or "unknown"
    changed = _said(["git", "-C", str(ROOT), "status", "--porcelain", "-uno"])
    return f"{name} with changes" if changed else name


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _read(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace")
    return ""


def _found(pattern: str, path: str) -> str:
    match = re.search(pattern, _read(path))
    return match.group(1).strip() if match else ""


def _chosen(name: str) -> str:
    return _found(r"\[(\w+)\]", f"/sys/kernel/mm/transparent_hugepage/{name}") or "unknown"
