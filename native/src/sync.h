/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sync.h: the few atomic operations that everything else is written in.
 *
 * A `word` is a 64-bit value that other processes read and write.  The suffix says the order:
 * _acq pairs with a _rel or a compare-and-swap of the one who published; _rlx is a hint or is ordered by
 * something that the caller names.  word_swap is a compare-and-swap, acquire and release.
 */
#ifndef PLC_SYNC_H
#define PLC_SYNC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef _Atomic uint64_t word;
typedef _Atomic uint32_t word32;

static inline uint64_t word_acq(const word *w) {
    return atomic_load_explicit((word *)(uintptr_t)w, memory_order_acquire);
}

static inline uint64_t word_rlx(const word *w) {
    return atomic_load_explicit((word *)(uintptr_t)w, memory_order_relaxed);
}

static inline void word_put_rel(word *w, uint64_t value) {
    atomic_store_explicit(w, value, memory_order_release);
}

static inline void word_put_rlx(word *w, uint64_t value) {
    atomic_store_explicit(w, value, memory_order_relaxed);
}

/* True and `to` is there, or false and nothing was changed. */
static inline bool word_swap(word *w, uint64_t from, uint64_t to) {
    return atomic_compare_exchange_strong_explicit(w, &from, to, memory_order_acq_rel, memory_order_acquire);
}

static inline uint64_t word_add_rlx(word *w, uint64_t n) {
    return atomic_fetch_add_explicit(w, n, memory_order_relaxed);
}

/* Fences are written as fences, not folded into neighbours: store buffering (pin against evict) needs the
 * full one, on x86 too. */
static inline void fence_full(void) {
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void fence_acquire(void) {
    atomic_thread_fence(memory_order_acquire);
}

static inline void fence_release(void) {
    atomic_thread_fence(memory_order_release);
}

static inline void pause_cpu(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline uint64_t bytes_load(const uint8_t *at) {
    uint64_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

/* Memory that may be changing is copied, filled and compared by these three.  What is copied counts only
 * after the generation was seen unchanged behind a fence_acquire; what is filled is accepted by no reader
 * yet.  The barrier keeps the compiler from reading the source again later.  Under ThreadSanitizer they go
 * byte by byte (sync.c), so that the race, which the protocol allows, is one of atomics.  Of no bytes the
 * pointers may be NULL. */
#if defined(__SANITIZE_THREAD__)
void copy_racing(void *to, const void *from, size_t n);
void fill_racing(void *to, const void *from, size_t n);
bool same_racing(const void *shared, const void *mine, size_t n);
#else
static inline void copy_racing(void *to, const void *from, size_t n) {
    if (n != 0) {
        memcpy(to, from, n);
    }
    __asm__ volatile("" ::: "memory");
}
static inline void fill_racing(void *to, const void *from, size_t n) {
    if (n != 0) {
        memmove(to, from, n); /* an entry may be copied to a run that garbage has laid over it */
    }
}
/* Keys are short: a call of memcmp would cost more than the comparing. */
__attribute__((always_inline)) static inline bool same_racing(const void *shared, const void *mine, size_t n) {
    const uint8_t *a = shared, *b = mine;
    if (n < 8) {
        return memcmp(a, b, n) == 0;
    }
    uint64_t differ = bytes_load(a + n - 8) ^ bytes_load(b + n - 8);
    for (size_t i = 0; i + 8 < n && differ == 0; i += 8) {
        differ = bytes_load(a + i) ^ bytes_load(b + i);
    }
    return differ == 0;
}
#endif

/* fill_racing of however much.  A page that others have used is not mapped in this process: written to, each costs a
 * fault of its own, together five times what the copy takes; but a fault that reads maps those around it along, 16 of
 * them, to be written too.  So of each such stretch a byte is read before it is filled. */
#define FILL_STRETCH (64u * 1024u)
void fill_stretches(void *to, const void *from, size_t n);
static inline void fill_value(void *to, const void *from, size_t n) {
    if (__builtin_expect(n >= FILL_STRETCH, 0)) {
        fill_stretches(to, from, n);
    } else {
        fill_racing(to, from, n);
    }
}

/* A short copy of the caller's own memory: at most 16 bytes are moved by two loads that may overlap. */
static inline void copy_short(void *to, const void *from, size_t n) {
    uint8_t *t = to;
    const uint8_t *f = from;
    if (n < 8 || n > 16) {
        memcpy(t, f, n);
        return;
    }
    uint64_t first = bytes_load(f), last = bytes_load(f + n - 8);
    memcpy(t, &first, sizeof first);
    memcpy(t + n - 8, &last, sizeof last);
}

#endif
