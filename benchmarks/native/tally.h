/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tally.h: how driver.c tells the time, and which of it counts: not what was done while the kernel gave the
 * processor to a process that has nothing to do with it.  Needs _GNU_SOURCE.
 */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

static inline uint64_t now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A piece of work: when it began, and what tells whether others had the processor meanwhile. */
struct piece {
    uint64_t began, cpu;
    long taken_away;
};

struct tally {
    uint64_t all_ns, counted_ns, all, counted;
    int server; /* the process that helps, or 0 */
};

/* The processor's time that this process and the server (0: none) have had. */
static inline uint64_t cpu_ns(int server) {
    struct timespec own, its = {0, 0};
    clockid_t clock;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
    if (server != 0 && clock_getcpuclockid(server, &clock) == 0) {
        (void)clock_gettime(clock, &its);
    }
    return (uint64_t)(own.tv_sec + its.tv_sec) * 1000000000u + (uint64_t)(own.tv_nsec + its.tv_nsec);
}

/* How often the kernel has taken the processor away from this thread. */
static inline long taken_away(void) {
    struct rusage usage;
    (void)getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

static inline struct piece piece_begin(const struct tally *t) {
    struct piece p = {.taken_away = taken_away(), .cpu = t->server != 0 ? cpu_ns(t->server) : 0};
    p.began = now_ns();
    return p;
}

/* Without a server, a piece counts if the thread kept the processor; with one, if the two had nearly all of it. */
static inline void piece_end(struct tally *t, const struct piece *p, uint32_t operations) {
    const uint64_t ns = now_ns() - p->began;
    t->all_ns += ns;
    t->all += operations;
    if (t->server != 0 ? cpu_ns(t->server) - p->cpu > ns * 95 / 100 : taken_away() == p->taken_away) {
        t->counted_ns += ns;
        t->counted += operations;
    }
}

/* Nanoseconds for each operation, and the share of those left out; if none counts, all do. */
static inline void tally_print(const struct tally *t) {
    const int none = t->counted == 0;
    printf("%.2f %.4f\n", (double)(none ? t->all_ns : t->counted_ns) / (double)(none ? t->all : t->counted),
           1 - (double)t->counted / (double)t->all);
}

#endif
