# SPDX-License-Identifier: BSD-3-Clause
"""Invalidation, and what a cache says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plib_cache._attached import Attached, namespace_name, tag_name
from plib_cache._core import Finding, binding
from plib_cache._functions import FunctionStats, functions_of
from plib_cache.exceptions import PlibCacheError

if TYPE_CHECKING:
    from plib_cache.stats import Info, Stats

# The numbered invariants of the region's layout, as a user may read them.
_INVARIANTS = {
    1: "a slot of the index names pages that hold no entries",
    2: "an entry does not name the place that it is in",
    3: "an entry is in a bucket that its key does not hash to",
    4: "a key is in the index twice",
    5: "a page belongs to a run that does not contain it",
    6: "the generation of a page fell",
    7: "the fill mark of a run lies outside of it",
    8: "a run with room left is in no list",
    9: "the superblock contradicts itself",
    10: "a pin names no page",
    11: "the checksum of an entry does not hold",
}
_LOOKS = 3
_PAGE = 4096


class Upkeep(Attached):
    """Invalidation, statistics, description, self-check."""

    def invalidate_tag(self, tag: str) -> None:
        """Remove every entry that was stored with ``tag``; one step, however many there are.

        Notes:
            Also what is being computed under the tag right now, by any process, is not stored.
        """
        self._region.name_invalidate(self._region.name(tag_name(tag)))

    def invalidate_namespace(self, namespace: str) -> None:
        """Remove every entry that was stored in ``namespace``; see ``invalidate_tag``."""
        self._region.name_invalidate(self._region.name(namespace_name(namespace)))

    def sync(self) -> None:
        """Write the cache to the disk, and wait until it is there.

        Without it, a cache on a disk (``path=``) keeps all its entries when processes end or are
        killed, and when the last one closes it before the machine stops.  After a power loss or a
        crash of the machine it keeps what reached the disk, of entries stored as ``immutable``
        and of decorated functions' and joblib's results; any others are dropped, because older
        values of theirs could come back.  ``sync`` makes those that were stored before it safe.

        Notes:
            An entry that is moved within the file later, to make room in a cache that is full, is
            as unsafe as a new one until the next ``sync``.  Of what was deleted singly, something
            may come back; ``clear`` and invalidations are on the disk when they return.
            Costs what writing the changed pages costs: a gigabyte takes seconds on an SSD.
            In memory (tmpfs, the default) nothing outlives a power loss, and this does nothing.

        Raises:
            ConfigurationError: the disk has failed.
        """
        self._region.sync()

    def removed(self) -> bool:
        """Whether the region's file was removed or replaced, by whatever means.

        This cache then goes on with what it has; who opens its name or path now gets another
        region.  One system call, so it can be asked at each use.
        """
        return self._region.removed()

    def wait_remote(self, limit: float = 5.0) -> bool:
        """Wait until the caches on other machines were told what was stored and deleted; False if
        that takes more than ``limit`` seconds.  Without ``remote=`` there is nothing to wait for.

        Notes:
            A write that a server did not take is not waited for any more; a delete is.
        """
        return True

    def stats(self) -> Stats:
        """What all processes counted since the last ``reset_stats``.

        ``remote`` is what this process counted of the caches on other machines; None without any.
        """
        from plib_cache.stats import Stats

        return Stats.from_counters(self._region.stats())

    def functions(self) -> list[FunctionStats]:
        """The decorated functions whose results are here, with their counts.

        Notes:
            Looks at the counts of all names there can be, which takes up to a twentieth of a
            second.  A name is "" when it was evicted with other entries and no process has
            computed a result of the function since.
        """
        return functions_of(self._region)

    def reset_stats(self) -> None:
        """Begin the counts anew, for all processes."""
        self._region.stats_reset()

    def info(self) -> Info:
        """The region's sizes, protection and state."""
        from plib_cache.stats import make_info

        return make_info(self._region.path, binding(), self._region.info(), self._region.usage())

    def check(self) -> list[str]:
        """What contradicts the layout of a region; an empty list is good.

        Notes:
            Other processes may go on: what a second look does not find again was only passing.
        """
        findings: set[Finding] = set()
        for look in range(_LOOKS):
            seen = set(self._region.check())
            findings = seen if look == 0 else findings & seen
            if not findings:
                break
        return [_problem(finding) for finding in sorted(findings)]

    def _repr_html_(self) -> str:
        """A small table, for notebooks; a cache that cannot tell says why instead."""
        from plib_cache import _html

        try:
            return _html.of_cache(self._region.path, self.info(), self.stats())
        except PlibCacheError as error:
            return _html.table(self._region.path, (), str(error))

    def _drain(self) -> list[str]:
        """Evict everything; what is not given back by it, where nobody else uses the region."""
        for _ in range(_LOOKS):
            free, longest = self._region.drain()
            taken = self._region.info()["pool_taken_bytes"] // _PAGE
            if free == longest == taken:
                return []
        return [f"{free} of {taken} pages are free after a drain, at most {longest} in one piece"]


def _problem(finding: Finding) -> str:
    text = _INVARIANTS.get(finding.invariant, "unknown to this version")
    return f"I{finding.invariant}: {text} (at {finding.where}: {finding.value:#x})"
