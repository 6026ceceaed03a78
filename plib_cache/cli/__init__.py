# SPDX-License-Identifier: BSD-3-Clause
"""The command ``plib-cache``, also ``python -m plib_cache``.

Exit codes: 0 all is well; 1 problems were found, or there is no such cache or value; 2 the command
was used wrongly; 3 a mistake in plib-cache itself; 130 interrupted.
"""

from __future__ import annotations

import os
import sys

from plib_cache.cli.app import app
from plib_cache.cli.places import fail
from plib_cache.exceptions import ConfigurationError, PlibCacheError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command, and end with its exit code; nobody sees a traceback."""
    try:
        app()
    except ConfigurationError as error:
        fail(str(error), code=2)
    except PlibCacheError as error:
        fail(str(error), code=1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # who read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        fail(
            f"{error}: the machine refused it; `plib-cache doctor` looks at limits and room", code=1
        )
    except Exception as error:
        if "PLIB_CACHE_TRACEBACK" in os.environ:
            raise
        what = f"a mistake in plib-cache itself ({type(error).__name__}: {error})"
        fail(f"{what}: please report it; PLIB_CACHE_TRACEBACK=1 shows where", code=3)
