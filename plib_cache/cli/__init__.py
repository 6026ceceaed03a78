# SPDX-License-Identifier: BSD-3-Clause
"""The command ``plib-cache``, also ``python -m plib_cache``.

Exit codes: 0 all is well; 1 problems were found, or there is no such cache; 2 the command was
used wrongly.
"""

from __future__ import annotations

import sys

from plib_cache.cli.app import app
from plib_cache.cli.places import fail
from plib_cache.exceptions import ConfigurationError, PlibCacheError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command, and end with its exit code."""
    try:
        app()
    except ConfigurationError as error:
        fail(str(error), code=2)
    except PlibCacheError as error:
        fail(str(error), code=1)
    except KeyboardInterrupt:
        sys.exit(130)
