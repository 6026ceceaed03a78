/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * steady.c: what makes the instructions of a program the same ones at every run, and names stretches of it.
 *
 * Preloaded into core.c's program and into the interpreter.  `getrandom` stands in front of libc's, so that
 * a region's hash key, and with it each key's place in the index, is always the same; the core itself knows nothing
 * of it.  The marks are requests to callgrind (valgrind/callgrind.h): outside valgrind they do nothing.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <valgrind/callgrind.h>

void mark_instrument(void);
void mark_begin(void);
void mark_end(const char *name);
ssize_t getrandom(void *to, size_t n, unsigned flags);

__attribute__((visibility("default"))) ssize_t getrandom(void *to, size_t n, unsigned flags) {
    static uint64_t state;
    uint8_t *bytes = to;
    (void)flags;
    for (size_t i = 0; i < n; i++) {
        uint64_t x = state += 0x9e3779b97f4a7c15ull;
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
        bytes[i] = (uint8_t)(x >> 56);
    }
    return (ssize_t)n;
}

/* Everything before runs at valgrind's best speed, and is not counted. */
__attribute__((visibility("default"))) void mark_instrument(void) {
    CALLGRIND_START_INSTRUMENTATION;
}

__attribute__((visibility("default"))) void mark_begin(void) {
    CALLGRIND_ZERO_STATS;
}

/* What ran since mark_begin is written down under this name. */
__attribute__((visibility("default"))) void mark_end(const char *name) {
    (void)name; /* where the request is compiled out */
    CALLGRIND_DUMP_STATS_AT(name);
}
