# SPDX-License-Identifier: BSD-3-Clause
"""``Disk``: what a key and a value are stored as; subclasses may compress, encrypt or translate.

The interface is that of ``diskcache.Disk``, so a subclass that changes ``put``, ``get``, ``store``
or ``fetch`` and calls the inherited one does here what it did there.  Nothing is a file of its own
here, so ``filename`` and ``remove`` are refused.
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import zlib
from typing import Any, NoReturn

from plib_cache import ConfigurationError, SerializationError
from plib_cache.integrations.diskcache._keys import pack
from plib_cache.serialize import DefaultSerializer

MODE_NONE, MODE_RAW, MODE_BINARY, MODE_TEXT, MODE_PICKLE = range(5)
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
_CODES = 32  # type codes are less than that; a pickle begins with no such byte


class Constant(tuple[str]):
    """A value that stands for the lack of one."""

    __slots__ = ()

    def __new__(cls, name: str) -> Constant:
        return tuple.__new__(cls, (name,))

    def __repr__(self) -> str:
        return self[0]


ENOVAL = Constant("ENOVAL")
UNKNOWN = Constant("UNKNOWN")

Stored = tuple[int, int, None, Any]


class Reader(io.BytesIO):
    """A value as a file, opened for reading; it is a copy."""

    @property
    def name(self) -> NoReturn:
        """There is none."""
        raise AttributeError(
            "the value lies in a region and has no file of its own: read() it, or write it to a "
            "file for a program that needs a path"
        )


class Disk:
    """Turns keys and values into what is stored, and back.

    Args:
        directory: of the cache.
        min_file_size: bytes of a value from which on ``read=True`` gives a file object.
        pickle_protocol: of keys that have to be pickled; values always have protocol 5.
    """

    trust = "code"  # the cache's; "data" neither pickles nor unpickles what needs code

    def __init__(self, directory: str, min_file_size: int = 0, pickle_protocol: int = 0) -> None:
        self._directory = directory
        self.min_file_size = min_file_size
        self.pickle_protocol = pickle_protocol

    def hash(self, key: Any) -> int:
        """A number of 32 bits that is the same in every process."""
        return zlib.crc32(pack(*self.put(key)))

    def put(self, key: Any) -> tuple[Any, bool]:
        """What stands for a key: itself, or bytes and False.

        Raises:
            SerializationError, PicklingError: it cannot be stored.
        """
        kind = type(key)
        if kind in (bytes, str, float) or (kind is int and INT_MIN <= key <= INT_MAX):
            return key, True
        if self.trust == "data":
            encoded = DefaultSerializer("data").dumps(key)
            return b"".join((bytes([encoded.type_code]), *encoded.parts)), False
        return pickletools.optimize(pickle.dumps(key, protocol=self.pickle_protocol)), False

    def get(self, key: Any, raw: bool) -> Any:
        """The key that ``put`` gave this for.

        Raises:
            SerializationError: it would need code to be read, and the cache trusts data alone.
        """
        if raw:
            return key
        if key and key[0] < _CODES:
            return DefaultSerializer("data").loads(key[0], memoryview(key)[1:])
        if self.trust == "data":
            raise SerializationError(
                "a key was pickled, and this cache was opened with trust='data': store it again "
                "with trust='data', or open with trust='code'"
            )
        return pickle.loads(key)

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> Stored:
        """What stands for a value: its size, its mode, None, and what the region encodes.

        Args:
            read: it is a file object, opened for reading bytes.
        """
        kind = type(value)
        if kind in (int, float):
            return 0, MODE_RAW, None, value
        if kind is bytes:
            return len(value), self._mode(value, MODE_BINARY), None, value
        if kind is str:
            return len(value), self._mode(value, MODE_TEXT), None, value
        if read:
            content = value.read()
            return len(content), MODE_BINARY, None, content
        return 0, MODE_PICKLE, None, value

    def _mode(self, value: bytes | str, large: int) -> int:
        return MODE_RAW if len(value) < self.min_file_size else large

    def fetch(self, mode: int, filename: None, value: Any, read: bool) -> Any:
        """The value that ``store`` gave this for; a file object, if it is large and asked for."""
        return Reader(value) if read and mode == MODE_BINARY else value

    def filename(self, key: Any = UNKNOWN, value: Any = UNKNOWN) -> NoReturn:
        """Refused: there are no files."""
        raise ConfigurationError(
            "values lie in a region, not in files, so there is no filename(): keep what has to be "
            "a file in a folder of your own, and its path in the cache"
        )

    def remove(self, file_path: str) -> NoReturn:
        """Refused: there are no files."""
        self.filename()


class JSONDisk(Disk):
    """Keys and values as JSON, compressed by zlib: nothing needs code to be read."""

    def __init__(self, directory: str, compress_level: int = 1, **options: Any) -> None:
        self.compress_level = compress_level
        super().__init__(directory, **options)

    def put(self, key: Any) -> tuple[Any, bool]:
        """See ``Disk``."""
        return super().put(self._pressed(key))

    def get(self, key: Any, raw: bool) -> Any:
        """See ``Disk``."""
        return json.loads(zlib.decompress(super().get(key, raw)))

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> Stored:
        """See ``Disk``."""
        return super().store(value if read else self._pressed(value), read, key=key)

    def fetch(self, mode: int, filename: None, value: Any, read: bool) -> Any:
        """See ``Disk``."""
        found = super().fetch(mode, filename, value, read)
        return found if read else json.loads(zlib.decompress(found))

    def _pressed(self, value: Any) -> bytes:
        return zlib.compress(json.dumps(value).encode(), self.compress_level)
