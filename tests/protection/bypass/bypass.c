/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bypass.c: how level pku fares against native code in the process: every way around it that is known, tried out, one
 * row each, with what is expected: held or bypassed.  A change of either is noticed.  Run by root it makes the table
 * three times: as root, as an ordinary user with a region of his own, and, of the rows that hold, without a key: there
 * each of them must come through, or it would prove nothing.  Arguments choose rows.  Exit status 0: all is as
 * expected; 77: there are no keys here, or no tmpfs.
 */
#include "attack.h"

#include <grp.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#define NOBODY 65534u

struct row {
    const char *name;
    enum claim (*attack)(const struct target *t);
    enum outcome root, user;
    bool by_rights; /* what holds is not the key, but that users may not do it */
};

#define ROW(name, root, user) {#name, attack_##name, root, user, false}
#define RIGHTS(name, root) {#name, attack_##name, root, HELD, true}
#define BOTH(name, outcome) ROW(name, outcome, outcome)

static const struct row rows[] = {
    BOTH(load, HELD),
    BOTH(store, HELD),
    BOTH(write_syscall, HELD),
    BOTH(read_syscall, HELD),
    BOTH(fork_child_read, HELD),
    BOTH(vmsplice, HELD),
    BOTH(o_direct, HELD),
    BOTH(aio, HELD),
    BOTH(iouring_inline, HELD),
    BOTH(iouring_async, HELD),
    BOTH(iouring_sqpoll, HELD),
    BOTH(iouring_fixedbuf, HELD),
    BOTH(iouring_open_worker, BYPASSED),
    BOTH(clear_child_tid, HELD),
    BOTH(robust_list, HELD),
    BOTH(futex_wake_op, HELD),
    BOTH(wrpkru, BYPASSED),
    BOTH(libc_pkey_set, BYPASSED),
    BOTH(xrstor, BYPASSED),
    BOTH(new_exec_page, BYPASSED),
    BOTH(mprotect_new_exec, BYPASSED),
    BOTH(memfd_exec, BYPASSED),
    BOTH(personality_rie, BYPASSED),
    BOTH(rewrite_mapped_lib, BYPASSED),
    BOTH(procmem_read, BYPASSED),
    BOTH(procmem_write, BYPASSED),
    BOTH(procmem_dumpable1, BYPASSED),
    BOTH(procmem_other, BYPASSED),
    BOTH(pvm_readv_self, BYPASSED),
    BOTH(pvm_writev_self, BYPASSED),
    BOTH(pvm_readv_other, BYPASSED),
    BOTH(ptrace_attach, BYPASSED),
    BOTH(ptrace_traceme, BYPASSED),
    BOTH(pkey_mprotect, BYPASSED),
    BOTH(mprotect_rw, HELD),
    BOTH(mprotect_exec_then_rw, BYPASSED),
    BOTH(pkey_free_alloc, BYPASSED),
    BOTH(remap_file_pages, BYPASSED),
    BOTH(mremap_dup, HELD),
    BOTH(mremap_move_away, BYPASSED),
    BOTH(mremap_over, BYPASSED),
    BOTH(munmap_fake, BYPASSED),
    BOTH(mmap_fixed_fake, BYPASSED),
    BOTH(munmap_from_below, BYPASSED),
    BOTH(madv_remove, BYPASSED),
    BOTH(madv_dontneed_shared, HELD),
    BOTH(madv_dontneed_private, BYPASSED),
    BOTH(uffd_inject, BYPASSED),
    BOTH(mremap_text_outside, BYPASSED),
    BOTH(mremap_text_in_slot, BYPASSED),
    BOTH(sigreturn_forge, BYPASSED),
    BOTH(sigctx_redirect, BYPASSED),
    BOTH(single_step_regs, BYPASSED),
    BOTH(rseq_abort, BYPASSED),
    BOTH(stack_smash_thread, BYPASSED),
    RIGHTS(map_files, BYPASSED),
    BOTH(reopen_file, BYPASSED), /* the region is the user's own, and so is its file */
    BOTH(core_dump, HELD),
    BOTH(core_dump_open, BYPASSED),
    RIGHTS(prctl_set_mm, BYPASSED),
    RIGHTS(perf_event, BYPASSED),
    RIGHTS(bpf, HELD),
    BOTH(seccomp_fake, BYPASSED),
    BOTH(arch_prctl_fs, BYPASSED),
    BOTH(int80, BYPASSED),
};
#define ROWS (sizeof rows / sizeof rows[0])

/* ---- the region -------------------------------------------------------------------------------------------- */

static void store_value(plc_cache *c, const char *key, const void *bytes, size_t n) {
    const plc_part part = {bytes, n};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1};
    uint64_t token;
    MUST(c, plc_store(c, PLC_SET, &e, &token), PLC_OK);
}

static void fill(uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)check_random();
    }
}

/* Where the value lies in the file: it is contiguous there. */
static uint64_t find_value(const struct target *t) {
    static uint8_t file[8u << 20];
    int fd = region_file(t);
    ssize_t n = pread(fd, file, sizeof file, 0); /* less than the region may grow to */
    CHECK(n > 0 && close(fd) == 0);
    const uint8_t *at = memmem(file, (size_t)n, value_buffer, sizeof value_buffer);
    CHECK(at != NULL);
    return (uint64_t)(at - file);
}

static struct target target_make(bool protected) {
    struct target t = {.root = geteuid() == 0};
    CHECK(setenv("PROTECTION", protected ? "pku" : "none", 1) == 0);
    t.c = region_new(8u << 20);
    CHECK((t.c->key_bits != 0) == protected);
    t.key = protected ? (uint32_t)__builtin_ctz(t.c->key_bits) / 2 : 0;
    fill(value_buffer, sizeof value_buffer);
    fill(t.small, sizeof t.small);
    store_value(t.c, "large", value_buffer, sizeof value_buffer);
    store_value(t.c, "small", t.small, sizeof t.small);
    uint64_t at = find_value(&t);
    t.offset = (at + sizeof value_buffer / 2) & ~(uint64_t)(ATTACK_PAGE - 1);
    t.in_value = (size_t)(t.offset - at);
    t.page = t.c->base + t.offset;
    memset(value_buffer, 0, sizeof value_buffer);
    return t;
}

/* ---- one row ------------------------------------------------------------------------------------------------ */

static const char *const words[] = {[HELD] = "held", [BYPASSED] = "bypassed", [NOT_HERE] = "n/a", [WRONG] = "WRONG"};

static void attack(const struct row *row, const struct target *t) {
    struct rlimit cores;
    CHECK(getrlimit(RLIMIT_CORE, &cores) == 0);
    cores.rlim_cur = 0; /* whoever wants one raises it again */
    CHECK(setrlimit(RLIMIT_CORE, &cores) == 0);
    (void)alarm(check_hang_seconds(20));
    atomic_store(&report->claim, (int)row->attack(t));
    _exit(0);
}

/* New content for the page, in the file. */
static void renew(const struct target *t) {
    int fd = region_file(t);
    memset(report, 0, sizeof *report);
    fill(report->content, sizeof report->content);
    CHECK(pwrite(fd, report->content, ATTACK_PAGE, (off_t)t->offset) == ATTACK_PAGE && close(fd) == 0);
}

/* Did the content come out, or was it changed? */
static bool came_through(const struct target *t) {
    uint8_t now[ATTACK_PAGE];
    int fd = region_file(t);
    CHECK(pread(fd, now, sizeof now, (off_t)t->offset) == sizeof now && close(fd) == 0);
    return memcmp(now, report->content, sizeof now) != 0 || memcmp(report->loot, report->content, LOOT_BYTES) == 0;
}

static enum outcome judge(const struct target *t, int status) {
    int claim = atomic_load(&report->claim);
    if (claim == DECEIVED || came_through(t)) {
        return BYPASSED;
    }
    if (claim == PENDING) {
        note("died, wait status %x", (unsigned)status);
    } else if (claim == DONE) {
        note("said that it went through, but nothing came of it");
    }
    return claim == REFUSED ? HELD : claim == ABSENT ? NOT_HERE : WRONG;
}

static enum outcome try_row(const struct row *row, const struct target *t) {
    int status = 0;
    renew(t);
    report->expected = t->root ? row->root : row->user;
    (void)fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        attack(row, t);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return judge(t, status);
}

/* ---- a table ------------------------------------------------------------------------------------------------ */

struct pass {
    const char *title;
    bool protected, ordinary;
};

/* False: this root may not. */
static bool become_ordinary(void) {
    bool well = setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0;
    well = well && setresuid(NOBODY, NOBODY, NOBODY) == 0;
    CHECK(!well || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0); /* as one who was never root */
    return well;
}

static char **names; /* of the rows that are wanted; none: all */

/* Is this row one of the table's?  Without a key, those that hold because of one. */
static bool belongs(const struct row *row, const struct pass *p) {
    bool chosen = *names == NULL;
    for (char **name = names; *name != NULL; name++) {
        chosen = chosen || strcmp(*name, row->name) == 0;
    }
    return chosen && (p->protected || (row->root == HELD && !(row->by_rights && geteuid() != 0)));
}

/* For the summary of what is not tested. */
static void note_absences(const struct pass *p, int absences, const char *which) {
    char line[600];
    (void)printf("%d not to be had here%s\n", absences, which);
    if (absences != 0) {
        (void)snprintf(line, sizeof line, "ways around %s:%s", p->title, which);
        check_skip(line);
    }
}

static int table(const struct pass *p) {
    struct target t = target_make(p->protected);
    char which[ROWS * 24] = "";
    size_t used = 0;
    int wrong = 0, absences = 0;
    (void)printf("\n%s\n%-24s %-10s %-10s\n", p->title, "vector", "outcome", "expected");
    for (size_t i = 0; i < ROWS; i++) {
        if (!belongs(&rows[i], p)) {
            continue;
        }
        enum outcome got = try_row(&rows[i], &t), wanted = p->protected ? report->expected : BYPASSED;
        bool right = got == wanted || got == NOT_HERE;
        (void)printf("%-24s %-10s %-10s %s%s\n", rows[i].name, words[got], words[wanted], right ? "" : "**** ",
                     report->note);
        wrong += !right;
        if (got == NOT_HERE) {
            absences++;
            used += (size_t)snprintf(which + used, sizeof which - used, " %s", rows[i].name);
        }
    }
    (void)printf("%d not as expected\n", wrong);
    note_absences(p, absences, which);
    (void)fflush(stdout);
    plc_close(t.c);
    check_folder_remove();
    return wrong != 0;
}

/* In a process of its own, so that what it gives up is given up there only. */
static int run_pass(const struct pass *p) {
    int status = 0;
    (void)fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (p->ordinary && geteuid() == 0 && !become_ordinary()) {
            check_skip("ways around level pku, as an ordinary user: this root may not become one");
            _exit(0);
        }
        _exit(table(p));
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return status != 0;
}

/* Regions are to be in memory: on a disk, what the attacks fake is found out by checksums. */
static bool memory_there(void) {
    struct statfs fs;
    bool there = access("/dev/shm", W_OK) == 0 && statfs("/dev/shm", &fs) == 0 && fs.f_type == TMPFS_MAGIC;
    if (!there) {
        check_skip("no tmpfs at /dev/shm that may be written: the ways around level pku");
    }
    return there && unsetenv("TEST_FOLDER") == 0 && unsetenv("PERSISTENT") == 0;
}

int main(int count, char **arguments) {
    static const struct pass passes[] = {
        {"level pku, as root", true, false},
        {"level pku, as an ordinary user", true, true},
        {"level none, where what is held at level pku must come through", false, false},
    };
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    int wrong = 0;
    names = arguments + (count > 0);
    if (!keys_there() || !memory_there()) {
        return 77;
    }
    report = mmap(NULL, 2 * ATTACK_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(report != MAP_FAILED && sizeof *report <= 2 * (size_t)ATTACK_PAGE);
    CHECK(madvise(report, 2 * ATTACK_PAGE, MADV_DONTDUMP) == 0); /* it has what a core is searched for */
    (void)setrlimit(RLIMIT_CORE, &unlimited);
    check_state = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
    for (size_t i = geteuid() == 0 ? 0 : 1; i < sizeof passes / sizeof passes[0]; i++) {
        wrong |= run_pass(&passes[i]);
    }
    return wrong;
}
