# SPDX-License-Identifier: BSD-3-Clause
"""The region as Python sees it: the only package that calls the compiled core.

``Region`` has one method per operation of the core and adds three things: the memory that a call
needs (``work``), the loop behind "again" (``handle``), and exceptions for what the core refuses
(``failures``).  Keys are bytes, values are type codes and bytes; what they mean is not known here.

The hottest operations have a second way to the core, in C (``fast``), which does the usual and
leaves the rest to the first.
"""

from __future__ import annotations

from plib_cache._core.entries import Entry, Given
from plib_cache._core.failures import RegionAbsentError, SizeDiffersError
from plib_cache._core.fast import Quick, binding, make_lookup, quicken
from plib_cache._core.handle import (
    BUSY,
    CLAIMED,
    EXISTS,
    FULL,
    KEY_MAX,
    LAYOUT,
    MISS,
    OK,
    SIZE_MAX,
    SIZE_MIN,
    TAGS_MAX,
    WRONG_TYPE,
    explain_faults,
    path_of,
    remove_region,
)
from plib_cache._core.inplace import InPlace, Lease, NotInPlaceError
from plib_cache._core.names import Claim, NameCounts
from plib_cache._core.notes import NOTES, Described, Note, Notes
from plib_cache._core.values import ADD, APPEND, CAS, PREPEND, PUBLISH, REMAKE, REPLACE, SET
from plib_cache._core.walk import Finding
from plib_cache._core.work import Encoding, Found, Item, Terms

__all__ = [
    "ADD",
    "APPEND",
    "BUSY",
    "CAS",
    "CLAIMED",
    "EXISTS",
    "FULL",
    "KEY_MAX",
    "LAYOUT",
    "MISS",
    "NOTES",
    "OK",
    "PREPEND",
    "PUBLISH",
    "REMAKE",
    "REPLACE",
    "SET",
    "SIZE_MAX",
    "SIZE_MIN",
    "TAGS_MAX",
    "WRONG_TYPE",
    "Claim",
    "Described",
    "Encoding",
    "Entry",
    "Finding",
    "Found",
    "Given",
    "Item",
    "Lease",
    "NameCounts",
    "NotInPlaceError",
    "Note",
    "Quick",
    "Region",
    "RegionAbsentError",
    "SizeDiffersError",
    "Terms",
    "binding",
    "explain_faults",
    "make_lookup",
    "path_of",
    "quicken",
    "remove_region",
]


class Region(Notes, InPlace):
    """One attached region, with all operations of the core."""
