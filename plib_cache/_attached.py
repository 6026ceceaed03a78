# SPDX-License-Identifier: BSD-3-Clause
"""A cache's attachment to its region: options, opening, closing, and values in and out."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable
from typing import Any

from plib_cache import config
from plib_cache._core import SET, TAGS_MAX, Found, Quick, Region, Terms
from plib_cache._distant import Distant, openers
from plib_cache._flight import MISSING, Missing
from plib_cache._frame import DamagedValueError
from plib_cache._marked import MarkedValueError
from plib_cache._moments import Expire, deadline_ms
from plib_cache._open import check_expected, check_in_place, check_serializer, open_region
from plib_cache._telling import tell
from plib_cache.exceptions import ConfigurationError, CorruptRegionError
from plib_cache.keys import MAX_KEY_BYTES, key_bytes, utf8
from plib_cache.serialize import DefaultSerializer, Encoded, Serializer
from plib_cache.signatures import options_of

Key = str | bytes

_NAME_MAX = MAX_KEY_BYTES - 2  # "n:" and "t:" stand before it


class Attached(Quick):
    """The attachment; ``Cache`` documents the options."""

    _tiers: Distant | None = None  # only of a cache with ``remote=``

    def __new__(cls, *args: Any, remote: Any = None, **options: Any) -> Any:
        """One with tiers is of another kind, as a ``pathlib.Path`` is of its system's kind."""
        return super().__new__(cls if remote is None else openers["cache"](cls))

    @options_of("Cache")
    def __init__(
        self,
        name: str | None = None,
        *,
        size: int | str | None = None,
        path: str | os.PathLike[str] | None = None,
        protection: str = "auto",
        serializer: Serializer | None = None,
        trust: str | None = None,
        strict: bool = False,
        create: bool = True,
        expected_entry: int | None = None,
        immutable: bool = False,
        in_place: bool | float = True,
        prefault: bool = False,
        remote: Any = None,
        write: str | None = None,
    ) -> None:
        if write is not None and remote is None:
            raise ConfigurationError(
                f"write={write!r} is for remote=: give that too, or leave it out"
            )
        if name is not None and path is not None:
            raise ConfigurationError("name and path both say where the region is: give one")
        self._options = {
            "protection": protection,
            "serializer": serializer,
            "trust": trust,
            "strict": strict,
            "create": create,
            "expected_entry": expected_entry,
            "immutable": immutable,
            "in_place": in_place,
            "prefault": prefault,
        }
        self._strict = strict
        self._immutable = bool(immutable)
        self._no_terms = {
            text: Terms(text=text, immutable=self._immutable) for text in (False, True)
        }
        self._warned = False
        self._serializer = check_serializer(serializer) or DefaultSerializer(
            config.check_trust(trust)
        )
        if isinstance(self._serializer, DefaultSerializer):  # it goes along in a pickle
            self._options["trust"] = self._serializer.trust
        self._plain = serializer is None
        config.explain_if_asked()
        where = config.region_path(name, make=create) if path is None else path
        self._region = open_region(
            config.check_path(where, make=create),
            None if size is None else config.parse_size(size),
            create=create,
            protection=config.check_protection(protection),
            expected_entry=check_expected(expected_entry),
            leased_share=check_in_place(in_place),
        )
        if prefault:
            self._region.prefault()
        scalars = type(self._serializer) is DefaultSerializer
        self._lend(self._region.port, scalars, self._immutable)

    def __repr__(self) -> str:
        state = " closed" if self._region.closed else ""
        return f"<{type(self).__name__} {self._region.path!r}{state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _attach_again, (type(self), self._region.path, self._options)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Detach from the region, which stays; any use after it raises ``ClosedError``.

        Notes:
            Other processes, and other ``Cache`` objects of this one, are not concerned.
        """
        self._region.close()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._region.closed

    @property
    def path(self) -> str:
        """The region's file."""
        return self._region.path

    def _tiers_of(self, remote: Any, trust: str | None) -> Distant | None:
        """The tiers of a function of this cache: its own, or else those of the cache."""
        if remote is None and (trust is None or self._tiers is None):
            return self._tiers
        distant: Distant = openers["tiers"](self, remote, trust)
        return distant

    # ---- values in and out

    def _find(self, raw: bytes, deadline: int | None = None) -> Found | None:
        """What is stored under a key; a deadline that is given is its new one."""
        try:
            if deadline is not None:
                return self._region.get_touch(raw, deadline)
            return self._region.get(raw)
        except CorruptRegionError as error:
            self._doubt(error)
            return None

    def _load(self, found: Found | None) -> Any | Missing:
        """The value that was found, or MISSING if there is none or it is damaged."""
        if found is None:
            return MISSING
        type_code, data = found[0], found[1]
        if type_code == 0 and self._plain:
            return data
        try:
            return self._serializer.loads(type_code, memoryview(data))
        except DamagedValueError as error:
            self._doubt(error)
            return MISSING

    # ---- for the fast path, which does the rest of ``set`` and ``get`` itself

    _deadline_ms = staticmethod(deadline_ms)

    def _encode(self, value: object) -> Encoded:
        """The value as bytes."""
        return self._serializer.dumps(value)

    def _store_encoded(self, key: Key, encoded: Encoded, deadline: int) -> None:
        """Store what was encoded, and could not be stored at once."""
        raw, text = key_bytes(key)
        terms = Terms(deadline, text=text, immutable=self._immutable)
        self._region.store(SET, raw, encoded, terms)

    def _load_or(self, found: Found, absent: Any) -> Any:
        """As ``_load``, with ``absent`` for MISSING."""
        value = self._load(found)
        return absent if value is MISSING else value

    def _doubt(self, error: Exception) -> None:
        """An integrity error: raised if strict, else a miss with one warning."""
        if isinstance(error, MarkedValueError):
            return  # a miss, and nothing is wrong
        if self._strict:
            raise error
        if not self._warned:
            self._warned = True
            tell(f"{self._region.path}: {error}")

    def _terms(
        self, text: bool, expire: Expire, namespace: str | None, tags: Iterable[str]
    ) -> Terms:
        """How an entry is stored, from the options of a call."""
        if expire is None and namespace is None and not tags:
            return self._no_terms[text]
        return Terms(
            deadline_ms=deadline_ms(expire),
            name=0 if namespace is None else self._region.name(namespace_name(namespace)),
            tags=tag_numbers(self._region, tags),
            text=text,
            immutable=self._immutable,
        )

    def _store(
        self,
        verb: int,
        key: Key,
        value: object,
        expire: Expire = None,
        namespace: str | None = None,
        tags: Iterable[str] = (),
        token: int = 0,
    ) -> int:
        raw, text = key_bytes(key)
        return self._put(verb, raw, value, self._terms(text, expire, namespace, tags), token)

    def _put(self, verb: int, raw: bytes, value: object, terms: Terms, token: int) -> int:
        """Store a value under the bytes of its key."""
        return self._region.store(verb, raw, self._serializer.dumps(value), terms, token)

    def set(
        self,
        key: Key,
        value: Any,
        expire: Expire = None,
        *,
        namespace: str | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        """Store ``value`` under ``key``.

        Args:
            expire: seconds, a timedelta, an aware datetime; None never, zero or past at once.
            namespace: ``invalidate_namespace`` of it removes the entry.
            tags: at most 4; ``invalidate_tag`` of any of them removes the entry.

        Raises:
            TypeError, ValueError: of the key, expire or tags.
            SerializationError: the value cannot be stored.
            ValueTooLargeError: it can never fit into this region.
            RegionFullError, BusyError: not now; nothing was changed.

        Notes:
            Other processes see the old value or the new one, never a mixture.
        """
        self._store(SET, key, value, expire, namespace, tags)


# Whoever asks how a cache is made wants to know what ``__init__`` takes.
_asked = inspect.signature(Attached.__init__)
Attached.__signature__ = _asked.replace(  # type: ignore[attr-defined]
    parameters=list(_asked.parameters.values())[1:], return_annotation=inspect.Signature.empty
)


def namespace_name(namespace: object) -> str:
    """The name in the region of a namespace that a user chose."""
    return "n:" + _checked(namespace, "namespace")


def tag_name(tag: object) -> str:
    """The name in the region of a tag."""
    return "t:" + _checked(tag, "tag")


def _checked(name: object, what: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the {what} {name!r:.100} is a {type(name).__name__}: give a str")
    if not name:
        raise ValueError(f"a {what} cannot be empty: give a name, or None for none")
    nbytes = len(utf8(name, what, "a digest of the bytes, os.fsencode(name)"))
    if nbytes > _NAME_MAX:
        raise ValueError(
            f"a {what} has at most {_NAME_MAX} bytes, this one has {nbytes}: "
            "use a digest of what is longer, such as hashlib.blake2b(name).hexdigest()"
        )
    return name


def tag_numbers(region: Region, tags: Iterable[str], most: int = TAGS_MAX) -> tuple[int, ...]:
    """The numbers of tags in a region.

    Raises:
        TypeError, ValueError: they are no tags, or too many.
    """
    if isinstance(tags, (str, bytes)):
        raise TypeError(f"tags={tags!r:.100} is one name: give a list or tuple of names")
    names = list(tags)
    if len(names) > most:
        raise ValueError(f"{len(names)} tags, {names!r:.100}: give an entry at most {most}")
    return tuple(map(region.name, [tag_name(name) for name in names]))  # all checked first


def _attach_again(kind: type[Any], path: str, options: dict[str, Any]) -> Any:
    """Unpickle a cache: attach to the same file with the same options."""
    return kind(path=path, **options)
