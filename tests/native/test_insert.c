/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_insert.c: who inserts a key is halted somewhere on its way (puppet.h), and meanwhile the same key is inserted by
 * another, in another place.  Threatens I4.
 */
#include "puppet.h"

static plc_status sets(void) {
    return store(common, PLC_SET, SUBJECT, "new", 3);
}

/* Stores the key, but not in the way that who inserts it now would take.  False: its shard is locked. */
static bool put_elsewhere(struct call *k) {
    const plc_part part = {"77", 2};
    const plc_entry e = {.key = SUBJECT, .key_length = strlen(SUBJECT), .parts = &part, .part_count = 1};
    int way = index_empty(k);
    uint64_t other_tag = (uint64_t)(k->tag ^ 1u) << 42 | 1; /* of no page of the pool: nobody's entry */
    CHECK(way >= 0 && word_swap(index_slot(k, (unsigned)way), 0, other_tag));
    plc_status s = plc_store(common, PLC_SET, &e, NULL);
    CHECK(s == PLC_OK || s == PLC_AGAIN || s == PLC_BUSY);
    CHECK(word_swap(index_slot(k, (unsigned)way), other_tag, 0));
    return s == PLC_OK;
}

/* A key that two insert at once is in one slot: who has not the lock inserts nothing. */
static void inserting(void) {
    struct call k;
    uint64_t stored = 0, locked = 0;
    puppet_start();
    subject_look(common, &k);
    bool there = true;
    for (unsigned n = 0; there; n += (SANITIZED ? 150 : 8) + (unsigned)below(5)) {
        (void)alarm(HANG_SECONDS);
        puppet_begin(sets, false, false, &k);
        MUST(common, plc_delete(common, SUBJECT, strlen(SUBJECT)), PLC_OK);
        there = puppet_go(n);
        if (there && subject_slot(&k) == 0) {
            bool could = put_elsewhere(&k);
            stored += could ? 1 : 0;
            locked += could ? 0 : 1;
        }
        puppet_let_go();
        CHECK(task->status == PLC_OK && holds(common, SUBJECT, "new"));
        CHECK(findings_of(common) == 0);
    }
    CHECK(stored > 0 && locked > 0);
    (void)printf("  %" PRIu64 " stored meanwhile, %" PRIu64 " found it locked\n", stored, locked);
    puppet_end();
}

static const struct check_test tests[] = {
    {"inserting", inserting},
};

int main(void) {
    return trace_needed() ? RUN_TESTS(tests) : 77;
}
