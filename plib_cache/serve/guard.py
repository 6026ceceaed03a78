# SPDX-License-Identifier: BSD-3-Clause
"""What must hold before a server begins: who can reach it, and how many files it may open."""

from __future__ import annotations

import logging
import resource
from collections.abc import Iterable

from plib_cache.exceptions import ConfigurationError, PlibCacheError
from plib_cache.serve.addresses import Address
from plib_cache.serve.settings import Settings

SPARE_FILES = 64  # descriptors besides those of connections
log = logging.getLogger(__name__)


def check_reach(places: Iterable[Address], settings: Settings) -> None:
    """Let a server be reached from other machines only if it is meant.

    Raises:
        ConfigurationError: nothing keeps strangers out.
    """
    public = [str(one) for one in places if one.public]
    if not public:
        return
    where = ", ".join(public)
    if settings.tls_cert or settings.auth_file:
        if not settings.tls_cert:
            log.warning("%s: passwords and values go over the network unencrypted", where)
        if not (settings.tls_ca or settings.auth_file):
            log.warning("%s: whoever can reach it can use it; see --tls-ca, --auth-file", where)
    elif settings.insecure:
        log.warning(
            "WARNING: INSECURE: whoever can reach %s can read, change and remove everything in "
            "the cache, and nothing is encrypted (--insecure)", where
        )  # fmt: skip
    else:
        raise ConfigurationError(
            f"{where} can be reached from other machines, which could then read and change "
            "everything: give --tls-cert and --tls-key (with --tls-ca for clients' certificates) "
            "or --auth-file; or --insecure, if the network keeps everybody else out"
        )


def check_metrics_reach(place: Address, settings: Settings) -> None:
    """Likewise for metrics, which have neither TLS nor users.

    Raises:
        ConfigurationError: strangers could read them.
    """
    if not place.public:
        return
    if not settings.insecure:
        raise ConfigurationError(
            f"--metrics {place} can be read from other machines, without TLS or a password: give "
            "an address of this machine alone, as 127.0.0.1:9150, or --insecure"
        )
    log.warning("WARNING: INSECURE: whoever can reach %s can read the metrics (--insecure)", place)


def allow_files(connections: int) -> None:
    """Let this process and its children open as many files as they may.

    Raises:
        PlibCacheError: that is not enough for so many connections.
    """
    needed = connections + SPARE_FILES
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard if hard == resource.RLIM_INFINITY else max(hard, needed)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, enough))  # more than hard: root only
    except (OSError, ValueError) as error:
        raise PlibCacheError(
            f"--max-connections {connections} needs {needed} open files, and this user may have "
            f"{hard}: give fewer, or raise the limit (LimitNOFILE= in the unit, ulimit -Hn)"
        ) from error
