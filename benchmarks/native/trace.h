/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trace.h: a trace as large caches of web services have it, after B. Atikoglu et al., "Workload Analysis of a
 * Large-Scale Key-Value Store" (SIGMETRICS 2012), pool ETC: 30 gets to a set; sizes of values by a generalized Pareto
 * distribution (location 15, scale 214.476, shape 0.348238).  What is ours: popularity after Zipf with exponent 0.99;
 * as many deletes as sets; keys of 16 bytes; values end at VALUE_MOST, which is one in 2,000; a record keeps its size.
 * A get that misses is followed by a set of its record, which counts as a refill.
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <stdint.h>

/* Stores every record once. */
void trace_fill(uint32_t records);
/* kind: get, set, delete or refill: under valgrind only those calls are counted, and written down under that name with
 * their number; "all": nothing is, and the time is told.  Prints nanoseconds for each call, the share that is left
 * out, and the numbers of gets, misses, sets and deletes. */
void trace_run(const char *kind, uint32_t requests, uint32_t records);

#endif
