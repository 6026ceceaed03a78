/* SPDX-License-Identifier: BSD-3-Clause */
/* mix.h: gets and sets of records after Zipf, by several processes at once; see driver.c for the commands. */
#ifndef BENCH_MIX_H
#define BENCH_MIX_H

#include <stddef.h>
#include <stdint.h>

/* A window of gets (percent) and sets of that value, from START (CLOCK_MONOTONIC, ns) on; prints one line. */
struct mix {
    uint64_t start, milliseconds;
    uint32_t gets, records;
    const char *value;
    size_t value_bytes;
    int timed; /* each get is timed by itself, and the line goes on with the spread */
};
void mix_run(const struct mix *m);

#endif
