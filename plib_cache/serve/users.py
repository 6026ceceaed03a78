# SPDX-License-Identifier: BSD-3-Clause
"""Users and passwords: a file of lines ``user:password`` that only its owner may read."""

from __future__ import annotations

import hmac
import os
import stat

from plib_cache.exceptions import ConfigurationError

FILE_MAX = 1 << 20  # bytes


class Users:
    """Who may use the server.

    Raises:
        ConfigurationError: the file is missing, is readable by others, or is no such file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._users = _read(path)

    def reload(self) -> None:
        """Read the file again; if it is refused, the users stay who they were.

        Raises:
            ConfigurationError: as at the beginning.
        """
        self._users = _read(self._path)

    def __call__(self, user: bytes, password: bytes) -> bool:
        """Whether that user has that password.

        Compares with every user there is, so that the time tells neither who there is nor how
        much of a password was right.
        """
        right = False
        for name, secret in self._users:
            same_name = hmac.compare_digest(name, user)
            same_secret = hmac.compare_digest(secret, password)
            right |= same_name and same_secret
        return right


def _read(path: str) -> list[tuple[bytes, bytes]]:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigurationError(
            f"the users of --auth-file {path} cannot be read ({error.strerror}): give a file of "
            "your own with lines user:password"
        ) from error
    try:
        _check(path, os.fstat(file))
        content = os.read(file, FILE_MAX)
    finally:
        os.close(file)
    users = [
        _user(path, number, line)
        for number, line in enumerate(content.splitlines(), 1)
        if line.strip() and not line.startswith(b"#")
    ]
    if not users:
        raise ConfigurationError(f"{path} names no user: write lines user:password into it")
    return users


def _check(path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_size >= FILE_MAX:
        raise ConfigurationError(
            f"{path} is no file of users: give a file of less than {FILE_MAX} bytes with lines "
            "user:password"
        )
    if found.st_mode & 0o077 or found.st_uid not in (0, os.geteuid()):
        raise ConfigurationError(
            f"{path} has mode {found.st_mode & 0o777:03o} and owner uid {found.st_uid}: passwords "
            f"must be readable by their owner only; chmod 600 {path}, as the user that serves "
            f"(uid {os.geteuid()})"
        )


def _user(path: str, number: int, line: bytes) -> tuple[bytes, bytes]:
    name, colon, password = line.partition(b":")
    if not (colon and name and password) or b" " in name + password:
        raise ConfigurationError(
            f"line {number} of {path} is wrong: write user:password, neither empty nor with a space"
        )
    return name, password
