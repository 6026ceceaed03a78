/* SPDX-License-Identifier: BSD-3-Clause */
/* test_forks.c: the child of a fork is a process of its own: it takes a place of its own before it does anything, and
 * neither its life nor its end is its parent's.  Also of a clone that runs no fork handlers. */
#include "alive.h"
#include "seat.h"

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
        {"thread numbers after forks", thread_numbers_after_fork},
#if !defined(__SANITIZE_THREAD__) /* which copies pages of its own */
        {"closed handles cost a child nothing", closed_handles_cost_a_child_nothing},
#endif
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
