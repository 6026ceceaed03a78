/* SPDX-License-Identifier: BSD-3-Clause */
/* test_process.c: who is alive.  Threatens the rule that death is found and that no living process is ever held
 * to be dead: kill, exit, exec, zombies, stopped processes, lost lock bytes, numbers used again, other pid namespaces.
 * (Forks: test_forks.c; the places themselves: test_places.c.) */
#include "alive.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

static void slots_and_counts(void) {
    plc_cache *c = begin();
    CHECK(process_count(c) == 1);
    struct peer a = peer_start(sit), b = peer_start(sit);
    uint32_t slot_a = (uint32_t)hear(a.from), slot_b = (uint32_t)hear(b.from);
    CHECK(slot_a != slot_b && slot_a != my_slot(c) && slot_b != my_slot(c));
    CHECK(process_count(c) == 3 && byte_held(c, slot_a) && byte_held(c, slot_b));
    check_alive(c, slot_a);
    CHECK(!process_reap(c, my_slot(c)) && !process_reap(c, 0) && !process_reap(c, 5000));
    peer_kill(&a);
    check_dies(c, slot_a);
    check_alive(c, slot_b);
    peer_kill(&b);
    check_dies(c, slot_b);
    CHECK(process_count(c) == 1);
    region_close(c);
}

static void zombie_is_dead(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(sit);
    uint32_t slot = (uint32_t)hear(p.from);
    CHECK(kill(p.pid, SIGKILL) == 0);
    check_dies(c, slot); /* not waited for yet */
    (void)peer_end(&p);
    region_close(c);
}

static void exit_without_closing(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(sit);
    uint32_t slot = (uint32_t)hear(p.from);
    tell(p.to, 1);
    peer_done(&p);
    check_dies(c, slot);
    region_close(c);
}

static void close_gives_back(struct peer_ends ends) {
    plc_cache *c = open_fresh("r");
    tell(ends.out, my_slot(c));
    (void)await(ends.in);
    region_close(c);
    tell(ends.out, 1);
    (void)await(ends.in);
}

static void closing_is_seen_at_once(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(close_gives_back);
    uint32_t slot = (uint32_t)hear(p.from);
    tell(p.to, 1);
    (void)hear(p.from);
    CHECK((inc_of(c, slot) & 1u) == 0 && !byte_held(c, slot));
    tell(p.to, 1);
    peer_done(&p);
    region_close(c);
}

static void execs(struct peer_ends ends) {
    plc_cache *c = open_fresh("r");
    tell(ends.out, my_slot(c));
    (void)await(ends.in);
    (void)execl("/bin/sleep", "sleep", "1000", (char *)NULL);
    _exit(2);
}

static void exec_is_death(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(execs);
    uint32_t slot = (uint32_t)hear(p.from);
    check_alive(c, slot);
    tell(p.to, 1);
    check_dies(c, slot);
    CHECK(kill(p.pid, 0) == 0);
    peer_kill(&p);
    region_close(c);
}

static void stopped_is_alive(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(sit);
    uint32_t slot = (uint32_t)hear(p.from);
    int status = 0;
    CHECK(kill(p.pid, SIGSTOP) == 0 && waitpid(p.pid, &status, WUNTRACED) == p.pid && WIFSTOPPED(status));
    check_alive(c, slot);
    peer_kill(&p);
    check_dies(c, slot);
    region_close(c);
}

/* What any library in the process may do: it opens and closes the region's file. */
static void loses_byte(struct peer_ends ends) {
    plc_cache *c = open_fresh("r");
    tell(ends.out, my_slot(c));
    (void)await(ends.in);
    int fd = open(check_path("r"), O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && close(fd) == 0);
    tell(ends.out, 1);
    (void)await(ends.in);
    CHECK(process_reassert(c));
    tell(ends.out, 1);
    (void)await(ends.in);
}

static void lost_byte_is_not_death(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(loses_byte);
    uint32_t slot = (uint32_t)hear(p.from);
    CHECK(byte_held(c, slot));
    tell(p.to, 1);
    (void)hear(p.from);
    CHECK(!byte_held(c, slot));
    check_alive(c, slot);
    tell(p.to, 1);
    (void)hear(p.from);
    CHECK(byte_held(c, slot));
    peer_kill(&p);
    check_dies(c, slot);
    region_close(c);
}

/* What a daemon does at its start; the numbers are then other files'. */
static void closes_all(struct peer_ends ends) {
    plc_cache *c = open_fresh("r");
    tell(ends.out, my_slot(c));
    (void)await(ends.in);
    for (int fd = 3; fd < 64; fd++) {
        if (fd != ends.in && fd != ends.out) {
            (void)close(fd);
        }
    }
    for (int i = 0; i < 8; i++) {
        CHECK(open("/dev/null", O_RDWR | O_CLOEXEC) >= 0);
    }
    region_grow(c, c->geo.end_page); /* must touch nobody else's file */
    tell(ends.out, 1);
    (void)await(ends.in);
    CHECK(process_reassert(c));
    CHECK(process_descriptors_ours(c));
    region_grow(c, c->geo.first_page + c->geo.step_pages);
    tell(ends.out, 1);
    (void)await(ends.in);
    region_close(c);
}

static void closed_descriptors(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(closes_all);
    uint32_t slot = (uint32_t)hear(p.from);
    tell(p.to, 1);
    (void)hear(p.from);
    check_alive(c, slot);
    CHECK(region_file_pages(c) == c->geo.first_page);
    tell(p.to, 1);
    (void)hear(p.from);
    CHECK(byte_held(c, slot) && region_file_pages(c) > c->geo.first_page);
    tell(p.to, 1);
    peer_done(&p);
    CHECK((inc_of(c, slot) & 1u) == 0);
    region_close(c);
}

static void two_opens(void) {
    plc_cache *c = begin(), *again = open_region("r");
    CHECK(again == c && process_count(c) == 1);
    struct peer p = peer_start(sit);
    (void)hear(p.from);
    region_close(c);
    CHECK(c->base != NULL && process_count(c) == 2);
    region_close(c);
    CHECK(c->base == NULL);
    region_close(c); /* a stale handle does no harm */
    again = open_region("r");
    CHECK(again == c && my_slot(again) != 0);
    peer_kill(&p);
    region_close(again);
}

/* Opened twice and closed once: alive, also to those who can only see the byte. */
static void opens_twice(struct peer_ends ends) {
    plc_cache *c = open_fresh("r");
    CHECK(open_region("r") == c);
    tell(ends.out, my_slot(c));
    for (unsigned i = 0; i < 2; i++) {
        (void)await(ends.in);
        region_close(c);
        tell(ends.out, 1);
    }
    (void)await(ends.in);
}

static void two_opens_and_one_close(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(opens_twice);
    uint32_t slot = (uint32_t)hear(p.from);
    CHECK(process_count(c) == 2 && byte_held(c, slot));
    tell(p.to, 1);
    (void)hear(p.from);
    CHECK(process_count(c) == 2 && byte_held(c, slot));
    check_alive(c, slot);
    tell(p.to, 1);
    (void)hear(p.from);
    CHECK(process_count(c) == 1 && !byte_held(c, slot));
    tell(p.to, 1);
    peer_done(&p);
    region_close(c);
}

static void exits(struct peer_ends ends) {
    tell(ends.out, my_slot(open_fresh("r")));
    (void)await(ends.in);
    exit(0);
}

static void exit_with_handlers(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(exits);
    uint32_t slot = (uint32_t)hear(p.from);
    check_alive(c, slot);
    tell(p.to, 1);
    peer_done(&p);
    check_dies(c, slot);
    region_close(c);
}

/* ---- numbers that are used again -------------------------------------------------------------- */

/* A process with that number, where the kernel lets one choose; 0: it does not. */
static pid_t start_with_pid(pid_t pid) {
    struct clone_args {
        _Alignas(8) uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
            set_tid_size, cgroup;
    } args = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1};
    long got = syscall(SYS_clone3, &args, sizeof args);
    if (got == 0) {
        (void)pause();
        _exit(0);
    }
    return got > 0 ? (pid_t)got : 0;
}

/* Start times are counted in hundredths of a second. */
static void later(void) {
    const struct timespec ticks = {0, 30000000};
    (void)nanosleep(&ticks, NULL);
}

/* The dead one's number is another process's now, which has nothing to do with the region: it is dead all the same,
 * and so is a thread that held a lock.  Whoever has its start time too is it. */
static void reused_pid(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(sit);
    uint32_t slot = (uint32_t)hear(p.from);
    uint64_t start = word_acq(&process_row(c, slot)->start_time);
    later();
    peer_kill(&p);
    pid_t other = start_with_pid(p.pid);
    if (other == 0) { /* not permitted: a living process's number is written into the dead one's row */
        struct peer stranger = peer_start(sit);
        word_put_rel(&process_row(c, slot)->pid, (uint64_t)stranger.pid);
        check_dies(c, slot);
        peer_kill(&stranger);
        check_skip("a pid that is used again by the kernel (clone3 with a chosen pid is not permitted)");
    } else {
        uint64_t now = 0;
        CHECK(other == p.pid && os_start_time((uint64_t)other, &now) == 0 && now != start);
        check_dies(c, slot);
        CHECK(kill(other, SIGKILL) == 0 && waitpid(other, NULL, 0) == other);
    }
    region_close(c);
}

/* Its byte is held, so somebody is it, whatever stands in its row. */
static void other_pid_and_a_held_byte(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(sit);
    uint32_t slot = (uint32_t)hear(p.from);
    later();
    struct peer stranger = peer_start(sit);
    (void)hear(stranger.from);
    word_put_rel(&process_row(c, slot)->pid, (uint64_t)stranger.pid);
    check_alive(c, slot);
    peer_kill(&p);
    check_dies(c, slot);
    peer_kill(&stranger);
    region_close(c);
}

/* ---- a first thread that ends alone --------------------------------------------------------- */

static struct peer_ends leader_ends;

static void *lives_on(void *arg) {
    (void)arg;
    (void)await(leader_ends.in);
    int fd = open(check_path("r"), O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && close(fd) == 0);
    tell(leader_ends.out, 1);
    (void)await(leader_ends.in);
    return NULL;
}

static void leader_leaves(struct peer_ends ends) {
    pthread_t thread;
    plc_cache *c = open_fresh("r");
    leader_ends = ends;
    CHECK(pthread_create(&thread, NULL, lives_on, NULL) == 0);
    tell(ends.out, my_slot(c));
    pthread_exit(NULL);
}

static bool leader_gone(pid_t pid) {
    bool gone = false;
    return os_thread_exiting((uint64_t)pid, (uint32_t)pid, &gone) == 0 && gone;
}

static void leader_that_ends_alone_is_not_death(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(leader_leaves);
    uint32_t slot = (uint32_t)hear(p.from);
    CHECK_SOON(leader_gone(p.pid));
    check_alive(c, slot);
    tell(p.to, 1); /* and now without its lock byte */
    (void)hear(p.from);
    CHECK(!byte_held(c, slot));
    check_alive(c, slot);
    peer_kill(&p);
    check_dies(c, slot);
    region_close(c);
}

/* ---- pid namespaces ------------------------------------------------------------------------- */

static void in_namespace(struct peer_ends ends, bool own_proc) {
    int status = 0;
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) {
        tell(ends.out, 0);
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        if (own_proc &&
            (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("proc", "/proc", "proc", 0, NULL) != 0)) {
            _exit(4);
        }
        sit(ends);
        _exit(0);
    }
    (void)close(ends.out);
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
}

static void in_namespace_with_proc(struct peer_ends ends) {
    in_namespace(ends, true);
}

static void in_namespace_without_proc(struct peer_ends ends) {
    in_namespace(ends, false);
}

static void other_namespaces(void) {
    void (*const kinds[])(struct peer_ends) = {in_namespace_with_proc, in_namespace_without_proc};
    for (unsigned i = 0; i < 2; i++) {
        plc_cache *c = begin();
        struct peer p = peer_start(kinds[i]);
        uint32_t slot = (uint32_t)hear(p.from);
        if (slot == 0) {
            check_skip("pid namespaces (not permitted)");
            (void)peer_end(&p);
        } else {
            uint64_t mine = 0;
            CHECK(os_pid_namespace(&mine) == 0 && mine != word_acq(&process_row(c, slot)->ns_inode));
            check_alive(c, slot);
            tell(p.to, 1);
            check_dies(c, slot);
            (void)peer_end(&p);
        }
        region_close(c);
    }
}

int main(void) {
    static const struct check_test tests[] = {
        {"slots and counts", slots_and_counts},
        {"a zombie is dead", zombie_is_dead},
        {"exit without closing", exit_without_closing},
        {"closing is seen at once", closing_is_seen_at_once},
        {"exec is death", exec_is_death},
        {"a stopped process is alive", stopped_is_alive},
        {"a lost lock byte is not death", lost_byte_is_not_death},
        {"closed descriptors", closed_descriptors},
        {"two opens in one process", two_opens},
        {"two opens and one close", two_opens_and_one_close},
        {"exit with handlers", exit_with_handlers},
        {"a pid used again", reused_pid},
        {"another's pid and a held byte", other_pid_and_a_held_byte},
        {"a first thread that ends alone", leader_that_ends_alone_is_not_death},
        {"other pid namespaces", other_namespaces},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
