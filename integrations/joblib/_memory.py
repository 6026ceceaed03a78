# SPDX-License-Identifier: BSD-3-Clause
"""``Memory``: ``joblib.Memory`` on the memory of the node, at the pace of ``plib_cache.cache``.

It is used as joblib's own, also by scikit-learn's ``memory=``.  What it does not do in another
way it does as joblib; with a version of joblib that it does not know it leaves all to joblib.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
from joblib import memory as stock

from plib_cache import ConfigurationError, config
from plib_cache.integrations.joblib import _region
from plib_cache.integrations.joblib._backend import PlibStoreBackend
from plib_cache.integrations.joblib._memorized import AsyncMemorizedFunc, MemorizedFunc
from plib_cache.signatures import options_of

_KNOWN = ((1, 4), (1, 5), (1, 6))  # versions whose semi-private methods are what is expected


class Memory(joblib.Memory):  # type: ignore[misc]
    """Functions whose results all processes of the node share.

    Args:
        location: a folder, as for ``joblib.Memory``: a ``Path``, a str with a separator in it
            (``"./cache"``), or one that names a folder that exists.  Any other str is the name of
            a region of the node, in memory, which ``plib_cache.Cache(name)`` opens too; None is
            the default one.
        backend: "plib"; there is no other.
        mmap_mode, compress, verbose: as for ``joblib.Memory`` with this backend.
        backend_options: as for ``joblib.Memory(..., backend="plib")``.
        remote: caches on other machines, which are asked for what this node does not have; as for
            ``plib_cache.Cache``, and short for ``backend_options={"remote": ...}``.

    Notes:
        Its keys are not those of ``joblib.Memory``: it does not find what that has stored.
        With ``compress`` functions are joblib's own.

    Raises:
        ConfigurationError: an option makes no sense.
        ValueError: a mmap_mode that would write into the cache.
    """

    @options_of("Memory")
    def __init__(
        self,
        location: str | os.PathLike[str] | None = None,
        backend: str = "plib",
        mmap_mode: str | None = None,
        compress: Any = False,
        verbose: int = 1,
        backend_options: dict[str, Any] | None = None,
        remote: Any = None,
    ) -> None:
        if remote is not None:
            backend_options = {**(backend_options or {}), "remote": remote}
        if backend != "plib":
            raise ConfigurationError(
                f"backend={backend!r}: this Memory has only 'plib': use joblib.Memory for others"
            )
        super().__init__(  # by name: joblib 1.4 has another order
            location=None,
            backend=backend,
            mmap_mode=mmap_mode,
            compress=compress,
            verbose=verbose,
            backend_options=backend_options,
        )
        self.location = location
        self.store_backend = PlibStoreBackend()
        options = {"compress": compress, "mmap_mode": mmap_mode, **self.backend_options}
        self.store_backend.configure(_place(location), verbose, options)

    def cache(
        self,
        func: Callable[..., Any] | None = None,
        ignore: list[str] | None = None,
        verbose: int | None = None,
        mmap_mode: Any = False,
        cache_validation_callback: Callable[[dict[str, Any]], bool] | None = None,
    ) -> Any:
        """The memorized function; see ``joblib.Memory.cache``."""
        options = {
            "ignore": ignore,
            "verbose": verbose,
            "mmap_mode": mmap_mode,
            "cache_validation_callback": cache_validation_callback,
        }
        if func is None:
            return functools.partial(self.cache, **options)
        inner = func.func if isinstance(func, stock.MemorizedFunc) else func
        if not self._is_known() or self.compress:
            return super().cache(func, **options)
        if cache_validation_callback is not None and not callable(cache_validation_callback):
            raise ValueError(
                f"cache_validation_callback needs to be callable. Got {cache_validation_callback}."
            )
        kind = AsyncMemorizedFunc if inspect.iscoroutinefunction(inner) else MemorizedFunc
        return kind(
            inner,
            location=self.store_backend,
            backend=self.backend,
            ignore=ignore,
            mmap_mode=self.mmap_mode if mmap_mode is False else mmap_mode,
            compress=self.compress,
            verbose=self._verbose if verbose is None else verbose,
            timestamp=self.timestamp,
            cache_validation_callback=cache_validation_callback,
        )

    @staticmethod
    def _is_known() -> bool:
        version = tuple(map(int, joblib.__version__.split(".")[:2]))
        if version not in _KNOWN:
            _region.warn_once(
                f"plib_cache.integrations.joblib.Memory does not know joblib {joblib.__version__}: "
                "functions are joblib's own, with the plib backend"
            )
        return version in _KNOWN


def _place(location: str | os.PathLike[str] | None) -> str:
    """The location of the store."""
    if location is None:
        return _region.SHARED + config.DEFAULT_NAME
    if isinstance(location, str) and os.sep not in location and not Path(location).is_dir():
        return _region.SHARED + config.check_name(location)
    return os.path.join(os.fspath(location), "joblib")  # noqa: PTH118 - as joblib does
