# SPDX-License-Identifier: BSD-3-Clause
"""``@plib_cache.cache``: a function whose results all processes of the machine share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, overload

from plib_cache import _controls, _flight, config
from plib_cache._attached import namespace_name, tag_name
from plib_cache._calls import CallJob
from plib_cache._controls import CacheInfo
from plib_cache._jobs import limit_ms
from plib_cache._memo import Memo, Missed
from plib_cache._moments import Expire, deadline_ms
from plib_cache._options import Computed, Copy, Observer, Options
from plib_cache.cache import Cache
from plib_cache.exceptions import ConfigurationError
from plib_cache.signatures import check_options

__all__ = ["CacheInfo", "CachedFunction", "Computed", "Observer", "cache"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")

_KNOWN = ["limit" if name == "limit_ms" else name for name in Options._fields]


class CachedFunction(Protocol[P, R_co]):
    """A function decorated by ``cache``.

    On methods the functions below take the object as their first argument:
    ``Class.method.invalidate(obj, ...)``.
    """

    __wrapped__: Callable[..., Any]
    __name__: str
    __qualname__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The result: the stored one, or else computed and stored."""

    @overload
    def __get__(self, instance: None, owner: Any = None) -> CachedFunction[P, R_co]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[Any, Q], R_co], instance: object, owner: Any = None
    ) -> CachedFunction[Q, R_co]: ...

    def cache_info(self) -> CacheInfo:
        """Hits and misses of all processes since the last ``cache_clear``, and how many results
        are stored."""

    def cache_clear(self) -> None:
        """Forget all results, for all processes; what is being computed now is not stored."""

    def cache_parameters(self) -> dict[str, Any]:
        """``maxsize`` and ``typed``, as they were given."""

    def cache_key(self, *args: Any, **kwargs: Any) -> bytes:
        """The key that the result of this call has in the cache, 32 bytes."""

    def invalidate(self, *args: Any, **kwargs: Any) -> bool:
        """Forget the result of this call; False if there was none."""

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Compute the result anew and store it, whatever is there."""

    def saved_seconds(self) -> float:
        """How much computing the hits of all processes saved."""


@overload
def cache(function: Callable[P, R], /) -> CachedFunction[P, R]: ...
@overload
def cache(
    maxsize_: int | None = None,
    typed_: bool = True,
    /,
    *,
    expire: Expire = None,
    ignore: str | Iterable[str] = (),
    key: Callable[..., Any] | None = None,
    version: object = None,
    typed: bool = True,
    single_flight: bool = True,
    namespace: str | None = None,
    cache: str | Cache | None = None,
    min_duration: float = 0,
    max_bytes: int | None = None,
    tags: Iterable[str] | Callable[..., Iterable[str]] = (),
    depends_on: Iterable[Any] = (),
    strict: bool = False,
    limit: float = 300,
    trust: str | None = None,
    copy: Copy = True,
    hashing: Literal["blake2b", "xxh3"] = "blake2b",
    observer: Observer | None = None,
    maxsize: int | None = None,
    remote: Any = None,
) -> Callable[[Callable[P, R]], CachedFunction[P, R]]: ...
def cache(function: Any = None, /, *typed: bool, **options: Any) -> Any:
    """Share the results of a function among all processes of the machine, and with later ones.

    Use it bare, ``@cache``, or with options, ``@cache(expire=60)``; on functions, methods, class
    and static methods, and coroutine functions.  It can stand for ``functools.lru_cache``.

    The key of a result is made of the function's name and code, the values of its defaults and its
    closure (as they are at its first call: what changes later does not count), and all arguments,
    however they are spelled; types matter (1, 1.0 and True differ).
    An edited function therefore does not get its old results.  What it calls is not followed.

    Args:
        expire: seconds, a timedelta or an aware datetime after which a result is computed anew.
        ignore: names of arguments that do not matter for the result.
        key: a function of the arguments; what it returns stands for them.
        version: stands for the function's code, which is then not looked at.
        typed: False makes 1, 1.0 and True one argument.
        single_flight: of all who miss one result together, one computes, the others wait.
        namespace: results are kept apart from those of other namespaces, and
            ``Cache.invalidate_namespace`` of it forgets them.
        cache: a ``Cache``, or the name of one; None is ``get_cache()``.
        min_duration: results that took less seconds to compute are not stored.
        max_bytes: results that take more bytes in the cache are not stored.
        tags: at most 4 names (3 with a namespace), or a function of the arguments that returns
            them; ``Cache.invalidate_tag`` of any forgets the result.
        depends_on: functions (or other values) whose code matters for the result too.
        strict: raise what goes wrong in the cache, instead of one warning and computing.
        limit: seconds after which one who computes is no longer waited for.
        trust: "code" or "data", as for ``Cache``; None is that of the cache.
        copy: False gives arrays and tables in place, read-only, "shared" also by reference to
            workers, "cow" to be written to by this process alone; see ``Cache.get``.  What was
            just computed is given as it is.
        hashing: "xxh3" makes the keys of large arrays, tables and strings at the speed of memory,
            by a digest that is not cryptographic: not for arguments that an attacker chooses.
            It needs the package xxhash (``pip install 'plib-cache[joblib]'``).
        observer: is told of each computation, before and after; see ``Observer``.
        remote: caches on other machines that are asked before anything is computed, and told
            what was computed; see ``Cache``. None: those of the cache, if it has any. Results with
            ``tags`` or a ``namespace`` stay on the node, for no invalidation would reach them
            elsewhere; ``cache_clear`` forgets those of the node, ``invalidate`` all.
        maxsize: accepted and reported; the cache as a whole is bounded by its region.  It and
            ``typed`` may be given by place, as ``lru_cache(128, True)``.

    Raises:
        UnhashableArgumentError: (of a call) an argument gives no stable key; see ``ignore`` and
            ``key``.

    Notes:
        A hit is equal to what was computed.  An exception is not cached.  A result that cannot be
        stored is returned all the same, with one warning for each function.
    """
    if len(typed) > 1 or (typed and not isinstance(typed[0], bool)):
        raise TypeError("cache(): give only maxsize and typed by place, other options by name")
    check_options("cache", options, _KNOWN)
    if function is None or isinstance(function, int):
        if function is not None:
            options["maxsize"] = function
        if typed:
            options["typed"] = typed[0]
        return functools.partial(_decorate, options=_checked(**options))
    if options or typed:
        raise TypeError("give options of cache() by name, before the function: @cache(...)")
    return _decorate(function, Options())


def _checked(
    *,
    ignore: str | Iterable[str] = (),
    depends_on: Iterable[Any] = (),
    limit: float = 300,
    maxsize: int | None = None,
    **rest: Any,
) -> Options:
    """The options, if they make sense."""
    given = {"ignore": ignore, "depends_on": depends_on, "maxsize": maxsize, **rest}
    Options.check_kinds(given)
    options = Options(
        ignore=(ignore,) if isinstance(ignore, str) else tuple(ignore),
        depends_on=tuple(depends_on),
        limit_ms=limit_ms(limit),
        maxsize=None if maxsize is None else max(0, maxsize),
        **rest,
    )
    if not callable(options.tags) and not isinstance(options.tags, (str, bytes)):
        options = options._replace(tags=tuple(options.tags))  # read at every call
    deadline_ms(options.expire)
    if options.key is not None and options.ignore:
        raise ConfigurationError("key= already decides which arguments matter: leave ignore= out")
    if isinstance(options.cache, str):
        config.check_name(options.cache)
    elif options.cache is not None and not isinstance(options.cache, Cache):
        raise ConfigurationError(f"cache={options.cache!r:.100}: give a Cache, or the name of one")
    if options.trust is not None:
        config.check_trust(options.trust)
    if options.remote is not None:
        from plib_cache.remote.options import parse  # which needs more than all the rest does

        parse(options.remote)
    if options.hashing not in ("blake2b", "xxh3"):
        raise ConfigurationError(f"hashing={options.hashing!r}: give 'blake2b' or 'xxh3'")
    if options.hashing == "xxh3" and not options.typed:
        raise ConfigurationError("hashing='xxh3' tells types apart always: leave typed=False out")
    if options.namespace is not None:
        namespace_name(options.namespace)
    _check_tags(options)
    return options


def _check_tags(options: Options) -> None:
    if callable(options.tags):
        return
    if isinstance(options.tags, (str, bytes)):
        raise TypeError(f"tags={options.tags!r:.100} is one name: give a list or tuple of names")
    most = 4 if options.namespace is None else 3
    if len([tag_name(tag) for tag in options.tags]) > most:
        raise ValueError(f"tags={options.tags!r:.100}: give at most {most}")


def _decorate(function: Any, options: Options) -> Any:
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(_decorate(function.__func__, options))
    if not callable(function):
        raise TypeError(
            f"cache() got a {type(function).__name__}: decorate a function, give options by name"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{getattr(function, '__qualname__', function)} is a generator function, and what it "
            "returns can be read only once: decorate a function that returns a list"
        )
    memo = Memo(function, options)
    wrapper = _async_wrapper(memo) if inspect.iscoroutinefunction(function) else _wrapper(memo)
    return _dressed(wrapper, memo)


def _wrapper(memo: Memo) -> Callable[..., Any]:
    function, seek = memo.compute, memo.seek

    def call(*args: Any, **kwargs: Any) -> Any:
        value = seek(args, kwargs)
        if type(value) is not Missed:
            return value
        # ``_flight.run`` written out: a frame less for each level of a recursive function
        job = CallJob(memo, value, args, kwargs)
        flow = _flight.steps(job)
        try:
            step = next(flow)
            while step is not _flight.Step.DONE:
                if step is _flight.Step.COMPUTE:
                    step = flow.send(function(*args, **kwargs))
                elif step is _flight.Step.FETCH:
                    step = flow.send(job.fetch())
                else:
                    job.pause(_flight.SLICE_MS)
                    step = next(flow)
        finally:
            flow.close()
        return job.value

    return call


def _async_wrapper(memo: Memo) -> Callable[..., Awaitable[Any]]:
    function, seek = memo.compute, memo.seek

    async def call(*args: Any, **kwargs: Any) -> Any:
        value = seek(args, kwargs)
        if type(value) is not Missed:
            return value
        job = CallJob(memo, value, args, kwargs)
        return await _flight.run_async(job, lambda: function(*args, **kwargs))

    return call


def _dressed(wrapper: Any, memo: Memo) -> Any:
    """The wrapper with the function's name and the attributes of a ``CachedFunction``."""
    functools.update_wrapper(wrapper, memo.function)
    for control in _controls.ALL:
        setattr(wrapper, control.__name__, functools.partial(control, memo))
    return wrapper
