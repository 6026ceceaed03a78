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

/* As much as one instruction moves, wherever it lies. */
typedef uint64_t bytes16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t bytes8 __attribute__((aligned(1), may_alias));
typedef uint32_t bytes4 __attribute__((aligned(1), may_alias));

/* What is moved without a call, which would cost as much as the moving. */
#define MOVED_INLINE 128u

/* memmove of at most MOVED_INLINE bytes: all is loaded before anything is stored, in two halves that may overlap. */
__attribute__((always_inline)) static inline void move_inline(uint8_t *to, const uint8_t *from, size_t n) {
    uint8_t *end = to + n;
    const uint8_t *last = from + n;
    if (n >= 64) {
        bytes16 a = *(const bytes16 *)from, b = *(const bytes16 *)(from + 16), c = *(const bytes16 *)(from + 32),
                d = *(const bytes16 *)(from + 48), e = *(const bytes16 *)(last - 64), f = *(const bytes16 *)(last - 48),
                g = *(const bytes16 *)(last - 32), h = *(const bytes16 *)(last - 16);
        *(bytes16 *)to = a, *(bytes16 *)(to + 16) = b, *(bytes16 *)(to + 32) = c, *(bytes16 *)(to + 48) = d;
        *(bytes16 *)(end - 64) = e, *(bytes16 *)(end - 48) = f, *(bytes16 *)(end - 32) = g, *(bytes16 *)(end - 16) = h;
    } else if (n > 32) {
        bytes16 a = *(const bytes16 *)from, b = *(const bytes16 *)(from + 16), c = *(const bytes16 *)(last - 32),
                d = *(const bytes16 *)(last - 16);
        *(bytes16 *)to = a, *(bytes16 *)(to + 16) = b, *(bytes16 *)(end - 32) = c, *(bytes16 *)(end - 16) = d;
    } else if (n >= 16) {
        bytes16 a = *(const bytes16 *)from, b = *(const bytes16 *)(last - 16);
        *(bytes16 *)to = a, *(bytes16 *)(end - 16) = b;
    } else if (n >= 8) {
        uint64_t a = *(const bytes8 *)from, b = *(const bytes8 *)(last - 8);
        *(bytes8 *)to = a, *(bytes8 *)(end - 8) = b;
    } else if (n >= 4) {
        uint32_t a = *(const bytes4 *)from, b = *(const bytes4 *)(last - 4);
        *(bytes4 *)to = a, *(bytes4 *)(end - 4) = b;
    } else if (n != 0) {
        uint8_t a = from[0], b = from[n / 2], c = last[-1];
        to[0] = a, to[n / 2] = b, end[-1] = c;
    }
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
__attribute__((always_inline)) static inline void copy_racing(void *to, const void *from, size_t n) {
    if (__builtin_expect(n <= MOVED_INLINE, 1)) {
        move_inline(to, from, n);
    } else {
        memcpy(to, from, n);
    }
    __asm__ volatile("" ::: "memory");
}
__attribute__((always_inline)) static inline void fill_racing(void *to, const void *from, size_t n) {
    if (__builtin_expect(n <= MOVED_INLINE, 1)) {
        move_inline(to, from, n);
    } else {
        memmove(to, from, n); /* an entry may be copied to a run that garbage has laid over it */
    }
}
/* Keys are short: a call of memcmp would cost more than the comparing. */
__attribute__((always_inline)) static inline bool same_racing(const void *shared, const void *mine, size_t n) {
    const uint8_t *a = shared, *b = mine;
    size_t i = 0;
    if (n - 8 <= 8) { /* two words that may overlap */
        return ((bytes_load(a) ^ bytes_load(b)) | (bytes_load(a + n - 8) ^ bytes_load(b + n - 8))) == 0;
    }
    for (; i + 8 <= n; i += 8) {
        if (bytes_load(a + i) != bytes_load(b + i)) {
            return false;
        }
    }
    if (n >= 8) {
        return bytes_load(a + n - 8) == bytes_load(b + n - 8);
    }
    while (i < n && a[i] == b[i]) {
        i++;
    }
    return i == n;
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

/* A copy of the caller's own memory that is short as a rule: a key. */
__attribute__((always_inline)) static inline void copy_short(void *to, const void *from, size_t n) {
    if (__builtin_expect(n <= MOVED_INLINE, 1)) {
        move_inline(to, from, n);
    } else {
        memcpy(to, from, n);
    }
}

#endif
