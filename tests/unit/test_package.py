"""What is built for others to install is complete, and holds nothing else."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MADE = [
    ".git",
    ".venv",
    "build",
    "dist",
    "*.so",
    "*.egg-info",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
]
BUILD = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"

TRIAL = """
import sys
import plib_cache, plib_cache.integrations
assert plib_cache.__file__.startswith(sys.argv[1]), plib_cache.__file__
cache = plib_cache.Cache(path=sys.argv[2], size="8MiB")
cache["a"] = {"b": 1}
assert cache["a"] == {"b": 1}
assert cache.info().binding == "fast"
"""


def build(what: str, source: Path, out: Path) -> Path:
    """Build a wheel or a source distribution without looking anything up."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(what), str(out)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of a copy of the tree, so that nothing is left behind in it."""
    copy = tmp_path_factory.mktemp("tree") / "tree"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*MADE))
    return build("sdist", copy, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from nothing but the source distribution."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["tar", "-xzf", str(source), "-C", str(folder)], check=True)
    (unpacked,) = folder.iterdir()
    return build("wheel", unpacked, tmp_path_factory.mktemp("wheel"))


def test_source_distribution_is_complete(source: Path) -> None:
    """Core, binding, tests and papers are in it, and nothing that was built."""
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for expected in (
        "native/include/plc.h",
        "native/ffi/plc.cdef",
        "native/ffi/nogil.c",
        "native/ffi/fast.h",
        "native/ffi/fast_module.c",
        "native/ffi/blake2b.c",
        "LICENSE",
    ):
        assert expected in names
    assert "plib_cache/integrations/__init__.py" in names
    assert "tests/unit/test_package.py" in names
    assert not [name for name in names if name.endswith((".so", ".o", ".pyc"))]


def test_wheel_holds_the_package_once(wheel: Path) -> None:
    """The package, its integrations and its extension are in it; tests and C sources are not."""
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    assert names.count("plib_cache/integrations/__init__.py") == 1
    assert "plib_cache/py.typed" in names
    assert [
        name for name in names if name.startswith("plib_cache/_native") and name.endswith(".so")
    ]
    roots = {name.partition("/")[0] for name in names}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"plib_cache"}
    assert not [name for name in names if name.endswith((".c", ".h"))]


def test_wheel_works(wheel: Path, tmp_path: Path) -> None:
    """What was unpacked from the wheel, and not the tree, stores and reads a value."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    (tmp_path / "region").mkdir(mode=0o700)
    arguments = [str(tmp_path / "site"), str(tmp_path / "region" / "r.plib")]
    done = subprocess.run(
        [sys.executable, "-c", TRIAL, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
