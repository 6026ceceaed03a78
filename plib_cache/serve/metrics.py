# SPDX-License-Identifier: BSD-3-Clause
"""Prometheus: what all server processes have counted, and what the region says of itself.

Served over HTTP by a thread of the parent, which does nothing else meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from plib_cache.cache import Cache
from plib_cache.exceptions import ConfigurationError, PlibCacheError
from plib_cache.serve import addresses
from plib_cache.serve.board import CONNECTIONS, Board

PREFIX = "plib_cache_serve_"
_REGION = (
    ("region_size_bytes", "the most that the region may take", "size"),
    ("region_pool_bytes", "room for entries", "pool"),
    ("region_used_bytes", "room that entries take", "used"),
    ("region_live_bytes", "bytes of entries that can be found", "live"),
)
_STATS = ("hits", "misses", "sets", "deletes", "evictions")


class Collector:
    """Gives Prometheus's client the figures of this moment.

    Args:
        board: of all server processes.
        cache: the region that is served now.
        restarts: how often a server process was started again.
    """

    def __init__(
        self, board: Board, cache: Callable[[], Cache], restarts: Callable[[], int]
    ) -> None:
        self._board, self._cache, self._restarts = board, cache, restarts

    def collect(self) -> Iterator[Any]:
        """All metrics."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        def gauge(name: str, text: str, value: float) -> Any:
            return GaugeMetricFamily(PREFIX + name, text, value=value)

        def counter(name: str, text: str, value: float) -> Any:
            return CounterMetricFamily(PREFIX + name, text, value=value)

        totals = self._board.totals()
        yield gauge("processes", "server processes that run", len(self._board.pids()))
        yield gauge("connections", "open connections", totals.pop(CONNECTIONS))
        yield counter("restarts", "server processes started again", self._restarts())
        for name, value in totals.items():
            yield counter(name, f"{name} of memcached's stats, of all processes", value)
        try:
            info, stats = self._cache().info(), self._cache().stats()
        except PlibCacheError:
            return  # it is being replaced
        for name, text, field in _REGION:
            yield gauge(name, text, getattr(info, field))
        for name in _STATS:
            text = f"{name} of the region, by all of its users"
            yield counter(f"region_{name}", text, getattr(stats, name))


def serve(address: addresses.Address, collector: Collector) -> addresses.Address:
    """Answer HTTP requests in a thread; the address with its port.

    Raises:
        PlibCacheError: somebody else listens there.
    """
    client = _client()
    registry = client.CollectorRegistry(auto_describe=False)
    registry.register(collector)
    try:
        server, _ = client.start_http_server(address.port, address.host, registry)
    except OSError as error:
        raise PlibCacheError(
            f"cannot serve metrics on {address} ({error.strerror}): give another --metrics address"
        ) from error
    return addresses.Address(host=address.host, port=server.server_port)


def address(text: str) -> addresses.Address:
    """Where metrics are to be served.

    Raises:
        ConfigurationError: it is no address, or prometheus-client is not installed.
    """
    _client()
    found = addresses.parse(text)[0]
    if found.path:
        raise ConfigurationError(f"--metrics {text}: Prometheus asks over TCP: give HOST:PORT")
    return found


def _client() -> Any:
    try:
        import prometheus_client
    except ImportError as error:
        raise ConfigurationError(
            "--metrics needs the package prometheus-client: pip install 'plib-cache[serve]'"
        ) from error
    return prometheus_client
