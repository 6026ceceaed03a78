/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_remains.c: what was left behind.  By a dead process: an eviction meets its pin on the run, and a tail of the run
 * that it had given back already; and who continues its run does not take what it had given back for the run's.  By
 * earlier runs: the generations of their pages, of which a run's is above all.  Threatens G2, G3, I5, I6.
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

/* A dead one has given back a tail of its open run, and its side word does not say so: who continues the run has the
 * pages before that one, and room for no more. */
static void continued(uint64_t need, bool fits) {
    struct call k;
    struct fill run, more;
    c = region_new(4 * MIB);
    CHECK_STATUS(store(c, PLC_SET, "warm", "x", 1), PLC_OK);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    const uint64_t dead = owner_make(owner_slot(k.owner), owner_inc(k.owner) - 1);
    uint32_t head = spare_form_reserve(&k), tail = head + 3;
    CHECK(head != 0);
    run_begin(&k, head, false, &run);
    CHECK(run.pages > 5 && side_a_pages(word_acq(page_side_a(c, head))) == run.pages);
    CHECK(word_swap(page_word(c, tail), page_cont(head, run.gen), page_make(PAGE_FREE, 0, run.gen)));
    word_put_rel(page_word(c, head), page_make(PAGE_OPEN, dead, run.gen));
    CHECK(run_resume(&k, head, need, &more) == fits);
    if (fits) {
        CHECK(more.pages == 3 && side_a_pages(word_acq(page_side_a(c, head))) == 3);
        more.published = true;
        run_finish(&k, &more);
    }
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    region_end(c, true);
}

static void tails_of_the_dead(void) {
    continued(3 * PAGE_BYTES, true);
    continued(3 * PAGE_BYTES + ALIGN, false);
}

/* A run's generation is larger than any that one of its pages had, whichever page that is (I6). */
static void generations(void) {
    struct call k;
    struct fill run;
    uint64_t met;
    enum { PAGES = 3, TIMES = 5 };
    c = region_new(4 * MIB);
    CHECK_STATUS(store(c, PLC_SET, "warm", "x", 1), PLC_OK);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    uint32_t head = spare_form_reserve(&k);
    CHECK(head != 0);
    run_begin(&k, head, false, &run);
    CHECK(run.pages >= PAGES);
    pages_release(&k, head, run.gen, run.pages);
    for (uint32_t often = 0; often < PAGES; often++) { /* this one has been in more runs than its neighbours */
        uint32_t gen = 0;
        for (unsigned i = 0; i < TIMES; i++) {
            CHECK(pages_claim(&k, head + often, &met));
            gen = pages_form(&k, head + often, 1, false);
            pages_release(&k, head + often, gen, 1);
        }
        for (uint32_t i = 0; i < PAGES; i++) {
            CHECK(pages_claim(&k, head + i, &met));
        }
        uint32_t whole = pages_form(&k, head, PAGES, false);
        CHECK(whole > gen);
        pages_release(&k, head, whole, PAGES);
    }
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    region_end(c, false);
}

static const struct check_test tests[] = {
    {"dead_pin", dead_pin},
    {"others_tails", others_tails},
    {"tails_of_the_dead", tails_of_the_dead},
    {"generations", generations},
};

int main(void) {
    return RUN_TESTS(tests);
}
