/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holder.c: another process holds a shard's lock, and is stopped, or killed.  holder PATH BYTES opens a region, and
 * obeys one line after the other:
 *
 *   fill KEYS        stores so many keys                                                   -> nothing
 *   hold BYTES       a process touches so much memory, takes the lock and stops there      -> nothing
 *   gets N KEYS      gets of keys of chance, each timed alone                               -> median, p99 in ns
 *   kill             kills it, and stores a new key in that shard at once -> ns, 1 if its record lock was still held
 *
 * The lock is taken by the core's own functions; nothing else holds it for long enough.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "call.h"
#include "os_linux.h"

#define GETS_MOST 200000u
static const char *const locked = "held";
static const char *path;
static uint64_t size, random_state = 1;
static plc_cache *cache;
static pid_t holder;
static uint32_t *holder_slot;

static void expect(const char *what, bool good) {
    if (!good) {
        (void)fprintf(stderr, "%s failed\n", what);
        exit(1);
    }
}

static uint64_t now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void open_region(void) {
    plc_report report;
    const plc_options options = {.path = path, .size_bytes = size, .create = 1, .protection = PLC_PROTECT_NONE};
    expect("plc_open", plc_open(&options, &cache, &report) == PLC_OK);
}

/* Repeated until it is stored: that it was told to be busy meanwhile is in the time. */
static void set(const char *key, const void *value, size_t length) {
    const plc_part part = {value, length};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1};
    plc_status s;
    while ((s = plc_store(cache, PLC_SET, &e, NULL)) == PLC_AGAIN || s == PLC_BUSY) {
        expect("plc_assist", plc_assist(cache, 50) == PLC_OK);
    }
    expect(plc_status_text(s), s == PLC_OK);
}

static void fill(uint64_t keys) {
    char key[32], value[128] = "value";
    for (uint64_t i = 0; i < keys; i++) {
        (void)snprintf(key, sizeof key, "key-%012llu", (unsigned long long)i);
        set(key, value, sizeof value);
    }
}

/* In a child: nothing of the parent's handle is used. */
static void hold_and_stop(uint64_t bytes) {
    struct call k;
    struct lock_held held;
    plc_info info;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    plc_close(cache);
    open_region();
    if (bytes > 0) {
        uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        expect("mmap", memory != MAP_FAILED && madvise(memory, bytes, MADV_NOHUGEPAGE) == 0);
        for (uint64_t at = 0; at < bytes; at += 4096) {
            memory[at] = 1;
        }
    }
    expect("plc_info_read", plc_info_read(cache, &info) == PLC_OK);
    *holder_slot = info.slot;
    expect("call_enter", call_enter(&k, cache) == PLC_OK);
    expect("index_key", index_key(&k, locked, strlen(locked)) == PLC_OK);
    expect("call_lock", call_lock(&k, &held) == PLC_OK);
    (void)raise(SIGSTOP);
    _exit(0);
}

static void hold(uint64_t bytes) {
    int status = 0;
    expect("mmap",
           (holder_slot = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED);
    expect("fork", (holder = fork()) >= 0);
    if (holder == 0) {
        hold_and_stop(bytes);
    }
    expect("the holder", waitpid(holder, &status, WUNTRACED) == holder && WIFSTOPPED(status));
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void gets(uint64_t n, uint64_t keys) {
    static uint64_t took[GETS_MOST];
    char key[32], value[128];
    plc_found found;
    expect("a count", n > 0 && n <= GETS_MOST && keys > 0);
    for (uint64_t i = 0; i < n; i++) {
        random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
        (void)snprintf(key, sizeof key, "key-%012llu", (unsigned long long)((random_state >> 33) % keys));
        const uint64_t began = now_ns();
        const plc_status s = plc_get(cache, key, 16, 0, value, sizeof value, &found);
        took[i] = now_ns() - began;
        expect("plc_get", s == PLC_OK);
    }
    qsort(took, n, sizeof took[0], by_size);
    printf("%llu %llu\n", (unsigned long long)took[n / 2], (unsigned long long)took[n * 99 / 100]);
}

/* A new key for which its lock is needed; nothing is left of it. */
static void set_locked(uint64_t *spent) {
    plc_status s;
    const uint64_t began = now_ns();
    set(locked, "value", 5);
    *spent = now_ns() - began;
    while ((s = plc_delete(cache, locked, strlen(locked))) == PLC_AGAIN) {
        expect("plc_assist", plc_assist(cache, 50) == PLC_OK);
    }
    expect(plc_status_text(s), s == PLC_OK);
}

static void killed(uint64_t *spent, bool *byte) {
    expect("kill", kill(holder, SIGKILL) == 0);
    set_locked(spent);
    expect("F_GETLK", os_byte_held(cache->fd, *holder_slot, byte) == 0);
    expect("waitpid", waitpid(holder, NULL, 0) == holder);
    (void)munmap(holder_slot, 4096);
}

int main(int argc, char **argv) {
    char line[128];
    unsigned long long a = 0, b = 0;
    uint64_t spent = 0;
    bool byte = false;
    expect("two arguments", argc >= 3);
    path = argv[1];
    size = strtoull(argv[2], NULL, 10);
    open_region();
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "fill %llu", &a) == 1) {
            fill(a);
            printf("\n");
        } else if (sscanf(line, "hold %llu", &a) == 1) {
            hold(a);
            printf("\n");
        } else if (sscanf(line, "gets %llu %llu", &a, &b) == 2) {
            gets(a, b);
        } else if (strcmp(line, "kill\n") == 0) {
            killed(&spent, &byte);
            printf("%llu %d\n", (unsigned long long)spent, byte);
        } else {
            (void)fprintf(stderr, "no such command: %s\n", line);
            return 1;
        }
        (void)fflush(stdout);
    }
    return 0;
}
