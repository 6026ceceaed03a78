# SPDX-License-Identifier: BSD-3-Clause
"""Talking to a memcached and to a conversation of ours in the same way, to compare the answers."""

from __future__ import annotations

import contextlib
import re
import socket

from waiting import HANG_S

from plib_cache.serve import Conversation

_TOKEN = re.compile(rb"(?m)(^VALUE \S+ \d+ \d+ | c)(\d+)(?=[ \r])")
_GIVEN = re.compile(rb"<(\d+)>")
_LEFT = re.compile(rb" t(\d+)(?=[ \r])")
_OWN = re.compile(rb"\b(la|cas|cls|size)=\d+|(?<=exp=)-\d+")
_ASK, _DONE = b"mg no-such-key Oend\r\n", b"EN Oend\r\n"


class Memcached:
    """A connection to a memcached."""

    def __init__(self, path: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(HANG_S)
        self._sock.connect(path)

    def say(self, data: bytes) -> bytes:
        """The answer to whole commands."""
        self._sock.sendall(data + _ASK)
        answer = b""
        while not answer.endswith(_DONE):
            piece = self._sock.recv(1 << 16)
            if not piece:
                return answer + b"<closed>"
            answer += piece
        return answer.removesuffix(_DONE)

    def ask(self, data: bytes) -> bytes:
        """One answer, of one piece; empty if it hangs up."""
        self._sock.sendall(data)
        with contextlib.suppress(ConnectionResetError):
            return self._sock.recv(1 << 16)
        return b""

    def end(self, data: bytes) -> bytes:
        """The answer to what comes last, which may be anything."""
        self._sock.sendall(data)
        self._sock.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := self._sock.recv(1 << 16):
            answer += piece
        return answer

    def close(self) -> None:
        """Hang up."""
        self._sock.close()


def answers(conversation: Conversation, data: bytes) -> bytes:
    """All that a conversation answers to some bytes."""
    parts = [conversation.received(data)]
    while conversation.more:
        parts.append(conversation.resume())
    return b"".join(parts)


class Ours:
    """The same over a conversation."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def say(self, data: bytes) -> bytes:
        """The answer to whole commands."""
        answer = answers(self._conversation, data + _ASK)
        if self._conversation.closing:
            return answer + b"<closed>"
        return answer.removesuffix(_DONE)

    def end(self, data: bytes) -> bytes:
        """The answer to what comes last."""
        return answers(self._conversation, data)

    def close(self) -> None:
        """Nothing is open."""


Talker = Memcached | Ours


def transcript(talker: Talker, steps: list[bytes]) -> list[bytes]:
    """The answers to the steps of a conversation, without what differs from server to server.

    Tokens become <0>, <1> and so on, in the order of their first appearance; a step may name
    them so.  Lifetimes are rounded up to tens of seconds.
    """
    tokens: list[bytes] = []
    lines = []
    for at, step in enumerate(steps, 1):
        said = _GIVEN.sub(lambda found: tokens[int(found[1])], step)
        answer = talker.end(said) if at == len(steps) else talker.say(said)
        lines.append(plain(answer, tokens))
    return lines


def plain(answer: bytes, tokens: list[bytes] | None = None, grain: int = 10) -> bytes:
    """An answer without what differs from server to server; see ``transcript``.

    Args:
        grain: lifetimes are rounded up to a multiple of so many seconds.
    """
    known = [] if tokens is None else tokens

    def named(found: re.Match[bytes]) -> bytes:
        if found[2] == b"0":
            return found[0]
        if found[2] not in known:
            known.append(found[2])
        return b"%s<%d>" % (found[1], known.index(found[2]))

    answer = _TOKEN.sub(named, answer)
    answer = _LEFT.sub(lambda found: b" t%d" % (-(-int(found[1]) // grain) * grain), answer)
    return _OWN.sub(b"<own>", answer)
