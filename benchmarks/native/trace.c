/* SPDX-License-Identifier: BSD-3-Clause */
/* trace.c: see trace.h.  What is asked for is drawn before the clock starts, PIECE requests at a time. */
#define _GNU_SOURCE
#include "trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "chance.h"
#include "store.h"
#include "tally.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else /* then nothing is counted */
#define CALLGRIND_TOGGLE_COLLECT
#define CALLGRIND_DUMP_STATS_AT(text) (void)(text)
#endif

#define PIECE 500u
#define GETS_TO_A_SET 30u

enum kind { GET, SET, DELETE, REFILL, KINDS };
static const char *const kind_names[KINDS] = {"get", "set", "delete", "refill"};

struct request {
    char key[KEY_BYTES];
    uint32_t length;
    enum kind kind;
};

static char value[VALUE_MOST], buffer[VALUE_MOST];
static uint64_t calls[KINDS];
static enum kind counted;

/* The size of a record's value: always the same. */
static uint32_t length_of(uint32_t record) {
    uint64_t state = record * 0x9E3779B97F4A7C15ull + 1;
    (void)draw(&state);
    const double u = (draw(&state) + 1.0) / 4294967297.0;
    const double length = 15 + 214.476 / 0.348238 * (pow(u, -0.348238) - 1);
    return length < VALUE_MOST ? (uint32_t)length : VALUE_MOST;
}

void trace_fill(uint32_t records) {
    char key[KEY_BYTES];
    for (uint32_t i = 0; i < records; i++) {
        key_make(key, RECORDS, i);
        store_set(key, value, length_of(i));
    }
}

static void choose(struct request *r, const struct zipf *z, uint64_t *state) {
    const uint32_t record = zipf_draw(z, state), which = below(state, GETS_TO_A_SET + 2);
    key_make(r->key, RECORDS, record);
    r->length = length_of(record);
    r->kind = which == 0 ? SET : which == 1 ? DELETE : GET;
}

/* One call; those of the kind that is counted are collected by valgrind. */
static long call(enum kind kind, const struct request *r) {
    long got = 0;
    calls[kind]++;
    if (kind == counted) {
        CALLGRIND_TOGGLE_COLLECT;
    }
    if (kind == GET) {
        got = store_get(r->key, buffer, sizeof buffer);
    } else if (kind == DELETE) {
        store_remove(r->key);
    } else {
        store_set(r->key, value, r->length);
    }
    if (kind == counted) {
        CALLGRIND_TOGGLE_COLLECT;
    }
    return got;
}

static enum kind kind_named(const char *name) {
    enum kind kind = GET;
    while (kind < KINDS && strcmp(kind_names[kind], name) != 0) {
        kind++;
    }
    return kind;
}

void trace_run(const char *kind, uint32_t requests, uint32_t records) {
    static uint64_t state = 88172645463325252ull;
    static struct request asked[PIECE];
    static struct zipf z;
    z = z.n == records ? z : zipf_make(records, 0.99);
    counted = kind_named(kind);
    memset(calls, 0, sizeof calls);
    struct tally t = {0};
    for (uint32_t done = 0; done < requests; done += PIECE) {
        for (uint32_t i = 0; i < PIECE; i++) {
            choose(&asked[i], &z, &state);
        }
        const uint64_t refills = calls[REFILL];
        const struct piece p = piece_begin(&t);
        for (uint32_t i = 0; i < PIECE; i++) {
            if (call(asked[i].kind, &asked[i]) < 0) {
                (void)call(REFILL, &asked[i]);
            }
        }
        piece_end(&t, &p, PIECE + (uint32_t)(calls[REFILL] - refills));
    }
    if (counted < KINDS) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s %" PRIu64, kind, calls[counted]);
        CALLGRIND_DUMP_STATS_AT(text);
    }
    const int none = t.counted == 0;
    printf("%.2f %.4f %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
           (double)(none ? t.all_ns : t.counted_ns) / (double)(none ? t.all : t.counted),
           1 - (double)t.counted / (double)t.all, calls[GET], calls[REFILL], calls[SET], calls[DELETE]);
}
