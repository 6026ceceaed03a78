# SPDX-License-Identifier: BSD-3-Clause
"""Every fence of the core: the bug that it prevents and the model that finds that bug; or why no
model does.  test_models.py compares this with the core."""

from __future__ import annotations

from typing import NamedTuple


class Fence(NamedTuple):
    file: str
    function: str
    kind: str
    model: str
    """Or "": then bug says why there is none."""
    bug: str


LOOKS = "index_look wants one before the first slot; store_run's and delete's are modelled"
FENCES = [
    Fence("index.h", "index_still_at", "acquire", "get-recycled", "no-fence-behind-the-copy"),
    Fence("pages.c", "pages_form", "release", "get-recycled", "filled-without-fence"),
    Fence("evict.c", "free_run", "release", "", "all that follows are release stores and swaps"),
    Fence("index.c", "pin", "full", "pin", "no-fence-in-pin"),
    Fence("evict.c", "in_limbo", "full", "pin", "no-fence-before-pins"),
    Fence("evict.c", "in_limbo", "full", "pin", "no-fence-before-pins"),
    Fence("run.c", "run_dead", "full", "empty-run", "no-fence-in-run_dead"),
    Fence("run.c", "seal", "full", "empty-run", "no-fence-in-seal"),
    Fence("store.c", "store_run", "full", "claim-set", "no-fence-before-the-first-slot"),
    Fence("verbs.c", "verb_delete", "full", "claim-delete", "no-fence-before-the-first-slot"),
    Fence("flight.c", "flight_claim", "full", "", LOOKS),
    Fence("flight.c", "flight_claim", "full", "claim-delete", "no-fence-behind-the-claim"),
    Fence("flight.c", "flight_abandon", "full", "", LOOKS),
    Fence("flight.c", "flight_claimed", "full", "", LOOKS),
    Fence("read.c", "look_whole", "full", "", LOOKS),
    Fence("verbs.c", "verb_touch", "full", "", LOOKS),
    # Where the pin of the call is looked at first, and every call has a fence before it pins, this
    # one is not needed; with it the order of the look at the slot behind it is not either.
    Fence("lease.c", "name_run", "full", "lease", "unfenced-to-the-next-pin"),
    Fence("lease.c", "leave_run", "full", "leave", "no-fence-in-leave_run"),
    Fence("place.c", "move_child_in", "release", "handover", "no-fence-before-handovers"),
    Fence("place.c", "mark_used", "full", "clean", "no-fence-in-mark_used"),
    Fence("region_open.c", "mark_clean", "full", "clean", "no-fence-in-mark_clean"),
    Fence(
        "region_open.c", "region_close", "full", "", "the barrier behind it is a full one as well"
    ),
    Fence("names.c", "name_flush_at", "full", "", "moments of clocks are not modelled"),
    Fence("os_linux.c", "os_settle", "full", "lock", "not-settled"),
]
