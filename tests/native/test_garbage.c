/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_garbage.c: nothing read from the region is believed.  Words and bits of every section are overwritten while
 * the region is in use, with random, extreme and plausible values, and every operation goes on: right values,
 * wrong ones (the bytes themselves were changed), misses and refusals are allowed; a crash, an access outside of
 * the file (its neighbourhood is not accessible) and an endless loop are not.
 * Spared: the superblock's fixed part, which is read at creation and attachment only, and this process's own
 * incarnation: whoever writes that says that this process is dead.
 */
#include "fixture.h"
#include "space.h"

#include <sys/mman.h>

#define KEYS 200u
#define BUFFER (2u * MIB)
#define PATIENCE 3000u /* times that one call may answer PLC_AGAIN */

static plc_cache *c;
static uint8_t buffer[BUFFER], value[BUFFER];
static uint64_t answers[2]; /* hits; all else */

/* ---- garbage ------------------------------------------------------------------------------------- */

struct section {
    const char *name;
    uint64_t from, to; /* bytes of the region */
    unsigned weight;
};

static unsigned sections_of(struct section *s) {
    const struct geometry *g = &c->geo;
    const struct section all[] = {
        {"superblock", offsetof(struct shm_superblock, clean), sizeof(struct shm_superblock), 4},
        {"wait words", g->wait_at, g->locks_at, 1},
        {"locks", g->locks_at, g->locks_at + 8 * g->shards, 2},
        {"names", g->names_at, g->processes_at, 1},
        {"processes", g->processes_at, g->processes_at + 4ull * g->process_bytes, 3},
        {"rings", g->ring_at, g->free_at, 3},
        {"free ring", g->free_at, g->ghosts_at, 3},
        {"page words", g->words_at, g->side_a_at, 6},
        {"side A", g->side_a_at, g->side_b_at, 6},
        {"side B", g->side_b_at, g->index_at, 4},
        {"index", g->index_at, (uint64_t)g->first_page << PAGE_SHIFT, 6},
        {"pool", (uint64_t)g->first_page << PAGE_SHIFT, (uint64_t)pages_limit(c) << PAGE_SHIFT, 6},
    };
    memcpy(s, all, sizeof all);
    return sizeof all / sizeof all[0];
}

static uint64_t garbage(uint64_t old, const word *others, uint64_t n) {
    switch (below(10)) {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return old + 1;
    case 3: return old - 1;
    case 4: return word_rlx(&others[below(n)]); /* plausible: it stands elsewhere in the section */
    case 5: return page_make((enum page_state)below(16), c->owner, (uint32_t)below(50));
    case 6:
        return slot_make((uint32_t)check_random(), c->geo.first_page + (uint32_t)below(1200),
                         (uint32_t)below(1u << 18));
    case 7: return check_random() >> below(64);
    default: return old ^ 1ull << below(64);
    }
}

static void mutate(void) {
    struct section s[16];
    unsigned n = sections_of(s), total = 0, which = 0;
    for (unsigned i = 0; i < n; i++) {
        total += s[i].weight;
    }
    for (uint64_t at = below(total); at >= s[which].weight; which++) {
        at -= s[which].weight;
    }
    word *words = (word *)(void *)(c->base + s[which].from);
    uint64_t count_of_words = (s[which].to - s[which].from) / 8;
    uint64_t at = below(count_of_words);
    if (s[which].from == (uint64_t)c->geo.first_page << PAGE_SHIFT && below(2) == 0) {
        at &= ~(uint64_t)0x1ff; /* where entries begin */
        at += below(16);
    }
    if (&words[at] != &process_row(c, my_slot(c))->inc) {
        word_put_rlx(&words[at], garbage(word_rlx(&words[at]), words, count_of_words));
    }
}

/* The pages around the mapping are made inaccessible, if they are not taken. */
static void fence_in(void) {
    uint8_t *after = c->base + c->geo.size_bytes;
    (void)mmap(after, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    (void)mmap(c->base - PAGE_BYTES, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

/* ---- every operation ------------------------------------------------------------------------------ */

#define PATIENTLY(call)                        \
    ({                                         \
        plc_status s_;                         \
        unsigned times_ = 0;                   \
        while ((s_ = (call)) == PLC_AGAIN) {   \
            CHECK(plc_assist(c, 1) == PLC_OK); \
            CHECK(++times_ < PATIENCE);        \
        }                                      \
        s_;                                    \
    })

static size_t some_size(void) {
    static const size_t most[] = {10, 100, 2000, 12000, 60000, 400000};
    return below(most[below(sizeof most / sizeof most[0])]);
}

static void work(void) {
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
    switch (below(20)) {
    case 0: s = PATIENTLY(plc_store(c, (plc_verb)below(7), &e[0], &result)); break;
    case 1: s = PATIENTLY(plc_delete(c, key[0], n[0])); break;
    case 2: s = PATIENTLY(plc_incr(c, key[0], n[0], 1, 0, &result)); break;
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
    case 9: s = PATIENTLY(plc_wait(c, key[0], n[0], 1)); break;
    case 10: s = plc_name(c, key[0], n[0], &name); break;
    case 11: s = below(2) ? plc_name_read(c, name, &counts) : plc_name_reset(c, name); break;
    case 12: s = plc_name_invalidate(c, name | 1u); break;
    case 13:
    case 14:
    case 15: s = PATIENTLY(plc_store(c, PLC_SET, &e[0], NULL)); break;
    default:
        s = PATIENTLY(plc_get(c, key[0], n[0], name, buffer, BUFFER, found));
        CHECK(s != PLC_OK || found->length <= BUFFER);
        answers[s == PLC_OK ? 0 : 1]++;
    }
    CHECK(s == PLC_OK || (s >= PLC_MISS && s <= PLC_WRONG_TYPE));
}

#define WALKS_MOST 100000u

static void walk(void) {
    plc_finding findings[64];
    plc_usage usage = {0};
    plc_stats stats;
    uint64_t n = 0, longest = 0;
    size_t used = 0;
    for (unsigned which = 0; which < 5; which++) {
        uint64_t cursor = below(8) == 0 ? check_random() : 0;
        plc_status s = PLC_OK;
        for (unsigned i = 0; s == PLC_OK; i++) {
            CHECK(i < WALKS_MOST);
            switch (which) {
            case 0: s = PATIENTLY(plc_scan(c, &cursor, 0, buffer, 65536, &used)); break;
            case 1: s = PATIENTLY(plc_count(c, &cursor, 0, &n)); break;
            case 2: s = PATIENTLY(plc_check(c, &cursor, findings, 64, &used)); break;
            case 3: s = PATIENTLY(plc_usage_read(c, &cursor, &usage)); break;
            default: s = PATIENTLY(plc_drain(c, &cursor, &n, &longest)); break;
            }
            CHECK(which != 0 || used <= 65536);
            if (which == 0) {
                for (size_t at = 0; at < used; at += 4u + (buffer[at] | (unsigned)buffer[at + 1] << 8)) {
                    CHECK(at + 4 <= used && at + 4 + (buffer[at] | (unsigned)buffer[at + 1] << 8) <= used);
                }
            }
        }
        CHECK(s == PLC_DONE);
    }
    CHECK_STATUS(plc_stats_read(c, &stats), PLC_OK);
    (void)info_of(c);
}

static void run(uint64_t size) {
    uint64_t mutations = rounds(20000, 4000);
    memset(answers, 0, sizeof answers);
    for (uint64_t done = 0; done < mutations;) {
        c = region_new(size);
        fence_in();
        for (unsigned i = 0; i < 300; i++) {
            work();
        }
        for (unsigned batch = 0; batch < 60; batch++) {
            uint64_t n = 1 + below(12);
            for (uint64_t i = 0; i < n; i++, done++) {
                mutate();
            }
            for (unsigned i = 0; i < 25; i++) {
                work();
            }
            if (below(20) == 0) {
                walk();
            }
        }
        walk();
        plc_close(c);
    }
    (void)printf("  %" PRIu64 " values found, %" PRIu64 " misses\n", answers[0], answers[1]);
    CHECK(answers[0] > 0 && answers[1] > 0);
}

static void full_region(void) {
    run(4 * MIB);
}

/* Most of it is not in the file: what points there must not be followed. */
static void growing_region(void) {
    run(48 * MIB);
}

static const struct check_test tests[] = {
    {"full_region", full_region},
    {"growing_region", growing_region},
};

int main(void) {
    return RUN_TESTS(tests);
}
