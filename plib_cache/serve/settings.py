# SPDX-License-Identifier: BSD-3-Clause
"""What a server was told, as its processes hand it to each other."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from plib_cache.exceptions import ConfigurationError


@dataclass(frozen=True)
class Settings:
    """The options of ``plib-cache serve``, with their defaults; paths are absolute."""

    region: str  # the region's file
    size: int | None = None  # of a region that is made; None: the default
    listen: tuple[str, ...] = ()
    processes: int = 1
    max_item: int = 1 << 20  # bytes of a value
    max_connections: int = 1024  # of all processes together
    idle_timeout: float = 0.0  # seconds; 0: never
    grace: float = 10.0  # seconds that a drain may take
    tls_cert: str = ""
    tls_key: str = ""
    tls_ca: str = ""  # clients must show a certificate that it signed
    auth_file: str = ""
    read_only: bool = False
    metrics: str = ""
    insecure: bool = False

    def __post_init__(self) -> None:
        for option, value, least in (
            ("--processes", self.processes, 1),
            ("--max-item", self.max_item, 1),
            ("--max-connections", self.max_connections, 1),
            ("--idle-timeout", self.idle_timeout, 0),
            ("--grace", self.grace, 0),
        ):
            if not least <= value < 1 << 31:
                raise ConfigurationError(
                    f"{option} is {value}: give a number from {least} to {(1 << 31) - 1}"
                )
        if bool(self.tls_cert) != bool(self.tls_key) or (self.tls_ca and not self.tls_cert):
            raise ConfigurationError(
                "TLS needs two files: give --tls-cert and --tls-key together (--tls-ca, for the "
                "certificates of clients, only besides them)"
            )

    def as_json(self) -> str:
        """One line of text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """What ``as_json`` wrote."""
        told = json.loads(text)
        return cls(**{**told, "listen": tuple(told["listen"])})
