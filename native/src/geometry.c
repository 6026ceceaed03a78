/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * geometry.c: where everything lies in a region of a given size, and the signature of the format.  All of it
 * is computed from two numbers, so that no offset is ever read from shared memory (I9).  The tables in front
 * of the pool cost 8 % of it with the default entry size; most of that is the index.
 */
#include "region.h"

#include "hash.h"

#define EXPECTED_DEFAULT 192u /* 100-byte values then still fill 0.91 of the pool */
#define EXPECTED_MIN 48u
#define EXPECTED_MAX (1u << 20)
#define NAMES_MIN 256u
#define NAMES_MAX 65536u
#define RING_MIN 64u
#define RING_MAX (1u << 24) /* places are numbered in 25 bits, with one number for "none" */
#define FREE_MAX 65536u
#define STEP_MIN (1ull << 20)
#define STEP_MAX (16ull << 20)
#define SEGMENTS_MIN 8u

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high) {
    return value < low ? low : value > high ? high : value;
}

static uint64_t power_above(uint64_t value) {
    uint64_t power = 1;
    while (power < value) {
        power <<= 1;
    }
    return power;
}

static uint64_t pages_of(uint64_t bytes) {
    return (bytes + PAGE_BYTES - 1) >> PAGE_SHIFT;
}

static void fixed_sizes(struct geometry *g) {
    bool small = g->size_bytes < SMALL_REGION;
    g->names = (uint32_t)power_above(clamp(g->size_bytes >> 14, NAMES_MIN, NAMES_MAX));
    g->slots = small ? SLOTS_SMALL : SLOTS_MAX;
    g->counted_pins = small ? COUNTED_PINS_SMALL : COUNTED_PINS_MAX;
    g->process_bytes = (uint32_t)((sizeof(struct shm_process) + 8u * g->counted_pins + 63u) & ~63ull);
    g->segment_pages = small ? 16 : 64;
    g->own_bytes = small ? 8u << 10 : 32u << 10;
    g->step_pages = (uint32_t)(clamp(g->size_bytes / 16, STEP_MIN, STEP_MAX) >> PAGE_SHIFT);
}

/* A load of 3/4 with entries as expected: pool / expected / 0.75 slots. */
static void index_sizes(struct geometry *g, uint64_t pool_bytes) {
    uint64_t buckets = pool_bytes * 4 / 3 / g->expected_entry / BUCKET_SLOTS + 1;
    g->shards = SHARDS_MAX;
    while (g->shards > 1 && buckets / g->shards < SHARD_BUCKETS_MIN) {
        g->shards /= 2;
    }
    uint64_t each = (buckets + g->shards - 1) / g->shards;
    g->shard_buckets = (uint32_t)clamp(each, SHARD_BUCKETS_MIN, UINT32_MAX);
}

/* Lays the tables out, in the order of the drawing, for a pool of so many pages; returns the first page
 * behind them. */
static uint64_t lay_out(struct geometry *g, uint64_t pool_pages) {
    index_sizes(g, pool_pages << PAGE_SHIFT);
    g->ring_places = (uint32_t)clamp(power_above(pool_pages / 4), RING_MIN, RING_MAX);
    g->free_places = (uint32_t)power_above(clamp(pool_pages / 16, RING_MIN, FREE_MAX));
    g->ghosts = (uint32_t)(pool_pages << (PAGE_SHIFT - 10)); /* one per KiB; a multiple of GHOST_WAYS */

    const struct {
        uint64_t *at, bytes;
    } sections[] = {
        {&g->wait_at, WAIT_WORDS * sizeof(word32)},
        {&g->locks_at, g->shards * sizeof(word)},
        {&g->names_at, (uint64_t)g->names * NAME_BYTES},
        {&g->processes_at, (uint64_t)g->slots * g->process_bytes},
        {&g->ring_at, 2ull * g->ring_places * sizeof(word)},
        {&g->free_at, (uint64_t)g->free_places * sizeof(word)},
        {&g->ghosts_at, (uint64_t)g->ghosts * sizeof(uint32_t)},
        {&g->pages_at, pool_pages * sizeof(struct shm_page)},
        {&g->side_b_at, pool_pages * sizeof(word)},
        {&g->index_at, (uint64_t)g->shards * g->shard_buckets * sizeof(struct shm_bucket)},
    };
    uint64_t page = 1; /* behind the superblock */
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        *sections[i].at = page << PAGE_SHIFT;
        page += pages_of(sections[i].bytes);
    }
    return page;
}

/* The tables depend on the pool's size and the pool has what they leave: the largest pool that fits. */
bool region_geometry(uint64_t size_bytes, uint32_t expected_entry, struct geometry *out) {
    if (size_bytes < PLC_SIZE_MIN || size_bytes > PLC_SIZE_MAX) {
        return false;
    }
    struct geometry g = {.size_bytes = size_bytes & ~(uint64_t)(PAGE_BYTES - 1)};
    g.expected_entry = expected_entry == 0 ? EXPECTED_DEFAULT : expected_entry;
    g.expected_entry = (uint32_t)clamp(g.expected_entry, EXPECTED_MIN, EXPECTED_MAX);
    fixed_sizes(&g);
    uint64_t total = g.size_bytes >> PAGE_SHIFT, fits = 0, too_many = total;
    while (too_many - fits > 1) {
        uint64_t middle = fits + (too_many - fits) / 2;
        if (lay_out(&g, middle) + middle <= total) {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    uint64_t first = lay_out(&g, fits);
    if (first + fits > total || fits < (uint64_t)SEGMENTS_MIN * g.segment_pages) {
        return false;
    }
    g.first_page = (uint32_t)first;
    g.end_page = (uint32_t)(first + fits);
    *out = g;
    return true;
}

/* What two builds must agree on to share a region. */
static const uint64_t agreed[] = {
    sizeof(struct shm_superblock),
    offsetof(struct shm_superblock, retired),
    offsetof(struct shm_superblock, frontier),
    offsetof(struct shm_superblock, slots_used),
    offsetof(struct shm_superblock, reserve),
    offsetof(struct shm_superblock, parked),
    offsetof(struct shm_superblock, baseline),
    sizeof(struct shm_bucket),
    offsetof(struct shm_bucket, visited),
    sizeof(struct shm_page),
    offsetof(struct shm_page, side_a),
    sizeof(struct shm_name),
    offsetof(struct shm_name, generation),
    offsetof(struct shm_name, base_hits),
    sizeof(struct shm_process),
    offsetof(struct shm_process, pins_high),
    offsetof(struct shm_process, counters),
    offsetof(struct shm_process, lanes),
    offsetof(struct shm_process, transient),
    sizeof(struct shm_entry),
    offsetof(struct shm_superblock, check),
    offsetof(struct shm_entry, size),
    offsetof(struct shm_entry, token),
    offsetof(struct shm_entry, client_flags),
    PAGE_BYTES,
    BUCKET_SLOTS,
    SHARDS_MAX,
    SHARD_BUCKETS_MIN,
    TICKETS,
    LANES,
    LANE_COUNTERS,
    COUNTED_PINS_MAX,
    COUNTED_PINS_SMALL,
    SLOTS_MAX,
    SLOTS_SMALL,
    SMALL_REGION,
    COUNTERS_MAX,
    RESERVE_PLACES,
    PARKED_PLACES,
    GHOST_WAYS,
    WAIT_WORDS,
    INC_BITS,
    ALIGN,
    PAGE_CONT,
    PLC_KEY_MAX,
    EXPECTED_DEFAULT,
    NAMES_MIN,
    NAMES_MAX,
    RING_MAX,
    FREE_MAX,
};

uint64_t region_format(void) {
    uint64_t mixed = LAYOUT_VERSION;
    for (size_t i = 0; i < sizeof agreed / sizeof agreed[0]; i++) {
        mixed = hash_mix(mixed ^ agreed[i]) + i;
    }
    return (uint64_t)LAYOUT_VERSION << 48 | (mixed & 0xffffffffffffull);
}
