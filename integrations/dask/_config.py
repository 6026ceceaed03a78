# SPDX-License-Identifier: BSD-3-Clause
"""What the plugin was given, and what dask's configuration says where it was not.

The shipped defaults are in ``plib-cache.yaml``; the user's files (``~/.config/dask``) and the
environment (``DASK_PLIB_CACHE__SIZE``) come before them, and the plugin's arguments before those.
Configuration is read where the worker runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import dask
import yaml
from dask.utils import parse_bytes, parse_timedelta
from distributed.system import MEMORY_LIMIT

from plib_cache import ConfigurationError
from plib_cache.config import parse_size, region_folder

_SIZE_MIN = 1 << 22

with (Path(__file__).parent / "plib-cache.yaml").open(encoding="utf-8") as _file:
    _defaults = yaml.safe_load(_file)
dask.config.update_defaults(_defaults)


class Keep(NamedTuple):
    """Which results outlive the cluster; see the configuration's ``keep``."""

    prefixes: tuple[str, ...] | None  # None: nothing is kept; (): only what is annotated
    min_duration: float  # seconds
    max_bytes: int | None

    @property
    def active(self) -> bool:
        """Whether any may be kept."""
        return self.prefixes is not None


class Options(NamedTuple):
    """All that a worker has to know."""

    region: dict[str, Any]  # for ``Cache``, besides its size
    size: int | str | None
    threshold: int
    share: float
    writeable: bool
    keep: Keep
    peer_timeout: float
    peer_remember: float
    nodes: bool  # whether other nodes are asked
    nodes_timeout: float


def options(given: Mapping[str, Any]) -> Options:
    """What is meant, on this machine.

    Args:
        given: the arguments of the plugin; None stands for the configuration.

    Raises:
        ConfigurationError: a value makes no sense.
    """

    def meant(name: str, key: str) -> Any:
        value = given.get(name)
        return _configured(key) if value is None else value

    region = {
        "name": meant("name", "name"),
        "path": meant("path", "path"),
        "trust": meant("trust", "trust"),
        "expected_entry": meant("expected_entry", "expected-entry"),
    }
    if given.get("name") is not None and given.get("path") is None:
        region["path"] = None  # a name that is given counts more than a path that is configured
    elif given.get("path") is not None:
        region["name"] = None
    return Options(
        region,
        meant("size", "size"),
        _bytes("threshold", meant("threshold", "threshold")),
        _share(meant("share", "share")),
        _yes_or_no("writeable", meant("writeable", "writeable")),
        _keep(meant("keep", "keep.prefixes")),
        _seconds("peers.timeout", _configured("peers.timeout")),
        _seconds("peers.remember", _configured("peers.remember")),
        _yes_or_no("nodes.share", meant("nodes", "nodes.share")),
        _seconds("nodes.timeout", _configured("nodes.timeout")),
    )


def _configured(key: str) -> Any:
    """What dask's configuration says; the shipped value also where someone has replaced all of it,
    as dask's own tests do."""
    name = f"plib-cache.{key}"
    return dask.config.get(name, dask.config.get(name, config=_defaults))


def _keep(prefixes: Any) -> Keep:
    if prefixes is not None and (
        isinstance(prefixes, str) or not all(isinstance(one, str) for one in prefixes)
    ):
        raise ConfigurationError(f"keep={prefixes!r:.100}: give names of tasks, as ('name', ...)")
    most = _configured("keep.max-bytes")
    return Keep(
        None if prefixes is None else tuple(prefixes),
        _seconds("keep.min-duration", _configured("keep.min-duration")),
        None if most is None else _bytes("keep.max-bytes", most),
    )


def _bytes(name: str, value: Any) -> int:
    try:
        number = int(parse_bytes(value))
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise ConfigurationError(f"plib-cache.{name} is {value!r}: give bytes, as '1 MiB'")
    return number


def _seconds(name: str, value: Any) -> float:
    try:
        return float(parse_timedelta(value))
    except (TypeError, ValueError, KeyError):
        raise ConfigurationError(
            f"plib-cache.{name} is {value!r}: give a duration, as '2s'"
        ) from None


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise ConfigurationError(f"plib-cache.share is {value!r}: give a number up to 1, as 0.9")
    return float(value)


def _yes_or_no(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"plib-cache.{name} is {value!r}: give true or false")
    return value


def size_of(asked: int | str | None, path: str | os.PathLike[str] | None) -> int:
    """The size of a region that is made; see ``plib-cache.size``.

    Notes:
        The machine's memory is what this process may have of it (a container's limit, say).
    """
    if asked is not None:
        return parse_size(asked)
    folder = region_folder() if path is None else Path(path).absolute().parent
    usage = os.statvfs(folder)
    half = usage.f_bavail * usage.f_frsize // 2
    return parse_size(max(_SIZE_MIN, min(MEMORY_LIMIT // 4, half)))
