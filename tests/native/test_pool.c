/* SPDX-License-Identifier: BSD-3-Clause */
/* test_pool.c: the memory under the pool: what a large value costs in page faults where others have used the memory
 * before; that huge pages are asked for as the file grows, all of it, once.  Counted, not timed. */
#include "fixture.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#include "os_linux.h"
#include "pages.h"

#define REGION (64 * MIB)
#define LARGE (16 * MIB)

static uint8_t *block;

/* What this program is told when it asks for a huge page; the kernel itself is asked only if it is 0.  What was asked
 * for: of the latest attachment, by number of the huge page. */
static int collapse_error;
static unsigned asked[REGION / OS_HUGE_BYTES], asked_all, got_all;
static uint8_t *asked_base;

int madvise(void *at, size_t n, int advice) {
    int result;
    if (advice == 25 && collapse_error != 0) { /* MADV_COLLAPSE */
        errno = collapse_error;
        result = -1;
    } else {
        result = (int)syscall(SYS_madvise, at, n, advice);
    }
    if (advice == 25) {
        asked_all++;
        got_all += result == 0 ? 1 : 0;
        if (asked_base != NULL) {
            uint64_t number = (uint64_t)((uint8_t *)at - asked_base) / OS_HUGE_BYTES;
            CHECK((uintptr_t)at % OS_HUGE_BYTES == 0 && n == OS_HUGE_BYTES && number < REGION / OS_HUGE_BYTES);
            asked[number]++;
        }
    }
    return result;
}

/* A crowded or slow machine would not be asked: this one is neither. */
int getloadavg(double *load, int n) {
    (void)n;
    *load = 0;
    return 1;
}

int clock_gettime(clockid_t clock, struct timespec *t) {
    if (asked_base == NULL || clock != CLOCK_MONOTONIC_COARSE) {
        return (int)syscall(SYS_clock_gettime, clock, t);
    }
    *t = (struct timespec){1000, 0};
    return 0;
}

static void ask_anew(const plc_cache *c, int error) {
    memset(asked, 0, sizeof asked);
    asked_all = got_all = 0;
    asked_base = c->base;
    collapse_error = error;
}

static uint64_t faults(void) {
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (uint64_t)usage.ru_minflt;
}

static void put_large(plc_cache *c, uint64_t number) {
    char key[24];
    (void)snprintf(key, sizeof key, "l%" PRIu64, number);
    MUST(c, store(c, PLC_SET, key, block, LARGE), PLC_OK);
}

/* Stores more than the pool holds, so that all of it has been somebody's, and tells when it is there. */
static void fill_whole(struct peer_ends ends) {
    plc_cache *c = region_named("r", REGION, 0);
    for (uint64_t i = 0; i < 8; i++) {
        put_large(c, i);
    }
    tell(ends.out, 1);
    (void)await(ends.in);
}

/* Memory that others have used is mapped 16 pages at a time, also where a value is built from an old one. */
static void test_faults_in_used_memory(void) {
    collapse_error = EINVAL;
    (void)alarm(HANG_SECONDS);
    check_folder_make(access("/dev/shm", W_OK) == 0 ? NULL : "/tmp");
    struct peer p = peer_start(fill_whole);
    CHECK(hear(p.from) == 1);
    plc_cache *c = region_named("r", REGION, 0);
    CHECK_STATUS(store(c, PLC_SET, "small", "x", 1), PLC_OK); /* the tables that every call looks at */
    memset(block, 1, LARGE);
    uint64_t before = faults();
    put_large(c, 100);
    uint64_t set = faults() - before;
    MUST(c, store(c, PLC_APPEND, "l100", "x", 1), PLC_OK);
    uint64_t appended = faults() - before - set;
    (void)fprintf(stderr, "  %" PRIu64 " faults for %llu pages, %" PRIu64 " when appended to\n", set, LARGE / 4096,
                  appended);
    CHECK(!c->in_memory || (set < LARGE / 4096 / 3 && appended < LARGE / 4096 / 3));
    tell(p.to, 1);
    peer_done(&p);
    region_end(c, true);
    collapse_error = 0;
}

/* ---- huge pages ------------------------------------------------------------------------------ */

/* Reads a byte of each page of the pool that there is, and tells how many faults that took. */
static void read_whole(struct peer_ends ends) {
    plc_cache *c = region_named("r", REGION, 0);
    uint64_t end = (uint64_t)pages_limit(c) << PAGE_SHIFT, sum = 0, before = faults();
    for (uint64_t at = (uint64_t)c->geo.first_page << PAGE_SHIFT; at < end; at += PAGE_BYTES) {
        sum += *(volatile uint8_t *)(c->base + at);
    }
    tell(ends.out, faults() - before);
    plc_close(c);
}

/* Every huge page of the region that is wholly in the file is asked for, once, however the file grew; where the kernel
 * has them, another process maps the pool with as many faults. */
static void test_pool_in_huge_pages(void) {
    plc_cache *c = region_new(REGION);
    ask_anew(c, 0);
    CHECK_STATUS(store(c, PLC_SET, "small", "x", 1), PLC_OK);
    for (uint64_t i = 0; i < 8; i++) {
        put_large(c, i);
    }
    CHECK(pages_limit(c) == c->geo.end_page);
    if (c->in_memory) {
        uint64_t whole = ((uint64_t)c->geo.end_page << PAGE_SHIFT) / OS_HUGE_BYTES;
        for (uint64_t i = c->key_bits != 0 ? 1 : 0; i < whole; i++) {
            CHECK(asked[i] == 1);
        }
        struct peer p = peer_start(read_whole);
        uint64_t pool = c->geo.end_page - c->geo.first_page, took = hear(p.from);
        peer_done(&p);
        (void)fprintf(stderr, "  %u of %u huge pages had; %" PRIu64 " faults for %" PRIu64 " pages\n", got_all,
                      asked_all, took, pool);
        CHECK(got_all < asked_all || took < pool / 32);
    }
    asked_base = NULL;
    region_end(c, true);
}

/* A kernel that has none for the pool is asked once for each attachment, and goes on having some for the tables. */
static void test_none_for_the_pool(void) {
    plc_cache *c = region_new(REGION);
    ask_anew(c, EINVAL);
    c->collapsed = c->geo.size_bytes; /* the tables have theirs */
    for (uint64_t i = 0; i < 8; i++) {
        put_large(c, i);
    }
    CHECK(pages_limit(c) == c->geo.end_page && asked_all == (c->in_memory ? 1 : 0));
    asked_base = NULL;
    collapse_error = 0;
    region_end(c, false);
}

/* ---- what the pool holds ---------------------------------------------------------------------- */

static plc_stats stats_of(plc_cache *c) {
    plc_stats stats;
    CHECK_STATUS(plc_stats_read(c, &stats), PLC_OK);
    return stats;
}

static uint64_t longest_free(const plc_cache *c) {
    uint64_t longest = 0, here = 0;
    for (uint32_t page = c->geo.first_page; page < c->geo.end_page; page++) {
        bool free = page >= pages_limit(c) || page_state(word_acq(page_word(c, page))) == PAGE_FREE;
        here = free ? here + 1 : 0;
        longest = here > longest ? here : longest;
    }
    return longest * PAGE_BYTES;
}

/* Is what the statistics say what a look at every page says; `part` of the pool off at most? */
static void check_gauges(plc_cache *c, double part) {
    plc_stats stats = stats_of(c);
    plc_usage usage = usage_of(c);
    uint64_t used = (usage.small_pages + usage.large_pages + usage.limbo_pages) * PAGE_BYTES;
    uint64_t pool = info_of(c).pool_bytes, longest = longest_free(c);
    double off = ((double)stats.used_bytes - (double)used) / (double)pool;
    CHECK(stats.used_bytes + stats.free_bytes == pool);
    CHECK(off <= part && off >= -part);
    CHECK(stats.largest_free_bytes <= longest && (part > 0 || stats.largest_free_bytes == longest));
    CHECK(part == 0 || stats.largest_free_bytes >= longest / 2);
}

static void gauge_region(uint64_t size, double part) {
    plc_cache *c = region_new(size);
    uint64_t count = size / LARGE;
    check_gauges(c, part);
    for (uint64_t i = 0; i < count / 2; i++) {
        put_large(c, i);
        check_gauges(c, part);
    }
    for (uint64_t i = 0; i < count / 2; i += 2) {
        char key[24];
        (void)snprintf(key, sizeof key, "l%" PRIu64, i);
        MUST(c, plc_delete(c, key, strlen(key)), PLC_OK);
        check_gauges(c, part);
    }
    for (uint64_t i = 0; i < count * 2; i++) {
        put_large(c, i);
        check_gauges(c, part);
    }
    region_end(c, false);
}

static void test_gauges(void) {
    gauge_region(REGION, 0);
    gauge_region(16 * REGION, 0.02);
}

/* What a process leases and reserves counts as long as it lives. */
static void test_leased_and_reserved(void) {
    plc_cache *c = region_new(REGION);
    struct shm_process *mine = process_row(c, my_slot(c)), *other = process_row(c, my_slot(c) + 1);
    word_put_rlx(&mine->leased, 5 * MIB);
    word_put_rlx(&mine->reserved, 3 * MIB);
    word_put_rlx(&other->leased, 7 * MIB);
    CHECK(stats_of(c).leased_bytes == 5 * MIB && stats_of(c).reserved_bytes == 3 * MIB);
    word_put_rlx(&mine->leased, 0);
    word_put_rlx(&mine->reserved, 0);
    word_put_rlx(&other->leased, 0);
    CHECK(stats_of(c).leased_bytes == 0 && stats_of(c).reserved_bytes == 0);
    region_end(c, false);
}

int main(void) {
    static const struct check_test tests[] = {
        {"pool in huge pages", test_pool_in_huge_pages},       {"none for the pool", test_none_for_the_pool},
        {"faults in used memory", test_faults_in_used_memory}, {"gauges", test_gauges},
        {"leased and reserved", test_leased_and_reserved},
    };
    block = calloc(1, LARGE);
    CHECK(block != NULL);
    int failed = RUN_TESTS(tests);
    free(block);
    return failed;
}
