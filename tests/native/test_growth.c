/* SPDX-License-Identifier: BSD-3-Clause */
/* test_growth.c: while a region fills, its index moves into huge pages under the hands of those who read and write,
 * in this process and in another: nothing is missing, nothing is wrong.  Where the kernel would take long for it, it is
 * left: whoever stores something waits for the kernel then, and cannot be interrupted. */
#include "fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "domain.h"
#include "os_linux.h"
#include "region.h"

#define REGION (512 * MIB)
#define READERS 2u

/* Shared with the other process. */
static struct progress {
    _Atomic uint64_t stored; /* keys below are there */
    _Atomic bool done;
} *progress;
static plc_cache *c;

/* What this program is told of the machine's load, and how long a huge page takes, by a clock that stands still
 * otherwise; the kernel itself is asked only if `real`. */
static double load_now;
static unsigned collapses, collapse_ms, clock_ms;
static bool real;

int getloadavg(double *load, int n) {
    (void)n;
    *load = load_now;
    return 1;
}

int madvise(void *at, size_t n, int advice) {
    if (advice == 25) { /* MADV_COLLAPSE */
        clock_ms += collapse_ms;
        collapses++;
        if (!real) {
            return 0;
        }
    }
    return (int)syscall(SYS_madvise, at, n, advice);
}

int clock_gettime(clockid_t clock, struct timespec *t) {
    if (clock != CLOCK_MONOTONIC_COARSE) {
        return (int)syscall(SYS_clock_gettime, clock, t);
    }
    *t = (struct timespec){1000 + clock_ms / 1000, (long)(clock_ms % 1000) * 1000000};
    return 0;
}

static unsigned stats, grow_behind; /* how often the kernel was asked how large a file is; what follows one answer */
static struct peer_ends parent;

int fstat(int fd, struct stat *s) {
    int result = (int)syscall(SYS_newfstatat, fd, "", s, AT_EMPTY_PATH);
    if (++stats == grow_behind) {
        tell(parent.out, 0);
        (void)await(parent.in);
    }
    return result;
}

static void key_of(uint64_t number, char key[17]) {
    (void)snprintf(key, 17, "key-%012" PRIu64, number);
}

static void value_of(uint64_t number, uint64_t value[16]) {
    for (unsigned i = 0; i < 16; i++) {
        value[i] = (number + 1) * 0x9e3779b97f4a7c15ull + i;
    }
}

static void set_number(uint64_t number) {
    char key[17];
    uint64_t value[16];
    key_of(number, key);
    value_of(number, value);
    const plc_part part = {value, sizeof value};
    const plc_entry e = {.key = key, .key_length = 16, .parts = &part, .part_count = 1};
    MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK);
}

static void check_number(uint64_t number) {
    char key[17];
    uint64_t value[16], right[16];
    plc_found found;
    key_of(number, key);
    value_of(number, right);
    MUST(c, plc_get(c, key, 16, 0, value, sizeof value, &found), PLC_OK);
    CHECK(found.length == sizeof value && memcmp(value, right, sizeof value) == 0);
}

/* Reads what is there at random, and writes some of it anew, until all is stored. */
static void use(uint64_t seed) {
    uint64_t random = seed;
    while (!progress->done) {
        uint64_t there = progress->stored;
        for (unsigned i = 0; i < 100 && there != 0; i++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            uint64_t number = (random >> 33) % there;
            check_number(number);
            if (i % 8 == 0) {
                set_number(number);
            }
        }
    }
}

static void *reader(void *seed) {
    use((uint64_t)(uintptr_t)seed);
    return NULL;
}

static void index_moves_under_their_hands(void) {
    uint64_t n = rounds(400000, 60000);
    pthread_t readers[READERS];
    progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(progress != MAP_FAILED);
    real = true;
    c = region_new(REGION);
    set_number(0);
    progress->stored = 1;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        use(3);
        _exit(0);
    }
    for (unsigned i = 0; i < READERS; i++) {
        CHECK(pthread_create(&readers[i], NULL, reader, (void *)(uintptr_t)(i + 1)) == 0);
    }
    for (uint64_t i = 1; i < n; i++) {
        set_number(i);
        progress->stored = i + 1;
    }
    progress->done = true;
    for (unsigned i = 0; i < READERS; i++) {
        CHECK(pthread_join(readers[i], NULL) == 0);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    for (uint64_t i = 0; i < n; i++) {
        check_number(i);
    }
    CHECK(counter_of(c, "misses") == 0 && counter_of(c, "evictions") == 0);
    CHECK(!c->in_memory || c->collapsed >= 4 * OS_HUGE_BYTES); /* it was asked for, whether it was had or not */
    region_end(c, true);
}

/* ---- growing while it is asked about ----------------------------------------------------------- */

/* Stores entries until the region has grown: the last of them lies in what is new.  How many there are then. */
static uint64_t store_until_grown(uint64_t n) {
    for (uint32_t had = c->limit_page; c->limit_page == had;) {
        set_number(n++);
    }
    for (uint64_t end = n + 100; n < end;) {
        set_number(n++);
    }
    return n;
}

/* It meets what is new, so it asks; behind one of the answers the region grows once more.  That an answer is old when
 * the hint is looked at is no reason to distrust the hint: the next one would be missing. */
static void reads_what_is_new(struct peer_ends ends) {
    parent = ends;
    CHECK(process_adopt(c) == 0);
    uint64_t n = await(ends.in);
    grow_behind = (unsigned)await(ends.in);
    stats = 0;
    check_number(n - 1);
    tell(ends.out, stats);
    check_number(await(ends.in) - 1);
}

static void grows_while_it_is_asked_about(void) {
    c = region_new(REGION / 16);
    uint64_t n = 0, asked = 1;
    for (unsigned behind = 1; behind <= asked; behind++) {
        struct peer p = peer_start(reads_what_is_new);
        n = store_until_grown(n);
        tell(p.to, n);
        tell(p.to, behind);
        (void)hear(p.from);
        n = store_until_grown(n);
        tell(p.to, 0);
        asked = hear(p.from);
        tell(p.to, n);
        peer_done(&p);
    }
    CHECK(asked > 1);
    region_end(c, true);
}

/* ---- a machine that has no time ---------------------------------------------------------------- */

static void grow_whole(void) {
    collapses = 0;
    c = region_new(128 * MIB);
    region_grow(c, c->geo.end_page);
    CHECK(c->limit_page == c->geo.end_page);
}

/* Three times as much to be run as there are processors: not a single time is the kernel asked. */
static void not_while_crowded(void) {
    load_now = 3.0 * (double)sysconf(_SC_NPROCESSORS_ONLN);
    grow_whole();
    CHECK(collapses == 0 && c->collapsed == 0);
    plc_close(c);
    load_now = 0;
    grow_whole();
    CHECK(!c->in_memory || collapses >= 1);
    plc_close(c);
}

static void slow(struct peer_ends ends) {
    (void)ends;
    collapse_ms = 100;
    grow_whole();
    CHECK(!c->in_memory || collapses == 1);
    plc_close(c);
    grow_whole();
    CHECK(collapses == 0);
    plc_close(c);
}

/* It took long once: never again in that process. */
static void once_if_slow(void) {
    struct peer p = peer_start(slow);
    peer_done(&p);
}

static const struct check_test tests[] = {
    {"not_while_crowded", not_while_crowded},
    {"once_if_slow", once_if_slow},
    {"index_moves_under_their_hands", index_moves_under_their_hands},
    {"grows_while_it_is_asked_about", grows_while_it_is_asked_about},
};

int main(void) {
    return RUN_TESTS(tests);
}
