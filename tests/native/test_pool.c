/* SPDX-License-Identifier: BSD-3-Clause */
/* test_pool.c: the memory under the pool: what a large value costs in page faults where others have used the memory
 * before.  Counted, not timed. */
#include "fixture.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#define REGION (64 * MIB)
#define LARGE (16 * MIB)

static uint8_t *block;

/* What this program is told when it asks for a huge page; the kernel itself is asked only if it is 0. */
static int collapse_error;

int madvise(void *at, size_t n, int advice) {
    if (advice == 25 && collapse_error != 0) { /* MADV_COLLAPSE */
        errno = collapse_error;
        return -1;
    }
    return (int)syscall(SYS_madvise, at, n, advice);
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

int main(void) {
    static const struct check_test tests[] = {
        {"faults in used memory", test_faults_in_used_memory},
    };
    block = calloc(1, LARGE);
    CHECK(block != NULL);
    int failed = RUN_TESTS(tests);
    free(block);
    return failed;
}
