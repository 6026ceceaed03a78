# SPDX-License-Identifier: BSD-3-Clause
"""The functions of the demo with ``@plib_cache.cache``, which is all that it takes."""

from __future__ import annotations

from typing import Any

import plib_cache
from plib_cache.cli.demo import work

features = plib_cache.cache(work.features)
accuracy = plib_cache.cache(work.accuracy)


def perform_shared(task: work.Task) -> dict[str, Any]:
    """Do a task, with what any process has computed before."""
    return work.perform(task, features, accuracy)
