# SPDX-License-Identifier: BSD-3-Clause
"""``Cache.memoize``, with the keys that diskcache makes: results that are imported are found.

They hold a function's name and not its code: after a change of the function give it another name,
clear the cache, or use ``plib_cache.cache``, which takes the code into the key.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from plib_cache import PlibCacheError
from plib_cache.integrations.diskcache._disk import ENOVAL
from plib_cache.integrations.diskcache._items import Items

F = TypeVar("F", bound=Callable[..., Any])


class Memoizing(Items):
    """The decorator."""

    def memoize(
        self,
        name: str | None = None,
        typed: bool = False,
        expire: float | None = None,
        tag: Any = None,
        ignore: Collection[int | str] = (),
    ) -> Callable[[F], F]:
        """A decorator that keeps the results of a function; see ``set`` for the arguments.

        A result that cannot be stored is returned all the same, with one warning.

        Args:
            name: of the function in its keys; None: its module and qualified name.
            typed: whether 3 and 3.0 are different arguments.
            expire: 0 looks results up, and stores none.
            ignore: positions and names of arguments that do not matter.

        Raises:
            TypeError: it was used without being called: write ``@cache.memoize()``.
        """
        if callable(name):
            raise TypeError("name cannot be callable: write @cache.memoize(), with parentheses")

        def decorate(function: F) -> F:
            named = f"{function.__module__}.{function.__qualname__}" if name is None else name

            def key_of(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
                """The key of a call."""
                return call_key((named,), args, kwargs, typed, ignore)

            @functools.wraps(function)
            def memoized(*args: Any, **kwargs: Any) -> Any:
                key = key_of(*args, **kwargs)
                result = self.get(key, default=ENOVAL)
                if result is ENOVAL:
                    result = function(*args, **kwargs)
                    if expire is None or expire > 0:
                        self._keep(key, result, expire, tag)
                return result

            memoized.__cache_key__ = key_of  # type: ignore[attr-defined]
            return memoized  # type: ignore[return-value]

        return decorate

    def _keep(self, key: Any, result: Any, expire: float | None, tag: Any) -> None:
        """Store a result; one that cannot be stored is told once, and is no error."""
        try:
            self.set(key, result, expire, tag=tag, retry=True)
        except PlibCacheError as error:
            self._failed(error)


def call_key(
    base: tuple[Any, ...],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    typed: bool,
    ignore: Collection[int | str],
) -> tuple[Any, ...]:
    """The key of a call: name, arguments, None, names and values, types if they matter."""
    kept = tuple(arg for at, arg in enumerate(args) if at not in ignore)
    named = sorted((name, value) for name, value in kwargs.items() if name not in ignore)
    key = (*base, *kept, None, *(part for pair in named for part in pair))
    if typed:
        key += (*map(type, kept), *(type(value) for _, value in named))
    return key
