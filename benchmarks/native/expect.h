/* SPDX-License-Identifier: BSD-3-Clause */
/* expect.h: what the small programs that measure single calls of ours share: an end with a message, and the time. */
#ifndef PLC_BENCH_EXPECT_H
#define PLC_BENCH_EXPECT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "plc.h"

static void expect(const char *what, plc_status got) {
    if (got != PLC_OK) {
        (void)fprintf(stderr, "%s: %s\n", what, plc_status_text(got));
        exit(1);
    }
}

static uint64_t now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
