# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache serve``: its options, as they come from the command line."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from plib_cache import config
from plib_cache.cli import places
from plib_cache.exceptions import ConfigurationError


def _path(text: str) -> str:
    return os.path.abspath(text) if text else ""  # noqa: PTH100 - links stay as they are


def _bytes(option: str, text: str) -> int:
    try:
        return config.bytes_of(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"{option}: {error}") from None


def _text(what: str, metavar: str) -> typer.models.OptionInfo:
    made: typer.models.OptionInfo = typer.Option(metavar=metavar, help=what, show_default=False)
    return made


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of a cache, or path of its file; made if there is none.",
            show_default=False,
        ),
    ],
    listen: Annotated[
        list[str] | None,
        _text(
            "HOST:PORT or unix:PATH, else 127.0.0.1:11211; repeat it for several.",
            "ADDRESS",
        ),
    ] = None,
    processes: Annotated[
        int, typer.Option(metavar="N", help="Server processes over the one cache.")
    ] = 1,
    size: Annotated[str, _text("Size of a cache that is made, as 2GiB.", "SIZE")] = "",
    max_item: Annotated[str, typer.Option(metavar="SIZE", help="The largest item.")] = "1MiB",
    max_connections: Annotated[
        int, typer.Option(metavar="N", help="Of all processes together.")
    ] = 1024,
    idle_timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="Hang up on who says nothing; 0: never.", show_default=False
        ),
    ] = 0.0,
    grace: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long a drain may take.")
    ] = 10.0,
    tls_cert: Annotated[str, _text("The server's certificate; with --tls-key.", "FILE")] = "",
    tls_key: Annotated[str, _text("Its private key.", "FILE")] = "",
    tls_ca: Annotated[str, _text("Who signs certificates, which clients then need.", "FILE")] = "",
    auth_file: Annotated[
        str, _text("Lines user:password; only its owner may read it.", "FILE")
    ] = "",
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Clients can change nothing.")
    ] = False,
    metrics: Annotated[
        str, _text("Where Prometheus asks for metrics, over HTTP.", "HOST:PORT")
    ] = "",
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Listen to other machines without TLS or users."),
    ] = False,
) -> None:
    """Serve a cache to other machines, by memcached's protocol.

    On SIGTERM and SIGINT it answers what was asked, closes and ends; on SIGHUP it reads
    certificates and users again.  `pip install 'plib-cache[serve]'` makes it fast, and is needed
    for --metrics.
    """
    from plib_cache.serve.daemon import serve
    from plib_cache.serve.settings import Settings

    region = places.place(name)
    told = Settings(
        region=region,
        size=config.parse_size(size) if size else None,
        listen=tuple(listen or ()),
        processes=processes,
        max_item=_bytes("--max-item", max_item),
        max_connections=max_connections,
        idle_timeout=idle_timeout,
        grace=grace,
        tls_cert=_path(tls_cert),
        tls_key=_path(tls_key),
        tls_ca=_path(tls_ca),
        auth_file=_path(auth_file),
        read_only=read_only,
        metrics=metrics,
        insecure=insecure,
    )
    serve(told, made=lambda: places.tell_of_new(name, region))
