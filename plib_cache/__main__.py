# SPDX-License-Identifier: BSD-3-Clause
"""``python -m plib_cache`` is the command ``plib-cache``."""

from plib_cache.cli import main

if __name__ == "__main__":
    main()
