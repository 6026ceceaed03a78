# SPDX-License-Identifier: BSD-3-Clause
"""The pages of ``plib-cache top`` besides the table."""

from __future__ import annotations

from rich.text import Text

from plib_cache.cli import attached
from plib_cache.cli.census import Share
from plib_cache.cli.kinds import key_shown
from plib_cache.cli.show import percent, size
from plib_cache.cli.top.feed import Named, Picture
from plib_cache.cli.top.view import View

HELP = """\
up, down, page up, page down   choose a row          Enter   its details
s, S     sort by the next, or the last column        Esc     back
k        bytes by kind of value                      p       the processes
e        everything that was counted, and warnings   ?       this help
c        forget what is stored of the chosen one; asks first
C        forget everything in the cache; asks first
q        quit

Seconds saved are those that computing the results took that hits gave back.
Entries and bytes are counted by looking at each entry, with a small part of a
processor; in a cache of millions they are those of some seconds ago.
Functions have the name that their program gave them; one that no program has
used since it was evicted is shown by its number."""


def _by_size(shares: dict[str, Share]) -> list[tuple[str, Share]]:
    return sorted(shares.items(), key=lambda one: (-one[1].nbytes, -one[1].entries, one[0]))


def kinds_line(picture: Picture) -> str:
    """The kinds that have most bytes, in one line."""
    census = picture.census
    parts = [
        f"{word} {size(share.nbytes)} ({share.entries:,})"
        for word, share in _by_size(census.by_kind)
    ]
    if not parts:
        return "no entries" if census.done else "not counted yet"
    return ", ".join(parts) + ("" if census.done else " so far")


def _kind_rows(shares: dict[str, Share]) -> list[Text]:
    whole = sum(share.nbytes for share in shares.values())
    rows = [Text(f"  {'kind':<16}{'entries':>12}{'bytes':>12}{'share':>10}", "bold underline")]
    for word, share in _by_size(shares):
        part = percent(share.nbytes, whole)
        rows.append(Text(f"  {word:<16}{share.entries:>12,}{size(share.nbytes):>12}{part:>10}"))
    return rows


def kinds(picture: Picture, view: View, width: int) -> list[Text]:
    """Bytes by kind of value."""
    done = "" if picture.census.done else ", so far"
    title = Text(f"Values by kind: {picture.census.entries:,} entries{done}", "bold")
    return [title, *_kind_rows(picture.census.by_kind)]


def details(picture: Picture, view: View, width: int) -> list[Text]:
    """All that is known of one function, namespace or tag."""
    chosen = view.chosen
    assert chosen is not None
    one = next((now for now in picture.named if now.number == chosen.number), chosen)
    rows = [
        Text(f"{one.kind} {one.name}", "bold"),
        *(_counts(one) if one.hits + one.misses else []),
    ]
    rows.append(Text(f"  entries {one.entries:,}, {size(one.nbytes)} of values"))
    kinds_of = picture.census.kinds_of.get(one.number, {})
    rows += _kind_rows(kinds_of) if kinds_of else []
    keys = picture.census.keys_of.get(one.number, [])
    rows += [Text("  some of the keys", "bold underline")] if keys else []
    return rows + [Text(f"  {key_shown(key)}") for key in keys]


def _counts(one: Named) -> list[Text]:
    each = one.saved_s / one.hits if one.hits else 0.0
    return [
        Text(f"  hits {one.hits:,} ({one.hits_per_s:,.1f}/s), misses {one.misses:,} "
             f"({one.misses_per_s:,.1f}/s), ratio {percent(one.hits, one.hits + one.misses)}"),
        Text(f"  saved {one.saved_s:,.3f} s of computing, {each * 1000:,.3f} ms with each hit"),
    ]  # fmt: skip


def processes(picture: Picture, view: View, width: int) -> list[Text]:
    """Who has the cache open."""
    info, reaps = picture.info, picture.stats.reaps
    places = attached.places(info["processes"], info["processes_max"])
    title = f"Processes: {places}; {reaps:,} found dead"
    rows = [Text(title, "bold"), Text(f"  {'pid':>8}  command", "bold underline")]
    found = attached.processes(picture.path)
    rows += [Text(f"  {one.pid:>8}  {one.command}") for one in found]
    if len(found) < info["processes"]:
        rows.append(Text("  others belong to other users, containers or threads' forks"))
    return rows


def counters(picture: Picture, view: View, width: int) -> list[Text]:
    """Everything that was counted, in as many columns as fit; warnings first."""
    rows = [Text(f"! {text}", "bold red") for text in picture.warnings]
    counts = {n: c for n, c in picture.stats.as_dict().items() if isinstance(c, int) and c}
    cells = [f"{name:<25}{value:>13,}" for name, value in counts.items()]
    across = max(1, width // 40)
    down = -(-len(cells) // across)
    rows.append(Text("Counted by all processes since the last reset, and bytes now", "bold"))
    for i in range(down):
        rows.append(Text("  ".join(cells[i::down])))
    return rows


def help_(picture: Picture, view: View, width: int) -> list[Text]:
    """The keys."""
    return [Text(line) for line in HELP.splitlines()]
