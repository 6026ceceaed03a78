/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mix.c: see mix.h.  Single gets are timed by the processor's counter of cycles and sorted into classes, 32 to each
 * power of two, so a percentile is known to 3 %.  What the counter itself takes is told, and in every figure.
 */
#define _GNU_SOURCE
#include "mix.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "chance.h"
#include "store.h"
#include "tally.h"

#define DRAWS (1u << 21) /* drawn before the first window */
#define BATCH 64u
#define FINE_BITS 5u
#define CLASSES (64u << FINE_BITS)

/* Draws once, for the first window; each further one goes on where the last stopped. */
static const uint32_t *draws(uint32_t records) {
    static uint32_t *drawn, drawn_for;
    if (drawn_for != records) {
        const struct zipf z = zipf_make(records, 0.99);
        uint64_t state = 88172645463325252ull ^ now_ns();
        drawn = realloc(drawn, DRAWS * sizeof *drawn);
        for (uint32_t i = 0; drawn != NULL && i < DRAWS; i++) {
            drawn[i] = zipf_draw(&z, &state);
        }
        drawn_for = records;
    }
    return drawn != NULL ? drawn : (fail("mix", "no memory"), NULL);
}

/* ---- single gets ---------------------------------------------------------------------------- */

static uint64_t ticks(void) {
#if defined(__x86_64__)
    unsigned cpu;
    return __rdtscp(&cpu); /* waits for what came before it */
#else
    return now_ns();
#endif
}

static uint32_t class_of(uint64_t spent) {
    if (spent < 1u << FINE_BITS) {
        return (uint32_t)spent;
    }
    const uint32_t power = 63u - (uint32_t)__builtin_clzll(spent);
    return (power - FINE_BITS + 1) << FINE_BITS | (uint32_t)(spent >> (power - FINE_BITS) & ((1u << FINE_BITS) - 1));
}

/* The least that falls into a class. */
static double class_from(uint32_t number) {
    const uint32_t group = number >> FINE_BITS, fine = number & ((1u << FINE_BITS) - 1);
    return group == 0 ? fine : (double)((uint64_t)(1u << FINE_BITS | fine) << (group - 1));
}

/* Ticks between two looks at the counter: the median of many. */
static uint64_t counter_cost(void) {
    uint32_t seen[256] = {0};
    for (unsigned i = 0; i < 1001; i++) {
        const uint64_t began = ticks(), spent = ticks() - began;
        seen[spent < 255 ? spent : 255]++;
    }
    uint32_t sum = 0, i = 0;
    while (sum + seen[i] <= 500) {
        sum += seen[i++];
    }
    return i;
}

/* ---- windows -------------------------------------------------------------------------------- */

struct window {
    uint64_t operations, misses, ended, cpu;
    uint32_t *classes; /* NULL: gets are not timed */
};

static void one_get(struct window *w, const char *key) {
    static char buffer[VALUE_MOST];
    const uint64_t began = w->classes != NULL ? ticks() : 0;
    w->misses += store_get(key, buffer, sizeof buffer) < 0;
    if (w->classes != NULL) {
        w->classes[class_of(ticks() - began)]++;
    }
}

static void work_until(struct window *w, const struct mix *m, const uint32_t *drawn) {
    static uint32_t at;
    static char keys[BATCH][KEY_BYTES];
    const uint64_t end = m->start + m->milliseconds * 1000000u;
    uint64_t state = m->start | 1;
    while (now_ns() < m->start) {
    }
    const uint64_t cpu = cpu_ns(0);
    do {
        for (uint32_t i = 0; i < BATCH; i++) {
            key_make(keys[i], RECORDS, drawn[at++ % DRAWS]);
        }
        for (uint32_t i = 0; i < BATCH; i++) {
            if (below(&state, 100) < m->gets) {
                one_get(w, keys[i]);
            } else {
                store_set(keys[i], m->value, m->value_bytes);
            }
        }
        w->operations += BATCH;
        w->ended = now_ns();
    } while (w->ended < end);
    w->cpu = cpu_ns(0) - cpu;
}

/* Counter's cost, then class and number of gets, again and again; nanoseconds. */
static void print_classes(const struct window *w, double ns_per_tick) {
    printf(" %.2f", (double)counter_cost() * ns_per_tick);
    for (uint32_t i = 0; i < CLASSES; i++) {
        if (w->classes[i] != 0) {
            printf(" %.2f %" PRIu32, class_from(i) * ns_per_tick, w->classes[i]);
        }
    }
}

void mix_run(const struct mix *m) {
    static uint32_t classes[CLASSES];
    const uint32_t *drawn = draws(m->records);
    struct window w = {.classes = m->timed ? classes : NULL};
    memset(classes, 0, sizeof classes);
    const uint64_t began = now_ns(), first = ticks();
    work_until(&w, m, drawn);
    const double ns_per_tick = (double)(now_ns() - began) / (double)(ticks() - first);
    printf("%" PRIu64 " %.6f %" PRIu64 " %.6f", w.operations, (double)(w.ended - m->start) / 1e9, w.misses,
           (double)w.cpu / 1e9);
    if (m->timed) {
        print_classes(&w, ns_per_tick);
    }
    printf("\n");
}
