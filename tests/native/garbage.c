/* SPDX-License-Identifier: BSD-3-Clause */
/* garbage.c: see garbage.h. */
#include "garbage.h"

#include "call.h"

plc_cache *garbage_region;
uint8_t *garbage_donor;

struct section {
    const char *name;
    uint64_t from, to; /* bytes of the region */
    unsigned weight;
};

static unsigned sections_of(struct section *s) {
    const struct geometry *g = &garbage_region->geo;
    uint64_t own = (uint64_t)((uint8_t *)process_row(garbage_region, my_slot(garbage_region)) - garbage_region->base);
    const struct section all[] = {
        {"superblock", 0, sizeof(struct shm_superblock), 4},
        {"wait words", g->wait_at, g->locks_at, 1},
        {"locks", g->locks_at, g->locks_at + 8 * g->shards, 2},
        {"names", g->names_at, g->processes_at, 1},
        {"processes", g->processes_at, g->processes_at + 4ull * g->process_bytes, 3},
        {"my row", own, own + g->process_bytes, 2},
        {"my pins", own + offsetof(struct shm_process, child), own + offsetof(struct shm_process, counters), 2},
        {"rings", g->ring_at, g->free_at, 3},
        {"free ring", g->free_at, g->ghosts_at, 3},
        {"ghosts", g->ghosts_at, g->pages_at, 1},
        {"page words", g->pages_at, g->side_b_at, 12},
        {"side B", g->side_b_at, g->index_at, 4},
        {"index", g->index_at, (uint64_t)g->first_page << PAGE_SHIFT, 6},
        {"pool", (uint64_t)g->first_page << PAGE_SHIFT, (uint64_t)pages_limit(garbage_region) << PAGE_SHIFT, 6},
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
    case 5: return page_make((enum page_state)below(16), garbage_region->owner, (uint32_t)below(50));
    case 6:
        return slot_make((uint32_t)check_random(), garbage_region->geo.first_page + (uint32_t)below(1200),
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
    return w == &process_row(garbage_region, my_slot(garbage_region))->inc;
}

static void put_garbage(word *w, uint64_t value_of_it) {
    if (!spared(w)) {
        word_put_rlx(w, value_of_it);
    }
}

static void mutate_word(void) {
    struct section s = some_section();
    word *words = (word *)(void *)(garbage_region->base + s.from);
    uint64_t n = (s.to - s.from) / 8, at = below(n);
    if (s.from == (uint64_t)garbage_region->geo.first_page << PAGE_SHIFT && below(2) == 0) {
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
        if (!spared((const word *)(const void *)(garbage_region->base + (i & ~7ull)))) {
            ((_Atomic uint8_t *)garbage_region->base)[i] = (uint8_t)check_random();
        }
    }
}

/* Two words, of one section or of two, change places. */
static void mutate_swap(void) {
    struct section a = some_section(), b = below(2) == 0 ? a : some_section();
    word *one = (word *)(void *)(garbage_region->base + a.from + 8 * below((a.to - a.from) / 8));
    word *other = (word *)(void *)(garbage_region->base + b.from + 8 * below((b.to - b.from) / 8));
    uint64_t w = word_rlx(one);
    put_garbage(one, word_rlx(other));
    put_garbage(other, w);
}

/* The header of an entry that a slot names: its key's and its value's length, options, deadline. */
static void mutate_entry(void) {
    static const uint64_t lengths[] = {0, UINT64_MAX, 1, PAGE_BYTES, (1ull << 40) - 1, 1ull << 39, 0x7fffffff};
    for (unsigned tries = 0; tries < 200; tries++) {
        uint64_t bucket = below((uint64_t)garbage_region->geo.shards * garbage_region->geo.shard_buckets);
        uint64_t slot = word_rlx(&garbage_region->buckets[bucket].slots[below(BUCKET_SLOTS)]);
        uint64_t at = ((uint64_t)slot_head(slot) << PAGE_SHIFT) + slot_offset(slot);
        if (slot == 0 || slot_head(slot) < garbage_region->geo.first_page ||
            at + 64 > (uint64_t)pages_limit(garbage_region) << PAGE_SHIFT) {
            continue;
        }
        word *size = (word *)(void *)(garbage_region->base + at + offsetof(struct shm_entry, size));
        uint64_t length = lengths[below(sizeof lengths / sizeof lengths[0])], keep = below(2) == 0;
        switch (below(4)) {
        case 0: word_put_rlx(size, keep ? (word_rlx(size) & ~((1ull << 40) - 1)) | (length >> 24) : length); break;
        case 1: ((_Atomic uint16_t *)(void *)(garbage_region->base + at))[2] = (uint16_t)check_random(); break;
        case 2: ((_Atomic uint8_t *)(garbage_region->base + at))[7] ^= (uint8_t)(1u << below(8)); break;
        default: word_put_rlx((word *)(void *)(garbage_region->base + at + 8 * below(8)), length);
        }
        return;
    }
}

/* Words that name each other: tails whose head is a tail, a ring that names one run everywhere. */
static void mutate_cycle(void) {
    uint32_t pages = pages_limit(garbage_region) - garbage_region->geo.first_page;
    if (pages < 4) {
        return;
    }
    uint32_t a = garbage_region->geo.first_page + (uint32_t)below(pages),
             b = garbage_region->geo.first_page + (uint32_t)below(pages);
    uint32_t gen = page_gen(word_rlx(page_word(garbage_region, a)));
    uint64_t ring = below(garbage_region->geo.ring_places), n = below(200);
    switch (below(4)) {
    case 0:
        word_put_rlx(page_word(garbage_region, a), page_cont(b, gen));
        word_put_rlx(page_word(garbage_region, b), page_cont(a, gen));
        break;
    case 1: word_put_rlx(page_word(garbage_region, a), page_cont(a, gen)); break;
    case 2:
        for (uint64_t i = 0; i < n; i++) {
            word_put_rlx(&garbage_region->ring[below(2)][(ring + i) & (garbage_region->geo.ring_places - 1)],
                         (check_random() << 28) | a);
        }
        break;
    default: /* two slots name one entry, two runs each other's pages */
        word_put_rlx(page_side_a(garbage_region, a), side_a_make(below(2) == 0 ? pages
                                                                 : b > a       ? b - a + 1
                                                                               : 1u,
                                                                 PAGE_BYTES, below(2)));
        word_put_rlx(page_side_b(garbage_region, a), word_rlx(page_side_b(garbage_region, b)));
        word_put_rlx(page_word(garbage_region, a), word_rlx(page_word(garbage_region, b)));
    }
}

/* A pin of a row, on anything or on what somebody reads in place; how many there are; a run in limbo, or out of it. */
static void mutate_pins(void) {
    struct shm_process *row =
        process_row(garbage_region, below(2) == 0 ? my_slot(garbage_region) : 1u + (uint32_t)below(4));
    word *pins = row->counted, *pin = &pins[below(16)];
    uint32_t head = garbage_region->geo.first_page + (uint32_t)below(1200);
    uint32_t named = pin_head(word_rlx(&pins[below(16)]));
    switch (below(5)) {
    case 0: word_put_rlx(pin, pin_make(head, (uint32_t)check_random())); break;
    case 1: word_put_rlx(pin, garbage(word_rlx(pin), pins, garbage_region->geo.counted_pins)); break;
    case 2: word_put_rlx(&row->pins_high, below(2) == 0 ? below(20) : check_random()); break;
    case 3: word_put_rlx(&garbage_region->super->handovers, check_random()); break;
    default:
        if (page_in_pool(garbage_region, named)) {
            word *w = page_word(garbage_region, named);
            word_put_rlx(w, page_make(below(2) == 0 ? PAGE_LIMBO : PAGE_SEALED, 0, page_gen(word_rlx(w))));
        }
    }
}

/* A page of another region, or of another place of this one, or of zeros. */
static void mutate_page(void) {
    uint64_t limit = pages_limit(garbage_region), to = 1 + below(limit - 1), from = 1 + below(limit - 1);
    word *out = (word *)(void *)(garbage_region->base + (to << PAGE_SHIFT));
    uint64_t kind = below(3);
    const word *in = (const word *)(const void *)(kind == 0 ? garbage_donor + (from << PAGE_SHIFT)
                                                            : garbage_region->base + (from << PAGE_SHIFT));
    for (unsigned i = 0; i < PAGE_BYTES / 8; i++) {
        put_garbage(&out[i], kind == 2 ? 0 : word_rlx(&in[i]));
    }
}

void garbage_mutate(void) {
    static void (*const kinds[])(void) = {mutate_bytes, mutate_swap, mutate_entry, mutate_cycle, mutate_pins,
                                          mutate_word,  mutate_word, mutate_word,  mutate_word,  mutate_word};
    if (below(60) == 0) {
        mutate_page(); /* rarely: much else is gone then */
        return;
    }
    kinds[below(sizeof kinds / sizeof kinds[0])]();
}
