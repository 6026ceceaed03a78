# SPDX-License-Identifier: BSD-3-Clause
"""Bugs of the core that show when a machine has gone down, or a disk has changed what was written (G10)."""

from __future__ import annotations

from core import Mutant

DISKS = [
    Mutant(
        "boot-forgotten",
        "G10: a region that was not closed before the machine went down is used as it is",
        "region_attach.c",
        "if (word_rlx(&super.clean) == 1 && super.persistent != 0) {",
        "if (super.persistent != 0) {",
        "test_disk test_images",
    ),
    Mutant(
        "checksum-of-the-head-not-compared",
        "G10: what a disk has torn or flipped in an entry's head is believed",
        "entry.c",
        "checks.head == head_sum(c, words, tags, checks.value, place, key);",
        "(head_sum(c, words, tags, checks.value, place, key) | 1u) != 0;",
        "test_checksums test_images",
    ),
    Mutant(
        "checksum-of-the-value-not-compared",
        "G10: a torn value is served",
        "entry.c",
        "bool holds = crc32c_value(bytes, n) == check;",
        "bool holds = (crc32c_value(bytes, n) | 1u) != 0 || check != 0;",
        "test_checksums test_images",
    ),
    Mutant(
        "copied-with-a-new-checksum",
        "G10: a damaged entry is moved, and its copy's checksum holds",
        "evict.c",
        "if (keep && !v->own && v->mode != EVICT_ALL && !entry_whole(k->c, e)) {",
        "if (false) {",
        "test_checksums",
    ),
    Mutant(
        "mutable-kept-after-a-crash",
        "G10: of a key that changes, an older value comes back after a power loss",
        "rebuild.c",
        "return (e->spec.options & ENTRY_IMMUTABLE) && entry_valid",
        "return entry_valid",
        "test_disk test_images",
    ),
    Mutant(
        "overlapping-not-dropped",
        "G10: of two runs that claim the same pages one is kept",
        "rebuild.c",
        "    word_put_rlx(page_side_b(c, page_cont_head(claim)), SPOILED);",
        "    (void)c, (void)claim;",
        "test_crash",
    ),
    Mutant(
        "old-sums-kept",
        "G10: what was written under a lost generation is valid when that number is reached again",
        "rebuild.c",
        "(e->spec.options & ENTRY_IMMUTABLE) && entry_valid(&r->k, e)",
        "(e->spec.options & ENTRY_IMMUTABLE) && e->spec.kind == ENTRY_VALUE",
        "test_crash",
    ),
    Mutant(
        "ready-before-it-is",
        "G10: a rebuild that a power loss ends is taken for complete",
        "region_attach.c",
        "error = at->rebuild(c, os_now_ms());",
        "(void)say_ready(c, &super, boot);\n        error = at->rebuild(c, os_now_ms());",
        "test_images",
    ),
    Mutant(
        "clean-before-it-is",
        "G10: the clean mark may reach the disk before what it speaks of",
        "region_open.c",
        "    if (os_sync(c->base, c->geo.size_bytes) != 0) {\n        return;\n    }\n",
        "",
        "test_crash",
    ),
    Mutant(
        "cleared-but-not-on-the-disk",
        "G10: what was invalidated comes back after a power loss",
        "admin.c",
        "    int error = sync(c);\n",
        "    int error = sync == NULL;\n",
        "test_crash test_images",
    ),
    Mutant(
        "tokens-recur",
        "G10: tokens of before a boot are given again",
        "region_attach.c",
        "    word_add_rlx(&c->super->tokens, TOKENS_PER_BOOT);\n",
        "",
        "test_disk",
    ),
    Mutant(
        "clean-kept",
        "G10: a region in use says that it was closed in good order",
        "process.c",
        "    word_put_rel(&c->super->clean, 0);\n",
        "",
        "test_disk",
    ),
    Mutant(
        "emptied-under-the-living",
        "G10: another boot's number empties a region to which others are attached",
        "region_attach.c",
        "if (held || (!booted && super.persistent != 0)) {",
        "if (!booted && super.persistent != 0) {",
        "test_disk",
    ),
]
