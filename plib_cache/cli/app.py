# SPDX-License-Identifier: BSD-3-Clause
"""The commands and their help."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from plib_cache.cli import regions, serving
from plib_cache.cli.places import attach, fail, find
from plib_cache.cli.show import as_json, say

app = typer.Typer(
    name="plib-cache",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 all is well; 1 problems found, or no such cache; 2 wrong use.",
)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Name of a cache, or the path of its file (with a slash).",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON for programs.")]
Drain = Annotated[
    bool,
    typer.Option("--drain", help="Also evict everything, and look whether all room comes back."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.callback()
def about() -> None:
    """plib_cache: a cache in memory that all processes of this machine share.

    A cache is a file in shared memory, made by the first program that uses it; there is no
    server to start.  These commands look at caches and look after them.  Start with
    `plib-cache demo` to see what it is good for, or `plib-cache doctor` to see whether this
    machine is well prepared.
    """


@app.command()
def demo(
    quick: Annotated[bool, typer.Option("--quick", help="A small search, in seconds.")] = False,
) -> None:
    """Show what it is good for, on real work.

    Searches for the best way to read handwritten digits, with and without plib_cache, by the
    decorator, through joblib and through dask; takes one to two minutes and leaves nothing
    behind.  Ends with 1 if any of its checks fails.
    """
    from plib_cache.cli.demo import run

    raise typer.Exit(run(quick))


@app.command()
def stat(name: Name, json: Json = False) -> None:
    """Show how full a cache is and how often it helped."""
    with attach(name) as cache:
        regions.stat(cache, json)


@app.command("ls")
def list_regions(json: Json = False) -> None:
    """List the caches of this user on this machine."""
    regions.listing(json)


@app.command()
def check(name: Name, json: Json = False, drain: Drain = False) -> None:
    """Examine the structure of a cache.

    Ends with 1 if anything is wrong.  Other programs may go on using it, but not with --drain.
    """
    problems = regions.problems(find(name), drain)
    if json:
        as_json({"name": name, "problems": problems})
    else:
        say("\n".join(problems) or f"{name}: no problems found")
    raise typer.Exit(1 if problems else 0)


@app.command()
def clear(name: Name, yes: Yes = False) -> None:
    """Forget everything in a cache.

    It is empty at once for all programs that use it; the cache itself stays.
    """
    with attach(name) as cache:
        _ask(f"Forget everything in {cache.path}?", yes)
        cache.clear()
        say(f"{cache.path} is empty")


@app.command()
def rm(name: Name, yes: Yes = False) -> None:
    """Remove a cache and everything in it.

    Programs that use it notice, and make a new one when they need it.
    """
    path = find(name)
    _ask(f"Remove {path} with everything in it?", yes)
    regions.remove(path)
    say(f"{path} is removed")


@app.command()
def doctor(json: Json = False) -> None:
    """Examine this machine and say what to change.

    CPU and kernel, protection, the memory that is there, limits, Python.  Ends with 1 if
    something needs to be changed.
    """
    from plib_cache.cli.doctor import examine

    raise typer.Exit(examine(json))


app.command("serve")(serving.command)


@app.command("import")
def import_(
    name: Name,
    diskcache: Annotated[
        str,
        typer.Option(
            metavar="DIR", help="What diskcache.Cache(DIR) has stored.", show_default=False
        ),
    ] = "",
    drop_in: Annotated[
        bool,
        typer.Option(
            "--drop-in",
            help="NAME is a directory, for plib_cache.integrations.diskcache.Cache.",
        ),
    ] = False,
    pickles: Annotated[
        bool,
        typer.Option("--pickles", help="Also what needs code to be read; only if you trust DIR."),
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Replace no entry that is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look and count.")] = False,
    size: Annotated[
        str,
        typer.Option(metavar="SIZE", help="Of a cache that is made, as 2GiB.", show_default=False),
    ] = "",
    json: Json = False,
) -> None:
    """Store what another program has stored: diskcache.

    DIR is only read; no other program should write to it meanwhile.  Expiry and tags are kept.
    What is damaged is told, and left out.  Ends with 1 if anything was left out or evicted that
    had not expired.
    """
    if not diskcache:
        fail("import what? name the directory of a diskcache.Cache: --diskcache DIR", 2)
    from plib_cache.cli.diskcache_targets import Wanted
    from plib_cache.cli.from_diskcache import Import, import_diskcache

    wanted = Wanted(pickles=pickles, keep=keep, dry=dry_run)
    asked = Import(diskcache, name, drop_in=drop_in, size=size, wanted=wanted)
    raise typer.Exit(import_diskcache(asked, json))


def _ask(question: str, yes: bool) -> None:
    """Go on only if the user wants it; without a terminal there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail("there is no terminal to ask on: say --yes if you mean it", 2)
    if not typer.confirm(question):
        say("nothing was changed")
        raise typer.Exit(1)
