/* SPDX-License-Identifier: BSD-3-Clause */
/* test_clock.c: the clock is set back by a day: what was put off for a second is not put off for a day. */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "call.h"

#define DAY_S (24 * 3600)

static plc_cache *c;

/* What this program is told of the time, and whether its file system is full. */
static time_t ahead_s;
static bool full;

int clock_gettime(clockid_t clock, struct timespec *t) {
    int error = (int)syscall(SYS_clock_gettime, clock, t);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) {
        t->tv_sec += ahead_s;
    }
    return error;
}

int fallocate(int fd, int mode, off_t from, off_t n) {
    if (full) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_fallocate, fd, mode, from, n);
}

static void put(uint64_t i) {
    static const uint8_t bytes[10000];
    char key[24];
    (void)snprintf(key, sizeof key, "%" PRIu64, i);
    MUST(c, store(c, PLC_SET, key, bytes, sizeof bytes), PLC_OK);
}

static void growth_goes_on(void) {
    ahead_s = DAY_S;
    c = region_new(32 * MIB);
    uint64_t i = 0;
    put(i++);
    full = true;
    while (!info_of(c).growth_stopped) {
        put(i++);
    }
    uint32_t had = pages_limit(c);
    full = false;
    ahead_s = 0;
    for (uint64_t end = i + 1000; i < end && pages_limit(c) == had; i++) {
        put(i);
    }
    CHECK(pages_limit(c) > had && !info_of(c).growth_stopped);
    region_end(c, false);
}

static _Atomic uint32_t other;
static pthread_mutex_t end = PTHREAD_MUTEX_INITIALIZER;

static void *waits(void *unused) {
    atomic_store(&other, os_thread());
    (void)pthread_mutex_lock(&end);
    (void)pthread_mutex_unlock(&end);
    return unused;
}

/* Who has waited in vain for a lock is refused at once for a second: then somebody waits again. */
static void locks_are_waited_for(void) {
    const plc_part part = {"1", 1};
    const plc_entry e = {.key = "k", .key_length = 1, .parts = &part, .part_count = 1};
    pthread_t thread;
    struct call k;
    plc_status s;
    ahead_s = DAY_S;
    c = region_new(4 * MIB);
    CHECK(pthread_mutex_lock(&end) == 0 && pthread_create(&thread, NULL, waits, NULL) == 0);
    CHECK_SOON(atomic_load(&other) != 0);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, "k", 1), PLC_OK);
    word_put_rel(&c->locks[k.shard], lock_make(my_slot(c), owner_inc(word_rlx(&c->owner)), other, 1));
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    while ((s = plc_store(c, PLC_SET, &e, NULL)) == PLC_AGAIN) {
        CHECK_STATUS(plc_assist(c, 50), PLC_OK);
    }
    CHECK_STATUS(s, PLC_BUSY);
    ahead_s = 0;
    CHECK_STATUS(plc_store(c, PLC_SET, &e, NULL), PLC_AGAIN);
    CHECK(pthread_mutex_unlock(&end) == 0 && pthread_join(thread, NULL) == 0);
    MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK); /* its holder is gone */
    region_end(c, false);
}

int main(void) {
    static const struct check_test tests[] = {
        {"growth_goes_on", growth_goes_on},
        {"locks_are_waited_for", locks_are_waited_for},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
