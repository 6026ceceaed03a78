# SPDX-License-Identifier: BSD-3-Clause
"""A region behind memcached's protocol, for whoever is not on this machine or not Python.

Here is what is said on a connection: bytes in, bytes out, and no socket (``Conversation``).
"""

from plib_cache.serve.conversation import Conversation
from plib_cache.serve.counts import Counts
from plib_cache.serve.limits import Limits
from plib_cache.serve.store import Store

__all__ = ["Conversation", "Counts", "Limits", "Store"]
