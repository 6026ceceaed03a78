# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache doctor``: what plib_cache finds on this machine, and what to change."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from plib_cache import __version__, config
from plib_cache._core import LAYOUT, binding, remove_region
from plib_cache._core.folders import why_unsafe
from plib_cache.cache import Cache
from plib_cache.cli.machine import (
    Finding,
    cpu_flags,
    file_system,
    huge_pages,
    limits,
    logout,
    memory_limit,
)
from plib_cache.cli.places import trial_folder
from plib_cache.cli.show import as_json, columns, console, say, say_points, size
from plib_cache.cli.words import for_shell
from plib_cache.exceptions import PlibCacheError
from plib_cache.stats import Info

_SMALL = 256 << 20  # with less memory for regions, say so
_VARIABLES = (
    "PLIB_CACHE_DIR",
    "PLIB_CACHE_TRUST",
    "PLIB_CACHE_PROTECTION",
    "PLIB_CACHE_EXPLAIN",
    "PLIB_CACHE_BINDING",
)
_MARKS = {"ok": "ok", "note": "note", "change": "[bold red]change[/]"}


def examine(json: bool) -> int:
    """Show everything; 1 if something needs to be changed, else 0."""
    findings = list(_findings())
    changes = [finding for finding in findings if finding.state == "change"]
    if json:
        as_json({"ok": not changes, "findings": [finding._asdict() for finding in findings]})
    else:
        _show(findings)
    return 1 if changes else 0


def _show(findings: list[Finding]) -> None:
    table = columns("This machine", ("", "what", "found"))
    for finding in findings:
        table.add_row(_MARKS[finding.state], finding.topic, finding.found)
    console().print(table)
    advice = [f"{finding.topic}: {finding.advice}" for finding in findings if finding.advice]
    say("What to change or know:" if advice else "Nothing needs a change.")
    say_points(advice)


def _findings() -> Iterator[Finding]:
    yield _python()
    yield _cpu()
    yield Finding("ok", "kernel", f"{platform.system()} {platform.release()}")
    try:
        with trial_folder() as folder:
            yield from _folder(folder)
    except PlibCacheError as error:
        yield Finding("change", "region folder", "there is none", for_shell(error))
    yield huge_pages()
    yield from limits()
    yield memory_limit()
    yield from logout()
    for name in _VARIABLES:
        if name in os.environ:
            yield Finding("ok", name, os.environ[name])


def _python() -> Finding:
    found = (
        f"{platform.python_implementation()} {platform.python_version()}, plib_cache "
        f"{__version__}, binding {binding()}, layout {LAYOUT:#018x}"
    )
    return Finding("ok", "Python", found)


def _cpu() -> Finding:
    flags = cpu_flags()
    keys = "has" if "pku" in flags else "has no"
    found = f"{platform.machine()}, {os.cpu_count()} cores, {keys} protection keys"
    if "pku" in flags and "ospke" not in flags:
        found += ", which the kernel does not offer"
    return Finding("ok", "CPU", found)


def _folder(folder: Path) -> Iterator[Finding]:
    wanted = config.region_folder(make=False)
    yield _folder_safety(folder) if folder == wanted else _no_folder(wanted)
    yield _folder_space(folder)
    if os.access(folder, os.W_OK | os.X_OK):  # else it would be the folder's fault
        yield _unnamed_files(folder)
    yield from _trial(folder)


def _no_folder(wanted: Path) -> Finding:
    found, advice = f"{wanted}, which the first program that stores makes", ""
    if os.environ.get("PLIB_CACHE_DIR"):
        advice = "there is no such folder yet: correct PLIB_CACHE_DIR if that is not what you mean"
    return Finding("note" if advice else "ok", "region folder", found, advice)


def _folder_safety(folder: Path) -> Finding:
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        why, advice = for_shell(why_unsafe(str(folder), found.st_uid)).split(": ", 1)
        return Finding(
            "change", "region folder", f"{folder}, mode {found.st_mode & 0o777:o}: {why}", advice
        )
    return Finding("ok", "region folder", f"{folder}, your own and writable by nobody else")


def _folder_space(folder: Path) -> Finding:
    usage = os.statvfs(folder)
    total, free = usage.f_blocks * usage.f_frsize, usage.f_bavail * usage.f_frsize
    kind = file_system(folder)
    found = f"{kind}, {size(total)}, {size(free)} free"
    if free < _SMALL:
        advice = (
            "there is little room: free some, or enlarge it (Docker: --shm-size=2g; "
            "else: mount -o remount,size=2g /dev/shm), or set PLIB_CACHE_DIR to another tmpfs"
        )
        return Finding("change", "memory for caches", found, advice)
    if kind != "tmpfs":
        given = "PLIB_CACHE_DIR" in os.environ
        way = "unset PLIB_CACHE_DIR, or set it" if given else "set PLIB_CACHE_DIR"
        advice = (
            "caches are on a disk: they survive a restart of the machine, but writing them costs "
            f"more; if that is not what you want, {way} to a folder in /dev/shm"
        )
        return Finding("note", "memory for caches", found, advice)
    return Finding("ok", "memory for caches", found)


def _unnamed_files(folder: Path) -> Finding:
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600))
    except OSError as error:
        advice = "the file system cannot make unnamed files: set PLIB_CACHE_DIR to a tmpfs"
        return Finding("change", "unnamed files", f"O_TMPFILE: {error.strerror}", advice)
    return Finding("ok", "unnamed files", "O_TMPFILE works, so caches are made in one step")


def _trial(folder: Path) -> Iterator[Finding]:
    """Make a small cache, use it, remove it."""
    path = str(folder / f"doctor-{os.getpid()}")
    try:
        with Cache(path=path, size="4MiB") as cache:
            cache["trial"] = "worked"
            worked, info = cache.get("trial") == "worked", cache.info()
        remove_region(path)
    except PlibCacheError as error:
        yield Finding("change", "trial", "a small cache cannot be made", for_shell(error))
        return
    yield _protection(info)
    found = "a small cache was made, used and removed"
    yield Finding("ok" if worked else "change", "trial", found if worked else "lost a value")


def _protection(info: Info) -> Finding:
    if info.protection == "pku":
        return Finding("ok", "protection", "pku: caches are closed to all code but plib_cache's")
    asked = os.environ.get("PLIB_CACHE_PROTECTION") == "none"
    reason = "PLIB_CACHE_PROTECTION asks for it" if asked else info.unprotected
    advice = (
        "everything works; a wild pointer in one of your programs could damage a cache, "
        "which is then detected or a miss"
    )
    return Finding("note", "protection", f"none: {reason}", advice)
