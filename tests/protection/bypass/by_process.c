/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * by_process.c: one process's memory as another one sees it, or the process itself through the same doors:
 * /proc/PID/mem, process_vm_readv, ptrace.  The kernel looks at the other one's page tables there, and at nobody's
 * register.
 */
#include "attack.h"

#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

/* 3: not even a capability helps, 2: it does; below, a process may say who may trace it, as these do. */
static enum claim other_refused(const struct target *t, const char *what) {
    long scope = number_in("/proc/sys/kernel/yama/ptrace_scope", 0);
    return scope > (t->root ? 2 : 1) ? missing("kernel.yama.ptrace_scope") : broken(what);
}

static enum claim open_memory(const struct target *t, pid_t pid, int *fd) {
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    *fd = open(path, O_RDWR | O_CLOEXEC);
    return *fd >= 0 ? DONE : other_refused(t, path);
}

static enum claim read_memory(const struct target *t, pid_t pid) {
    int fd;
    enum claim said = open_memory(t, pid, &fd);
    return said != DONE ? said : answered(pread(fd, report->loot, LOOT_BYTES, (off_t)(uintptr_t)t->page), EIO);
}

ATTACK(attack_procmem_read) {
    return read_memory(t, getpid());
}

ATTACK(attack_procmem_write) {
    int fd;
    uint8_t fakes[LOOT_BYTES];
    memset(fakes, FAKE_BYTE, sizeof fakes);
    enum claim said = open_memory(t, getpid(), &fd);
    return said != DONE ? said : answered(pwrite(fd, fakes, sizeof fakes, (off_t)(uintptr_t)t->page), EIO);
}

ATTACK(attack_procmem_dumpable1) {
    CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
    return read_memory(t, getpid());
}

static void say(enum claim said) {
    atomic_store(&report->claim, (int)said);
}

/* From another process.  That the one attacked allows it is needed only where Yama is in force. */
static enum claim from_outside(void (*act)(const struct target *t), const struct target *t) {
    (void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    in_child(act, t);
    return (enum claim)atomic_load(&report->claim);
}

static void reads_parent(const struct target *t) {
    say(read_memory(t, getppid()));
}

ATTACK(attack_procmem_other) {
    return from_outside(reads_parent, t);
}

/* ---- process_vm_* ------------------------------------------------------------------------------------------ */

static enum claim read_vm(const struct target *t, pid_t pid) {
    const struct iovec to = {report->loot, LOOT_BYTES}, from = {t->page, LOOT_BYTES};
    enum claim said = answered(process_vm_readv(pid, &to, 1, &from, 1, 0), EFAULT);
    return said == BROKEN ? other_refused(t, "process_vm_readv") : said;
}

ATTACK(attack_pvm_readv_self) {
    return read_vm(t, getpid());
}

ATTACK(attack_pvm_writev_self) {
    uint8_t fakes[LOOT_BYTES];
    memset(fakes, FAKE_BYTE, sizeof fakes);
    const struct iovec from = {fakes, LOOT_BYTES}, to = {t->page, LOOT_BYTES};
    return answered(process_vm_writev(getpid(), &from, 1, &to, 1, 0), EFAULT);
}

static void reads_parent_vm(const struct target *t) {
    say(read_vm(t, getppid()));
}

ATTACK(attack_pvm_readv_other) {
    return from_outside(reads_parent_vm, t);
}

/* ---- ptrace ------------------------------------------------------------------------------------------------ */

/* pre: pid is halted, and traced by this process. */
static enum claim peek(const struct target *t, pid_t pid) {
    for (size_t at = 0; at < LOOT_BYTES; at += sizeof(long)) {
        errno = 0;
        long eight = ptrace(PTRACE_PEEKDATA, pid, t->page + at, NULL);
        if (errno != 0) {
            return answered(-1, EIO);
        }
        memcpy(report->loot + at, &eight, sizeof eight);
    }
    return DONE;
}

static void traces_parent(const struct target *t) {
    pid_t pid = getppid();
    if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) != 0) {
        say(other_refused(t, "PTRACE_ATTACH"));
        return;
    }
    CHECK(waitpid(pid, NULL, __WALL) == pid);
    say(peek(t, pid));
    (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

ATTACK(attack_ptrace_attach) {
    return from_outside(traces_parent, t);
}

ATTACK(attack_ptrace_traceme) {
    int status = 0;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? raise(SIGSTOP) : errno);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFSTOPPED(status)) {
        errno = WEXITSTATUS(status);
        return other_refused(t, "PTRACE_TRACEME");
    }
    enum claim said = peek(t, pid);
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    return said;
}
