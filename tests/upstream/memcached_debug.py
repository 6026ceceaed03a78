# SPDX-License-Identifier: BSD-3-Clause
"""What memcached's own tests start in the place of ``memcached-debug``: ``plib-cache serve``.

Takes memcached's options as far as those tests need them, and refuses the rest.  Each server has
a region of its own, which goes when the server does.
"""

from __future__ import annotations

import getopt
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from types import FrameType

SMALLEST = 16  # MiB of a region
IGNORED = {"-u", "-U", "-t", "-n", "-f", "-v", "-b", "-R"}


def mebibytes(given: str) -> str:
    """A size in memcached's words as one of ours."""
    found = re.fullmatch(r"(\d+)([kmg]?)", given, re.IGNORECASE)
    assert found, given
    return found[1] + {"": "B", "k": "KiB", "m": "MiB", "g": "GiB"}[found[2].lower()]


def options(words: list[str], folder: str) -> list[str]:
    """The options of ``plib-cache serve`` that stand for memcached's."""
    given, rest = getopt.getopt(words, "u:U:t:n:f:vb:R:s:p:l:m:I:c:Y:o:")
    if rest:
        raise getopt.GetoptError(f"what is {rest}?")
    taken, port, host = [], "11211", "127.0.0.1"
    unix = False
    for name, value in given:
        if name == "-s":
            unix = True
            taken += ["--listen", f"unix:{value}"]
        elif name == "-p":
            port = value
        elif name == "-l":
            host = value
        elif name == "-m":
            taken += ["--size", f"{max(SMALLEST, int(value))}MiB"]
        elif name == "-I":
            taken += ["--max-item", mebibytes(value)]
        elif name == "-c":
            taken += ["--max-connections", value]
        elif name == "-Y":
            mine = os.path.join(folder, "users")
            shutil.copyfile(value, mine)
            os.chmod(mine, 0o600)
            taken += ["--auth-file", mine]
        elif name == "-o":
            idle = re.search(r"\bidle_timeout=(\d+)", value)
            taken += ["--idle-timeout", idle[1]] if idle else []
        elif name not in IGNORED:
            raise getopt.GetoptError(f"{name} is not for us")
    return taken if unix else [*taken, "--listen", f"{host}:{port}"]


def help_text() -> int:
    """What the tests look for in it: nothing that is optional is there."""
    print("memcached 1.6.18\n-s, --unix-socket=<file>\n-Y, --auth-file=<file>")
    return 0


def main(words: list[str]) -> int:
    """Serve until a signal ends it; the exit status."""
    if words[:1] == ["-h"]:
        return help_text()
    with tempfile.TemporaryDirectory(prefix="plib-", dir="/dev/shm") as folder:
        try:
            taken = options(words, folder)
        except getopt.GetoptError as error:
            print(error, file=sys.stderr)
            return 2
        region = os.path.join(folder, "region")
        size = [] if "--size" in taken else ["--size", "64MiB"]
        command = [sys.executable, "-m", "plib_cache", "serve", region, *size, *taken]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:

            def end(_number: int, _frame: FrameType | None) -> None:
                server.terminate()

            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, end)
            return server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
