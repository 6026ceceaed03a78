# SPDX-License-Identifier: BSD-3-Clause
"""Certificates: what a server shows, and what it asks of clients."""

from __future__ import annotations

import ssl

from plib_cache.exceptions import ConfigurationError


def context(cert: str, key: str, ca: str) -> ssl.SSLContext:
    """What connections are made with from now on: TLS 1.2 or later.

    Args:
        cert: a file with the server's certificate, and those up to its root behind it.
        key: a file with its private key, without a password.
        ca: a file with the certificates that sign those of clients; "" asks them for none.

    Raises:
        ConfigurationError: a file cannot be read or is none of these, or the two do not belong
            together.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise ConfigurationError(
            f"TLS: {cert} and {key} are not a certificate and its key ({_reason(error)}): give "
            "PEM files that belong together and that this user can read, the key without a "
            "password"
        ) from error
    if ca:
        made.verify_mode = ssl.CERT_REQUIRED
        try:
            made.load_verify_locations(ca)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"TLS: {ca} holds no certificates of an authority ({_reason(error)}): give a PEM "
                "file with those that sign your clients' certificates"
            ) from error
    return made


def _no_password() -> str:
    """Called for a key with a password: OpenSSL would ask for it on the terminal."""
    raise ValueError("the key has a password")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
