# SPDX-License-Identifier: BSD-3-Clause
"""Names, folders, sizes and moments: what the options of a cache mean.

Environment: ``PLIB_CACHE_DIR`` (the folder of named regions), ``PLIB_CACHE_TRUST`` (what is meant
where no trust is given), ``PLIB_CACHE_PROTECTION`` (overrides the option), ``PLIB_CACHE_EXPLAIN``
(1: as ``explain_faults()``); ``PLIB_CACHE_BINDING`` is read when the package is imported ("cffi"
does without the hot path in C, see ``_core.fast``).
"""

from __future__ import annotations

import numbers
import operator
import os
import pwd
import re
import stat
from typing import TYPE_CHECKING

from plib_cache._core import SIZE_MAX, SIZE_MIN, explain_faults
from plib_cache.exceptions import ConfigurationError
from plib_cache.serialize import Trust

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_NAME = "default"
DEFAULT_SIZE = 1 << 30
_PAGE = 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_SIZE = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([KMGT]?)(I?)(B?)\s*\Z", re.I | re.A)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def check_name(name: object) -> str:
    """The name of a region, if it can be one.

    Raises:
        ConfigurationError: it cannot be the name of a file in the region folder.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise ConfigurationError(
            f"{name!r:.100} cannot name a region: use 1 to 64 letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit; for a file elsewhere use path="
        )
    return name


def parse_size(size: int | str) -> int:
    """A size in bytes, rounded up to whole pages.

    ``"1GiB"`` and ``"1G"`` are 2**30 bytes, ``"1GB"`` is 10**9; likewise K, M and T.

    Raises:
        ConfigurationError: it is no size, or less or more than a region can have.
    """
    nbytes = bytes_of(size)
    if not SIZE_MIN <= nbytes <= SIZE_MAX:
        raise ConfigurationError(
            f"size={size!r} is {nbytes} bytes: give a region from {SIZE_MIN} (4 MiB) to "
            f"{SIZE_MAX} bytes (1 TiB)"
        )
    return -(-nbytes // _PAGE) * _PAGE


def bytes_of(size: object) -> int:
    """A size in bytes, whatever it is; see ``parse_size``."""
    if not isinstance(size, bool) and isinstance(size, numbers.Integral):  # also NumPy's
        return operator.index(size)
    match = _SIZE.match(size) if isinstance(size, str) else None
    if match is None:
        raise ConfigurationError(
            f"size={size!r:.100} is no size: give bytes as an int, or a str like '512MiB' or '2GB'"
        )
    number, power, binary, unit = match.groups()
    base = 1000 if power and unit and not binary else 1024
    return int(float(number) * base ** _POWERS[power.upper()])


def default_size(folder: str) -> int:
    """1 GiB, or half of what the folder's file system has free if that is less; bytes."""
    try:
        usage = os.statvfs(folder)
    except OSError:
        return DEFAULT_SIZE
    half = usage.f_bavail * usage.f_frsize // 2
    return max(SIZE_MIN, min(DEFAULT_SIZE, half // _PAGE * _PAGE))


def check_trust(trust: str | None) -> Trust:
    """The trust that was asked for, else that of PLIB_CACHE_TRUST, else "code".

    "network" is "code", and more; see ``trusts_network``.
    """
    asked = _asked_trust(trust)
    if asked in ("code", "network"):
        return "code"
    if asked == "data":
        return "data"
    raise ConfigurationError(
        f"trust (or PLIB_CACHE_TRUST) is {asked!r}: use 'code' or 'data', or 'network' for a "
        "cache with remote="
    )


def trusts_network(trust: str | None) -> bool:
    """Whether also what comes unsigned from the network may run code here."""
    return _asked_trust(trust) == "network"


def _asked_trust(trust: str | None) -> str:
    return trust if trust is not None else os.environ.get("PLIB_CACHE_TRUST") or "code"


def check_protection(protection: str) -> str:
    """The protection that is meant: that of PLIB_CACHE_PROTECTION, else the one asked for.

    The environment overrides, so that a program can be debugged with it, or without, as it is.
    """
    variable = "PLIB_CACHE_PROTECTION"
    meant = os.environ.get(variable) or protection
    for name, asked in (("protection", protection), (variable, meant)):
        if asked not in ("auto", "pku", "none"):
            raise ConfigurationError(f"{name} is {asked!r}: use 'auto', 'pku' or 'none'")
    return meant


def explain_if_asked() -> None:
    """Do what PLIB_CACHE_EXPLAIN asks for.

    Raises:
        ConfigurationError: it is neither 0 nor 1.
    """
    asked = os.environ.get("PLIB_CACHE_EXPLAIN") or "0"
    if asked not in ("0", "1"):
        raise ConfigurationError(f"PLIB_CACHE_EXPLAIN is {asked!r}: use 0 or 1")
    if asked == "1":
        explain_faults()


def check_path(path: object, *, make: bool = True) -> str:
    """The absolute path of a region's file; its folder exists, if a region is to be made.

    Raises:
        ConfigurationError: it is no path, or its folder does not exist.
    """
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise ConfigurationError(f"path={path!r:.100} is no path: give a str or a pathlib.Path")
    text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - resolve() would follow links
    folder = os.path.dirname(text)  # noqa: PTH120
    if "\0" in text:
        raise ConfigurationError(
            f"path={path!r:.100} contains a null character: give a path without"
        )
    if make and not os.path.isdir(folder):  # noqa: PTH112
        if os.path.lexists(folder):
            raise ConfigurationError(f"{text}: {folder} is no folder: choose another path")
        raise ConfigurationError(
            f"{text}: the folder {folder} does not exist: make it first (mkdir -p -m 700 {folder})"
        )
    return text


def region_path(name: str | None, *, make: bool = True) -> str:
    """Where the region of that name (None: "default") is, in ``region_folder``.

    Raises:
        ConfigurationError: the name cannot be one, or there is no folder of one's own.
    """
    checked = check_name(DEFAULT_NAME if name is None else name)
    return str(region_folder(make=make) / checked)


def region_folder(*, make: bool = True) -> Path:
    """The folder of named regions.

    $PLIB_CACHE_DIR, else /dev/shm/plib-cache-<uid>; and where somebody else made that first,
    $XDG_RUNTIME_DIR/plib-cache.

    Args:
        make: it with mode 0700, if it does not exist; else it may be missing.

    Raises:
        ConfigurationError: there is none that is the caller's own.
    """
    from pathlib import Path  # at need: it takes a tenth of the package's import

    given = os.environ.get("PLIB_CACHE_DIR")
    if given:
        return _folder(Path(given).absolute(), make, parents=True)
    shared = Path(f"/dev/shm/plib-cache-{os.geteuid()}")
    if not shared.parent.is_dir() or not _own_folder(_folder(shared, make)):
        return _runtime_folder(shared, make)
    return shared


def _runtime_folder(shared: Path, make: bool) -> Path:
    from pathlib import Path

    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        folder = _folder(Path(runtime).absolute() / "plib-cache", make)
        if _own_folder(folder):
            return folder
    raise ConfigurationError(
        f"{shared} {_whose(shared)}, and XDG_RUNTIME_DIR offers no other place: set PLIB_CACHE_DIR "
        "to a folder of your own, on tmpfs if possible"
    )


def _folder(folder: Path, make: bool, *, parents: bool = False) -> Path:
    """A folder, made if that is wanted and it is missing."""
    if not make and not os.path.lexists(folder):
        return folder
    try:
        folder.mkdir(mode=0o700, parents=parents)
        folder.chmod(0o700)  # whatever the umask
    except FileExistsError:
        if parents and not folder.is_dir():
            raise ConfigurationError(
                f"PLIB_CACHE_DIR={folder} is a file: set it to a folder of your own"
            ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the folder {folder} cannot be made ({error.strerror}): set PLIB_CACHE_DIR to one "
            "that can"
        ) from error
    return folder


def _own_folder(folder: Path) -> bool:
    """Whether it is the caller's own, or would be if he made it."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return True
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _whose(folder: Path) -> str:
    try:
        found = folder.lstat()
    except OSError:
        return "cannot be made"
    kind = "is a folder" if stat.S_ISDIR(found.st_mode) else "is no folder and belongs"
    try:
        owner = f"{pwd.getpwuid(found.st_uid).pw_name} (uid {found.st_uid})"
    except KeyError:
        owner = f"uid {found.st_uid}"
    return f"{kind} of {owner}" if stat.S_ISDIR(found.st_mode) else f"{kind} to {owner}"
