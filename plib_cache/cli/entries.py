# SPDX-License-Identifier: BSD-3-Clause
"""``plib-cache get`` and ``set``: single entries.

Looking at an entry counts no hit and keeps it from no eviction.  Values are shown without running
code; what needs more than builtin types is only told of, unless ``--load`` asks for it.
"""

from __future__ import annotations

import base64
import contextlib
import json as json_
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from plib_cache._core import Described, Region
from plib_cache.cache import Cache
from plib_cache.cli import kinds
from plib_cache.cli.options import Json, KeyHex, KeyName, Name, Size
from plib_cache.cli.places import attach, attach_or_make, fail
from plib_cache.cli.show import as_json, size
from plib_cache.exceptions import ConfigurationError, SerializationError
from plib_cache.keys import key_bytes


def get(
    name: Name,
    key: KeyName,
    raw: Annotated[bool, typer.Option("--raw", help="Write the bytes as they are.")] = False,
    hexadecimal: Annotated[bool, typer.Option("--hex", help="Write them in hexadecimal.")] = False,
    load: Annotated[
        bool, typer.Option("--load", help="Unpickle it, which runs code that its writer chose.")
    ] = False,
    key_hex: KeyHex = False,
    json: Json = False,
) -> None:
    """Show the value of a key.

    Text is shown as it is; numbers, arrays and plain data (dicts, lists) as Python writes them; of
    what needs code to be read, what it is.  Ends with 1 if there is no value.
    """
    with attach(name) as cache:
        wanted = _key(key, key_hex)
        found = cache._region.describe(wanted, whole=True)
        if found is None:
            if json:
                as_json({**kinds.key_fields(wanted), "found": False})
                raise typer.Exit(1)
            fail(_absent(name, key, wanted), 1)
        if json:
            as_json(_as_json(cache._region, wanted, found))
        elif raw or hexadecimal:
            _write(found.data.hex().encode() + b"\n" if hexadecimal else found.data)
        else:
            say_value(_loaded(cache, found) if load else _shown(found))


def _absent(name: str, key: str, wanted: bytes) -> str:
    text = f"there is no value of {kinds.key_shown(wanted)!r}: "
    if key.startswith("0x") and wanted == key.encode():
        return f"{text}if the key is given in hexadecimal, add --key-hex"
    return f"{text}`plib-cache keys {name}` shows the keys that there are"


def say_value(text: str) -> None:
    """Write a value; what cannot be encoded for the terminal is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _shown(found: Described) -> str:
    try:
        value = kinds.value_of(found)
    except SerializationError as error:
        what = kinds.what_of(found, error)
        return f"<{what}: --load unpickles it, if you trust its writer; --raw writes its bytes>"
    if isinstance(value, (bytes, bytearray, memoryview)):
        text = kinds.key_text(bytes(value))
        if text is None:
            what = f"{kinds.kind(found.type_code)}, {size(found.nbytes)}"
            return f"<{what}: --raw writes them, --hex in hexadecimal>"
        return text
    return _written(value)


def _written(value: Any) -> str:
    """A value as it is if it is text, else as Python writes it."""
    try:
        return value if isinstance(value, str) else repr(value)
    except (RecursionError, ValueError):  # or an integer of more digits than Python writes
        what = "too long, or nested too deeply, to be written"
        return f"<{type(value).__name__} that is {what}: --raw writes its bytes>"


def _loaded(cache: Cache, found: Described) -> str:
    value = cache._serializer.loads(kinds.plain(found.type_code), memoryview(found.data))
    return _written(value)


def _as_json(region: Region, key: bytes, found: Described) -> dict[str, Any]:
    value: Any = None
    try:
        value = kinds.value_of(found)
    except SerializationError:
        pass
    if isinstance(value, float) and not math.isfinite(value):
        value = repr(value)  # JSON has no such numbers
    encoded = base64.b64encode(found.data).decode()
    head = {**kinds.key_fields(key), "found": True, **kinds.fields(region, found)}
    return {**head, "value": _json_value(value), "base64": encoded}


def _json_value(value: Any) -> Any:
    """A value, if JSON gives the same one back; else None."""
    try:
        same = json_.loads(json_.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError, RecursionError):
        return None
    return value if same else None


def set_(
    name: Name,
    key: KeyName,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE",
            help="A text; - reads standard input, @FILE a file.",
            show_default=False,
        ),
    ],
    raw: Annotated[bool, typer.Option("--raw", help="Store it as bytes, not as text.")] = False,
    hexadecimal: Annotated[
        bool, typer.Option("--hex", help="VALUE is in hexadecimal; store the bytes.")
    ] = False,
    expire: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Forget it after so long; fractions are fine.",
            show_default=False,
        ),
    ] = None,
    namespace: Annotated[
        str, typer.Option(metavar="NAME", help="Its namespace.", show_default=False)
    ] = "",
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG", help="A tag; repeat it for several.", show_default=False),
    ] = None,
    size: Size = "",
    key_hex: KeyHex = False,
    json: Json = False,
) -> None:
    """Store a value: a text, or bytes.

    What is read from standard input or a file is stored as it is, with its last line end.
    """
    if expire is not None and expire <= 0:
        raise ConfigurationError(f"--expire {expire:g} is over at once: give more than 0 seconds")
    wanted, content = _key(key, key_hex), _content(value, raw, hexadecimal)
    with attach_or_make(name, size) as cache:
        given = wanted if key_hex else key
        with _told_as_wrong_use():
            cache.set(given, content, expire, namespace=namespace or None, tags=tag or ())
        found = cache._region.describe(wanted)
        if json:
            told = {} if found is None else kinds.fields(cache._region, found)
            as_json({**kinds.key_fields(wanted), "stored": True, **told})


def _content(value: str, raw: bool, hexadecimal: bool) -> str | bytes:
    """What is to be stored.

    Raises:
        ConfigurationError: it cannot be read, or is not what it is said to be.
    """
    if value == "-":
        data = sys.stdin.buffer.read()
    elif value.startswith("@"):
        try:
            data = Path(value[1:]).read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"{value[1:]} cannot be read ({error.strerror}): name a file, or give the value "
                "by standard input: echo ... | plib-cache set NAME KEY -"
            ) from None
    else:
        data = value.encode("utf-8", "surrogateescape")
    if hexadecimal:
        return _from_hex(data.decode("ascii", "replace"), "VALUE")
    if raw:
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(
            "the value is no UTF-8 text: store it as bytes, with --raw"
        ) from None


def _from_hex(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))  # as keys are listed
    except ValueError:
        raise ConfigurationError(
            f"{what} is not in hexadecimal: give pairs of digits, as 6b6579 for key"
        ) from None


def _key(key: str, key_hex: bool) -> bytes:
    with _told_as_wrong_use():
        return key_bytes(_from_hex(key, "KEY") if key_hex else key)[0]


@contextlib.contextmanager
def _told_as_wrong_use() -> Iterator[None]:
    """What is wrong with a key, an expiry or a tag, is what the user gave."""
    try:
        yield
    except ValueError as error:
        fail(str(error), 2)


def _write(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
