# SPDX-License-Identifier: BSD-3-Clause
"""What an installed plib_cache must do in an empty environment: called by ``scripts/dist``.

    python -W error -I smoke.py

Nothing of the source tree is looked at.  Exit status 0: the extension works, over both bindings,
between processes, and the command is there; type information is installed.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile

import plib_cache
from plib_cache.testing import private_regions

PROGRAM = "import plib_cache, sys; sys.exit(plib_cache.Cache('smoke')['from'] != 'the other')"
BINDING = "PLIB_CACHE_BINDING"


def use() -> None:
    """A cache, a function, another process."""
    with plib_cache.Cache("smoke") as cache:
        cache["from"] = "the other"
        assert cache["from"] == "the other"
        assert cache.add("count", 1)
        assert cache.incr("count") == 2
        assert cache.get_many(["from", "none"]) == {"from": "the other"}
        assert cache.check() == []
        subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], check=True, timeout=300)

    @plib_cache.cache
    def doubled(x: int) -> int:
        return x * 2

    assert [doubled(4), doubled(4)] == [8, 8]
    assert doubled.cache_info().hits == 1


def main() -> None:
    """Everything."""
    package = pathlib.Path(plib_cache.__file__).parent
    assert "site-packages" in package.parts, f"{package} is not installed"
    assert (package / "py.typed").exists()
    assert (package / "_native.pyi").exists()
    assert importlib.util.find_spec("plib_cache.integrations.joblib") is not None
    with tempfile.TemporaryDirectory() as folder, private_regions("16MiB"):
        os.environ["HOME"] = folder
        use()
        if BINDING not in os.environ:
            plain = {**os.environ, BINDING: "cffi"}
            subprocess.run([sys.executable, *sys.orig_argv[1:]], env=plain, check=True, timeout=300)
        command = pathlib.Path(sys.executable).with_name("plib-cache")
        subprocess.run([command, "ls", "--json"], check=True, timeout=300, stdout=subprocess.PIPE)
    free = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(f"works: {sys.version.split()[0]}, {package}{'' if free else ', without the GIL'}")


if __name__ == "__main__":
    main()
