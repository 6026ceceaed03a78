# SPDX-License-Identifier: BSD-3-Clause
"""Type codes of entries that clients of the network have marked (``serve``).

A client can be told that it is the one to renew a value (won), or mark a value as stale.  Which
of it is so stands in the type code.  Who reads values finds a won one as it was, and stale or
vacant ones not at all.
"""

from __future__ import annotations

from plib_cache._frame import DamagedValueError

VALUES = 12  # codes below are of values without a mark
STALE = 12  # bytes that a client has marked as out of date
STALE_WON = 13  # the same, and a client was told to renew it
VACANT = 14  # nothing yet: a client was told to fill it
WON = 16  # added to the code of a value that a client was told to renew
_UNREADABLE = frozenset({STALE, STALE_WON, VACANT})


class MarkedValueError(DamagedValueError):
    """There is no value for who asks; nothing is damaged."""


def plain_code(type_code: int) -> int:
    """The type code without its mark.

    Raises:
        MarkedValueError: the entry is only for clients of the network.
    """
    if type_code in _UNREADABLE:
        raise MarkedValueError("the entry is stale or vacant, which only network clients see")
    return type_code - WON if WON <= type_code < WON + VALUES else type_code
