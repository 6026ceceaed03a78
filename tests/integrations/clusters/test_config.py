# SPDX-License-Identifier: BSD-3-Clause
"""What the plugin is given, what dask's configuration says, and what is shipped, in that order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dask
import pytest

pytest.importorskip("distributed")

from plib_cache import ConfigurationError
from plib_cache.integrations.dask import PlibCachePlugin, _config
from plib_cache.integrations.dask._config import options, size_of

GIB = 1 << 30


def meant(**given: Any) -> Any:
    """What a plugin that was given this means here."""
    return options(PlibCachePlugin(**given).given)


@pytest.mark.parametrize(
    ("memory", "free", "size"),
    [
        (16 * GIB, 100 * GIB, 4 * GIB),  # a quarter of the memory
        (16 * GIB, 6 * GIB, 3 * GIB),  # at most half of what is free
        (16 * GIB, 8 * GIB, 4 * GIB),
        (1 << 20, 100 * GIB, 4 << 20),  # and what a region has at least
    ],
)
@pytest.mark.parametrize("path", [None, "here"])
def test_the_default_size(
    memory: int, free: int, size: int, path: Any, monkeypatch: pytest.MonkeyPatch, regions: Path
) -> None:
    """A quarter of the machine's memory, and at most half of what the region's folder has free."""
    looked: list[Path] = []

    def statvfs(folder: Any) -> Any:
        looked.append(Path(folder))
        block = 4096
        return os.statvfs_result((block, block, 0, 0, free // block, 0, 0, 0, 0, 255))

    monkeypatch.setattr(_config, "MEMORY_LIMIT", memory)
    monkeypatch.setattr(_config.os, "statvfs", statvfs)
    assert size_of(None, path) == size
    assert looked == [regions if path is None else Path.cwd()]


def test_a_size_that_is_given() -> None:
    """It is taken as it is."""
    assert size_of("32MiB", None) == size_of(32 << 20, None) == 32 << 20


def test_shipped_defaults() -> None:
    """They are those of the docs."""
    told = options({})
    assert told.region == {
        **dict.fromkeys(("name", "path", "trust")), "expected_entry": 1024
    }  # fmt: skip
    assert (told.size, told.threshold, told.share, told.writeable) == (None, 1 << 20, 0.9, True)
    assert (told.peer_timeout, told.peer_remember) == (2, 60)
    assert (told.nodes, told.nodes_timeout) == (True, 1)
    assert told.keep == (None, 0, None)
    assert not told.keep.active


def test_a_configuration_that_was_replaced() -> None:
    """Whoever puts all of dask's configuration back, as its own tests do, loses no default."""
    shipped, config = meant(), dask.config.config
    before = dict(config)
    try:
        config.clear()
        config["plib-cache"] = {"threshold": "2 MiB"}
        assert meant() == shipped._replace(threshold=2 << 20)
    finally:
        config.clear()
        config.update(before)


def test_what_is_given_comes_first() -> None:
    """Before the configuration, and that before what is shipped."""
    with dask.config.set({"plib-cache.threshold": "2 MiB", "plib-cache.path": "/x/configured"}):
        told = meant(name="mine", keep=("sum",), writeable=False)
        assert told.threshold == 2 << 20
        assert (told.region["name"], told.region["path"]) == ("mine", None)
        assert told.keep.prefixes == ("sum",)
        assert told.writeable is False
        assert meant(threshold=5).threshold == 5
        assert meant(path="/x/given").region["path"] == "/x/given"
        assert meant().region["path"] == "/x/configured"


ENVIRONMENT = """
import json
from plib_cache.integrations.dask._config import options
print(json.dumps(options({})))
"""


def test_the_environment(python: Any) -> None:
    """Each option can be set there."""
    variables = {
        "NAME": "mine", "SIZE": "8MiB", "TRUST": "data", "EXPECTED_ENTRY": "4096",
        "THRESHOLD": "64 KiB", "SHARE": "0.5", "WRITEABLE": "False",
        "KEEP__PREFIXES": "['sum', 'load']", "KEEP__MIN_DURATION": "2s",
        "KEEP__MAX_BYTES": "1 MiB", "NODES__SHARE": "False", "NODES__TIMEOUT": "500ms",
        "PEERS__TIMEOUT": "3s", "PEERS__REMEMBER": "5m",
    }  # fmt: skip
    environment = {f"DASK_PLIB_CACHE__{name}": value for name, value in variables.items()}
    region = {"name": "mine", "path": None, "trust": "data", "expected_entry": 4096}
    import json

    assert json.loads(python(ENVIRONMENT, **environment)) == [
        *(region, "8MiB", 64 << 10, 0.5, False, [["sum", "load"], 2, 1 << 20]),
        *(3, 300, False, 0.5),
    ]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("threshold", "much", "give bytes"),
        ("threshold", -1, "give bytes"),
        ("share", 1.5, "a number up to 1"),
        ("share", True, "a number up to 1"),
        ("writeable", "perhaps", "true or false"),
        ("keep.prefixes", "sum", "names of tasks"),
        ("keep.min-duration", "long", "a duration"),
        ("keep.max-bytes", "few", "give bytes"),
        ("nodes.share", 1, "true or false"),
        ("nodes.timeout", "soon", "a duration"),
        ("peers.timeout", "soon", "a duration"),
        ("peers.remember", "long", "a duration"),
    ],
)
def test_what_makes_no_sense(name: str, value: Any, told: str) -> None:
    """It is an error that says what to give."""
    with (
        dask.config.set({f"plib-cache.{name}": value}),
        pytest.raises(ConfigurationError, match=told),
    ):
        options({})
