/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_rebuild: a process appends to a value that another one replaces between its raising of the mark and its
 * swap, so that it builds its entry a second time, with another length, and is killed while it does.  It is
 * stepped from instruction to instruction to get there.  Whoever goes on filling its run must not be lost with
 * what it left: every entry can be walked to, and nothing stays in the index after a drain.  Threatens G2, I7.
 */
#include "fixture.h"

#include <sys/mman.h>

#include "call.h"
#include "trace.h"

static plc_cache *c;

struct progress {
    volatile int ready, done;
};

static void put(const char *key, char letter, size_t n) {
    char value[2048];
    memset(value, letter, n);
    CHECK_STATUS(store(c, PLC_SET, key, value, n), PLC_OK);
}

/* Every hint names this run: whoever wants to fill one finds it first; 0: nobody finds any. */
static void everybody_finds(uint32_t run) {
    for (unsigned i = 0; i < PARKED_PLACES; i++) {
        word_put_rlx(&c->super->parked[i], run);
    }
    for (unsigned i = 0; i < TICKETS; i++) {
        word_put_rlx(&c->last_run[i], 0);
        word_put_rlx(&c->last_main[i], 0);
    }
}

static pid_t start_append(struct progress *p) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char more[300];
        memset(more, 'y', sizeof more);
        (void)absent(c, "K"); /* takes a place of its own in the region */
        trace_me();
        (void)raise(SIGTRAP);
        p->ready = 1;
        (void)store(c, PLC_APPEND, "K", more, sizeof more);
        p->done = 1;
        for (;;) {
            (void)pause();
        }
    }
    return pid;
}

/* Steps until the first commit, lets another process replace K, steps into the second building.  True: there. */
static bool into_second_building(pid_t pid, const struct progress *p, uint32_t run, size_t replaced) {
    uint64_t before = word_acq(page_side_a(c, run));
    while (!p->ready || word_acq(page_side_a(c, run)) == before) {
        if (p->done) {
            return false;
        }
        trace_step(pid);
    }
    everybody_finds(0);
    put("K", 'z', replaced);
    everybody_finds(0);
    const uint8_t *first = page_bytes(c, run) + side_a_mark(before);
    const uint8_t *second = page_bytes(c, run) + side_a_mark(word_acq(page_side_a(c, run)));
    uint8_t was[80];
    memcpy(was, first, 40);
    memcpy(was + 40, second, 40);
    while (memcmp(was, first, 40) == 0 && memcmp(was + 40, second, 40) == 0) {
        if (p->done) {
            return false;
        }
        trace_step(pid);
    }
    for (unsigned i = 0; i < 12; i++) { /* the header is complete then */
        trace_step(pid);
    }
    return true;
}

static void killed_in_second_building(size_t replaced) {
    int status = 0;
    c = region_new(4 * MIB);
    put("warm", 'x', 10);
    put("K", 'x', 1000);
    uint32_t run = some_parked(c);
    CHECK(run != 0);
    everybody_finds(run);
    struct progress *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    pid_t pid = start_append(p);
    trace_wait(pid);
    CHECK(into_second_building(pid, p, run, replaced));
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_SOON(info_of(c).processes == 1 || (process_reap(c, 1), process_reap(c, 2), false));
    everybody_finds(run);
    for (unsigned i = 0; i < 20; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "s%u", i);
        put(key, 'a', 100);
        CHECK(!absent(c, key));
    }
    region_end(c, true);
    (void)munmap(p, 4096);
}

static void shorter_than_the_first(void) {
    killed_in_second_building(10);
}

/* Its header, were it where the first one stood, would hide what others write behind the first one's end. */
static void longer_than_the_first(void) {
    killed_in_second_building(1700);
}

int main(void) {
    static const struct check_test tests[] = {
        {"killed in the second building, which is shorter", shorter_than_the_first},
        {"killed in the second building, which is longer", longer_than_the_first},
    };
    return trace_needed() ? RUN_TESTS(tests) : 77;
}
