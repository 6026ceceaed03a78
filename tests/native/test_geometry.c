/* SPDX-License-Identifier: BSD-3-Clause */
/* test_geometry.c: I9: sections lie in order, apart, page-aligned and within the region, for every size; what an
 * empty region costs.  Prints the geometry of some sizes. */
#include "check.h"

#include "region.h"

struct section {
    uint64_t at, bytes;
};

static void sections_of(const struct geometry *g, struct section out[11]) {
    uint64_t pool = (uint64_t)(g->end_page - g->first_page);
    const struct section all[11] = {
        {0, sizeof(struct shm_superblock)},
        {g->wait_at, WAIT_WORDS * 4},
        {g->locks_at, g->shards * 8u},
        {g->names_at, (uint64_t)g->names * NAME_BYTES},
        {g->processes_at, (uint64_t)g->slots * g->process_bytes},
        {g->ring_at, 16ull * g->ring_places},
        {g->free_at, 8ull * g->free_places},
        {g->ghosts_at, 4ull * g->ghosts},
        {g->pages_at, 16 * pool},
        {g->side_b_at, 8 * pool},
        {g->index_at, (uint64_t)g->shards * g->shard_buckets * sizeof(struct shm_bucket)},
    };
    memcpy(out, all, sizeof all);
}

static bool power_of_two(uint64_t x) {
    return x != 0 && (x & (x - 1)) == 0;
}

static void check_geometry(uint64_t size, uint32_t expected) {
    struct geometry g;
    struct section s[11];
    CHECK(region_geometry(size, expected, &g));
    CHECK(g.size_bytes == (size & ~4095ull));
    sections_of(&g, s);
    for (unsigned i = 0; i < 11; i++) {
        uint64_t next = i < 10 ? s[i + 1].at : (uint64_t)g.first_page << PAGE_SHIFT;
        CHECK(s[i].at % PAGE_BYTES == 0 && s[i].bytes > 0);
        CHECK(s[i].at + s[i].bytes <= next && next - s[i].at - s[i].bytes < PAGE_BYTES);
    }
    uint64_t total = g.size_bytes >> PAGE_SHIFT;
    CHECK(g.wait_at == PAGE_BYTES && s[1].bytes == PAGE_BYTES);
    /* where one page more would double a ring, it is left unused */
    CHECK(g.end_page <= total && total - g.end_page < 64 + total / 200 && g.end_page <= 1u << 28);
    CHECK(g.end_page - g.first_page >= 8 * g.segment_pages);
    CHECK(power_of_two(g.shards) && g.shards <= SHARDS_MAX && g.shard_buckets >= SHARD_BUCKETS_MIN);
    CHECK(power_of_two(g.names) && g.names >= 256 && g.names <= 65536);
    CHECK(power_of_two(g.ring_places) && g.ring_places <= RING_NONE && power_of_two(g.free_places));
    CHECK(g.process_bytes % 64 == 0 && g.process_bytes >= sizeof(struct shm_process) + 8u * g.counted_pins);
    CHECK(g.slots <= SLOTS_MAX && g.counted_pins <= COUNTED_PINS_MAX);
    CHECK(g.segment_pages * PAGE_BYTES <= 1u << 18 && g.own_bytes < g.segment_pages * PAGE_BYTES);
    CHECK(g.step_pages >= 256 && g.step_pages <= 4096);
    double slots = (double)g.shards * g.shard_buckets * BUCKET_SLOTS;
    double entries = (double)(g.end_page - g.first_page) * PAGE_BYTES / g.expected_entry;
    CHECK(entries / slots < 0.7501);
}

static void sizes_and_entries(void) {
    static const uint32_t expected[] = {0, 1, 48, 100, 192, 1024, 4096, 1u << 20, UINT32_MAX};
    for (unsigned i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        for (uint64_t size = PLC_SIZE_MIN; size <= PLC_SIZE_MAX; size *= 2) {
            check_geometry(size, expected[i]);
            check_geometry(size + (size < PLC_SIZE_MAX ? check_random() % size : 0), expected[i]);
        }
    }
}

static void refused_sizes(void) {
    struct geometry g;
    CHECK(!region_geometry(0, 0, &g));
    CHECK(!region_geometry(PLC_SIZE_MIN - 1, 0, &g));
    CHECK(!region_geometry(PLC_SIZE_MAX + 1, 0, &g));
    CHECK(!region_geometry(UINT64_MAX, 0, &g));
}

static void same_answer_from_what_is_recorded(void) {
    struct geometry a, b;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t size = PLC_SIZE_MIN + check_random() % (1ull << 34);
        CHECK(region_geometry(size, (uint32_t)check_random() % 100000, &a));
        CHECK(region_geometry(a.size_bytes, a.expected_entry, &b));
        CHECK(memcmp(&a, &b, sizeof a) == 0);
    }
}

static void empty_cost(void) {
    struct geometry g;
    CHECK(region_geometry(1ull << 30, 0, &g));
    CHECK((uint64_t)g.first_page << PAGE_SHIFT < 100ull << 20);
    (void)printf("  %8s %10s %6s %8s %8s %6s %6s %6s %9s %8s %6s\n", "MiB", "tables KiB", "%", "shards", "buckets",
                 "names", "slots", "seg", "ring", "free", "step");
    for (uint64_t size = PLC_SIZE_MIN; size <= PLC_SIZE_MAX; size *= 4) {
        CHECK(region_geometry(size, 0, &g));
        (void)printf("  %8llu %10llu %6.2f %8u %8u %6u %6u %6u %9u %8u %6u\n", (unsigned long long)(size >> 20),
                     (unsigned long long)g.first_page * 4, 100.0 * g.first_page * 4096.0 / (double)size, g.shards,
                     g.shard_buckets, g.names, g.slots, g.segment_pages, g.ring_places, g.free_places, g.step_pages);
    }
}

static void format_is_stable(void) {
    CHECK(region_format() == region_format());
    CHECK(region_format() >> 48 == LAYOUT_VERSION);
}

int main(void) {
    static const struct check_test tests[] = {
        {"every size has its geometry", sizes_and_entries},
        {"sizes outside the range are refused", refused_sizes},
        {"recorded numbers give the same geometry", same_answer_from_what_is_recorded},
        {"an empty region of 1 GiB costs less than 100 MiB", empty_cost},
        {"format signature", format_is_stable},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
