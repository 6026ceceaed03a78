# SPDX-License-Identifier: BSD-3-Clause
"""Bugs of the core by which a region is open outside of calls (level pku); noticed where the CPU has keys."""

from __future__ import annotations

from core import Mutant

WINDOWS = [
    Mutant(
        "window-left-open",
        "level pku: a call that has nothing to do at its end leaves the region open",
        "call.h",
        "    domain_close(k->c);\n    seat_leave(k->seat);",
        "    seat_leave(k->seat);",
        "test_keys",
    ),
    Mutant(
        "gate-not-looked-at-again",
        "level pku: who jumps to the write in the gate has opened everything",
        "domain.c",
        "if ((pkru_read() & c->key_bits) != CLOSED_OF(c->key_bits)) {",
        "if (false) {",
        "test_gate",
    ),
    Mutant(
        "waits-with-the-window-open",
        "level pku: the kernel is called with the window open",
        "region_grow.c",
        "    domain_open(c);\n    word *hint",
        "    domain_open(c);\n    os_sleep_ms(1);\n    word *hint",
        "test_gate",
    ),
    Mutant(
        "deputy-confused",
        "level pku: memory of the region is read and written for whoever gives its address",
        "call.h",
        "if (__builtin_expect(refused, 0)) {",
        "if (false && refused) {",
        "test_keys",
    ),
    Mutant(
        "deputy-of-another",
        "level pku: memory of another region that the same key opens is read and written for whoever gives its address",
        "domain.c",
        "for (; o != NULL && !hit; o =",
        "for (; false && o != NULL && !hit; o =",
        "test_keys",
    ),
    Mutant(
        "pool-not-tagged",
        "level pku: only the tables are closed",
        "domain.c",
        "c->geo.size_bytes - c->geo.locks_at, key);",
        "c->geo.size_bytes - c->geo.locks_at, 0);",
        "test_keys",
    ),
    Mutant(
        "wait-words-closed",
        "level pku: the kernel cannot read the words that it is to wait for",
        "domain.c",
        "os_key_tag(c->base + c->geo.wait_at, outside, 0)",
        "os_key_tag(c->base + c->geo.wait_at, outside, key)",
        "test_keys",
    ),
    Mutant(
        "key-never-given-back",
        "level pku: after fifteen regions one after another there is no key left",
        "domain.c",
        "if (--shared.users == 0) {",
        "if (--shared.users == UINT32_MAX) {",
        "test_keys",
    ),
]
