# SPDX-License-Identifier: BSD-3-Clause
"""The functions that have results in a store, and their code.

joblib compares a function's code with what the store remembers, and clears the function's results
if it differs.  Here the code is part of each result's key, so versions live side by side: the
store answers with the asking version's own code if it knows it, and forgets nothing otherwise.
"""

from __future__ import annotations

from plib_cache import PlibCacheError
from plib_cache.integrations.joblib._store import (
    CallId,
    Store,
    code_name,
    known_code,
    mine,
    space,
    trouble,
)
from plib_cache.integrations.joblib._versions import (
    Asker,
    asking,
    checked_mode,
    code_version,
)


class Functions(Store):
    """Remembering code, and forgetting a function."""

    def get_cached_func_code(self, call_id: CallId) -> str:
        """The code of a function that has results here: the asking version, or else the last.

        Raises:
            FileNotFoundError: there is none.
        """
        func_id = call_id[0]
        asker = asking(func_id)
        code = known_code.get((self.location, func_id)) or self._stored_code(func_id, asker)
        if code is None and asker is not None and asker.code and self.options.get("remote"):
            code = asker.code  # another machine may have results of this version, and of no other
            self._remember(func_id, code)
        if code is None:
            raise FileNotFoundError(f"{self._path(call_id)} has no results in this cache")
        known_code[self.location, func_id] = code
        differs = asker is not None and code_version(code) != self._version(func_id, asker)
        mine.changing = (self.location, func_id) if differs else None
        return code

    def _stored_code(self, func_id: str, asker: Asker | None) -> str | None:
        names = [code_name(func_id)]
        if asker is not None:
            names.insert(0, code_name(func_id, self._version(func_id, asker)))
        for name in names:
            code = self._read(name, func_id, None)
            if isinstance(code, str):
                return code
        return None

    def store_cached_func_code(self, call_id: CallId, func_code: str | None = None) -> None:
        """Note that a function with that code has results here.

        Raises:
            ValueError: the function was given a mmap_mode that would write into the cache.
        """
        func_id = call_id[0]
        asker = asking(func_id)
        if asker is not None:
            checked_mode(asker.mode(None))
        if func_code is not None:
            self._remember(func_id, func_code)

    def get_cached_func_info(self, call_id: CallId) -> dict[str, str]:
        """Where a function's results are, for messages."""
        return {"location": self._path(call_id)}

    def contains_path(self, call_id: CallId) -> bool:
        """Whether a function has, or had, results here."""
        return self._stored_code(call_id[0], None) is not None

    def clear_path(self, call_id: CallId) -> None:
        """Forget all results of a function, of all versions of its code.

        joblib calls this too when it finds that the code has changed; then nothing is forgotten.
        """
        changing, mine.changing = mine.changing, None
        if changing == (self.location, call_id[0]):
            return
        mine.held = mine.dumped = None
        try:
            self._opened().cache.invalidate_namespace(space(call_id[0]))
        except PlibCacheError as error:
            trouble(call_id[0], error)
