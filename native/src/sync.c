/* SPDX-License-Identifier: BSD-3-Clause */
/* sync.c: filling much memory; and the racing copies for ThreadSanitizer, as relaxed atomics byte by byte: elsewhere
 * they are inline. */
#include "sync.h"

void fill_stretches(void *to, const void *from, size_t n) {
    uint8_t *t = to;
    const uint8_t *f = from;
    while (n != 0) {
        size_t stretch = FILL_STRETCH - (uintptr_t)t % FILL_STRETCH; /* the kernel's are aligned */
        stretch = stretch < n ? stretch : n;
        (void)atomic_load_explicit((_Atomic uint8_t *)t, memory_order_relaxed);
        fill_racing(t, f, stretch);
        t += stretch;
        f += stretch;
        n -= stretch;
    }
}

#if defined(__SANITIZE_THREAD__)

void copy_racing(void *to, const void *from, size_t n) {
    unsigned char *t = to;
    const unsigned char *f = from;
    for (size_t i = 0; i < n; i++) {
        t[i] = __atomic_load_n(f + i, __ATOMIC_RELAXED);
    }
}

void fill_racing(void *to, const void *from, size_t n) {
    unsigned char *t = to;
    const unsigned char *f = from;
    for (size_t i = 0; i < n; i++) {
        __atomic_store_n(t + i, __atomic_load_n(f + i, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
    }
}

bool same_racing(const void *shared, const void *mine, size_t n) {
    const unsigned char *s = shared, *m = mine;
    for (size_t i = 0; i < n; i++) {
        if (__atomic_load_n(s + i, __ATOMIC_RELAXED) != m[i]) {
            return false;
        }
    }
    return true;
}

#endif
