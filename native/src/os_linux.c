/* SPDX-License-Identifier: BSD-3-Clause */
/* os_linux.c: time, randomness, thread numbers and waiting; see os_linux.h. */
#define _GNU_SOURCE
#include "os_linux.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os_errno.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define MARK_BYTES 4096u
#define SLOW_MS 50u /* for a huge page */

static uint64_t clock_ms(clockid_t clock) {
    struct timespec t = {0, 0};
    (void)clock_gettime(clock, &t); /* of a clock that there is, it leaves errno alone */
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

uint64_t os_now_ms(void) {
    return clock_ms(CLOCK_REALTIME_COARSE);
}

uint64_t os_monotonic_ms(void) {
    return clock_ms(CLOCK_MONOTONIC_COARSE);
}

int os_random(void *to, size_t n) {
    int saved = errno, error = 0;
    uint8_t *at = to;
    while (n > 0 && error == 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    errno = saved;
    return error;
}

/* ---- thread numbers ------------------------------------------------------------------------- */

/* gettid is a system call, a lock word needs it at every call.  So each thread keeps its number together with
 * the epoch of the process it was asked in.  The epoch lies on a page that reads 0 after every fork; then the
 * next one is drawn, higher than any that the forking thread, whose memory the child has, can have kept. */
static _Atomic(word *) epoch_page;
static word epochs_drawn;

struct kept_thread {
    uint64_t epoch;
    uint32_t tid;
};
static _Thread_local struct kept_thread kept;

static word *epoch_page_make(void) {
    word *made = NULL, *expected = NULL;
    if (os_fork_mark(&made) != 0) {
        return NULL;
    }
    word_put_rel(made, 0);
    if (!atomic_compare_exchange_strong(&epoch_page, &expected, made)) {
        os_unmap(made, MARK_BYTES);
        return expected;
    }
    return made;
}

static uint64_t epoch_now(word *page) {
    uint64_t epoch = word_acq(page);
    if (epoch == 0) {
        (void)word_swap(page, 0, word_add_rlx(&epochs_drawn, 1) + 1);
        epoch = word_acq(page);
    }
    return epoch;
}

uint32_t os_thread(void) {
    word *page = atomic_load_explicit(&epoch_page, memory_order_acquire);
    if (page != NULL && kept.epoch != 0 && kept.epoch == word_rlx(page)) {
        return kept.tid;
    }
    uint32_t tid = (uint32_t)syscall(SYS_gettid);
    page = page != NULL ? page : epoch_page_make();
    if (page != NULL) {
        uint64_t epoch = epoch_now(page);
        kept.epoch = 0; /* a signal handler that comes in between asks by itself */
        atomic_signal_fence(memory_order_seq_cst);
        kept.tid = tid;
        atomic_signal_fence(memory_order_seq_cst);
        kept.epoch = epoch;
    }
    return tid;
}

void os_signals_hold(sigset_t *before) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t most;
    (void)sigfillset(&most);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        (void)sigdelset(&most, faults[i]);
    }
    (void)pthread_sigmask(SIG_SETMASK, &most, before);
}

void os_signals_let(const sigset_t *before) {
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

bool os_thread_there(uint32_t tid) {
    int saved = errno;
    return os_outcome(saved, (int)syscall(SYS_tgkill, getpid(), tid, 0)) != ESRCH;
}

/* ---- memory --------------------------------------------------------------------------------- */

void os_close(int fd) {
    int saved = errno;
    (void)os_outcome(saved, close(fd));
}

int os_collapse(void *at) {
    static _Atomic bool slow; /* once is enough */
    if (atomic_load_explicit(&slow, memory_order_relaxed)) {
        return EINVAL;
    }
    int saved = errno;
    uint64_t began = os_monotonic_ms();
    int error = os_outcome(saved, madvise(at, OS_HUGE_BYTES, MADV_COLLAPSE));
    if (os_monotonic_ms() - began > SLOW_MS) {
        atomic_store_explicit(&slow, true, memory_order_relaxed);
    }
    return error;
}

bool os_crowded(void) {
    double load = 0;
    int saved = errno;
    bool crowded = getloadavg(&load, 1) == 1 && load > 2.0 * (double)sysconf(_SC_NPROCESSORS_ONLN);
    errno = saved;
    return crowded;
}

int os_sync(void *base, uint64_t n) {
    int saved = errno;
    return os_outcome(saved, msync(base, n, MS_SYNC));
}

int os_sync_file(int fd) {
    int saved = errno;
    return os_outcome(saved, fsync(fd));
}

int os_fork_mark(word **mark) {
    int saved = errno;
    void *page = mmap(NULL, MARK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return os_outcome(saved, -1);
    }
    if (madvise(page, MARK_BYTES, MADV_WIPEONFORK) != 0) {
        int error = os_outcome(saved, -1);
        os_unmap(page, MARK_BYTES);
        return error;
    }
    *mark = page;
    word_put_rel(*mark, 1);
    return 0;
}

/* ---- waiting -------------------------------------------------------------------------------- */

void os_wait(word32 *at, uint32_t value, uint32_t ms) {
    int saved = errno;
    struct timespec limit = {(time_t)(ms / 1000u), (long)(ms % 1000u) * 1000000l};
    (void)os_outcome(saved, syscall(SYS_futex, at, FUTEX_WAIT, value, &limit, NULL, 0));
}

void os_wake(word32 *at) {
    int saved = errno;
    (void)os_outcome(saved, syscall(SYS_futex, at, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0));
}

void os_sleep_ms(uint32_t ms) {
    int saved = errno;
    struct timespec limit = {(time_t)(ms / 1000u), (long)(ms % 1000u) * 1000000l};
    (void)os_outcome(saved, nanosleep(&limit, NULL));
}

void os_yield(void) {
    int saved = errno;
    (void)os_outcome(saved, sched_yield());
}

bool os_membarrier(void) {
    int saved = errno;
    long done = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    if (done == 0) {
        done = syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    }
    if (done != 0) {
        done = syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
    }
    errno = saved;
    return done == 0;
}

void os_settle(void) {
#if !defined(__x86_64__) /* there, stores become visible in order, and the kernel's own came last */
    int saved = errno;
    (void)os_outcome(saved, syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
#endif
    fence_full();
}

bool os_cpu_has_crc32c(void) {
#if defined(__x86_64__)
    __builtin_cpu_init(); /* this may be a constructor that runs before libgcc's own */
    return __builtin_cpu_supports("sse4.2") != 0;
#elif defined(__aarch64__)
    return (getauxval(AT_HWCAP) & 1ul << 7) != 0; /* HWCAP_CRC32 */
#else
    return false;
#endif
}
