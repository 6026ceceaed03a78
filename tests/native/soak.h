/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * soak.h: the long form of a test.  SOAK=1 asks for it; then single calls are timed, and one line of figures goes
 * to the file that SOAK_TABLE names.  Without SOAK nothing is timed: only what hangs for ever is noticed.
 */
#ifndef PLC_TEST_SOAK_H
#define PLC_TEST_SOAK_H

#include "fixture.h"

#include <stdarg.h>

__attribute__((unused)) static bool soaking(void) {
    const char *given = getenv("SOAK");
    return given != NULL && given[0] != '\0' && strcmp(given, "0") != 0;
}

/* How often: `soak` times in a soak, of which ROUNDS says how many percent. */
__attribute__((unused)) static uint64_t soak_rounds(uint64_t soak, uint64_t plain, uint64_t sanitized) {
    return soaking() ? rounds(soak, soak) : rounds(plain, sanitized);
}

static uint64_t soak_time(clockid_t clock) {
    struct timespec t;
    if (!soaking()) {
        return 0;
    }
    CHECK(clock_gettime(clock, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Microseconds, monotonic; 0 when nothing is timed. */
__attribute__((unused)) static uint64_t soak_clock(void) {
    return soak_time(CLOCK_MONOTONIC);
}

/* Those that this thread has worked: what does not wait takes no others, and a crowded machine adds none. */
__attribute__((unused)) static uint64_t soak_worked(void) {
    return soak_time(CLOCK_THREAD_CPUTIME_ID);
}

/* `| name | figure | ok |`: a test that fails ends before it writes its line. */
__attribute__((unused, format(printf, 2, 3))) static void soak_line(const char *name, const char *format, ...) {
    char figure[500];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(figure, sizeof figure, format, args);
    va_end(args);
    (void)printf("  %s\n", figure);
    const char *path = getenv("SOAK_TABLE");
    FILE *table = soaking() && path != NULL ? fopen(path, "ae") : NULL;
    if (table != NULL) {
        (void)fprintf(table, "| %s | %s | ok |\n", name, figure);
        (void)fclose(table);
    }
}

#endif
