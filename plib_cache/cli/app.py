# SPDX-License-Identifier: BSD-3-Clause
"""The commands and their help."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from plib_cache.cli import entries, exporting, importing, listing, regions, serving
from plib_cache.cli.bench import bench
from plib_cache.cli.help import Command, Commands
from plib_cache.cli.options import Json, Name, Yes
from plib_cache.cli.places import attach, fail, find
from plib_cache.cli.show import as_json, progress, say
from plib_cache.cli.top import top
from plib_cache.cli.watching import watch

app = typer.Typer(
    name="plib-cache",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Drain = Annotated[
    bool,
    typer.Option("--drain", help="Evict everything, too, and see whether all room comes back."),
]


def _version(asked: bool) -> None:
    if asked:
        from plib_cache import __version__
        from plib_cache._core import LAYOUT

        say(f"plib-cache {__version__}, layout {LAYOUT:#018x}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Show the version, and the layout of cache files.",
        ),
    ] = False,
) -> None:
    """plib_cache: a cache in memory that all processes of this machine share.

    A cache is a file in shared memory, made by the first program that uses it; there is no
    server to start.  These commands look at caches and look after them.

    Start with `plib-cache demo` to see what it is good for, or with `plib-cache doctor` to see
    whether this machine is well prepared.  `plib-cache COMMAND --help` tells more of a command.

    Exit codes: 0 all is well; 1 problems were found, or there is no such cache or value; 2 it
    was used wrongly.
    """


def demo(
    quick: Annotated[bool, typer.Option("--quick", help="Search less, in seconds.")] = False,
) -> None:
    """Show what it is good for, on real work.

    It searches for the best way to read handwritten digits, with and without plib_cache, by the
    decorator, through joblib and through dask; takes one to two minutes, and leaves nothing
    behind.  Ends with 1 if any of its checks fails.
    """
    from plib_cache.cli.demo import run

    raise typer.Exit(run(quick))


def stat(name: Name, json: Json = False) -> None:
    """Show how full a cache is and how often it helped.

    What was counted is that of all processes since the cache was made or last reset.
    """
    with attach(name) as cache:
        regions.stat(cache, json)


def list_regions(json: Json = False) -> None:
    """List your caches on this machine.

    They are in /dev/shm/plib-cache-UID, or where PLIB_CACHE_DIR says; caches elsewhere are named
    by the paths of their files.
    """
    regions.listing(json)


def check(name: Name, json: Json = False, drain: Drain = False) -> None:
    """Examine the structure of a cache.

    Ends with 1 if anything is wrong.  Other programs may go on using it, but not with --drain.
    """
    with progress("examining"):
        problems = regions.problems(find(name), drain)
    if json:
        as_json({"name": name, "problems": problems})
    else:
        say("\n".join(problems) or f"{name}: no problems found")
    raise typer.Exit(1 if problems else 0)


def clear(name: Name, yes: Yes = False, json: Json = False) -> None:
    """Forget everything in a cache, and keep the cache.

    It asks first.  The cache is empty at once for all programs that use it.
    """
    with attach(name) as cache:
        _ask(f"Forget everything in {cache.path}?", yes)
        cache.clear()
        _done(json, f"{cache.path} is empty", {"path": cache.path, "cleared": True})


def rm(name: Name, yes: Yes = False, json: Json = False) -> None:
    """Remove a cache and everything in it.

    It asks first.  Programs that use it notice, and make a new one when they need it.
    """
    path = find(name)
    _ask(f"Remove {path} with everything in it?", yes)
    regions.remove(path)
    _done(json, f"{path} is removed", {"path": str(path), "removed": True})


def doctor(json: Json = False) -> None:
    """Examine this machine and say what to change.

    It looks at Python, processor and kernel, at the folder of caches and the memory for them, at
    protection and at limits.  Ends with 1 if something needs to be changed.
    """
    from plib_cache.cli.doctor import examine

    raise typer.Exit(examine(json))


def _done(json: bool, text: str, content: dict[str, object]) -> None:
    if json:
        as_json(content)
    else:
        say(text)


def _ask(question: str, yes: bool) -> None:
    """Go on only if the user wants it; without a terminal there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail("there is no terminal to ask on: say --yes if you mean it", 2)
    if not typer.confirm(question, err=True):
        say("nothing was changed")
        raise typer.Exit(1)


_COMMANDS: tuple[tuple[str, str, Callable[..., None]], ...] = (
    ("This machine", "demo", demo),
    ("This machine", "doctor", doctor),
    ("This machine", "bench", bench),
    ("Look at caches", "ls", list_regions),
    ("Look at caches", "stat", stat),
    ("Look at caches", "top", top),
    ("Look at caches", "watch", watch),
    ("Look at caches", "check", check),
    ("Entries", "keys", listing.keys),
    ("Entries", "get", entries.get),
    ("Entries", "set", entries.set_),
    ("Whole caches", "serve", serving.command),
    ("Whole caches", "export", exporting.export),
    ("Whole caches", "import", importing.import_),
    ("Whole caches", "clear", clear),
    ("Whole caches", "rm", rm),
)
for _heading, _name, _function in _COMMANDS:
    app.command(_name, cls=Command, rich_help_panel=_heading)(_function)
