/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_model.c: random operations on one thread against a slow, obvious model: an array of keys with their
 * bytes.  What the model has, the cache has exactly, or it was evicted: then it is a miss once, the model forgets
 * it, and there were at least so many evictions.  What the model has not, the cache must not have: nothing wrong,
 * nothing that comes back.
 */
#include "paired.h"
#include "slow.h"

static plc_cache *c;
static const struct load *load;

static void agree(void) {
    uint64_t there = 0;
    CHECK(findings_of(c) == 0);
    for (unsigned i = 0; i < load->keys; i++) {
        slow_doing = "get of all";
        paired_look(i);
        there += slow_rows[i].there ? 1 : 0;
    }
    CHECK(count_of(c, 0) == there);
    CHECK(slow_lost <= counter_of(c, "evictions") + counter_of(c, "displaced"));
    CHECK(counter_of(c, "corrupt_seen") == 0 && counter_of(c, "contended") == 0);
}

static void run(const struct load *l) {
    load = l;
    slow_what = l->what;
    slow_lost = slow_seen = 0;
    c = region_new(l->region);
    memset(slow_rows, 0, sizeof slow_rows);
    paired_begin(c, l);
    uint64_t steps = rounds(100000, 12000);
    for (uint64_t i = 0; i < steps; i++) {
        paired_step();
        if (i % l->every == l->every - 1) {
            agree();
        }
    }
    agree();
    (void)printf("  %s: %" PRIu64 " values compared, %" PRIu64 " evicted, %" PRIu64 " of them missed\n", l->what,
                 slow_seen, counter_of(c, "evictions"), slow_lost);
    region_end(c, false);
    for (unsigned i = 0; i < l->keys; i++) {
        free(slow_rows[i].bytes);
    }
    paired_end();
}

static void tiny_small(void) {
    run(&(struct load){"4 MiB, small values", 4 * MIB, 6000, 2000, 2000, 0, 20000});
}

static void tiny_mixed(void) {
    run(&(struct load){"4 MiB, small and large values", 4 * MIB, 300, 6000, 300000, 60, 10000});
}

static void tiny_large(void) {
    run(&(struct load){"4 MiB, the largest values", 4 * MIB, 40, 20000, 1200000, 150, 10000});
}

static void middle_mixed(void) {
    run(&(struct load){"16 MiB, small and large values", 16 * MIB, 1500, 9000, 200000, 50, 25000});
}

static void roomy(void) { /* nothing is evicted here, so nothing may be missed */
    run(&(struct load){"64 MiB, everything fits", 64 * MIB, 2000, 3000, 50000, 20, 50000});
}

static void wide_mixed(void) {
    run(&(struct load){"64 MiB, small and large values", 64 * MIB, 5000, 9000, 500000, 40, 50000});
}

static const struct check_test tests[] = {
    {"tiny_small", tiny_small},     {"tiny_mixed", tiny_mixed}, {"tiny_large", tiny_large},
    {"middle_mixed", middle_mixed}, {"roomy", roomy},           {"wide_mixed", wide_mixed},
};

int main(void) {
    return RUN_TESTS(tests);
}
