/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_garbage.c: nothing read from the region is believed.  Words and bits of every section are overwritten while
 * the region is in use, with random, extreme and plausible values, and every operation goes on: right values,
 * wrong ones (the bytes themselves were changed), misses and refusals are allowed; a crash, an access outside of
 * the file (its neighbourhood is not accessible) and an endless loop are not.  (garbage.h says what is overwritten.)
 * Values that are held in place meanwhile are read whole, and what is reserved is filled whole, again and again.
 */
#include "soak.h"
#include "call.h"
#include "garbage.h"
#include "holding.h"
#include "part.h"
#include "spare.h"

#include <sys/mman.h>

#define KEYS 200u
#define BUFFER (2u * MIB)
#define PATIENCE 3000u /* times that one call may answer PLC_AGAIN */

static plc_cache *c;
static uint8_t buffer[BUFFER], value[BUFFER];
static uint64_t answers[2]; /* hits; all else */
static uint64_t longest_us;

/* The pages around a mapping are made inaccessible, if they are not taken. */
static void fence_in(uint8_t *mapping) {
    uint8_t *const around[] = {mapping - PAGE_BYTES, mapping + c->geo.size_bytes};
    for (unsigned i = 0; i < 2; i++) {
        (void)mmap(around[i], PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    }
}

/* ---- every operation ------------------------------------------------------------------------------ */

#define LONGEST_US 2000000u

static void note_time(uint64_t began, const char *call, unsigned times) {
    uint64_t took = began != 0 ? soak_worked() - began : 0;
    longest_us = took > longest_us ? took : longest_us;
    if (took >= LONGEST_US) {
        (void)fprintf(stderr, "%" PRIu64 " us, %u times PLC_AGAIN: %s\n", took, times, call);
    }
    CHECK(took < LONGEST_US);
}

#define PATIENTLY(call)                        \
    ({                                         \
        plc_status s_;                         \
        unsigned times_ = 0;                   \
        uint64_t began_ = soak_worked();       \
        while ((s_ = (call)) == PLC_AGAIN) {   \
            CHECK(plc_assist(c, 1) == PLC_OK); \
            CHECK(++times_ < PATIENCE);        \
        }                                      \
        note_time(began_, #call, times_);      \
        s_;                                    \
    })

static size_t some_size(void) {
    static const size_t most[] = {10, 100, 2000, 12000, 60000, 400000};
    return below(most[below(sizeof most / sizeof most[0])]);
}

/* ---- values in place ------------------------------------------------------------------------------- */

#define HOLDS 24u

static struct hold {
    plc_view view;
    plc_reservation *r;
    uint8_t *bytes; /* of the reservation */
    uint64_t n;
} held[HOLDS];
static uint64_t in_place[2]; /* leases; reservations that were sealed */

/* All of it: what is not in the file is not there to be read. */
static void read_whole(const struct hold *h) {
    const uint8_t *bytes = h->r != NULL ? h->bytes : h->view.bytes;
    uint64_t n = h->r != NULL ? h->n : h->view.length;
    for (uint64_t i = 0; bytes != NULL && i < n; i += 64) {
        (void)((const volatile uint8_t *)bytes)[i];
    }
    (void)(bytes != NULL && n != 0 ? ((const volatile uint8_t *)bytes)[n - 1] : 0);
}

static void let_go(struct hold *h) {
    read_whole(h);
    uint64_t began = soak_worked();
    if (h->r != NULL) {
        plc_reservation_end(c, h->r);
    } else {
        plc_release(c, &h->view);
    }
    note_time(began, "plc_release", 0);
    *h = (struct hold){0};
}

static plc_status take(struct hold *h, const plc_entry *e, uint16_t name) {
    plc_found found;
    let_go(h);
    if (below(2) == 0) {
        const plc_part part = {value, c->geo.own_bytes + below(100000)};
        plc_entry large = *e;
        large.parts = &part;
        (void)PATIENTLY(plc_store(c, PLC_SET, &large, NULL));
    }
    plc_status s = PATIENTLY(plc_lease(c, e->key, e->key_length, name, &h->view, &found));
    if (s == PLC_OK) {
        uint64_t at = (uint64_t)((const uint8_t *)h->view.bytes - c->view);
        CHECK(at <= c->geo.size_bytes && h->view.length <= c->geo.size_bytes - at); /* no bytes may be at its end */
        read_whole(h);
        in_place[0]++;
    }
    if (s == PLC_OK && below(8) == 0 && plc_view_private(c, &h->view) == PLC_OK && h->view.length != 0) {
        ((uint8_t *)(uintptr_t)h->view.bytes)[h->view.length - 1] ^= 1;
    }
    return s;
}

static plc_status reserve(struct hold *h, const plc_entry *e) {
    void *at = NULL;
    let_go(h);
    h->n = some_size();
    plc_status s = PATIENTLY(plc_reserve(c, e, h->n, &h->r, &at));
    h->bytes = at;
    if (s == PLC_OK) {
        memset(at, 0xcd, h->n);
    }
    return s;
}

static plc_status seal(struct hold *h) {
    plc_status s = h->r != NULL ? PATIENTLY(plc_seal(c, h->r, 0, NULL)) : PLC_MISS;
    in_place[1] += s == PLC_OK ? 1 : 0;
    return s == PLC_INVALID ? PLC_MISS : s; /* sealed already, or aborted */
}

/* A child reads what it has inherited, calls, and lets go.  (None, where no place could be made for it.) */
static void fork_holding(void) {
    uint32_t leases = c->holding->leases;
    plc_found found;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)alarm(HANG_SECONDS);
        for (unsigned i = 0; i < HOLDS && c->holding->leases == leases; i++) {
            read_whole(&held[i]);
        }
        (void)PATIENTLY(plc_get(c, "key-1", 5, 0, buffer, BUFFER, &found));
        for (unsigned i = 0; i < HOLDS && c->holding->leases == leases; i++) {
            let_go(&held[i]);
        }
        _exit(0);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static plc_status work_in_place(uint64_t kind, const plc_entry *e, uint16_t name) {
    struct hold *h = &held[below(HOLDS)];
    switch (kind) {
    case 0: return reserve(h, e);
    case 1: {
        plc_status s = reserve(h, e);
        return s == PLC_OK ? seal(h) : s;
    }
    case 2: return seal(h);
    case 3: let_go(h); return PLC_OK;
    case 4: plc_abort(c, h->r); return PLC_OK;
    case 5:
        if (below(50) == 0) {
            fork_holding();
        }
        return PLC_OK;
    default: return take(h, e, name);
    }
}

/* What is there, by a token that fits. */
static plc_status remake(const plc_entry *given) {
    plc_found found;
    plc_entry e = *given;
    plc_status s = PATIENTLY(plc_peek(c, e.key, e.key_length, buffer, BUFFER, &found));
    CHECK(s != PLC_OK || found.length <= BUFFER);
    e.token = found.token;
    e.seen_type = found.type;
    e.own_token = below(2) == 0 ? check_random() : 0;
    e.options = below(2) == 0 ? PLC_NEW_DEADLINE : 0;
    return s == PLC_OK ? PATIENTLY(plc_store(c, PLC_REMAKE, &e, NULL)) : s;
}

#define KINDS 36u /* of operations */

static void work(uint64_t kind) {
    char key[2][32];
    plc_found found[2];
    plc_flight flight;
    plc_name_counts counts;
    uint16_t name = (uint16_t)check_random();
    uint32_t statuses[2];
    uint64_t result = 0;
    const void *keys[2] = {key[0], key[1]};
    size_t n[2];
    for (unsigned i = 0; i < 2; i++) {
        n[i] = (size_t)snprintf(key[i], sizeof key[i], "key-%" PRIu64, below(KEYS));
    }
    const plc_part part = {value, some_size()};
    plc_entry e[2];
    for (unsigned i = 0; i < 2; i++) {
        e[i] = (plc_entry){.key = key[i], .key_length = n[i], .parts = &part, .part_count = 1};
        e[i].tags[below(4)] = below(8) == 0 ? (uint16_t)check_random() : 0;
        e[i].deadline_ms = below(8) == 0 ? check_random() : 0;
    }
    plc_status s = PLC_OK;
    switch (kind) {
    case 0: s = PATIENTLY(plc_store(c, (plc_verb)below(8), &e[0], &result)); break;
    case 1: s = PATIENTLY(plc_delete(c, key[0], n[0])); break;
    case 2: s = PATIENTLY(plc_incr(c, key[0], n[0], 1, (uint32_t)below(2), &result)); break;
    case 3: s = PATIENTLY(plc_touch(c, key[0], n[0], below(2) ? 0 : UINT64_MAX >> 20)); break;
    case 4: s = PATIENTLY(plc_get_touch(c, key[0], n[0], 0, buffer, BUFFER, found)); break;
    case 5: s = PATIENTLY(plc_get_many(c, 2, keys, n, name, buffer, BUFFER, found)); break;
    case 6: s = PATIENTLY(plc_store_many(c, 2, e, statuses)); break;
    case 7: s = PATIENTLY(plc_delete_many(c, 2, keys, n, &result)); break;
    case 8:
        s = PATIENTLY(plc_claim(c, &e[0], 1000, &flight));
        if (s == PLC_OK && below(2) == 0) {
            e[0].token = flight.token;
            e[0].sum = flight.sum;
            s = PATIENTLY(plc_store(c, PLC_PUBLISH, &e[0], NULL));
        }
        break;
    case 9: s = below(8) ? PLC_OK : PATIENTLY(plc_wait(c, key[0], n[0], 1)); break; /* takes a millisecond */
    case 10: s = plc_name(c, key[0], n[0], &name); break;
    case 11: s = below(2) ? plc_name_read(c, name, &counts) : plc_name_reset(c, name); break;
    case 12: s = plc_name_invalidate(c, name | 1u); break;
    case 13: s = plc_flush(c, below(500) == 0 ? 0 : below(2) ? UINT64_MAX >> 10 : check_random()); break;
    case 14: s = plc_sum(c, name, e[0].tags, &result); break;
    case 15: s = PATIENTLY(plc_abandon(c, key[0], n[0], check_random())); break;
    case 16: s = below(2) ? plc_stats_reset(c) : plc_name_count(c, name, 1, 1, 1); break;
    case 17:
    case 18:
    case 19: s = PATIENTLY(plc_store(c, PLC_SET, &e[0], NULL)); break;
    case 20:
    case 21:
    case 22:
    case 23:
    case 24:
    case 25:
    case 26:
    case 27:
    case 28: s = work_in_place(kind - 20, &e[0], name); break;
    case 29: s = remake(&e[0]); break;
    case 30: s = PATIENTLY(plc_was_read(c, key[0], n[0], statuses)); break;
    default:
        s = PATIENTLY(plc_get(c, key[0], n[0], name, buffer, BUFFER, found));
        CHECK(s != PLC_OK || found->length <= BUFFER);
        answers[s == PLC_OK ? 0 : 1]++;
    }
    if (s > PLC_WRONG_TYPE) {
        (void)fprintf(stderr, "operation %" PRIu64 ": %s\n", kind, plc_status_text(s));
    }
    CHECK(s == PLC_OK || (s >= PLC_MISS && s <= PLC_WRONG_TYPE));
}

#define WALKS_MOST 100000u
enum walks { WALK_SCAN, WALK_COUNT, WALK_CHECK, WALK_USAGE, WALK_DRAIN };

static void keys_are_whole(size_t used) {
    CHECK(used <= 65536);
    for (size_t at = 0; at < used; at += 4u + (buffer[at] | (unsigned)buffer[at + 1] << 8)) {
        CHECK(at + 4 <= used && at + 4 + (buffer[at] | (unsigned)buffer[at + 1] << 8) <= used);
    }
}

static void walk(enum walks which) {
    plc_finding findings[64];
    plc_usage usage = {0};
    uint64_t n = 0, longest = 0, cursor = below(8) == 0 ? check_random() : 0;
    size_t used = 0;
    plc_status s = PLC_OK;
    for (unsigned i = 0; s == PLC_OK; i++) {
        CHECK(i < WALKS_MOST);
        switch (which) {
        case WALK_SCAN:
            s = PATIENTLY(plc_scan(c, &cursor, 0, buffer, 65536, &used));
            keys_are_whole(used);
            break;
        case WALK_COUNT: s = PATIENTLY(plc_count(c, &cursor, 0, &n)); break;
        case WALK_CHECK: s = PATIENTLY(plc_check(c, &cursor, findings, 64, &used)); break;
        case WALK_USAGE: s = PATIENTLY(plc_usage_read(c, &cursor, &usage)); break;
        case WALK_DRAIN: s = PATIENTLY(plc_drain(c, &cursor, &n, &longest)); break;
        }
    }
    CHECK(s == PLC_DONE);
}

static void fill(unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        work(below(KINDS));
    }
}

/* Everything that there is is done with the region as it is now.  A drain empties it, so it is not done each time. */
static void use(bool drained) {
    plc_stats stats;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        work(kind);
    }
    walk(WALK_CHECK);
    walk(WALK_SCAN);
    walk(below(2) ? WALK_COUNT : WALK_USAGE);
    if (drained) {
        walk(WALK_DRAIN);
        fill(150);
    }
    CHECK_STATUS(plc_stats_read(c, &stats), PLC_OK);
    (void)info_of(c);
}

static void close_region(void) {
    for (unsigned i = 0; i < HOLDS; i++) {
        let_go(&held[i]);
    }
    plc_close(c);
    CHECK(c->base == NULL);
}

/* What another region of that size has in memory, for pages to be taken from. */
static void donor_make(uint64_t size) {
    c = region_new(size);
    fill(300);
    garbage_donor = malloc(size);
    CHECK(garbage_donor != NULL);
    memset(garbage_donor, 0, size);
    memcpy(garbage_donor, c->base, (size_t)pages_limit(c) << PAGE_SHIFT);
    close_region();
}

static void run(const char *name, uint64_t size, uint64_t mutations) {
    memset(answers, 0, sizeof answers);
    memset(in_place, 0, sizeof in_place);
    longest_us = 0;
    donor_make(size);
    for (uint64_t done = 0; done < mutations;) {
        c = region_new(size);
        garbage_region = c;
        fence_in(c->base);
        fence_in((uint8_t *)(uintptr_t)part_view(c));
        fill(300);
        for (unsigned batch = 0; batch < 120 && done < mutations; batch++) {
            uint64_t n = below(4) == 0 ? 1 + below(12) : 1;
            for (uint64_t i = 0; i < n; i++, done++) {
                garbage_mutate();
            }
            use(below(20) == 0);
        }
        use(true);
        close_region();
    }
    free(garbage_donor);
    CHECK(answers[0] > 0 && answers[1] > 0 && in_place[0] > 0 && in_place[1] > 0);
    char longest[64] = "";
    if (soaking()) {
        (void)snprintf(longest, sizeof longest, ", longest call %" PRIu64 " ms", longest_us / 1000);
    }
    soak_line(name,
              "%" PRIu64 " mutations, each followed by every operation; %" PRIu64 " values, %" PRIu64
              " misses, %" PRIu64 " leases, %" PRIu64 " filled%s",
              mutations, answers[0], answers[1], in_place[0], in_place[1], longest);
}

static void full_region(void) {
    run("garbage in a region", 4 * MIB, soak_rounds(500000, 2000, 10000));
}

/* Most of it is not in the file: what points there must not be followed. */
static void growing_region(void) {
    run("garbage in a region that grows", 48 * MIB, soak_rounds(500000, 2000, 10000));
}

/* A stretch of free pages that is longer than the pool: what is left of it is not put into the reserve segment by
 * segment, most of which are nowhere. */
static void free_stretch_beyond_the_pool(void) {
    struct call k;
    c = region_new(4 * MIB);
    fill(300);
    walk(WALK_DRAIN);
    uint32_t page = c->geo.first_page;
    while (page < pages_limit(c) && page_state(word_acq(page_word(c, page))) != PAGE_FREE) {
        page++;
    }
    CHECK(page < pages_limit(c));
    for (uint32_t other = c->geo.first_page; other < pages_limit(c);
         other++) { /* what is free would fill the reserve */
        word_put_rlx(page_word(c, other), other == page ? 0 : page_make(PAGE_SEALED, 0, 1));
    }
    for (uint32_t i = 0; i < c->geo.free_places; i++) {
        word_put_rlx(&c->free_ring[i], (uint64_t)page << 28 | ((1u << 28) - 1));
    }
    word_put_rlx(&c->super->free_head.value, 0);
    word_put_rlx(&c->super->free_tail.value, c->geo.free_places);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK(spare_form(&k, 1, 2, false) == page);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    for (unsigned i = 0; i < RESERVE_PLACES; i++) {
        CHECK(word_acq(&c->super->reserve[i]) < pages_limit(c));
    }
    close_region();
}

static const struct check_test tests[] = {
    {"free_stretch_beyond_the_pool", free_stretch_beyond_the_pool},
    {"full_region", full_region},
    {"growing_region", growing_region},
};

int main(void) {
    return RUN_TESTS(tests);
}
