/* SPDX-License-Identifier: BSD-3-Clause */
/* test_lease_forks.c: the child of a process that reads values in place goes on reading them, whatever becomes of its
 * parent; where it cannot, it faults rather than read what came there later. */
#include "alive.h"
#include "inplace.h"
#include "process.h"
#include "trace.h"

#include <stdarg.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#define LARGE 200000u

static plc_view view;
static plc_cache *c;

/* Who asks about a child's place asks for its byte on the folder behind the one on the region: here something happens
 * between the two. */
static void (*between_bytes)(void);

int fcntl(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    long argument = va_arg(rest, long);
    va_end(rest);
    void (*happens)(void) = between_bytes;
    if (command == F_OFD_GETLK && happens != NULL) {
        between_bytes = NULL;
        happens();
    }
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

static void new_region(void) {
    c = region_new(16 * MIB);
    put_value(c, 1, 1, LARGE);
    CHECK_STATUS(lease(c, "k1", &view), PLC_OK);
}

/* The parent's part is over, and whatever can be overwritten is. */
static void parent_lets_go(void) {
    plc_release(c, &view);
    MUST(c, plc_delete(c, "k1", 2), PLC_OK);
    overwrite_all(c, 3);
    (void)drain(c);
    overwrite_all(c, 3);
}

static void limbo_ends(void) {
    CHECK_SOON(((void)drain(c), usage_of(c).limbo_pages == 0));
    region_end(c, true);
}

/* ---- a child that calls, and one that does not ------------------------------------------------- */

static void looks(struct peer_ends ends) {
    tell(ends.out, 1);
    bool calls = await(ends.in) == 1;
    CHECK(shows(&view, 1, 1));
    if (calls) {
        plc_view own;
        CHECK(my_slot(c) == 0 && c->inherited != 0);
        put_value(c, 2, 2, LARGE);
        CHECK(my_slot(c) != 0 && c->inherited == 0 && c->holding->own_fd < 0);
        CHECK_STATUS(lease(c, "k2", &own), PLC_OK);
        CHECK(shows(&view, 1, 1) && shows(&own, 2, 2) && c->holding->used == 2);
        plc_release(c, &own);
        tell(ends.out, 2);
        (void)await(ends.in);
        CHECK(shows(&view, 1, 1));
        plc_release(c, &view);
        tell(ends.out, 3);
    }
    (void)await(ends.in);
}

static void child_that_calls(void) {
    new_region();
    struct peer p = peer_start(looks);
    (void)hear(p.from);
    parent_lets_go();
    tell(p.to, 1);
    CHECK(hear(p.from) == 2);
    overwrite_all(c, 3);
    CHECK(usage_of(c).limbo_pages != 0);
    tell(p.to, 1);
    CHECK(hear(p.from) == 3);
    CHECK(usage_of(c).limbo_pages == 0); /* the child was the last to leave, and freed it */
    peer_kill(&p);
    limbo_ends();
}

static void child_that_does_not(void) {
    new_region();
    struct peer p = peer_start(looks);
    (void)hear(p.from);
    parent_lets_go();
    for (unsigned i = 0; i < 20; i++) { /* its place is not held to be dead, though no process has called with it */
        for (uint32_t slot = 2; slot < 5; slot++) {
            (void)process_reap(c, slot);
        }
    }
    overwrite_all(c, 2);
    CHECK(usage_of(c).limbo_pages != 0);
    tell(p.to, 0);
    peer_kill(&p);
    limbo_ends();
}

static struct peer adopts;
static void child_calls(void) {
    tell(adopts.to, 1);
    CHECK(hear(adopts.from) == 2);
}

/* It takes the place that was made for it while somebody asks whether that place's tenant is dead: it lives. */
static void adopts_while_asked_after(void) {
    new_region();
    adopts = peer_start(looks);
    (void)hear(adopts.from);
    uint32_t slot = 1;
    while (slot == my_slot(c) || inc_of(c, slot) % 2 == 0) {
        slot++;
    }
    CHECK(word_acq(&process_row(c, slot)->child) == 1);
    between_bytes = child_calls;
    CHECK(!process_reap(c, slot) && between_bytes == NULL);
    CHECK(inc_of(c, slot) % 2 == 1 && word_acq(&process_row(c, slot)->child) == 0);
    parent_lets_go();
    CHECK(usage_of(c).limbo_pages != 0);
    tell(adopts.to, 1);
    CHECK(hear(adopts.from) == 3);
    peer_kill(&adopts);
    limbo_ends();
}

/* ---- generations ------------------------------------------------------------------------------- */

static void forks_on(struct peer_ends ends) {
    if (fork() == 0) {
        looks(ends);
        _exit(0);
    }
    _exit(0); /* without a call of its own */
}

/* The child forks before it has ever called, and ends: what it has inherited is the grandchild's. */
static void grandchild(void) {
    for (uint64_t calls = 0; calls < 2; calls++) {
        new_region();
        struct peer p = peer_start(forks_on);
        (void)hear(p.from);
        CHECK(waitpid(p.pid, NULL, 0) == p.pid);
        parent_lets_go();
        CHECK(usage_of(c).limbo_pages != 0);
        tell(p.to, calls);
        if (calls != 0) {
            CHECK(hear(p.from) == 2);
            tell(p.to, 1);
            CHECK(hear(p.from) == 3);
            CHECK(usage_of(c).limbo_pages == 0);
        }
        (void)close(p.to);
        (void)close(p.from);
        limbo_ends();
    }
}

static void parent_of_one(struct peer_ends ends) {
    c = region_named("r", 0, 0);
    CHECK_STATUS(lease(c, "k1", &view), PLC_OK);
    if (fork() == 0) {
        looks(ends);
        _exit(0);
    }
    for (;;) {
        (void)pause();
    }
}

static void parent_dies(void) {
    c = region_new(16 * MIB);
    put_value(c, 1, 1, LARGE);
    plc_close(c);
    struct peer p = peer_start(parent_of_one);
    (void)hear(p.from);
    CHECK(kill(p.pid, SIGKILL) == 0 && waitpid(p.pid, NULL, 0) == p.pid);
    c = region_named("r", 0, 0);
    MUST(c, plc_delete(c, "k1", 2), PLC_OK);
    overwrite_all(c, 3);
    CHECK(usage_of(c).limbo_pages != 0);
    tell(p.to, 1);
    CHECK(hear(p.from) == 2);
    (void)close(p.to);
    (void)close(p.from);
    limbo_ends();
}

/* ---- asked after while it makes its first call ------------------------------------------------- */

static void calls_when_told(struct peer_ends ends) {
    tell(ends.out, owner_slot(c->inherited));
    (void)await(ends.in);
    CHECK(absent(c, "nobody's") && my_slot(c) != 0);
    tell(ends.out, 1);
    (void)await(ends.in);
    CHECK(shows(&view, 1, 1));
    plc_release(c, &view);
    tell(ends.out, 2);
}

static void asks_after(struct peer_ends ends) {
    uint32_t slot = (uint32_t)await(ends.in);
    CHECK(absent(c, "nobody's"));
    plc_release(c, &view);
    trace_me();
    CHECK(raise(SIGTRAP) == 0);
    (void)process_reap(c, slot);
    CHECK(raise(SIGTRAP) == 0);
}

/* Goes on to the n-th time that it enters or leaves the kernel.  False: it has asked by then. */
static bool halted_at(pid_t pid, unsigned n) {
    trace_wait(pid);
    CHECK(ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) == 0);
    for (int status = 0; n > 0; n--) {
        CHECK(ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0);
        CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
        if (WSTOPSIG(status) == SIGTRAP) {
            return false;
        }
    }
    return true;
}

/* Whatever of the proof was looked at before it called, and whatever behind it: it lives. */
static bool lives_through(unsigned n) {
    new_region();
    struct peer child = peer_start(calls_when_told), other = peer_start(asks_after);
    uint32_t slot = (uint32_t)hear(child.from);
    uint64_t inc = inc_of(c, slot);
    tell(other.to, slot);
    bool halted = halted_at(other.pid, n);
    tell(child.to, 1);
    CHECK(hear(child.from) == 1);
    if (halted) {
        trace_run(other.pid);
    }
    CHECK(inc_of(c, slot) == inc && (inc & 1) != 0);
    peer_kill(&other);
    parent_lets_go();
    tell(child.to, 1);
    CHECK(hear(child.from) == 2);
    peer_done(&child);
    limbo_ends();
    return halted;
}

static void asked_after(void) {
    unsigned n = 0;
    while (trace_needed() && lives_through(n)) {
        n++;
    }
    (void)printf("  halted at %u places of the proof\n", n);
}

/* ---- where nothing can be inherited ------------------------------------------------------------ */

static bool load_faults(const void *at) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        _exit(*(const volatile uint8_t *)at & 0);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

/* Its old leases mean nothing, and new ones do. */
static void begins_anew(void) {
    plc_view own;
    put_value(c, 3, 3, LARGE);
    CHECK(load_faults(view.bytes));
    CHECK(c->holding->used == 0);
    CHECK_STATUS(lease(c, "k3", &own), PLC_OK);
    plc_release(c, &view); /* it lay in the cell that the new one has */
    CHECK(shows(&own, 3, 3) && c->holding->used == 1 && c->holding->leases == 1);
    plc_release(c, &own);
}

static void without_a_place(struct peer_ends ends) {
    CHECK(c->inherited == 0 && load_faults(view.bytes));
    tell(ends.out, 1);
    (void)await(ends.in); /* there are places again */
    begins_anew();
    tell(ends.out, 2);
    (void)await(ends.in);
}

/* All places are taken: the child's views are closed to it; the parent's are not. */
static void no_place_is_free(void) {
    uint64_t had[SLOTS_SMALL + 1];
    new_region();
    for (uint32_t slot = 1; slot <= c->geo.slots; slot++) {
        had[slot] = inc_of(c, slot);
        if (slot != my_slot(c)) {
            word_put_rel(&process_row(c, slot)->inc, INC_LAST);
        }
    }
    struct peer p = peer_start(without_a_place);
    (void)hear(p.from);
    CHECK(shows(&view, 1, 1));
    for (uint32_t slot = 1; slot <= c->geo.slots; slot++) {
        word_put_rel(&process_row(c, slot)->inc, had[slot]);
    }
    tell(p.to, 1);
    CHECK(hear(p.from) == 2);
    peer_kill(&p);
    CHECK(shows(&view, 1, 1));
    plc_release(c, &view);
    region_end(c, true);
}

/* fork handlers do not run in the child of a raw clone, and a thread of the parent may be at the leases. */
static void raw_clone(void) {
    new_region();
    CHECK(holding_lock(c->holding));
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        begins_anew();
        _exit(0);
    }
    holding_unlock(c->holding);
    int status = -1;
    CHECK(pid > 0 && waitpid((pid_t)pid, &status, 0) == pid && status == 0);
    CHECK(shows(&view, 1, 1));
    plc_release(c, &view);
    region_end(c, true);
}

static plc_view copied; /* of `view`, with memory of its own */

static void asks_first(void) {
    uint64_t run = 0;
    CHECK_STATUS(plc_view_run(c, &view, &run), PLC_INVALID);
}

static void gives_back_first(void) {
    plc_release(c, &copied);
    CHECK(c->holding->parts == NULL);
}

/* What else such a child may begin with. */
static void raw_clone_that_holds(void) {
    void (*const acts[])(void) = {asks_first, gives_back_first};
    new_region();
    CHECK_STATUS(lease(c, "k1", &copied), PLC_OK);
    CHECK_STATUS(plc_view_private(c, &copied), PLC_OK);
    for (size_t i = 0; i < 2; i++) {
        int status = -1;
        CHECK(holding_lock(c->holding));
        long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (pid == 0) {
            (void)alarm(CHECK_HANG_SECONDS);
            acts[i]();
            _exit(0);
        }
        holding_unlock(c->holding);
        CHECK(pid > 0 && waitpid((pid_t)pid, &status, 0) == pid && status == 0);
    }
    plc_release(c, &copied);
    plc_release(c, &view);
    region_end(c, true);
}

int main(void) {
    static const struct check_test tests[] = {
        {"child_that_calls", child_that_calls},
        {"child_that_does_not", child_that_does_not},
        {"adopts_while_asked_after", adopts_while_asked_after},
        {"grandchild", grandchild},
        {"parent_dies", parent_dies},
        {"asked_after", asked_after},
        {"no_place_is_free", no_place_is_free},
        {"raw_clone", raw_clone},
        {"raw_clone_that_holds", raw_clone_that_holds},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
