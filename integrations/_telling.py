# SPDX-License-Identifier: BSD-3-Clause
"""How an integration tells a failure that does not end the computation: a warning, and to the log.

As ``plib_cache`` itself does: its logger says nothing unless the program has configured logging.
"""

from __future__ import annotations

import warnings

from plib_cache import PlibCacheWarning


def tell(text: str, stacklevel: int, category: type[Warning] = PlibCacheWarning) -> None:
    """Warn, ``stacklevel`` frames above whoever calls this (1: there), and log."""
    import logging  # here: it takes long to import, and most programs have nothing to tell

    logger = logging.getLogger("plib_cache")
    if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        logger.addHandler(logging.NullHandler())
    logger.warning("%s", text)
    warnings.warn(text, category, stacklevel=stacklevel + 1)
