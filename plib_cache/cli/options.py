# SPDX-License-Identifier: BSD-3-Clause
"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from plib_cache.cli.places import complete

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Name of a cache, or path of its file (with a slash).",
        show_default=False,
        autocompletion=complete,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
KeyName = Annotated[
    str, typer.Argument(metavar="KEY", help="Key of the entry.", show_default=False)
]
KeyHex = Annotated[bool, typer.Option("--key-hex", help="KEY is given in hexadecimal.")]
Size = Annotated[
    str,
    typer.Option(
        metavar="SIZE",
        help="Make the cache, of this size (512MiB), if there is none.",
        show_default=False,
    ),
]
Interval = Annotated[
    float, typer.Option(metavar="SECONDS", min=0.1, max=3600, help="Time between two looks.")
]
