/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_reader.c: a reader under whom everything changes.  Where its slot changes at every look it ends, after a bounded
 * number of looks; and halted at every instruction (puppet.h) while its entry's place becomes another run's, in which an
 * entry of the same key is written but not published, it believes nothing of that.
 * Threatens G1, G3, G9.
 */
#include "puppet.h"
#include "spare.h"

#define READER_STEPS_MOST 60000u
#define LARGE 70000u /* copied under a pin */

static uint8_t large[LARGE], others[LARGE];

/* The text is the value's bytes if they are all the same, as often as there is room. */
static plc_status get_large(void) {
    plc_found found;
    plc_status s = plc_get(common, SUBJECT, strlen(SUBJECT), 0, large, sizeof large, &found);
    bool same = s == PLC_OK && found.length == LARGE && memcmp(large, large + 1, LARGE - 1) == 0;
    (void)snprintf(task->text, sizeof task->text, "%.2s", same ? (const char *)large : "torn");
    return s;
}

static void begin_large(const struct call *k) {
    puppet_begin(puppet_get, false, true, k);
    memset(others, '4', LARGE);
    CHECK_STATUS(store(common, PLC_SET, SUBJECT, others, LARGE), PLC_OK);
    task->run = slot_head(subject_slot(k));
    puppet_task(get_large);
}

/* From its first pin on the key is stored anew at each of its instructions. */
static void reader_under_pin(void) {
    struct call k;
    unsigned since = 0;
    puppet_start();
    subject_look(common, &k);
    begin_large(&k);
    CHECK(puppet_step_to(&k, 1, 0, &since));
    for (unsigned i = 0; !task->done; i++) {
        CHECK(i < READER_STEPS_MOST);
        CHECK_STATUS(store(common, PLC_SET, SUBJECT, "x", 1), PLC_OK);
        puppet_step();
    }
    puppet_let_go();
    CHECK_STATUS(task->status, PLC_MISS);
    CHECK(counter_of(common, "contended") == 1);
    puppet_end();
}

/* Every few instructions the key is stored anew: so often that whatever it looked at has changed since. */
static void reader(void) {
    struct call k;
    uint64_t changed = 0, contended = 0;
    puppet_start();
    subject_look(common, &k);
    for (unsigned every = 1; every <= 64; every *= SANITIZED ? 64 : 4) {
        uint64_t had = counter_of(common, "contended");
        puppet_begin(puppet_get, false, true, &k);
        for (unsigned i = 0; !task->done; i++) {
            CHECK(i < READER_STEPS_MOST);
            puppet_step();
            if (task->begun && i % every == 0) {
                CHECK_STATUS(store(common, PLC_SET, SUBJECT, "x", 1), PLC_OK);
                changed++;
            }
        }
        puppet_let_go();
        CHECK(task->status == PLC_OK || task->status == PLC_MISS); /* it never waits, nor is it told to come again */
        contended += counter_of(common, "contended") - had;
    }
    CHECK(contended > 0);
    (void)printf("  %" PRIu64 " changes under reads, of which %" PRIu64 " gave up\n", changed, contended);
    puppet_end();
}

/* The key goes, and its place becomes another run's, whose owner has written, but not published, an entry of the same
 * key there.  False: somebody has pinned it. */
static bool forge(struct call *k, struct fill *fill, bool own) {
    uint64_t met;
    uint32_t run = task->run, pages = own ? (LARGE + 128 + PAGE_BYTES - 1) / PAGE_BYTES : 1;
    MUST(common, plc_delete(common, SUBJECT, strlen(SUBJECT)), PLC_OK);
    CHECK(evict_now(common, run, EVICT_ALL) == PLC_OK);
    if (page_state(word_acq(page_word(common, run))) == PAGE_LIMBO) {
        return false;
    }
    CHECK_STATUS(call_enter(k, common), PLC_OK);
    CHECK_STATUS(index_key(k, SUBJECT, strlen(SUBJECT)), PLC_OK);
    for (uint32_t i = 0; i < pages; i++) {
        CHECK(pages_claim(k, run + i, &met));
    }
    (void)pages_form(k, run, pages, own);
    run_begin(k, run, own, fill);
    const struct spec spec = {.key = k->key,
                              .key_length = 1,
                              .kind = ENTRY_VALUE,
                              .options = own ? ENTRY_OWN : 0,
                              .length = own ? LARGE : 2,
                              .sum = name_sum(common, 0, (const uint16_t[4]){0}),
                              .token = 1,
                              .created = entry_created_now(k)};
    memset(others, '?', spec.length);
    fill_racing(run_write(k, fill, &spec), others, spec.length);
    run_commit(k, fill);
    return true;
}

/* A reader stopped at every instruction believes nothing that was never published. */
static void misled_in(bool own, unsigned stride, unsigned most) {
    struct call k;
    struct fill fill;
    uint64_t hits = 0, misses = 0;
    puppet_start();
    subject_look(common, &k);
    bool there = true;
    for (unsigned n = (unsigned)below(stride); there && n < most;
         n += SANITIZED ? 40 * stride + (unsigned)below(40) : stride) {
        (void)alarm(HANG_SECONDS);
        do {
            puppet_begin(puppet_get, false, true, &k);
        } while (slot_offset(subject_slot(&k)) != 0);
        if (own) {
            begin_large(&k);
        }
        there = puppet_go(n);
        bool forged = forge(&k, &fill, own);
        puppet_let_go();
        if (forged) {
            run_finish(&k, &fill);
            CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
        }
        hits += task->status == PLC_OK ? 1 : 0;
        misses += task->status == PLC_MISS ? 1 : 0;
        CHECK(task->status == PLC_MISS || (task->status == PLC_OK && strcmp(task->text, own ? "44" : "41") == 0));
    }
    CHECK(hits > 0 && misses > 0);
    (void)printf("  %" PRIu64 " hits and %" PRIu64 " misses\n", hits, misses);
    puppet_end();
}

static void misled(void) {
    misled_in(false, 3, PUPPET_STEPS_MOST);
    misled_in(true, 4, SANITIZED ? 12000 : 1600);
}

static const struct check_test tests[] = {
    {"reader", reader},
    {"reader_under_pin", reader_under_pin},
    {"misled", misled},
};

int main(void) {
    return trace_needed() ? RUN_TESTS(tests) : 77;
}
