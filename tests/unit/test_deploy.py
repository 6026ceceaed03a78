"""What docs/deploy.md shows besides Python: it can be parsed, and means what the text says."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from plib_cache import config
from plib_cache.remote.options import parse

PAPER = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    """The blocks of a kind."""
    found = re.findall(rf"^```{kind}\n(.*?)^```$", PAPER, flags=re.M | re.S)
    assert found
    return found


@pytest.mark.parametrize("script", blocks("sh"))
def test_shell_blocks_are_shell(script: str) -> None:
    """Each is whole."""
    subprocess.run(["sh", "-n"], input=script, text=True, check=True, timeout=60)


def test_the_pod() -> None:
    """Its region lies inside of the volume, which fits into its limit with room for a program."""
    (text,) = blocks("yaml")
    spec: Any = yaml.safe_load(text)["spec"]
    (container,) = spec["containers"]
    (mount,) = container["volumeMounts"]
    variables = {one["name"]: one for one in container["env"]}
    folder = Path(variables["PLIB_CACHE_DIR"]["value"])
    assert folder.parent == Path(mount["mountPath"])
    volume = next(one for one in spec["volumes"] if one["name"] == mount["name"])["emptyDir"]
    assert volume["medium"] == "Memory"
    limit = container["resources"]["limits"]["memory"]
    assert config.parse_size(limit) > config.parse_size(volume["sizeLimit"])
    assert variables["PLIB_CACHE_KEY"]["valueFrom"]["secretKeyRef"]["name"] in text


def test_the_service() -> None:
    """Its folder is the one that systemd makes, with the mode that a region's folder has."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    (text,) = blocks("ini")
    unit.read_string(text)
    service = unit["Service"]
    folder = service["Environment"].removeprefix("PLIB_CACHE_DIR=%t/")
    assert folder == service["RuntimeDirectory"]
    assert service["RuntimeDirectoryMode"] == "0700"


@pytest.mark.parametrize("url", sorted(set(re.findall(r'memcacheds?://[^"`\s)<]+', PAPER))))
def test_urls(url: str) -> None:
    """Each means something."""
    assert url in ("memcacheds://", "memcached://$servers") or parse(url)
