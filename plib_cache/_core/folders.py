# SPDX-License-Identifier: BSD-3-Clause
"""Why a folder is refused, and what to do: one sentence for each case.

The core takes a folder that is the caller's own, that nobody else may write in, and that is no
symbolic link; it looks at the folder and not at what is above it.
"""

from __future__ import annotations

import os
import pwd
import stat

_ELSEWHERE = "choose a folder of your own, by path= or PLIB_CACHE_DIR"


def user(uid: int) -> str:
    """A user, by name if the machine knows one."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except (KeyError, OverflowError):
        return f"uid {uid}"


def why_unsafe(folder: str, owner: int) -> str:
    """What keeps a folder from being used, and what to do.

    Args:
        owner: its user, as the core saw it; by now it may be another folder, or none.
    """
    try:
        found = os.lstat(folder)
    except OSError:
        return f"it belonged to {user(owner)}, and is gone: {_ELSEWHERE}"
    mode, is_own = found.st_mode, found.st_uid == os.geteuid()
    if stat.S_ISLNK(mode):
        return (
            f"it is a symbolic link: give the folder that it leads to, {os.path.realpath(folder)}"
        )
    whose = f"it belongs to {user(found.st_uid)}"
    if not stat.S_ISDIR(mode):
        return f"it is no folder ({whose}): {_ELSEWHERE}"
    if mode & stat.S_ISVTX and mode & 0o022:  # /dev/shm, /tmp
        return (
            f"{whose}, for many users to share: make one of your own in it, "
            f"`mkdir -m 700 {folder}/mine`, and put the region there by path= or PLIB_CACHE_DIR"
        )
    if not is_own:
        return f"{whose}, and you are {user(os.geteuid())}: {_ELSEWHERE}"
    return f"{whose}, as you are, and others may write in it: `chmod 700 {folder}`"
