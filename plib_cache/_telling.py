# SPDX-License-Identifier: BSD-3-Clause
"""How a failure is told that does not end the computation: one warning, and the same to the log.

The category is ``PlibCacheWarning``; the logger is ``plib_cache``, which says nothing by itself
(its handler is a ``NullHandler``) unless the program has configured logging.
"""

from __future__ import annotations

import warnings

from plib_cache._callers import outside
from plib_cache.exceptions import PlibCacheWarning

LOGGER = "plib_cache"


def tell(text: str) -> None:
    """Warn, at the line of whoever called this package, and log."""
    import logging  # here: it takes a tenth of the time that importing this package takes

    logger = logging.getLogger(LOGGER)
    if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        logger.addHandler(logging.NullHandler())
    logger.warning("%s", text)
    warnings.warn(text, PlibCacheWarning, stacklevel=outside())
