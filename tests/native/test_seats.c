/* SPDX-License-Identifier: BSD-3-Clause */
/* test_seats.c: a thread keeps a seat, and what it counts there is neither lost nor counted twice: with more
 * threads than seats, after threads have ended, in calls inside a call, with several regions, and over a fork. */
#include "fixture.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "call.h"
#include "region_parts.h"

static plc_cache *c;

static void set_one(plc_cache *cache, const char *key) {
    const plc_part part = {"value", 5};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1};
    MUST(cache, plc_store(cache, PLC_SET, &e, NULL), PLC_OK);
}

static void get_times(plc_cache *cache, const char *key, unsigned n) {
    char buffer[16];
    plc_found found;
    for (unsigned i = 0; i < n; i++) {
        MUST(cache, plc_get(cache, key, strlen(key), 0, buffer, sizeof buffer, &found), PLC_OK);
    }
}

static unsigned seated(const plc_cache *cache) {
    unsigned n = 0;
    for (unsigned i = 0; i < LANES; i++) {
        n += atomic_load(&cache->seats[i].tid) != 0 ? 1 : 0;
    }
    return n;
}

static pthread_barrier_t together;
#define GETS 3000u

static void *reader(void *unused) {
    (void)unused;
    get_times(c, "k", GETS);
    (void)pthread_barrier_wait(&together); /* nobody ends before all have a seat or have been refused one */
    get_times(c, "k", GETS);
    return NULL;
}

static void run_threads(unsigned n) {
    pthread_t threads[64];
    CHECK(pthread_barrier_init(&together, NULL, n) == 0);
    for (unsigned i = 0; i < n; i++) {
        CHECK(pthread_create(&threads[i], NULL, reader, NULL) == 0);
    }
    for (unsigned i = 0; i < n; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    (void)pthread_barrier_destroy(&together);
}

static void counts_are_exact(void) {
    c = region_new(4 * MIB);
    set_one(c, "k");
    CHECK(seated(c) == 1);
    run_threads(3 * LANES);
    CHECK(counter_of(c, "hits") == 3 * LANES * 2 * GETS);
    CHECK(seated(c) == LANES);
    CHECK(word_acq(&c->tickets) == SHARED_TICKETS && seat_all_idle(c));
}

static void seats_of_ended_threads_are_given_on(void) {
    c = region_new(4 * MIB);
    set_one(c, "k");
    for (unsigned i = 0; i < 20; i++) {
        word_put_rlx(&c->seats_asked_ms, 0); /* as if 100 ms had passed since it was last asked who is gone */
        run_threads(LANES);
        CHECK(counter_of(c, "hits") == (i + 1) * LANES * 2 * GETS);
    }
    CHECK(seated(c) == LANES);
    uint32_t left[LANES];
    for (unsigned i = 0; i < LANES; i++) {
        left[i] = atomic_load(&c->seats[i].tid);
    }
    word_put_rlx(&c->seats_asked_ms, 0);
    run_threads(1);
    unsigned changed = 0;
    for (unsigned i = 0; i < LANES; i++) {
        changed += atomic_load(&c->seats[i].tid) != left[i] ? 1 : 0;
    }
    CHECK(changed == 1);
}

static void *sits(void *tid) {
    struct call k;
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK(k.seat != NULL);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    *(uint32_t *)tid = os_thread();
    return NULL;
}

/* Each has a seat, however many there were before it, and however fast they come. */
static void threads_come_and_go(void) {
    c = region_new(4 * MIB);
    set_one(c, "k");
    for (unsigned i = 0; i < 10 * LANES; i++) {
        pthread_t thread;
        uint32_t tid = 0;
        CHECK(pthread_create(&thread, NULL, sits, &tid) == 0 && pthread_join(thread, NULL) == 0);
        CHECK_SOON(!os_thread_there(tid));
    }
    region_end(c, false);
}

/* A thread that was ended inside a call leaves its seat busy; the next tenant does not suffer from it. */
static void *ends_inside(void *unused) {
    (void)unused;
    struct call k;
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK(k.seat != NULL && !seat_all_idle(c));
    return NULL;
}

static void a_busy_seat_is_freed_with_its_thread(void) {
    pthread_t thread;
    c = region_new(4 * MIB);
    set_one(c, "k");
    CHECK(pthread_create(&thread, NULL, ends_inside, NULL) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(!seat_all_idle(c));
    for (unsigned i = 0; i < 4 && !seat_all_idle(c); i++) {
        word_put_rlx(&c->seats_asked_ms, 0);
        run_threads(LANES);
    }
    CHECK(seat_all_idle(c));
}

/* Asks for a thread (tgkill with signal 0) are answered by this program where a test wants it. */
static void (*asked_for)(uint32_t tid);

long syscall(long number, ...) {
    long a[6];
    va_list list;
    va_start(list, number);
    for (unsigned i = 0; i < 6; i++) {
        a[i] = va_arg(list, long);
    }
    va_end(list);
    if (number == SYS_tgkill && asked_for != NULL) {
        asked_for((uint32_t)a[1]);
        errno = ESRCH;
        return -1;
    }
    long (*kernel)(long, ...);
    void *found = dlsym(RTLD_NEXT, "syscall");
    memcpy(&kernel, &found, sizeof kernel);
    return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static pthread_barrier_t turn; /* of the newcomer's */
static struct seat *newcomers;

static void *newcomer(void *tid) {
    struct call k;
    *(uint32_t *)tid = os_thread();
    (void)pthread_barrier_wait(&turn); /* it has told its number */
    (void)pthread_barrier_wait(&turn); /* now it may begin */
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    newcomers = k.seat;
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    (void)pthread_barrier_wait(&turn);
    (void)pthread_barrier_wait(&turn); /* ... and end */
    return NULL;
}

static void newcomer_begins(uint32_t tid) {
    (void)tid;
    asked_for = NULL;
    (void)pthread_barrier_wait(&turn);
    (void)pthread_barrier_wait(&turn);
}

/* A thread is seen gone, and before its seat is taken a new one gets its number, and the seat. */
static void a_number_that_comes_into_use_again(void) {
    pthread_t thread;
    struct call k;
    uint32_t tid = 0;
    c = region_new(4 * MIB);
    CHECK(pthread_barrier_init(&turn, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, newcomer, &tid) == 0);
    (void)pthread_barrier_wait(&turn);
    for (unsigned i = 0; i < LANES; i++) {
        atomic_store(&c->seats[i].tid, i == 0 ? tid : 1); /* 1: there is no such thread */
    }
    word_put_rlx(&c->seats_asked_ms, 0);
    asked_for = newcomer_begins;
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK(asked_for == NULL && newcomers == &c->seats[0]);
    CHECK(k.seat == &c->seats[1]);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    (void)pthread_barrier_wait(&turn);
    CHECK(pthread_join(thread, NULL) == 0);
    (void)pthread_barrier_destroy(&turn);
}

static void calls_inside_a_call(void) {
    struct call outer, inner;
    c = region_new(4 * MIB);
    set_one(c, "k");
    CHECK_STATUS(call_enter(&outer, c), PLC_OK);
    CHECK(outer.seat != NULL && outer.lane != NULL && outer.ticket % 8 == 0);
    CHECK_STATUS(call_enter(&inner, c), PLC_OK);
    CHECK(inner.seat == NULL && inner.lane == NULL && inner.ticket != outer.ticket && inner.tid == outer.tid);
    CHECK(inner.pin != outer.pin);
    get_times(c, "k", 5);
    CHECK_STATUS(call_leave(&inner, PLC_OK), PLC_OK);
    CHECK_STATUS(call_leave(&outer, PLC_OK), PLC_OK);
    get_times(c, "k", 5);
    CHECK(counter_of(c, "hits") == 10);
    CHECK(word_acq(&c->tickets) == SHARED_TICKETS && seat_all_idle(c));
}

/* Somebody who closes has seen that no call is under way; before he releases the region it is opened, a call begins,
 * and it is closed again: that call still has its memory. */
static void opened_and_closed_while_closing(void) {
    struct call k;
    plc_cache *again = NULL;
    plc_report report;
    c = region_new(4 * MIB);
    const plc_options attach = {.path = check_path("r"), .protection = check_protection()};
    uint64_t first = region_close_begin(c);
    CHECK(first != 0 && seat_all_idle(c));
    CHECK_STATUS(plc_open(&attach, &again, &report), PLC_OK);
    CHECK(again == c);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    uint64_t second = region_close_begin(c);
    CHECK(second != 0);
    region_close_end(c, first);
    CHECK(c->base != NULL);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    region_close_end(c, second);
    CHECK(c->base == NULL);
}

static void *closes(void *unused) {
    (void)unused;
    plc_close(c);
    return NULL;
}

/* By another thread; it gives up after a while, and the region stays until it is closed once more. */
static bool stays_mapped(void) {
    pthread_t thread;
    plc_cache *again = NULL;
    plc_report report;
    const plc_options attach = {.path = check_path("r"), .protection = check_protection()};
    CHECK(pthread_create(&thread, NULL, closes, NULL) == 0 && pthread_join(thread, NULL) == 0);
    bool mapped = c->base != NULL;
    if (mapped) {
        CHECK_STATUS(plc_open(&attach, &again, &report), PLC_OK);
        CHECK(again == c);
    }
    return mapped;
}

static void closing_waits_for_calls(void) {
    struct call seated, shared;
    c = region_new(4 * MIB);
    CHECK_STATUS(call_enter(&seated, c), PLC_OK);
    CHECK(seated.seat != NULL && stays_mapped());
    CHECK_STATUS(call_enter(&shared, c), PLC_OK);
    CHECK_STATUS(call_leave(&seated, PLC_OK), PLC_OK);
    CHECK(shared.seat == NULL && stays_mapped());
    CHECK_STATUS(call_leave(&shared, PLC_OK), PLC_OK);
    CHECK(call_stay(c) && stays_mapped());
    call_go(c);
    CHECK(!stays_mapped());
}

static void several_regions(void) {
    plc_cache *all[7];
    c = region_new(4 * MIB);
    all[0] = c;
    for (unsigned i = 1; i < 7; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "r%u", i);
        all[i] = region_named(name, 4 * MIB, 0);
    }
    for (unsigned i = 0; i < 7; i++) {
        set_one(all[i], "k");
    }
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < 7; i++) {
            get_times(all[i], "k", i + 1);
        }
    }
    for (unsigned i = 0; i < 7; i++) {
        CHECK(counter_of(all[i], "hits") == 50 * (i + 1));
        CHECK(seated(all[i]) == 1); /* more than a thread remembers, but its number is on the seat */
        plc_close(all[i]);
    }
}

static void fork_child_has_its_own(void) {
    c = region_new(4 * MIB);
    set_one(c, "k");
    run_threads(LANES);
    get_times(c, "k", 10);
    int status = 0;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        get_times(c, "k", 100);
        _exit(seated(c) == 1 ? 0 : 1);
    }
    get_times(c, "k", 10);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(counter_of(c, "hits") == LANES * 2 * GETS + 120);
}

/* The mark by which a call knows a fork child lies on a page that cannot be read: whoever looks at it stands still there
 * until the handler has let another thread do what it likes. */
static uint8_t *mark_page;
static plc_status others_status;
static struct seat *others;

static void *other_adopts(void *unused) {
    struct call k;
    (void)unused;
    (void)pthread_barrier_wait(&turn);
    seat_forget(c); /* as process_adopt does in a child of a raw clone */
    seat_settle(c, my_slot(c));
    others_status = call_enter(&k, c);
    others = k.seat;
    (void)pthread_barrier_wait(&turn);
    (void)pthread_barrier_wait(&turn); /* it is in its call all the time */
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    return NULL;
}

static void stands_still(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)context;
    CHECK(info->si_addr == mark_page && mprotect(mark_page, PAGE_BYTES, PROT_READ) == 0);
    (void)pthread_barrier_wait(&turn);
    (void)pthread_barrier_wait(&turn);
}

/* Two threads begin at once in a fork child: one takes the process's place, and a seat; the other one, which had a seat
 * in the parent, does not sit down in the same one. */
static void forgotten_while_it_enters(void) {
    struct sigaction still = {.sa_sigaction = stands_still, .sa_flags = SA_SIGINFO}, was;
    struct call k;
    pthread_t thread;
    c = region_new(4 * MIB);
    set_one(c, "k");
    CHECK(seated(c) == 1 && atomic_load(&c->seats[0].tid) == os_thread());
    CHECK(pthread_barrier_init(&turn, NULL, 2) == 0 && sigaction(SIGSEGV, &still, &was) == 0);
    CHECK(pthread_create(&thread, NULL, other_adopts, NULL) == 0);
    word *mark = c->fork_mark;
    mark_page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mark_page != MAP_FAILED);
    word_put_rlx((word *)(void *)mark_page, 1);
    c->fork_mark = (word *)(void *)mark_page;
    CHECK(mprotect(mark_page, PAGE_BYTES, PROT_NONE) == 0);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(others_status, PLC_OK);
    CHECK(others == &c->seats[0] && k.seat != others && k.pin != others->pin);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    (void)pthread_barrier_wait(&turn);
    CHECK(pthread_join(thread, NULL) == 0 && sigaction(SIGSEGV, &was, NULL) == 0);
    (void)pthread_barrier_destroy(&turn);
    c->fork_mark = mark;
    CHECK(munmap(mark_page, PAGE_BYTES) == 0 && seat_all_idle(c));
}

int main(void) {
    static const struct check_test tests[] = {
        {"counts are exact with more threads than seats", counts_are_exact},
        {"seats of ended threads are given on", seats_of_ended_threads_are_given_on},
        {"threads come and go", threads_come_and_go},
        {"a busy seat is freed with its thread", a_busy_seat_is_freed_with_its_thread},
        {"a number that comes into use again", a_number_that_comes_into_use_again},
        {"calls inside a call take shared tickets", calls_inside_a_call},
        {"opened and closed while closing", opened_and_closed_while_closing},
        {"closing waits for calls", closing_waits_for_calls},
        {"several regions", several_regions},
        {"a fork child has its own", fork_child_has_its_own},
        {"forgotten while it enters", forgotten_while_it_enters},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
