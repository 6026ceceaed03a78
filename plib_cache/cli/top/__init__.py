# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache top``: a live view of one cache in the terminal.

``feed`` looks at the cache, ``view`` knows what the keys do, ``screen`` and ``pages`` make lines
of it, ``keyboard`` reads keys; here they are put together.  On a terminal that cannot move its
cursor (TERM=dumb) the screens follow one another.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator

from rich.console import Console, ConsoleDimensions
from rich.screen import Screen
from rich.text import Text

from plib_cache.cli.options import Interval, Json, Name
from plib_cache.cli.places import fail, find
from plib_cache.cli.show import as_json
from plib_cache.cli.top.feed import Feed, Picture
from plib_cache.cli.top.keyboard import Keyboard
from plib_cache.cli.top.screen import draw
from plib_cache.cli.top.view import View


def top(name: Name, interval: Interval = 1.0, json: Json = False) -> None:
    """Watch a cache live, in the terminal.

    It shows hit ratio, operations, memory, functions, processes and warnings.  Keys sort, show
    details and clear; ? tells them.  With --json: one look, at what happened within one interval,
    without a terminal.
    """
    feed = Feed(find(name))
    try:
        if json:
            feed.look()
            time.sleep(interval)
            as_json(as_dict(_counted(feed)))
            return
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            fail("top needs a terminal: use `plib-cache watch`, or --json", 2)
        _live(feed, interval)
    finally:
        feed.close()


def _counted(feed: Feed) -> Picture:
    """A picture whose census is complete."""
    while not (picture := feed.look()).census.done:
        pass
    return picture


def as_dict(picture: Picture) -> dict[str, object]:
    """A picture for programs."""
    census, info = picture.census, picture.info
    return {
        "path": picture.path,
        "at": picture.at,
        "seconds": picture.seconds,
        "entries": census.entries,
        "rates": dict(picture.rates),
        "stats": picture.stats.as_dict(),
        "kinds": {word: share._asdict() for word, share in census.by_kind.items()},
        "names": [{**one._asdict(), "ratio": max(0.0, one.ratio)} for one in picture.named],
        "processes": {
            "attached": info["processes"] - 1,
            "most": info["processes_max"] - 1,
            "reaped": picture.stats.reaps,
        },
        "warnings": list(picture.warnings),
    }


def _live(feed: Feed, interval: float) -> None:
    console, view = Console(highlight=False), View()
    keyboard = Keyboard(sys.stdin.fileno())
    try:
        with keyboard.taken(), _whole_screen(console):
            _turns(feed, interval, console, view, keyboard)
    except (KeyboardInterrupt, EOFError):  # as q
        return
    finally:
        keyboard.close()


def _turns(feed: Feed, interval: float, console: Console, view: View, keyboard: Keyboard) -> None:
    """Look and draw once in each interval, and draw at each key and each change of size."""
    picture, due = feed.look(), time.monotonic() + interval
    while True:
        # of the terminal itself: COLUMNS and LINES would stay what they were at the start
        console.size = ConsoleDimensions(*os.get_terminal_size(sys.stdout.fileno()))
        _paint(console, draw(picture, view, console.width, console.height))
        keys = keyboard.wait(due)
        for key in keys:
            forget = view.press(key, picture)
            if forget == "all":
                feed.forget_all()
            elif forget is not None and not isinstance(forget, str):
                feed.forget(forget.number)
            if forget is not None:
                view.message, due = "forgotten", 0.0
            if view.ended:
                return
        if time.monotonic() >= due:
            picture, due = feed.look(), time.monotonic() + interval


@contextlib.contextmanager
def _whole_screen(console: Console) -> Iterator[None]:
    console.set_alt_screen(True)
    console.show_cursor(False)
    try:
        yield
    finally:
        console.show_cursor(True)
        console.set_alt_screen(False)


def _paint(console: Console, lines: list[Text]) -> None:
    if console.is_dumb_terminal:
        text = "\n".join(line.plain.rstrip() for line in lines)
        console.file.write(text + os.linesep)
        console.file.flush()
    else:
        console.update_screen(Screen(*lines))
