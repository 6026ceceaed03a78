/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_garbage.c: nothing read from the region is believed.  Words and bits of every section are overwritten while
 * the region is in use, with random, extreme and plausible values, and every operation goes on: right values,
 * wrong ones (the bytes themselves were changed), misses and refusals are allowed; a crash, an access outside of
 * the file (its neighbourhood is not accessible) and an endless loop are not.
 * Spared: the superblock's fixed part, which is read at creation and attachment only, and this process's own
 * incarnation: whoever writes that says that this process is dead.
 */
#include "soak.h"
#include "call.h"
#include "spare.h"

#include <sys/mman.h>

#define KEYS 200u
#define BUFFER (2u * MIB)
#define PATIENCE 3000u /* times that one call may answer PLC_AGAIN */

static plc_cache *c;
static uint8_t buffer[BUFFER], value[BUFFER];
static uint64_t answers[2]; /* hits; all else */
static uint64_t longest_us;
static uint8_t *donor; /* another region of the same size, as it is in memory */

/* ---- garbage ------------------------------------------------------------------------------------- */

struct section {
    const char *name;
    uint64_t from, to; /* bytes of the region */
    unsigned weight;
};

static unsigned sections_of(struct section *s) {
    const struct geometry *g = &c->geo;
    uint64_t own = (uint64_t)((uint8_t *)process_row(c, my_slot(c)) - c->base);
    const struct section all[] = {
        {"superblock", 0, sizeof(struct shm_superblock), 4},
        {"wait words", g->wait_at, g->locks_at, 1},
        {"locks", g->locks_at, g->locks_at + 8 * g->shards, 2},
        {"names", g->names_at, g->processes_at, 1},
        {"processes", g->processes_at, g->processes_at + 4ull * g->process_bytes, 3},
        {"my row", own, own + g->process_bytes, 2},
        {"rings", g->ring_at, g->free_at, 3},
        {"free ring", g->free_at, g->ghosts_at, 3},
        {"ghosts", g->ghosts_at, g->words_at, 1},
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

static struct section some_section(void) {
    struct section s[16];
    unsigned n = sections_of(s), total = 0, which = 0;
    for (unsigned i = 0; i < n; i++) {
        total += s[i].weight;
    }
    for (uint64_t at = below(total); at >= s[which].weight; which++) {
        at -= s[which].weight;
    }
    return s[which];
}

/* This process's incarnation: whoever writes that says that this process is dead. */
static bool spared(const word *w) {
    return w == &process_row(c, my_slot(c))->inc;
}

static void put_garbage(word *w, uint64_t value_of_it) {
    if (!spared(w)) {
        word_put_rlx(w, value_of_it);
    }
}

static void mutate_word(void) {
    struct section s = some_section();
    word *words = (word *)(void *)(c->base + s.from);
    uint64_t n = (s.to - s.from) / 8, at = below(n);
    if (s.from == (uint64_t)c->geo.first_page << PAGE_SHIFT && below(2) == 0) {
        at &= ~(uint64_t)0x1ff; /* where entries begin */
        at += below(16);
    }
    put_garbage(&words[at], garbage(word_rlx(&words[at]), words, n));
}

/* Bytes at any place, across words and sections. */
static void mutate_bytes(void) {
    struct section s = some_section();
    uint64_t at = s.from + below(s.to - s.from), n = 1 + below(24);
    for (uint64_t i = at; i < at + n && i < s.to; i++) {
        if (!spared((const word *)(const void *)(c->base + (i & ~7ull)))) {
            ((_Atomic uint8_t *)c->base)[i] = (uint8_t)check_random();
        }
    }
}

/* Two words, of one section or of two, change places. */
static void mutate_swap(void) {
    struct section a = some_section(), b = below(2) == 0 ? a : some_section();
    word *one = (word *)(void *)(c->base + a.from + 8 * below((a.to - a.from) / 8));
    word *other = (word *)(void *)(c->base + b.from + 8 * below((b.to - b.from) / 8));
    uint64_t w = word_rlx(one);
    put_garbage(one, word_rlx(other));
    put_garbage(other, w);
}

/* The header of an entry that a slot names: its key's and its value's length, options, deadline. */
static void mutate_entry(void) {
    static const uint64_t lengths[] = {0, UINT64_MAX, 1, PAGE_BYTES, (1ull << 40) - 1, 1ull << 39, 0x7fffffff};
    for (unsigned tries = 0; tries < 200; tries++) {
        uint64_t bucket = below((uint64_t)c->geo.shards * c->geo.shard_buckets);
        uint64_t slot = word_rlx(&c->buckets[bucket].slots[below(BUCKET_SLOTS)]);
        uint64_t at = ((uint64_t)slot_head(slot) << PAGE_SHIFT) + slot_offset(slot);
        if (slot == 0 || slot_head(slot) < c->geo.first_page || at + 64 > (uint64_t)pages_limit(c) << PAGE_SHIFT) {
            continue;
        }
        word *size = (word *)(void *)(c->base + at + offsetof(struct shm_entry, size));
        uint64_t length = lengths[below(sizeof lengths / sizeof lengths[0])], keep = below(2) == 0;
        switch (below(4)) {
        case 0: word_put_rlx(size, keep ? (word_rlx(size) & ~((1ull << 40) - 1)) | (length >> 24) : length); break;
        case 1: ((_Atomic uint16_t *)(void *)(c->base + at))[2] = (uint16_t)check_random(); break;
        case 2: ((_Atomic uint8_t *)(c->base + at))[7] ^= (uint8_t)(1u << below(8)); break;
        default: word_put_rlx((word *)(void *)(c->base + at + 8 * below(8)), length);
        }
        return;
    }
}

/* Words that name each other: tails whose head is a tail, a ring that names one run everywhere. */
static void mutate_cycle(void) {
    uint32_t pages = pages_limit(c) - c->geo.first_page;
    if (pages < 4) {
        return;
    }
    uint32_t a = c->geo.first_page + (uint32_t)below(pages), b = c->geo.first_page + (uint32_t)below(pages);
    uint32_t gen = page_gen(word_rlx(page_word(c, a)));
    uint64_t ring = below(c->geo.ring_places), n = below(200);
    switch (below(4)) {
    case 0:
        word_put_rlx(page_word(c, a), page_cont(b, gen));
        word_put_rlx(page_word(c, b), page_cont(a, gen));
        break;
    case 1: word_put_rlx(page_word(c, a), page_cont(a, gen)); break;
    case 2:
        for (uint64_t i = 0; i < n; i++) {
            word_put_rlx(&c->ring[below(2)][(ring + i) & (c->geo.ring_places - 1)], (check_random() << 28) | a);
        }
        break;
    default: /* two slots name one entry, two runs each other's pages */
        word_put_rlx(page_side_a(c, a), side_a_make(below(2) == 0 ? pages
                                                    : b > a       ? b - a + 1
                                                                  : 1u,
                                                    PAGE_BYTES, below(2)));
        word_put_rlx(page_side_b(c, a), word_rlx(page_side_b(c, b)));
        word_put_rlx(page_word(c, a), word_rlx(page_word(c, b)));
    }
}

/* A page of another region, or of another place of this one, or of zeros. */
static void mutate_page(void) {
    uint64_t limit = pages_limit(c), to = 1 + below(limit - 1), from = 1 + below(limit - 1);
    word *out = (word *)(void *)(c->base + (to << PAGE_SHIFT));
    uint64_t kind = below(3);
    const word *in =
        (const word *)(const void *)(kind == 0 ? donor + (from << PAGE_SHIFT) : c->base + (from << PAGE_SHIFT));
    for (unsigned i = 0; i < PAGE_BYTES / 8; i++) {
        put_garbage(&out[i], kind == 2 ? 0 : word_rlx(&in[i]));
    }
}

static void mutate(void) {
    static void (*const kinds[])(void) = {mutate_bytes, mutate_swap, mutate_entry, mutate_cycle, mutate_word,
                                          mutate_word,  mutate_word, mutate_word,  mutate_word};
    if (below(60) == 0) {
        mutate_page(); /* rarely: much else is gone then */
        return;
    }
    kinds[below(sizeof kinds / sizeof kinds[0])]();
}

/* The pages around the mapping are made inaccessible, if they are not taken. */
static void fence_in(void) {
    uint8_t *after = c->base + c->geo.size_bytes;
    (void)mmap(after, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    (void)mmap(c->base - PAGE_BYTES, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
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

#define KINDS 24u /* of operations */

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
    case 0: s = PATIENTLY(plc_store(c, (plc_verb)below(7), &e[0], &result)); break;
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
    default:
        s = PATIENTLY(plc_get(c, key[0], n[0], name, buffer, BUFFER, found));
        CHECK(s != PLC_OK || found->length <= BUFFER);
        answers[s == PLC_OK ? 0 : 1]++;
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

/* What another region of that size has in memory, for pages to be taken from. */
static void donor_make(uint64_t size) {
    c = region_new(size);
    fill(300);
    donor = malloc(size);
    CHECK(donor != NULL);
    memset(donor, 0, size);
    memcpy(donor, c->base, (size_t)pages_limit(c) << PAGE_SHIFT);
    plc_close(c);
}

static void run(const char *name, uint64_t size, uint64_t mutations) {
    memset(answers, 0, sizeof answers);
    longest_us = 0;
    donor_make(size);
    for (uint64_t done = 0; done < mutations;) {
        c = region_new(size);
        fence_in();
        fill(300);
        for (unsigned batch = 0; batch < 120 && done < mutations; batch++) {
            uint64_t n = below(4) == 0 ? 1 + below(12) : 1;
            for (uint64_t i = 0; i < n; i++, done++) {
                mutate();
            }
            use(below(20) == 0);
        }
        use(true);
        plc_close(c);
    }
    free(donor);
    CHECK(answers[0] > 0 && answers[1] > 0);
    char longest[64] = "";
    if (soaking()) {
        (void)snprintf(longest, sizeof longest, ", longest call %" PRIu64 " ms", longest_us / 1000);
    }
    soak_line(name, "%" PRIu64 " mutations, each followed by every operation; %" PRIu64 " values, %" PRIu64 " misses%s",
              mutations, answers[0], answers[1], longest);
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
    plc_close(c);
}

static const struct check_test tests[] = {
    {"free_stretch_beyond_the_pool", free_stretch_beyond_the_pool},
    {"full_region", full_region},
    {"growing_region", growing_region},
};

int main(void) {
    return RUN_TESTS(tests);
}
