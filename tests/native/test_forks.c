/* SPDX-License-Identifier: BSD-3-Clause */
/* test_forks.c: the child of a fork is a process of its own: it takes a place of its own before it does anything, and
 * neither its life nor its end is its parent's.  Also of a clone that runs no fork handlers. */
#include "alive.h"
#include "call.h"
#include "instants.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#define CLOSED 200u

static plc_cache *inherited;

static void adopts(struct peer_ends ends) {
    plc_cache *c = inherited;
    uint32_t parents = (uint32_t)await(ends.in);
    CHECK(word_acq(c->fork_mark) == 0 && my_slot(c) == 0);
    CHECK(process_adopt(c) == 0);
    CHECK(word_acq(c->fork_mark) == 1 && my_slot(c) != 0 && my_slot(c) != parents);
    CHECK(process_adopt(c) == 0);
    tell(ends.out, my_slot(c));
    (void)await(ends.in);
}

static void child_takes_its_own_place(void) {
    plc_cache *c = begin();
    inherited = c;
    word_put_rel(&c->tickets, 5); /* as if calls were under way in other threads */
    struct peer p = peer_start(adopts);
    tell(p.to, my_slot(c));
    uint32_t slot = (uint32_t)hear(p.from);
    CHECK(slot != my_slot(c) && byte_held(c, slot));
    CHECK(word_acq(&c->tickets) == 5);
    word_put_rel(&c->tickets, SHARED_TICKETS);
    check_alive(c, slot);
    peer_kill(&p);
    check_dies(c, slot);
    region_close(c);
}

/* Attaches, forks, dies; the grandchild lives on, first without and then with a place of its own. */
static void dies_before_its_child(struct peer_ends ends) {
    inherited = open_fresh("r");
    uint32_t slot = my_slot(inherited);
    if (fork() == 0) {
        tell(ends.out, slot);
        adopts(ends);
        _exit(0);
    }
    _exit(0);
}

static void parent_dies_first(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(dies_before_its_child);
    uint32_t slot = (uint32_t)hear(p.from);
    int status = 0;
    CHECK(waitpid(p.pid, &status, 0) == p.pid);
    check_dies(c, slot); /* though its child still has the region mapped */
    tell(p.to, 10000);
    uint32_t child = (uint32_t)hear(p.from);
    check_alive(c, child);
    (void)close(p.to);
    (void)close(p.from);
    check_dies(c, child);
    region_close(c);
}

static void closes_unadopted(struct peer_ends ends) {
    uint32_t parents = (uint32_t)await(ends.in);
    plc_cache *c = inherited;
    uint64_t inc = inc_of(c, parents);
    region_close(c);
    CHECK(c->base == NULL);
    plc_cache *own = open_region("r");
    CHECK(own != c && my_slot(own) != parents && inc_of(own, parents) == inc);
    region_close(own);
    tell(ends.out, 1);
    (void)await(ends.in);
}

static void child_that_closes_harms_nobody(void) {
    plc_cache *c = begin();
    inherited = c;
    struct peer watcher = peer_start(sit), p = peer_start(closes_unadopted);
    (void)hear(watcher.from);
    tell(p.to, my_slot(c));
    (void)hear(p.from);
    CHECK((inc_of(c, my_slot(c)) & 1u) == 1 && process_count(c) == 2);
    tell(p.to, 1);
    peer_done(&p);
    peer_kill(&watcher);
    region_close(c);
}

/* fork handlers do not run in the child of a raw clone, and a thread of the parent holds the mutex. */
static void raw_clone(void) {
    plc_cache *c = begin();
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    registry_lock();
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        bool good = word_acq(c->fork_mark) == 0 && process_adopt(c) == 0 && my_slot(c) != 0;
        uint64_t slot = good ? my_slot(c) : 0;
        _exit(write(ends[1], &slot, sizeof slot) == sizeof slot ? 0 : 1);
    }
    registry_unlock();
    CHECK(pid > 0 && hear(ends[0]) != 0 && word_acq(c->fork_mark) == 1);
    int status = -1;
    CHECK(waitpid((pid_t)pid, &status, 0) == pid && status == 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
    region_close(c);
}

/* The exit status of a raw clone's child that does just that. */
static int status_of_clone(int (*act)(void)) {
    int status = -1;
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        (void)alarm(CHECK_HANG_SECONDS);
        _exit(act());
    }
    CHECK(pid > 0 && waitpid((pid_t)pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int assists_and_closes(void) {
    CHECK_STATUS(plc_assist(inherited, 0), PLC_OK);
    region_close(inherited);
    return inherited->base == NULL ? 0 : 1;
}

/* What its parent was told to do first: the child closes well afterwards. */
static void clone_that_assists_first(void) {
    struct call outer, k;
    plc_cache *c = begin();
    inherited = c;
    CHECK_STATUS(call_enter(&outer, c), PLC_OK);
    word_put_rel(&c->tickets, 0);
    CHECK_STATUS(call_enter(&k, c), PLC_AGAIN);
    word_put_rel(&c->tickets, SHARED_TICKETS);
    CHECK_STATUS(call_leave(&outer, PLC_OK), PLC_OK);
    CHECK(status_of_clone(assists_and_closes) == 0);
    CHECK_STATUS(plc_assist(c, 0), PLC_OK);
    region_close(c);
}

#if INSTANTS
enum { ENTERED_AMID = 0, ENTERED_BEFORE = 7 };

static unsigned amid;
static bool place_taken;

/* Another thread of the child takes the place, while the first one enters.  Where that one takes it itself, one of them
 * waits for the other. */
static bool another_takes_the_place(unsigned i, uintptr_t at) {
    if (at == (uintptr_t)call_begin_slow) {
        return false;
    }
    if (i == amid) {
        CHECK(process_adopt(inherited) == 0);
        place_taken = true;
    }
    return i < amid;
}

static int enters(void) {
    struct call k;
    plc_cache *c = inherited;
    instants_begin(another_takes_the_place);
    plc_status s = call_begin_untimed(&k, c);
    instants_end();
    CHECK_STATUS(s, PLC_OK);
    CHECK(k.owner != 0 && k.owner == word_rlx(&c->owner));
    CHECK(k.seat != NULL && atomic_load(&k.seat->busy) == 1 && (atomic_load(&k.seat->tid) & 0x3fffffu) == os_thread());
    call_refuse(&k);
    return place_taken ? ENTERED_AMID : ENTERED_BEFORE;
}

/* The first thread remembers a seat of its parent's: it must not sit in it. */
static void clone_with_two_threads(void) {
    struct call k;
    int status = ENTERED_AMID;
    plc_cache *c = begin();
    inherited = c;
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    seat_kept[0] = (struct kept_seat){k.seat, word_rlx(&c->seat_epoch)}; /* earlier tests had regions of their own */
    for (amid = 0; status == ENTERED_AMID; amid++) {
        status = status_of_clone(enters);
    }
    CHECK(status == ENTERED_BEFORE && amid > 3);
    region_close(c);
}
#endif

static void thread_numbers(struct peer_ends ends) {
    CHECK(os_thread() == (uint32_t)getpid());
    tell(ends.out, 1);
}

static void thread_numbers_after_fork(void) {
    CHECK(os_thread() == (uint32_t)getpid());
    struct peer p = peer_start(thread_numbers);
    (void)hear(p.from);
    peer_done(&p);
    int status = -1;
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        _exit(os_thread() == (uint32_t)getpid() ? 0 : 1);
    }
    CHECK(pid > 0 && waitpid((pid_t)pid, &status, 0) == pid && status == 0);
    CHECK(os_thread() == (uint32_t)getpid());
}

#if !defined(__SANITIZE_THREAD__)
static void says_its_faults(struct peer_ends ends) {
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    tell(ends.out, (uint64_t)usage.ru_minflt + 1);
}

static uint64_t faults_of_child(void) {
    struct peer p = peer_start(says_its_faults);
    uint64_t faults = hear(p.from);
    peer_done(&p);
    return faults;
}

/* Handles stay when they are closed, thousands in a long life: a child must not copy them all, at each fork. */
static void closed_handles_cost_a_child_nothing(void) {
    plc_cache *c = begin();
    uint64_t none_closed = faults_of_child();
    for (unsigned i = 0; i < CLOSED; i++) {
        region_close(open_fresh("closed"));
    }
    uint64_t many_closed = faults_of_child();
    CHECK(many_closed < none_closed + CLOSED);
    region_close(c);
}
#endif

int main(void) {
    static const struct check_test tests[] = {
        {"a fork child takes its own place", child_takes_its_own_place},
        {"a parent dies before its child", parent_dies_first},
        {"a fork child that closes harms nobody", child_that_closes_harms_nobody},
        {"a raw clone forgets too", raw_clone},
        {"a raw clone that assists first", clone_that_assists_first},
#if INSTANTS
        {"a raw clone with two threads", clone_with_two_threads},
#endif
        {"thread numbers after forks", thread_numbers_after_fork},
#if !defined(__SANITIZE_THREAD__) /* which copies pages of its own */
        {"closed handles cost a child nothing", closed_handles_cost_a_child_nothing},
#endif
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
