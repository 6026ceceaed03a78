/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_keys.c: level pku: which level there is and why, one key for all regions of a process, and that their memory is
 * closed to whoever is not in a call: the same thread, others, children, signal handlers, the kernel on our behalf.
 */
#include "keys.h"

#include "inplace.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

#define BYTES (8ull << 20)

static plc_status opened(const char *name, uint32_t protection, plc_cache **c, plc_report *report) {
    const plc_options options = {.path = check_path(name), .size_bytes = BYTES, .create = 1, .protection = protection};
    return plc_open(&options, c, report);
}

/* ---- which level, and why ---------------------------------------------------------------------------- */

static void levels(void) {
    plc_cache *c = NULL;
    plc_report report;
    check_folder_make(NULL);
    CHECK_STATUS(opened("r", PLC_PROTECT_NONE, &c, &report), PLC_OK);
    CHECK(info_of(c).protection == PLC_PROTECT_NONE && info_of(c).keys == PLC_KEYS_NOT_ASKED);
    CHECK_STATUS(opened("r", PLC_PROTECT_PKU, &c, &report), PLC_NO_PROTECTION);
    uint64_t why = keys_there() ? PLC_KEYS_OPEN_WITHOUT : report.a;
    CHECK(report.a == why && why != PLC_KEYS_USED);
    plc_close(c);
    plc_status s = opened("r", PLC_PROTECT_PKU, &c, &report);
    CHECK(s == (keys_there() ? PLC_OK : PLC_NO_PROTECTION));
    if (s == PLC_OK) {
        CHECK_STATUS(opened("r", PLC_PROTECT_NONE, &c, &report), PLC_OK); /* shares what is there */
        CHECK(info_of(c).protection == PLC_PROTECT_PKU && info_of(c).keys == PLC_KEYS_USED);
        plc_close(c);
        plc_close(c);
        return;
    }
    CHECK(report.a == PLC_KEYS_NO_CPU || report.a == PLC_KEYS_NO_KERNEL);
    CHECK_STATUS(opened("new", PLC_PROTECT_PKU, &c, &report), PLC_NO_PROTECTION);
    CHECK(check_folder_entries() == 1); /* nothing was made */
    CHECK_STATUS(opened("r", PLC_PROTECT_AUTO, &c, &report), PLC_OK);
    CHECK(info_of(c).protection == PLC_PROTECT_NONE && info_of(c).keys == report.a + (uint32_t)PLC_KEYS_NO_CPU);
    plc_close(c);
}

static void one_key(void) {
    plc_cache *a = NULL, *b = NULL;
    plc_report report;
    check_folder_make(NULL);
    unsigned before = keys_free();
    CHECK_STATUS(opened("a", PLC_PROTECT_AUTO, &a, &report), PLC_OK);
    CHECK_STATUS(opened("b", PLC_PROTECT_PKU, &b, &report), PLC_OK);
    CHECK(a->key_bits != 0 && a->key_bits == b->key_bits);
    CHECK(keys_free() == before - 1);
    plc_close(a);
    CHECK(keys_free() == before - 1 && all_closed(b));
    plc_close(b);
    CHECK(keys_free() == before);
    CHECK_STATUS(opened("no/such", PLC_PROTECT_PKU, &a, &report), PLC_NOT_FOUND);
    CHECK(keys_free() == before);
}

static void none_free(void) {
    long taken[16];
    unsigned n = 0;
    plc_cache *c = NULL;
    plc_report report;
    check_folder_make(NULL);
    while (n < 16 && (taken[n] = syscall(SYS_pkey_alloc, 0, 1)) >= 0) {
        n++;
    }
    CHECK_STATUS(opened("r", PLC_PROTECT_PKU, &c, &report), PLC_NO_PROTECTION);
    CHECK(report.a == PLC_KEYS_NONE_FREE && check_folder_entries() == 0);
    CHECK_STATUS(opened("r", PLC_PROTECT_AUTO, &c, &report), PLC_OK);
    CHECK(info_of(c).protection == PLC_PROTECT_NONE && info_of(c).keys == PLC_KEYS_NONE_FREE);
    plc_close(c);
    for (unsigned i = 0; i < n; i++) {
        CHECK(syscall(SYS_pkey_free, taken[i]) == 0);
    }
    CHECK_STATUS(opened("r", PLC_PROTECT_PKU, &c, &report), PLC_OK);
    plc_close(c);
}

/* ---- closed to all ----------------------------------------------------------------------------------- */

static plc_cache *c;
static pthread_barrier_t begun;
static atomic_bool over;

static void *waits_then_looks(void *unused) {
    (void)unused;
    (void)pthread_barrier_wait(&begun); /* the region was opened behind it */
    (void)pthread_barrier_wait(&begun);
    CHECK(all_closed(c));
    return NULL;
}

static void *looks(void *unused) {
    (void)unused;
    CHECK(all_closed(c));
    return NULL;
}

static void *works(void *unused) {
    char buffer[64];
    plc_found found;
    (void)unused;
    while (!atomic_load(&over)) {
        CHECK_STATUS(store(c, PLC_SET, "busy", "value", 5), PLC_OK);
        CHECK_STATUS(get(c, "busy", buffer, sizeof buffer, &found), PLC_OK);
    }
    return NULL;
}

static void threads(void) {
    pthread_t before, after, busy;
    CHECK(pthread_barrier_init(&begun, NULL, 2) == 0);
    CHECK(pthread_create(&before, NULL, waits_then_looks, NULL) == 0);
    (void)pthread_barrier_wait(&begun);
    c = region_protected(BYTES);
    CHECK(all_closed(c));
    (void)pthread_barrier_wait(&begun);
    CHECK(pthread_join(before, NULL) == 0); /* one at a time: touch() sets the process's handler */
    atomic_store(&over, false);
    CHECK(pthread_create(&busy, NULL, works, NULL) == 0);
    for (unsigned i = 0; i < 10; i++) { /* made while another is at work, inside a call mostly */
        CHECK(pthread_create(&after, NULL, looks, NULL) == 0);
        CHECK(pthread_join(after, NULL) == 0);
    }
    atomic_store(&over, true);
    CHECK(pthread_join(busy, NULL) == 0);
    region_end(c, false);
}

static void looks_in_child(struct peer_ends ends) {
    (void)ends;
    CHECK(all_closed(c));
    CHECK_STATUS(store(c, PLC_SET, "child", "value", 5), PLC_OK);
    CHECK(all_closed(c));
}

static void children(void) {
    c = region_protected(BYTES);
    struct peer p = peer_start(looks_in_child);
    peer_done(&p);
    char buffer[8];
    plc_found found;
    CHECK_STATUS(get(c, "child", buffer, sizeof buffer, &found), PLC_OK);
    CHECK_SOON(AGAIN(c, plc_delete(c, "child", 5)) != PLC_BUSY);
    region_end(c, true);
}

static void the_kernel(void) {
    int ends[2];
    char buffer[64] = "text";
    c = region_protected(BYTES);
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    CHECK(write(ends[1], c->base, 64) == -1 && errno == EFAULT);
    CHECK(write(ends[1], buffer, 64) == 64);
    CHECK(read(ends[0], c->base + c->geo.index_at, 64) == -1 && errno == EFAULT);
    CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
    region_end(c, false);
}

/* ---- signal handlers --------------------------------------------------------------------------------- */

static volatile sig_atomic_t inside, outside_of_it;

/* What interrupted a call with the window open finds it closed for itself; that register comes back behind it. */
static void interrupts(int signal, siginfo_t *info, void *context) {
    const ucontext_t *at = context;
    (void)signal;
    (void)info;
    CHECK((register_now() & c->key_bits) == (c->key_bits & 0x55555555u));
    CHECK(touch(c, c->base, false) == TOUCH_CLOSED && touch(c, c->base, true) == TOUCH_CLOSED);
    if ((register_in(at->uc_mcontext.fpregs) & c->key_bits) == 0) {
        inside++;
    } else {
        outside_of_it++;
    }
}

static void handlers(void) {
    const struct sigaction action = {.sa_sigaction = interrupts, .sa_flags = SA_SIGINFO | SA_RESTART};
    const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    static char value[4000], buffer[4000];
    plc_found found;
    c = region_protected(BYTES);
    memset(value, 'v', sizeof value);
    CHECK(sigaction(SIGVTALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_VIRTUAL, &often, NULL) == 0);
    while (inside < 20 || outside_of_it < 5) { /* both happen; what hangs is ended by the alarm */
        CHECK_STATUS(store(c, PLC_SET, "key", value, sizeof value), PLC_OK);
        CHECK_STATUS(get(c, "key", buffer, sizeof buffer, &found), PLC_OK);
        CHECK(found.length == sizeof value && memcmp(buffer, value, sizeof value) == 0);
    }
    CHECK(setitimer(ITIMER_VIRTUAL, &never, NULL) == 0);
    CHECK(all_closed(c));
    region_end(c, false);
}

/* ---- what lies in the region is refused as an argument ------------------------------------------------ */

static void refused_at(uint8_t *at) {
    char buffer[64];
    plc_found found, *bad = (plc_found *)(void *)at;
    plc_part part = {"v", 1};
    plc_entry e = {.key = "k", .key_length = 1, .parts = &part, .part_count = 1};
    const void *keys[] = {"k"}, *bad_keys[] = {at};
    const size_t lengths[] = {1};
    uint32_t statuses[1];
    uint64_t n = 0;
    size_t used = 0;
    CHECK_STATUS(plc_get(c, at, 3, 0, buffer, 64, &found), PLC_INVALID);
    CHECK_STATUS(plc_get(c, "k", 1, 0, at, 64, &found), PLC_INVALID);
    CHECK_STATUS(plc_get(c, "k", 1, 0, at - 63, 64, &found), at == c->base ? PLC_MISS : PLC_INVALID);
    CHECK_STATUS(plc_get(c, "k", 1, 0, buffer, 64, bad), PLC_INVALID);
    CHECK_STATUS(plc_get_touch(c, "k", 1, 0, at, 64, &found), PLC_INVALID);
    CHECK_STATUS(plc_get_many(c, 1, bad_keys, lengths, 0, buffer, 64, &found), PLC_INVALID);
    CHECK_STATUS(plc_get_many(c, 1, (const void *const *)(void *)at, lengths, 0, buffer, 64, &found), PLC_INVALID);
    CHECK_STATUS(plc_get_many(c, 1, keys, (const size_t *)(void *)at, 0, buffer, 64, &found), PLC_INVALID);
    CHECK_STATUS(plc_get_many(c, 1, keys, lengths, 0, at, 64, &found), PLC_INVALID);
    CHECK_STATUS(plc_get_many(c, 1, keys, lengths, 0, buffer, 64, bad), PLC_INVALID);
    CHECK_STATUS(plc_store_many(c, 1, (const plc_entry *)(void *)at, statuses), PLC_INVALID);
    CHECK_STATUS(plc_store_many(c, 1, &e, (uint32_t *)(void *)at), PLC_INVALID);
    CHECK_STATUS(plc_delete(c, at, 3), PLC_INVALID);
    CHECK_STATUS(plc_delete_many(c, 1, (const void *const *)(void *)at, lengths, &n), PLC_INVALID);
    CHECK_STATUS(plc_delete_many(c, 1, keys, (const size_t *)(void *)at, &n), PLC_INVALID);
    CHECK_STATUS(plc_incr(c, at, 3, 1, 0, &n), PLC_INVALID);
    CHECK_STATUS(plc_lease(c, at, 3, 0, &(plc_view){0}, &found), PLC_INVALID);
    CHECK_STATUS(
        plc_reserve(c, &(plc_entry){.key = at, .key_length = 3}, 10, &(plc_reservation *){NULL}, &(void *){NULL}),
        PLC_INVALID);
    CHECK_STATUS(plc_scan(c, &n, 0, at, 65536, &used), PLC_INVALID);
    CHECK_STATUS(plc_check(c, &n, (plc_finding *)(void *)at, 64, &used), PLC_INVALID);
    uint16_t number;
    CHECK_STATUS(plc_name(c, at, 4, &number), PLC_INVALID);
    part.bytes = at;
    CHECK_STATUS(plc_store(c, PLC_SET, &e, NULL), PLC_INVALID);
    e.parts = (const plc_part *)(void *)at;
    CHECK_STATUS(plc_store(c, PLC_SET, &e, NULL), PLC_INVALID);
    e.part_count = SIZE_MAX;
    CHECK_STATUS(plc_store(c, PLC_SET, &e, NULL), PLC_INVALID);
}

static void deputies(void) {
    c = region_protected(BYTES);
    uint32_t found_closed = register_now();
    refused_at(c->base + c->geo.index_at);
    refused_at(c->base + c->geo.locks_at);
    refused_at(c->base + c->geo.wait_at);
    refused_at(c->base + c->geo.size_bytes - PAGE_BYTES);
    CHECK(register_now() == found_closed && all_closed(c));
    CHECK(count_of(c, 0) == 0);
    region_end(c, false);
}

/* One key opens all regions of the process, so what lies in another one is refused as well; when that is closed, the
 * memory there may be anybody's. */
static void deputies_of_another(void) {
    plc_cache *lower, *upper;
    plc_report report;
    char buffer[64];
    plc_found found;
    c = region_protected(BYTES);
    CHECK_STATUS(opened("lower", PLC_PROTECT_PKU, &lower, &report), PLC_OK);
    CHECK_STATUS(opened("upper", PLC_PROTECT_PKU, &upper, &report), PLC_OK);
    uint8_t *bases[] = {lower->base, upper->base};
    refused_at(bases[0] + lower->geo.index_at);
    refused_at(bases[1] + upper->geo.size_bytes - PAGE_BYTES);
    CHECK_STATUS(plc_get(c, "k", 1, 0, buffer, sizeof buffer, &found), PLC_MISS);
    plc_close(lower);
    refused_at(bases[1] + upper->geo.locks_at);
    uint8_t *reused =
        mmap(bases[0], PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(reused == bases[0]);
    CHECK_STATUS(plc_get(c, "k", 1, 0, reused, 64, &found), PLC_MISS);
    CHECK(munmap(reused, PAGE_BYTES) == 0);
    plc_close(upper);
    CHECK(count_of(c, 0) == 0);
    region_end(c, false);
}

/* ---- values in place ---------------------------------------------------------------------------------- */

#define LARGE 100000u

/* What is read in place is open to loads, and closed to stores; and it is an argument as any: a value, a key. */
static void view_is_open(void) {
    plc_view view, copy;
    plc_found found;
    put_value(c, 1, 7, LARGE);
    CHECK_STATUS(lease_value(c, 1, &view), PLC_OK);
    uint8_t *bytes = (uint8_t *)(uintptr_t)view.bytes;
    CHECK(touch(c, bytes, false) == TOUCH_FINE && touch(c, bytes, true) == TOUCH_OTHER);
    CHECK(touch(c, bytes + LARGE - 1, false) == TOUCH_FINE && touch(c, bytes + LARGE - 1, true) == TOUCH_OTHER);
    CHECK(touch(c, c->view, true) == TOUCH_OTHER);
    CHECK_STATUS(store(c, PLC_SET, "k2", bytes, LARGE), PLC_OK);
    CHECK_STATUS(store(c, PLC_SET, "k1", bytes, LARGE), PLC_OK); /* over itself */
    CHECK_STATUS(store(c, PLC_APPEND, "k1", bytes, 100), PLC_OK);
    CHECK_STATUS(plc_get(c, bytes, 8, 0, NULL, 0, &found), PLC_MISS);
    CHECK_STATUS(lease(c, "k2", &copy), PLC_OK);
    CHECK(copy.bytes != view.bytes && value_serial(copy.bytes, LARGE, 1) == 7 && shows(&view, 1, 7));
    plc_release(c, &copy);
    CHECK_STATUS(plc_view_private(c, &view), PLC_OK);
    CHECK(touch(c, view.bytes, true) == TOUCH_FINE);
    plc_release(c, &view);
}

/* What is filled is open to both, until it is sealed: then to loads alone; what is aborted is memory. */
static void reservation_is_open(void) {
    plc_reservation *r;
    plc_found found;
    uint8_t *bytes;
    for (unsigned aborted = 0; aborted < 2; aborted++) {
        CHECK_STATUS(reserve(c, "k3", LARGE, &r, &bytes), PLC_OK);
        CHECK(touch(c, bytes, true) == TOUCH_FINE && touch(c, bytes + LARGE - 1, true) == TOUCH_FINE);
        CHECK_STATUS(get(c, "k2", bytes, LARGE, &found), PLC_OK); /* from the region into the region */
        CHECK_STATUS(store(c, PLC_SET, "k4", bytes, LARGE), PLC_OK);
        if (aborted != 0) {
            plc_abort(c, r);
            CHECK(touch(c, bytes, true) == TOUCH_FINE);
        } else {
            CHECK_STATUS(seal(c, r), PLC_OK);
            CHECK(touch(c, bytes, false) == TOUCH_FINE && touch(c, bytes, true) == TOUCH_OTHER);
            CHECK_STATUS(store(c, PLC_SET, "k5", bytes, LARGE), PLC_OK);
        }
        plc_reservation_end(c, r);
    }
    static uint8_t copy[LARGE];
    for (unsigned i = 2; i <= 5; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%u", i);
        CHECK_STATUS(get(c, key, copy, LARGE, &found), PLC_OK);
        CHECK(found.length == LARGE && value_serial(copy, LARGE, 1) == 7);
    }
}

static void in_place(void) {
    const uint32_t protections[] = {PLC_PROTECT_NONE, PLC_PROTECT_PKU};
    plc_report report;
    for (unsigned i = 0; i < (keys_there() ? 2 : 1); i++) {
        check_folder_make(NULL);
        CHECK_STATUS(opened("r", protections[i], &c, &report), PLC_OK);
        CHECK(info_of(c).protection == protections[i] && info_of(c).in_place == 1);
        view_is_open();
        CHECK(protections[i] == PLC_PROTECT_NONE || all_closed(c));
        reservation_is_open();
        CHECK(protections[i] == PLC_PROTECT_NONE || all_closed(c));
        region_end(c, false);
    }
}

/* ---- the register ------------------------------------------------------------------------------------ */

static uint32_t as_found;

static void register_is_as_found(const char *function, plc_status s) {
    (void)s;
    if (register_now() != as_found) {
        (void)fprintf(stderr, "%s: %08x became %08x\n", function, as_found, register_now());
    }
    CHECK(register_now() == as_found);
}

static void every_function_leaves_it(void) {
    plc_report report;
    c = region_protected(BYTES);
    as_found = register_now();
    call_every(c, register_is_as_found);
    CHECK_STATUS(plc_remove(check_path("r"), &report), PLC_OK);
    register_is_as_found("plc_remove", PLC_OK);
    plc_close(c);
    register_is_as_found("plc_close", PLC_OK);
    plc_cache *other = NULL;
    CHECK_STATUS(opened("other", PLC_PROTECT_PKU, &other, &report), PLC_OK);
    register_is_as_found("plc_open", PLC_OK);
    call_every(c, register_is_as_found); /* closed */
    plc_close(other);
}

int main(void) {
    static const struct check_test all[] = {
        {"levels", levels},
        {"in place", in_place},
        {"one key", one_key},
        {"none free", none_free},
        {"threads", threads},
        {"children", children},
        {"the kernel", the_kernel},
        {"handlers", handlers},
        {"deputies", deputies},
        {"every function", every_function_leaves_it},
        {"deputies of another", deputies_of_another},
    };
    return check_run(all, keys_there() ? sizeof all / sizeof all[0] : 2);
}
