# SPDX-License-Identifier: BSD-3-Clause
"""The envelope of a value on the network: how it is to be read, until when, and by whom it is.

::

    OFFSET  SIZE  FIELD
    0       4     the four bytes 93 70 6c 63
    4       1     version, 1
    5       1     kind: 0 a value, 1 a list of parts (``splitting``)
    6       1     type code of the value
    7       1     cost code of its computation
    8       8     deadline in milliseconds since 1970, 0 never; little-endian
    16      4     how many bytes the signature has, 0 or 32; little-endian
    20      0/32  HMAC-SHA-256 (RFC 2104, FIPS 180-4) over the key's length (8 bytes) and the
                  key, the 16 bytes before, and the payload
    ...           payload

With a key that all nodes share, only what it signed is taken, and only under the key that it was
signed for.  Without one, what comes from the network is data: type codes that would need code to be
read are refused, and bytes without an envelope, which some other client has stored, are ``bytes``.
"""

from __future__ import annotations

import hmac
import os
import stat
import struct
import time
from collections.abc import Container, Sequence
from pathlib import Path
from typing import NamedTuple

from plib_cache.exceptions import ConfigurationError
from plib_cache.serialize import TypeCode

VALUE, PARTS = 0, 1
_MAGIC = b"\x93plc"
_HEAD = struct.Struct("<4sBBBBQ")  # what is signed
_WHOLE = struct.Struct("<4sBBBBQI")
_MAC_LENGTH = struct.Struct("<I")
_MAC = 32
_START = _WHOLE.size
OVERHEAD = _START + _MAC  # bytes
_KEY_LEAST = 16
_CODE = frozenset({TypeCode.PICKLE5, TypeCode.CLOUDPICKLE})
DATA = frozenset(map(int, TypeCode)) - _CODE  # type codes that are read without running code


class Rejected(Exception):  # noqa: N818 - it is an answer, not a failure
    """What came from the network is not to be used; ``why`` is the name of a count."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Arrived(NamedTuple):
    """A value that came from a tier, and may be used."""

    type_code: int
    payload: memoryview
    cost: int
    deadline_ms: int
    promotable: bool = True  # False: nobody knows until when it is valid
    kind: int = VALUE


class Signer:
    """Seals values, and opens what comes from the network.

    Args:
        secret: the key that all nodes share; None: nothing is signed.
        network: whoever can write to the tiers is trusted to run code here.
    """

    def __init__(self, secret: bytes | None = None, network: bool = False) -> None:
        self._secret = secret
        self.takes_code = secret is not None or network

    def seal(self, key: bytes, parts: Sequence[bytes | memoryview], head: Arrived) -> bytes:
        """The envelope with a payload, of which ``head`` says the rest."""
        packed = _HEAD.pack(_MAGIC, 1, head.kind, head.type_code, head.cost, head.deadline_ms)
        if self._secret is None:
            return b"".join((packed, _MAC_LENGTH.pack(0), *parts))
        mac = self._mac(key, packed, parts)
        return b"".join((packed, _MAC_LENGTH.pack(_MAC), mac, *parts))

    def _mac(self, key: bytes, packed: bytes, parts: Sequence[bytes | memoryview]) -> bytes:
        assert self._secret is not None
        first = b"".join((len(key).to_bytes(8, "little"), key, packed))
        if len(parts) == 1 and len(parts[0]) < 1 << 14:
            return hmac.digest(self._secret, b"".join((first, parts[0])), "sha256")
        mac = hmac.new(self._secret, first, "sha256")
        for part in parts:
            mac.update(part)
        return mac.digest()

    def open(self, key: bytes, raw: bytes, allowed: Container[int]) -> Arrived:
        """What an envelope holds.

        Args:
            allowed: the type codes that may be read.

        Raises:
            Rejected: it is damaged, forged, for another key, of code, or out of date.
        """
        if raw[:4] != _MAGIC:
            if self._secret is not None or not raw:
                raise Rejected("unsigned" if raw else "damaged")
            return Arrived(TypeCode.BYTES, memoryview(raw), 0, 0, promotable=False)
        if len(raw) < _START:
            raise Rejected("damaged")
        _, version, kind, code, cost, deadline, length = _WHOLE.unpack_from(raw)
        if version != 1 or kind > PARTS or length not in (0, _MAC) or len(raw) < _START + length:
            raise Rejected("damaged")
        body = memoryview(raw)[_START + length :]
        if self._secret is not None:
            if not length:
                raise Rejected("unsigned")
            mac = self._mac(key, raw[: _HEAD.size], [body])
            if not hmac.compare_digest(mac, raw[_START : _START + length]):
                raise Rejected("forged")
        if code not in allowed:
            raise Rejected("code_refused")
        if deadline and deadline <= time.time() * 1000:
            raise Rejected("expired")
        return Arrived(code, body, cost, deadline, True, kind)


def secret_key() -> bytes | None:
    """The key that all nodes share: $PLIB_CACHE_KEY, or what the file $PLIB_CACHE_KEY_FILE holds.

    Raises:
        ConfigurationError: it is too short, or the file is not for its owner alone.
    """
    given, path = os.environ.get("PLIB_CACHE_KEY"), os.environ.get("PLIB_CACHE_KEY_FILE")
    if given and path:
        raise ConfigurationError("PLIB_CACHE_KEY and PLIB_CACHE_KEY_FILE are both set: set one")
    if not given and not path:
        return None
    secret = os.fsencode(given) if given else _from_file(Path(str(path)))
    if len(secret) < _KEY_LEAST:
        raise ConfigurationError(
            f"the shared key has {len(secret)} bytes, and needs at least {_KEY_LEAST}: make one "
            "with `openssl rand -hex 32`"
        )
    return secret


def _from_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigurationError(f"PLIB_CACHE_KEY_FILE={path} is no file: set it to one")
            if status.st_mode & 0o077 or status.st_uid not in (os.geteuid(), 0):
                raise ConfigurationError(
                    f"PLIB_CACHE_KEY_FILE={path}: others than its owner may read or write it, or "
                    f"it is not yours: chmod 600 {path}"
                )
            return file.read().strip()
    except OSError as error:
        raise ConfigurationError(
            f"PLIB_CACHE_KEY_FILE={path} cannot be read ({error.strerror}): set it to a file that "
            "this user can read"
        ) from error
