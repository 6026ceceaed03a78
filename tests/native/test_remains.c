/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_remains.c: an eviction meets what a dead process has left in the way: its pin on the run, and a tail of the run
 * that it had given back already.  Threatens G2, I5.
 */
#include "subject.h"
#include "spare.h"

static plc_cache *c;

static void dies_with_a_pin(struct peer_ends ends) {
    struct call k;
    struct hit hit;
    (void)await(ends.in);
    plc_close(c);
    c = region_named("r", 0, 0);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, SUBJECT, strlen(SUBJECT)), PLC_OK);
    fence_full();
    CHECK_STATUS(index_look(&k, &hit), PLC_OK);
    (void)kill(getpid(), SIGKILL);
}

/* Who finds a run pinned asks whether the one who pinned it lives; nobody else has a reason to. */
static void dead_pin(void) {
    struct call k;
    c = region_new(4 * MIB);
    CHECK_STATUS(store(c, PLC_SET, SUBJECT, "41", 2), PLC_OK);
    subject_look(c, &k);
    uint32_t run = slot_head(subject_slot(&k));
    struct peer p = peer_start(dies_with_a_pin);
    tell(p.to, 1);
    CHECK(WIFSIGNALED(peer_end(&p)));
    CHECK(evict_now(c, run, EVICT_ALL) == PLC_OK);
    CHECK_SOON(page_state(word_acq(page_word(c, run))) == PAGE_FREE || (evict_now(c, run, EVICT_ALL), false));
    region_end(c, true);
}

/* A dead one has given back a tail of its run, which is another run's by now: who frees the rest lets it be. */
static void others_tails(void) {
    struct call k;
    struct fill run, others;
    uint64_t met;
    c = region_new(4 * MIB);
    CHECK_STATUS(store(c, PLC_SET, "warm", "x", 1), PLC_OK);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    uint32_t head = spare_form_reserve(&k), tail = head + 3;
    CHECK(head != 0);
    run_begin(&k, head, false, &run);
    CHECK(run.pages > 4);
    CHECK(word_swap(page_word(c, tail), page_cont(head, run.gen), page_make(PAGE_FREE, 0, run.gen)));
    CHECK(pages_claim(&k, tail, &met));
    (void)pages_form(&k, tail, 1, false);
    uint64_t w = word_acq(page_word(c, tail));
    word_put_rel(page_word(c, head), page_make(PAGE_SEALED, 0, run.gen));
    CHECK(evict_run(&k, head, EVICT_ALL) == EVICT_FREED);
    CHECK(word_acq(page_word(c, tail)) == w);
    run_begin(&k, tail, false, &others);
    run_finish(&k, &others);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    region_end(c, false);
}

static const struct check_test tests[] = {
    {"dead_pin", dead_pin},
    {"others_tails", others_tails},
};

int main(void) {
    return RUN_TESTS(tests);
}
