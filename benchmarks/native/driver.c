/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * driver.c: measures one store, on demand.  `PROGRAM PATH BYTES CORE` opens it (CORE: the processor to stay on, -1:
 * any) and then obeys one line after the other; each is answered by one line of numbers.  So whoever asks can let
 * several stores take turns.
 *
 *   value BYTES                        values are so long from now on (128)         -> nothing
 *   fill RECORDS                       stores so many records                      -> nothing
 *   counters COUNT                     stores so many counters                     -> nothing
 *   run OP OPERATIONS RECORDS          OP: get miss set delete incr                -> nanoseconds for each, left out
 *   mix START MILLISECONDS GETS RECORDS   GETS percent gets, else sets; zipf 0.99  -> operations, seconds, misses,
 *                                                                                     seconds of processor
 *   tail START MILLISECONDS GETS RECORDS  the same, each get timed by itself         -> that, what timing takes, and
 *                                                                                     nanoseconds, gets, again and again
 *   stock RECORDS                      stores so many records of the trace         -> nothing
 *   trace KIND REQUESTS RECORDS        of it; see trace.h                          -> nanoseconds for each, left out,
 *                                                                                     gets, misses, sets, deletes
 *   threads COUNT MILLISECONDS RECORDS    gets                                     -> operations, seconds
 *   used                                                                           -> bytes
 *   chase BYTES HOPS HUGE              dependent loads from so much shared memory  -> nanoseconds for each, left out
 *
 * Keys are made before the clock starts, CHUNK at a time; what a delete takes away is stored again while it stands.
 * What was done while the kernel gave the processor to a process that has nothing to do with it is left out of a run,
 * piece by piece, and its share told.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "chance.h"
#include "mix.h"
#include "store.h"
#include "tally.h"
#include "trace.h"

#define CHUNK 1000u
#define HUGE_BYTES (2u << 20)
#define THREADS_MAX 64u
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static char keys[CHUNK][KEY_BYTES];
static char value[VALUE_MOST];
static size_t value_bytes = VALUE_BYTES;
static char buffer[VALUE_MOST];

/* ---- one kind of operation ------------------------------------------------------------------ */

enum op { GET, MISS, SET, DELETE, INCR, OPS };
static const char *const op_names[OPS] = {"get", "miss", "set", "delete", "incr"};

static const char *family_of(enum op op) {
    return op == MISS ? ABSENT : op == INCR ? COUNTERS : RECORDS;
}

/* Fills `keys`: all of a small set in an order of chance (CHUNK records), else records of chance. */
static void choose_keys(enum op op, uint32_t count, uint32_t records, uint64_t *state) {
    for (uint32_t i = 0; i < count; i++) {
        key_make(keys[i], family_of(op), records > CHUNK ? below(state, records) : i % records);
    }
    for (uint32_t i = count - 1; records <= CHUNK && i > 0; i--) {
        char swapped[KEY_BYTES];
        const uint32_t other = below(state, i + 1);
        memcpy(swapped, keys[i], KEY_BYTES);
        memcpy(keys[i], keys[other], KEY_BYTES);
        memcpy(keys[other], swapped, KEY_BYTES);
    }
}

static void expect_length(long got, long wanted) {
    if (got != wanted) {
        fail("get", got < 0 ? "a record is missing" : "a wrong value");
    }
}

static void operate(enum op op, uint32_t first, uint32_t end) {
    for (uint32_t i = first; op == GET && i < end; i++) {
        expect_length(store_get(keys[i], buffer, sizeof buffer), (long)value_bytes);
    }
    for (uint32_t i = first; op == MISS && i < end; i++) {
        expect_length(store_get(keys[i], buffer, sizeof buffer), -1);
    }
    for (uint32_t i = first; op == SET && i < end; i++) {
        store_set(keys[i], value, value_bytes);
    }
    for (uint32_t i = first; op == DELETE && i < end; i++) {
        store_delete(keys[i]);
    }
    for (uint32_t i = first; op == INCR && i < end; i++) {
        store_incr(keys[i]);
    }
}

static enum op op_named(const char *name) {
    enum op op = GET;
    while (op < OPS && strcmp(op_names[op], name) != 0) {
        op++;
    }
    if (op == OPS) {
        fail("no such operation", name);
    }
    return op;
}

/* The operations of `keys`, in pieces. */
static void operate_timed(struct tally *t, enum op op, uint32_t count) {
    const uint32_t size = t->server != 0 ? 50 : CHUNK;
    for (uint32_t first = 0; first < count; first += size) {
        const uint32_t end = count - first < size ? count : first + size;
        const struct piece p = piece_begin(t);
        operate(op, first, end);
        piece_end(t, &p, end - first);
    }
    if (op == DELETE) {
        operate(SET, 0, count); /* as it was */
    }
}

static void command_run(const char *name, uint32_t operations, uint32_t records) {
    static uint64_t state = 88172645463325252ull;
    const enum op op = op_named(name);
    if (operations == 0 || records == 0 || (op == DELETE && records > CHUNK)) {
        fail("run", "not with so many records");
    }
    struct tally warm = {.server = store_server()}, t = warm;
    uint32_t count;
    for (uint32_t done = 0; done < operations; done += count) {
        count = operations - done < CHUNK ? operations - done : CHUNK;
        if (done == 0 || records > CHUNK) {
            choose_keys(op, count, records, &state);
        }
        if (done == 0) {
            operate_timed(&warm, op, count); /* the caches remember this store */
        }
        operate_timed(&t, op, count);
    }
    tally_print(&t);
}

/* ---- many at once --------------------------------------------------------------------------- */

/* This thread runs on the n-th of the processors that it may use, or where it likes if there are fewer. */
static void stay_on(uint32_t n) {
    cpu_set_t may, set;
    (void)sched_getaffinity(0, sizeof may, &may);
    for (unsigned i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &may) && n-- == 0) {
            CPU_ZERO(&set);
            CPU_SET(i, &set);
            (void)sched_setaffinity(0, sizeof set, &set);
        }
    }
}

struct worker {
    pthread_t thread;
    uint64_t operations, end;
    uint32_t records, core;
};

static void *work(void *argument) {
    struct worker *w = argument;
    char own_keys[64][KEY_BYTES], own_buffer[VALUE_BYTES];
    uint64_t state = 88172645463325252ull + w->core, operations = 0;
    stay_on(w->core);
    do {
        for (uint32_t i = 0; i < 64; i++) {
            key_make(own_keys[i], RECORDS, below(&state, w->records));
        }
        for (uint32_t i = 0; i < 64; i++) {
            expect_length(store_get(own_keys[i], own_buffer, sizeof own_buffer), (long)VALUE_BYTES);
        }
        operations += 64;
    } while (now_ns() < w->end);
    w->operations = operations;
    return NULL;
}

static void command_threads(uint32_t count, uint64_t milliseconds, uint32_t records) {
    static struct worker workers[THREADS_MAX];
    if (count == 0 || count > THREADS_MAX || !store_has_threads()) {
        fail("threads", "so many threads cannot use this store");
    }
    const uint64_t began = now_ns(), end = began + milliseconds * 1000000u;
    uint64_t operations = 0;
    for (uint32_t i = 0; i < count; i++) {
        workers[i] = (struct worker){.end = end, .records = records, .core = i};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            fail("threads", "no thread to be had");
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        operations += workers[i].operations;
    }
    printf("%" PRIu64 " %.6f\n", operations, (double)(now_ns() - began) / 1e9);
}

/* ---- what the memory can do ----------------------------------------------------------------- */

/* Shared memory that begins where a huge page can. */
static uint64_t *shared(uint64_t bytes) {
    char *room = mmap(NULL, bytes + HUGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
        fail("chase", "no room");
    }
    room += -(uintptr_t)room % HUGE_BYTES;
    void *memory = mmap(room, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (memory == MAP_FAILED) {
        fail("chase", "no memory");
    }
    return memory;
}

/* One circle through every cache line, in an order of chance: each load's address is the last one's value. */
static void circle(uint64_t *lines, uint64_t n) {
    uint64_t state = 88172645463325252ull;
    for (uint64_t i = 0; i < n; i++) {
        lines[i * 8] = i;
    }
    for (uint64_t i = n - 1; i > 0; i--) { /* Sattolo's shuffle */
        const uint64_t other = ((uint64_t)draw(&state) << 32 | draw(&state)) % i, swapped = lines[i * 8];
        lines[i * 8] = lines[other * 8];
        lines[other * 8] = swapped;
    }
}

static void command_chase(uint64_t bytes, uint64_t hops, int huge) {
    static uint64_t *lines, lines_for;
    if (lines_for != bytes) {
        lines = shared(bytes);
        circle(lines, bytes / 64);
        if (huge) { /* as far as there are any: who asks looks how much of it is in huge pages */
            (void)madvise(lines, bytes, MADV_COLLAPSE);
        }
        lines_for = bytes;
    }
    static uint64_t at;
    struct tally t = {0};
    for (uint64_t done = 0; done < hops; done += CHUNK) {
        const struct piece p = piece_begin(&t);
        for (uint32_t i = 0; i < CHUNK; i++) {
            at = lines[at * 8];
        }
        piece_end(&t, &p, CHUNK);
    }
    tally_print(&t);
}

/* ---- obeying -------------------------------------------------------------------------------- */

static void command_counters(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        key_make(keys[0], COUNTERS, i);
        store_counter(keys[0]);
    }
    printf("\n");
}

static void command_value(uint64_t bytes) {
    if (bytes == 0 || bytes > VALUE_MOST) {
        fail("value", "not so long");
    }
    value_bytes = bytes;
    printf("\n");
}

static void command_mix(const char *name, uint64_t start, uint64_t milliseconds, uint32_t gets, uint32_t records) {
    const struct mix m = {.start = start,
                          .milliseconds = milliseconds,
                          .gets = gets,
                          .records = records,
                          .value = value,
                          .value_bytes = value_bytes,
                          .timed = strcmp(name, "tail") == 0};
    if (!m.timed && strcmp(name, "mix") != 0) {
        fail("no such command", name);
    }
    mix_run(&m);
}

static void obey(const char *line) {
    char name[16];
    uint64_t a, b, c, d;
    if (sscanf(line, "run %15s %" SCNu64 " %" SCNu64, name, &a, &b) == 3) {
        command_run(name, (uint32_t)a, (uint32_t)b);
    } else if (sscanf(line, "trace %15s %" SCNu64 " %" SCNu64, name, &a, &b) == 3) {
        trace_run(name, (uint32_t)a, (uint32_t)b);
    } else if (sscanf(line, "stock %" SCNu64, &a) == 1) {
        trace_fill((uint32_t)a);
        printf("\n");
    } else if (sscanf(line, "fill %" SCNu64, &a) == 1) {
        store_fill((uint32_t)a, value, value_bytes);
        printf("\n");
    } else if (sscanf(line, "value %" SCNu64, &a) == 1) {
        command_value(a);
    } else if (sscanf(line, "counters %" SCNu64, &a) == 1) {
        command_counters((uint32_t)a);
    } else if (sscanf(line, "%7[a-z] %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, name, &a, &b, &c, &d) == 5) {
        command_mix(name, a, b, (uint32_t)c, (uint32_t)d);
    } else if (sscanf(line, "threads %" SCNu64 " %" SCNu64 " %" SCNu64, &a, &b, &c) == 3) {
        command_threads((uint32_t)a, b, (uint32_t)c);
    } else if (sscanf(line, "chase %" SCNu64 " %" SCNu64 " %" SCNu64, &a, &b, &c) == 3) {
        command_chase(a, b, c != 0);
    } else if (strcmp(line, "used\n") == 0) {
        printf("%" PRIu64 "\n", store_used());
    } else {
        fail("no such command", line);
    }
    (void)fflush(stdout);
}

int main(int count, char **arguments) {
    char line[256];
    if (count != 4) {
        fail("usage", "PROGRAM PATH BYTES CORE");
    }
    if (atoi(arguments[3]) >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((unsigned)atoi(arguments[3]), &set);
        if (sched_setaffinity(0, sizeof set, &set) != 0) {
            fail("sched_setaffinity", arguments[3]);
        }
    }
    memset(value, 'v', sizeof value);
    store_open(arguments[1], strtoull(arguments[2], NULL, 0));
    while (fgets(line, sizeof line, stdin) != NULL) {
        obey(line);
    }
    store_close();
    return 0;
}
