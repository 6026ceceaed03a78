/* SPDX-License-Identifier: BSD-3-Clause */
/* sync.c: the racing copies for ThreadSanitizer, as relaxed atomics byte by byte; elsewhere they are inline. */
#include "sync.h"

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

#else
typedef int sync_is_inline; /* ISO C wants a declaration in every file */
#endif
