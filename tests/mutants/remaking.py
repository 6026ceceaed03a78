# SPDX-License-Identifier: BSD-3-Clause
"""Bugs of what a server of another protocol makes its verbs of: remake, tokens of the caller's own, read or not."""

from __future__ import annotations

from core import Mutant


def bug(
    name: str, breaks: str, file: str, old: str, new: str, tests: str, only: str = ""
) -> Mutant:
    return Mutant(name, breaks, file, old, new, tests, only=only)


REMAKES = [
    bug(
        "remake-deadline-lost",
        "remake: the entry's deadline is not kept",
        "verbs.c",
        "st->spec.deadline_ms = st->renews ? st->deadline_ms : hit->e.spec.deadline_ms;",
        "st->spec.deadline_ms = st->deadline_ms;",
        "test_remake",
    ),
    bug(
        "remake-deadline-never-new",
        "remake: PLC_NEW_DEADLINE is passed over",
        "verbs.c",
        "st->renews = e->options & PLC_NEW_DEADLINE;",
        "st->renews = false;",
        "test_remake",
    ),
    bug(
        "remake-any-token",
        "remake: what somebody else has stored meanwhile is overwritten",
        "verbs.c",
        "plc_status s = admit_cas(st, hit);\n    if (s == PLC_OK && hit->e.spec.type",
        "plc_status s = admit_present(st, hit);\n    if (s == PLC_OK && hit->e.spec.type",
        "test_remake test_remake_threads",
    ),
    bug(
        "remake-any-type",
        "remake: of two who want to be the one, both are",
        "verbs.c",
        "hit->e.spec.type != st->seen_type",
        "false",
        "test_remake test_remake_threads",
    ),
    bug(
        "remake-revives",
        "remake: what was invalidated meanwhile comes back, with a sum of now",
        "verbs.c",
        "        inherit(st, hit, st->given);\n",
        "        inherit(st, hit, st->given);\n"
        "        st->spec.sum = name_sum(st->k->c, st->spec.name, st->spec.tags);\n",
        "test_remake_amid test_remake_threads",
    ),
    bug(
        "remake-revives-the-dead",
        "remake: an entry that is over is remade",
        "verbs.c",
        "plc_status s = admit_cas(st, hit);\n    if (s == PLC_OK && hit->e.spec.type",
        "plc_status s = hit == NULL || hit->e.spec.kind != ENTRY_VALUE ? PLC_MISS\n"
        "                   : hit->e.spec.token != st->token ? PLC_EXISTS : PLC_OK;\n"
        "    if (s == PLC_OK && hit->e.spec.type",
        "test_remake",
    ),
    bug(
        "remake-as-new",
        "remake: it is younger than what it was, so a flush of a moment passes it by",
        "verbs.c",
        "        inherit(st, hit, st->given);\n",
        "        inherit(st, hit, st->given);\n"
        "        st->spec.created = entry_created_now(st->k);\n",
        "test_remake",
    ),
    bug(
        "remake-of-the-immutable",
        "remake: a value is changed that its name says all about",
        "verbs.c",
        "if (s == PLC_OK && (hit->e.spec.options & ENTRY_IMMUTABLE)) {",
        "if (false) {",
        "test_remake",
    ),
    bug(
        "touch-amid-lost",
        "what is built from a large value has the deadline that was there before a touch",
        "store.c",
        "        word_put_rlx(mine.deadline_at, now);\n        return true;",
        "        return true;",
        "test_remake_amid",
    ),
    bug(
        "touch-amid-lost-by-the-small",
        "a small value made of a large one has no deadline, though a touch gave it one meanwhile",
        "store.c",
        "return deadline_ms == st->spec.deadline_ms;",
        "return true;",
        "test_remake_amid",
    ),
    bug(
        "ended-amid",
        "a large value that a touch has ended meanwhile comes back with a new deadline",
        "store.c",
        "if (deadline_ms != 0 && deadline_ms <= st->k->now_ms) {\n        return false;",
        "if (false) {\n        return false;",
        "test_remake_amid",
    ),
]

OWN_TOKENS = [
    bug(
        "own-token-of-a-claim",
        "single flight: a claim has a token of the caller's, which others have too",
        "flight.c",
        "    claim.own_token = 0;",
        "    (void)0;",
        "test_remake",
    ),
    bug(
        "own-token-ignored",
        "own tokens: what is built has one of the core's",
        "store.c",
        "return own ? st->own_token : call_token(st->k);",
        "return own && st->build == NULL ? st->own_token : call_token(st->k);",
        "test_remake test_model",
    ),
    bug(
        "own-token-of-the-immutable",
        "own tokens: a content-addressed entry has one, from which a rebuild counts on",
        "store.c",
        "bool own = st->own_token != 0 && !(st->spec.options & ENTRY_IMMUTABLE);",
        "bool own = st->own_token != 0;",
        "test_remake",
    ),
    bug(
        "counted-on-from-own-tokens",
        "tokens are used up by a caller's own: after a crash they come round again",
        "rebuild.c",
        "bool made_here = e.spec.options & ENTRY_IMMUTABLE;",
        "bool made_here = true;",
        "test_crash",
    ),
]

READ_OR_NOT = [
    bug(
        "read-by-storing",
        "was_read: what was stored again has been read",
        "store.c",
        "hit->e.spec.kind == ENTRY_VALUE ? VISITED_USED : 0;",
        "hit->e.spec.kind == ENTRY_VALUE ? VISITED_USED | VISITED_READ : 0;",
        "test_was_read",
    ),
    bug(
        "read-lost-by-building",
        "was_read: what is built from an entry that was read has not been",
        "store.c",
        "marks |= index_marks(st->k, hit->way) & VISITED_READ;",
        "marks |= 0;",
        "test_was_read",
    ),
    bug(
        "read-lost-by-moving",
        "was_read: an entry that was moved has not been read",
        "index.h",
        "index_mark(k, way, index_marks(k, way) & VISITED_READ);",
        "index_mark(k, way, 0);",
        "test_was_read",
    ),
    bug(
        "use-kept-by-moving",
        "what stays: an entry that was read once is spared for ever",
        "index.h",
        "index_mark(k, way, index_marks(k, way) & VISITED_READ);",
        "(void)k, (void)way;",
        "test_was_read",
    ),
    bug(
        "read-by-peeking",
        "peek: it is a reading",
        "read.c",
        "        if (marks) {\n",
        "        if (marks || true) {\n",
        "test_was_read",
    ),
]

REMAKING: list[Mutant] = [*REMAKES, *OWN_TOKENS, *READ_OR_NOT]
