# SPDX-License-Identifier: BSD-3-Clause
"""One connection's bytes in, and its bytes out.

It knows no socket.  Whoever has one gives what has come to ``received`` and writes what that
answers.  However the bytes are cut into pieces, the answer is the same.

Bounded are: what is held of a request that is not complete (a command, or one value that fits),
what is done by one call, and what one call answers.  If there is more to do, ``more`` says so:
the owner writes what there is, waits until the client has taken it, and calls ``resume``; until
then it should not read on.

Commands are read as memcached 1.6 reads them.  It is told to hang up (``closing``) by a client
that begins with the binary protocol, or sends no end of a line where one is due.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plib_cache.exceptions import ClosedError, PlibCacheError, RegionFullError, ValueTooLargeError
from plib_cache.serve import answers, auth, classic, meta, upkeep
from plib_cache.serve.counts import Counts
from plib_cache.serve.limits import KEY_MAX, WORDS_MAX, Limits
from plib_cache.serve.store import Store
from plib_cache.serve.talk import BAD_FORMAT, NO_MEMORY, READ_ONLY, TOO_LARGE, Command

_BINARY = 0x80  # the first byte of memcached's binary protocol
_KEYS = (b"get ", b"gets ", b"gat ", b"gats ")  # commands that may be long
_BLANKS_MOST = 100  # before such a command

_COMMANDS: dict[bytes, Command] = {**classic.COMMANDS, **meta.COMMANDS, **upkeep.COMMANDS}


class Conversation:
    """What is said on one connection.

    Args:
        auth: tells whether a user has that password; nothing else is done for a client before it
            has given one (with memcached's ``set``).  None: everybody is welcome.
        read_only: refuse whatever would change an entry.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        counts: Counts,
        *,
        auth: Callable[[bytes, bytes], bool] | None = None,
        read_only: bool = False,
    ) -> None:
        self.store = store
        self.limits = limits
        self.counts = counts
        self.read_only = read_only
        self.noreply = False
        self.closing = False  # hang up when what was answered is written
        self.more = False  # there is more to do: see ``resume``
        self._auth = auth
        self._begun = False
        self._input = bytearray()
        self._answers: list[bytes] = []
        self._answered = 0  # bytes
        self._skip = 0  # bytes of a value that nobody wants
        self._wanted = 0  # bytes of a value, and the end of its line
        self._finish: Callable[[bytes | None], None] | None = None  # takes that value
        self._keys: list[bytes] = []  # of a get that is not done
        self._tokens = False
        self._deadline: int | None = None

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their request, or for ``resume``."""
        return len(self._input)

    def received(self, data: bytes) -> bytes:
        """The answers to what has come, as far as they are due.

        Args:
            data: empty is allowed.
        """
        if self.closing:
            return b""
        if not self._begun and data:
            self._begun = True
            if data[0] == _BINARY:
                self.close()
                return b""
        if not (self._input or self._keys or self._skip or self._finish or self._auth):
            # Nothing waits, so gets need no copy of what came.
            answer, after = answers.quick(self, data, 0, self.limits.answer)
            if after == len(data):
                return answer
            self.send(answer)
            data = data[after:]
        self._input += data
        return self.resume()

    def resume(self) -> bytes:
        """Further answers to what has come before; see ``more``."""
        self.more = False
        at = self._run()
        if self.closing:
            self.more = False
            self._input.clear()
        else:
            del self._input[:at]
        answer = b"".join(self._answers)
        self._answers.clear()
        self._answered = 0
        return answer

    # ---- one thing after the other

    def _run(self) -> int:
        """Do what can be done; how many bytes are done with."""
        at, done = 0, 0
        end = len(self._input)
        while not self.closing:
            if self._answered >= self.limits.answer or done >= self.limits.commands:
                self.more = bool(self._keys) or self._ready(at)
                break
            done += 1
            if self._keys:
                self._answer_keys()
            elif self._skip:
                skipped = min(self._skip, end - at)
                self._skip -= skipped
                at += skipped
                if self._skip:
                    break
            elif self._finish is not None:
                if end - at < self._wanted:
                    break
                at = self._take_value(at)
            else:
                after = at
                if self._auth is None and self._input.startswith(b"get", at):
                    room = self.limits.answer - self._answered
                    answer, after = answers.quick(self, self._input, at, room)
                    self.send(answer)
                if after == at:
                    after = self._take_line(at)
                if after == at:
                    break
                at = after
        return at

    def _ready(self, at: int) -> bool:
        """Whether something could be done with the input from there on."""
        if self._skip or self._finish is not None:
            return len(self._input) - at >= (self._skip or self._wanted)
        return self._input.find(b"\n", at) >= 0 or len(self._input) - at > self.limits.line

    def _take_value(self, at: int) -> int:
        after = at + self._wanted
        finish, self._finish = self._finish, None
        assert finish is not None
        fine = self._input[after - 2 : after] == b"\r\n"
        self._guarded(finish, bytes(self._input[at : after - 2]) if fine else None)
        return after

    def _take_line(self, at: int) -> int:
        """Do the command that begins there; where the next does, or there if it is not whole."""
        end = self._input.find(b"\n", at, at + self.limits.keys_line + 1)
        if end < 0 or end - at > self.limits.line:
            if len(self._input) - at > self.limits.line and not self._may_be_long(at):
                self.close()
                return at
            if end < 0:
                if len(self._input) - at > self.limits.keys_line:
                    self.close()
                return at
        stop = end - 1 if end - at > 1 and self._input[end - 1] == 0x0D else end
        line = bytes(self._input[at:stop])
        self.noreply = False
        if self._auth is not None:
            auth.begin(self, line, self._auth)
        else:
            self._command(line)
        return end + 1

    def _may_be_long(self, at: int) -> bool:
        head = bytes(self._input[at : at + _BLANKS_MOST + 5])
        bare = head.lstrip(b" ")
        return self._auth is None and bare.startswith(_KEYS) and len(head) - len(bare) <= 100

    def _command(self, line: bytes) -> None:
        words = [word for word in line.partition(b"\0")[0].split(b" ") if word]
        name = words[0] if words else b""
        command = _COMMANDS.get(name)
        if command is None:
            if words and words[:WORDS_MAX][-1].startswith(b"HTTP/") and name[0] not in b"mgsacidt":
                self.close()
            else:
                self.say(b"ERROR")
            return
        few = words if name in classic.KEYS else words[:WORDS_MAX]
        self._guarded(lambda: command(self, few))

    def _guarded(self, do: Callable[..., None], *args: bytes | None) -> None:
        """Do something; what the region refuses is an answer."""
        try:
            do(*args)
        except ValueTooLargeError:
            self.counts.store_too_large += 1
            self.say(TOO_LARGE)
        except RegionFullError:
            self.counts.store_no_memory += 1
            self.say(NO_MEMORY)
        except ClosedError:
            self.close()
        except PlibCacheError as error:
            line = str(error).partition("\n")[0]
            self.say(b"SERVER_ERROR " + line.encode("utf-8", "replace")[:200])

    # ---- for commands; see ``Talk``

    def say(self, line: bytes) -> None:
        """See ``Talk``."""
        if not self.noreply:
            self.send(line + b"\r\n")

    def send(self, answer: bytes) -> None:
        """See ``Talk``."""
        self._answers.append(answer)
        self._answered += len(answer)

    def take(self, length: int, finish: Callable[[bytes | None], None]) -> None:
        """See ``Talk``."""
        self._wanted, self._finish = length + 2, finish

    def swallow(self, length: int) -> None:
        """See ``Talk``."""
        self._skip = length + 2

    def close(self) -> None:
        """See ``Talk``."""
        self.closing = True

    def admit(self) -> None:
        """The client has said who it is."""
        self._auth = None

    def fetch(self, keys: Sequence[bytes], tokens: bool, deadline: int | None) -> None:
        """See ``Talk``."""
        if any(len(key) > KEY_MAX for key in keys):
            self.say(BAD_FORMAT)
        elif deadline is not None and self.read_only:
            self.say(READ_ONLY)
        else:
            self._keys, self._tokens, self._deadline = list(keys), tokens, deadline

    def _answer_keys(self) -> None:
        """Go on with a get, of which the answer may be long."""
        room = self.limits.answer - self._answered
        self._guarded(lambda: answers.values(self, self._keys, room, self._tokens, self._deadline))
