/* SPDX-License-Identifier: BSD-3-Clause */
/* keys.c: see keys.h. */
#include "keys.h"

#include "pages.h"

#include <setjmp.h>
#include <stdbool.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#include <cpuid.h>
#define PKRU_STATE 9u /* of XSAVE */
uint32_t register_now(void) {
    uint32_t value, zero;
    __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(value), "=d"(zero) : "c"(0));
    return value;
}

uint32_t register_in(const void *xsave) {
    unsigned bytes = 0, offset = 0, c = 0, d = 0;
    uint32_t value = 0;
    CHECK(__get_cpuid_count(0xd, PKRU_STATE, &bytes, &offset, &c, &d) != 0 && bytes >= sizeof value);
    memcpy(&value, (const uint8_t *)xsave + offset, sizeof value);
    return value;
}

#else

uint32_t register_now(void) {
    return 0;
}

uint32_t register_in(const void *xsave) {
    (void)xsave;
    return 0;
}

#endif

#ifndef SEGV_PKUERR
#define SEGV_PKUERR 4
#endif

bool keys_there(void) {
    long key = syscall(SYS_pkey_alloc, 0, 1); /* closed: the register keeps what it gets here */
    if (key < 0) {
        check_skip("no protection keys here: level pku is tested where there are some (make test-pku)");
        return false;
    }
    CHECK(syscall(SYS_pkey_free, key) == 0);
    return true;
}

unsigned keys_free(void) {
    long taken[16];
    unsigned n = 0;
    while (n < 16 && (taken[n] = syscall(SYS_pkey_alloc, 0, 1)) >= 0) {
        n++;
    }
    for (unsigned i = 0; i < n; i++) {
        CHECK(syscall(SYS_pkey_free, taken[i]) == 0);
    }
    return n;
}

plc_cache *region_protected(uint64_t size) {
    CHECK(setenv("PROTECTION", "pku", 1) == 0);
    plc_cache *c = region_new(size);
    CHECK(info_of(c).protection == PLC_PROTECT_PKU && info_of(c).keys == PLC_KEYS_USED);
    return c;
}

/* ---- touching --------------------------------------------------------------------------------------- */

static _Thread_local sigjmp_buf back;
static _Thread_local volatile int code, key_seen;

static void faulted(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)context;
    code = info->si_code;
    key_seen = (int)info->si_pkey;
    siglongjmp(back, 1);
}

enum touched touch(const plc_cache *c, const void *at, bool store) {
    struct sigaction mine = {.sa_sigaction = faulted, .sa_flags = SA_SIGINFO | SA_NODEFER}, other;
    volatile uint8_t *byte = (volatile uint8_t *)(uintptr_t)at;
    uint32_t key = c->key_bits != 0 ? (uint32_t)__builtin_ctz(c->key_bits) / 2 : 0;
    volatile enum touched result = TOUCH_FINE; /* set behind a longjmp */
    CHECK(sigaction(SIGSEGV, &mine, &other) == 0);
    if (sigsetjmp(back, 1) != 0) {
        result = code == SEGV_PKUERR && key_seen == (int)key ? TOUCH_CLOSED : TOUCH_OTHER;
    } else if (store) {
        __atomic_store_n(byte, 0xa5, __ATOMIC_RELAXED);
    } else {
        (void)__atomic_load_n(byte, __ATOMIC_RELAXED); /* others wait on the page that is open */
    }
    CHECK(sigaction(SIGSEGV, &other, NULL) == 0);
    return result;
}

bool all_closed(const plc_cache *c) {
    uint64_t bytes = (uint64_t)pages_limit(c) << PAGE_SHIFT;
    for (uint64_t at = 0; at < bytes; at += PAGE_BYTES) {
        bool outside = at >= c->geo.wait_at && at < c->geo.locks_at;
        enum touched wanted = outside ? TOUCH_FINE : TOUCH_CLOSED;
        if (touch(c, c->base + at, false) != wanted || (!outside && touch(c, c->base + at, true) != wanted)) {
            (void)fprintf(stderr, "page %" PRIu64 " of %s is not as it should be\n", at / PAGE_BYTES, c->path);
            return false;
        }
    }
    return true;
}

/* ---- every function --------------------------------------------------------------------------------- */

static void call_writing(plc_cache *c, void (*check)(const char *function, plc_status s)) {
    const plc_part part = {"1", 1};
    plc_entry e = {.key = "key", .key_length = 3, .parts = &part, .part_count = 1, .type = PLC_TYPE_INT};
    uint32_t statuses[1];
    uint64_t n = 0;
    plc_flight flight;
    const void *keys[] = {"key"};
    const size_t lengths[] = {3};
    check("plc_store", AGAIN(c, plc_store(c, PLC_SET, &e, &n)));
    e.token = n;
    e.seen_type = e.type;
    e.own_token = 5;
    check("plc_store, remake", AGAIN(c, plc_store(c, PLC_REMAKE, &e, &n)));
    check("plc_store_many", plc_store_many(c, 1, &e, statuses));
    check("plc_incr", plc_incr(c, "key", 3, 1, 0, &n));
    check("plc_touch", plc_touch(c, "key", 3, UINT64_MAX >> 20));
    check("plc_delete", plc_delete(c, "key", 3));
    check("plc_delete_many", plc_delete_many(c, 1, keys, lengths, &n));
    check("plc_claim", plc_claim(c, &e, 1000, &flight));
    check("plc_wait", plc_wait(c, "key", 3, 1));
    check("plc_abandon", plc_abandon(c, "key", 3, flight.token));
    check("plc_store", AGAIN(c, plc_store(c, PLC_SET, &e, &n)));
}

static void call_reading(plc_cache *c, void (*check)(const char *function, plc_status s)) {
    plc_found found[1];
    uint8_t buffer[64];
    uint32_t answer = 0;
    const void *keys[] = {"key"};
    const size_t lengths[] = {3};
    check("plc_get", plc_get(c, "key", 3, 0, buffer, sizeof buffer, found));
    check("plc_get, a miss", plc_get(c, "absent", 6, 0, buffer, sizeof buffer, found));
    check("plc_get, refused", plc_get(c, "key", 0, 0, buffer, sizeof buffer, found));
    check("plc_peek", plc_peek(c, "key", 3, buffer, sizeof buffer, found));
    check("plc_peek, a miss", plc_peek(c, "absent", 6, buffer, sizeof buffer, found));
    check("plc_was_read", plc_was_read(c, "key", 3, &answer));
    check("plc_was_read, refused", plc_was_read(c, "key", 0, &answer));
    check("plc_get_touch", plc_get_touch(c, "key", 3, UINT64_MAX >> 20, buffer, sizeof buffer, found));
    check("plc_get, with a deadline",
          plc_get(c, "key", 3, 0, buffer, sizeof buffer, found)); /* it has a deadline now: the time is asked for */
    check("plc_get_many", plc_get_many(c, 1, keys, lengths, 0, buffer, sizeof buffer, found));
}

static void call_naming(plc_cache *c, void (*check)(const char *function, plc_status s)) {
    const uint16_t tags[4] = {0};
    plc_name_counts counts;
    uint64_t sum = 0;
    uint16_t name = 0;
    check("plc_name", plc_name(c, "name", 4, &name));
    check("plc_name_invalidate", plc_name_invalidate(c, name));
    check("plc_name_count", plc_name_count(c, name, 1, 1, 1));
    check("plc_name_read", plc_name_read(c, name, &counts));
    check("plc_name_reset", plc_name_reset(c, name));
    check("plc_sum", plc_sum(c, name, tags, &sum));
    check("plc_flush", plc_flush(c, 0));
}

static void call_in_place(plc_cache *c, void (*check)(const char *function, plc_status s)) {
    static uint8_t value[20000];
    const plc_part part = {value, sizeof value};
    const plc_entry e = {.key = "large", .key_length = 5, .parts = &part, .part_count = 1};
    plc_view view = {0}, told = {0};
    plc_found found;
    plc_reservation *r = NULL;
    uint64_t run = 0;
    void *bytes = NULL;
    check("plc_store, a run of its own", AGAIN(c, plc_store(c, PLC_SET, &e, NULL)));
    check("plc_lease, a miss", plc_lease(c, "absent", 6, 0, &view, &found));
    check("plc_lease, a copy", plc_lease(c, "key", 3, 0, &view, &found));
    check("plc_lease, refused", plc_lease(c, "key", 0, 0, &view, &found));
    for (unsigned i = 0; i < 2; i++) { /* of a run that is live, and of one in limbo */
        check("plc_lease", plc_lease(c, "large", 5, 0, &view, &found));
        check("plc_view_run", plc_view_run(c, &view, &run));
        check("plc_view_private", plc_view_private(c, &view));
        check("plc_delete, leased", i == 0 ? PLC_OK : AGAIN(c, plc_delete(c, "large", 5)));
        check("plc_lease_at", plc_lease_at(c, run, found.token, &told, &found));
        check("plc_get_at", plc_get_at(c, run, found.token, value, sizeof value, &found));
        check("plc_get_at, too small", plc_get_at(c, run, found.token, value, 1, &found));
        plc_release(c, &told);
        plc_release(c, &view);
        check("plc_release", PLC_OK);
    }
    check("plc_lease_at, a miss", plc_lease_at(c, run, found.token, &told, &found));
    for (unsigned i = 0; i < 2; i++) {
        check("plc_reserve", AGAIN(c, plc_reserve(c, &e, sizeof value, &r, &bytes)));
        if (i == 0) {
            plc_abort(c, r);
            check("plc_abort", PLC_OK);
        }
        check("plc_seal", AGAIN(c, plc_seal(c, r, 0, NULL)));
        plc_reservation_end(c, r);
        check("plc_reservation_end", PLC_OK);
        r = NULL;
    }
}

void call_every(plc_cache *c, void (*check)(const char *function, plc_status s)) {
    static uint8_t keys[65536];
    plc_finding findings[64];
    plc_usage usage = {0};
    plc_stats stats;
    plc_info info;
    uint64_t at = 0, n = 0, longest = 0;
    size_t used = 0;
    call_writing(c, check);
    call_reading(c, check);
    call_naming(c, check);
    call_in_place(c, check);
    check("plc_scan", plc_scan(c, &at, 0, keys, sizeof keys, &used));
    check("plc_count", plc_count(c, &(uint64_t){0}, 0, &n));
    check("plc_usage_read", plc_usage_read(c, &(uint64_t){0}, &usage));
    check("plc_check", plc_check(c, &(uint64_t){0}, findings, 64, &used));
    check("plc_stats_read", plc_stats_read(c, &stats));
    check("plc_stats_reset", plc_stats_reset(c));
    check("plc_info_read", plc_info_read(c, &info));
    check("plc_sync", plc_sync(c));
    check("plc_linked", plc_linked(c));
    uint64_t prefaulted = 0;
    check("plc_prefault", plc_prefault(c, &prefaulted));
    check("plc_drain", plc_drain(c, &(uint64_t){0}, &n, &longest));
    check("plc_assist", plc_assist(c, 0));
}
