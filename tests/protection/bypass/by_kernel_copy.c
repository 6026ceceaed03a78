/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * by_kernel_copy.c: plain loads and stores, and system calls that have the kernel read or write the page on the
 * attacker's behalf.  The kernel's own copies obey the register of the thread that asked for them.
 */
#include "attack.h"

#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

ATTACK(attack_load) {
    return loot_from(t->page);
}

ATTACK(attack_store) {
    return deface(t);
}

ATTACK(attack_write_syscall) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    enum claim said = answered(write(ends[1], t->page, LOOT_BYTES), EFAULT);
    return said == DONE && read(ends[0], report->loot, LOOT_BYTES) < 0 ? broken("read") : said;
}

ATTACK(attack_read_syscall) {
    int ends[2];
    uint8_t fakes[LOOT_BYTES];
    memset(fakes, FAKE_BYTE, sizeof fakes);
    CHECK(pipe(ends) == 0 && write(ends[1], fakes, sizeof fakes) == sizeof fakes);
    return answered(read(ends[0], t->page, LOOT_BYTES), EFAULT);
}

static void child_loads(const struct target *t) {
    atomic_store(&report->claim, (int)loot_from(t->page));
}

ATTACK(attack_fork_child_read) {
    in_child(child_loads, t);
    return (enum claim)atomic_load(&report->claim);
}

ATTACK(attack_vmsplice) {
    int ends[2];
    const struct iovec part = {t->page, LOOT_BYTES};
    CHECK(pipe(ends) == 0);
    enum claim said = answered(syscall(SYS_vmsplice, ends[1], &part, 1, 0), EFAULT);
    return said == DONE && read(ends[0], report->loot, LOOT_BYTES) < 0 ? broken("read") : said;
}

/* An unlinked file that is read and written past the page cache, or -1. */
static int direct_file(void) {
    static const char *const folders[] = {"/tmp", "/var/tmp", ".", "/dev/shm"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "%s/plc-direct-XXXXXX", folders[i]);
        int fd = mkostemp(path, O_DIRECT);
        if (fd >= 0) {
            (void)unlink(path);
            return fd;
        }
    }
    return -1;
}

ATTACK(attack_o_direct) {
    int fd = direct_file();
    if (fd < 0) {
        return missing("no file system for O_DIRECT that may be written");
    }
    enum claim said = answered(pwrite(fd, t->page, ATTACK_PAGE, 0), EFAULT);
    if (said == DONE) {
        static _Alignas(ATTACK_PAGE) uint8_t copy[ATTACK_PAGE];
        CHECK(pread(fd, copy, sizeof copy, 0) == sizeof copy);
        memcpy(report->loot, copy, LOOT_BYTES);
    }
    return said;
}

ATTACK(attack_aio) {
    aio_context_t context = 0;
    struct io_event event;
    int fd = memory_file();
    struct iocb request = {.aio_lio_opcode = IOCB_CMD_PWRITE,
                           .aio_fildes = (uint32_t)fd,
                           .aio_buf = (uint64_t)(uintptr_t)t->page,
                           .aio_nbytes = LOOT_BYTES};
    struct iocb *requests[] = {&request};
    if (syscall(SYS_io_setup, 1, &context) != 0) {
        return answered(-1, 0);
    }
    enum claim said = answered(syscall(SYS_io_submit, context, 1, requests), EFAULT);
    if (said != DONE) {
        return said;
    }
    CHECK(syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1);
    errno = event.res < 0 ? (int)-event.res : 0;
    said = answered(event.res, EFAULT);
    return said == DONE ? loot_in_file(fd) : said;
}

/* ---- what the kernel writes when a thread ends ---------------------------------------------------------- */

struct ending {
    const struct target *t;
    long (*before)(const struct target *t);
    _Atomic int thread;
};

/* Ends by itself: a thread that libc ends would have its own lists put in order first. */
static void *ends(void *given) {
    struct ending *e = given;
    CHECK(e->before(e->t) == 0);
    atomic_store(&e->thread, (int)syscall(SYS_gettid));
    (void)syscall(SYS_exit, 0);
    return NULL;
}

static void await_end(struct ending *e) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, ends, e) == 0);
    CHECK_SOON(atomic_load(&e->thread) != 0);
    CHECK_SOON(syscall(SYS_tgkill, getpid(), atomic_load(&e->thread), 0) != 0 && errno == ESRCH);
}

/* Is the page as it was before? */
static enum claim unchanged(const struct target *t) {
    uint8_t now[ATTACK_PAGE];
    int fd = region_file(t);
    CHECK(pread(fd, now, sizeof now, (off_t)t->offset) == sizeof now);
    return memcmp(now, report->content, sizeof now) == 0 ? REFUSED : DONE;
}

static long clear_tid_there(const struct target *t) {
    return syscall(SYS_set_tid_address, t->page) > 0 ? 0 : -1;
}

ATTACK(attack_clear_child_tid) {
    struct ending e = {t, clear_tid_there, 0};
    await_end(&e);
    return unchanged(t);
}

#define LOCK_AT 256u

/* A lock of the thread's own, in the page: the kernel marks it when the owner ends. */
static long robust_there(const struct target *t) {
    static struct {
        struct robust_list_head head;
        struct robust_list lock;
    } held;
    uint32_t owner = (uint32_t)syscall(SYS_gettid);
    prepare(t, LOCK_AT, &owner, sizeof owner);
    held.head.list.next = &held.lock;
    held.lock.next = &held.head.list;
    held.head.futex_offset = (long)((uintptr_t)t->page + LOCK_AT - (uintptr_t)&held.lock);
    return syscall(SYS_set_robust_list, &held.head, sizeof held.head);
}

ATTACK(attack_robust_list) {
    struct ending e = {t, robust_there, 0};
    await_end(&e);
    return unchanged(t);
}

ATTACK(attack_futex_wake_op) {
    uint32_t mine = 0;
    int set = FUTEX_OP(FUTEX_OP_SET, 0x123, FUTEX_OP_CMP_EQ, 0);
    return answered(syscall(SYS_futex, &mine, FUTEX_WAKE_OP, 1, NULL, t->page, set), EFAULT);
}
