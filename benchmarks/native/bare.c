/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bare.c: no store, but what any store that several processes share has to move: an array of the records in shared
 * memory.  A record has a line that says which of its two places holds the value; a set copies into the other one and
 * exchanges that word, a get reads the word and copies.  No key is looked at, nothing is checked, a slow reader may be
 * given a torn value.  An operation begins when the loads of the one before have come, as those of a store do, whose
 * hundreds of instructions a processor does not look beyond.  What two processes at once take longer here than one, the
 * processors take to bring each other the lines that the other one has stored to.
 */
#define _GNU_SOURCE
#include "store.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct record {
    _Alignas(64) _Atomic uint64_t place;
    _Alignas(64) char values[2][VALUE_BYTES];
};

static void await_loads(void) {
#if defined(__x86_64__)
    __builtin_ia32_lfence();
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

static struct record *all;
static uint64_t room;

void store_open(const char *path, uint64_t bytes) {
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, (off_t)bytes) != 0) {
        fail("bare", "no file");
    }
    all = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    room = bytes / sizeof *all;
    (void)close(file);
    if (all == MAP_FAILED) {
        fail("bare", "no memory");
    }
}

void store_close(void) {
}

/* The number is the key's last eight digits. */
static struct record *record_of(const char *key) {
    uint64_t number = 0;
    for (unsigned i = 8; i < KEY_BYTES; i++) {
        const char digit = key[i];
        number = number << 4 | (uint64_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    return number < room ? &all[number] : (fail("bare", "no room"), NULL);
}

void store_fill(uint32_t count, const void *value, size_t length) {
    char key[KEY_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        key_make(key, RECORDS, i);
        store_set(key, value, length);
    }
}

long store_get(const char *key, void *buffer, size_t capacity) {
    struct record *r = record_of(key);
    const uint64_t place = atomic_load_explicit(&r->place, memory_order_acquire);
    memcpy(buffer, r->values[place & 1], capacity < VALUE_BYTES ? capacity : VALUE_BYTES);
    await_loads();
    return VALUE_BYTES;
}

void store_set(const char *key, const void *value, size_t length) {
    struct record *r = record_of(key);
    const uint64_t other = ~atomic_load_explicit(&r->place, memory_order_acquire) & 1;
    memcpy(r->values[other], value, length < VALUE_BYTES ? length : VALUE_BYTES);
    (void)atomic_exchange_explicit(&r->place, other, memory_order_acq_rel);
}

void store_counter(const char *key) {
    store_set(key, "0", 1);
}

void store_delete(const char *key) {
    (void)key;
    fail("bare", "nothing is deleted");
}

void store_remove(const char *key) {
    store_delete(key);
}

void store_incr(const char *key) {
    (void)key;
    fail("bare", "nothing is counted");
}

uint64_t store_used(void) {
    return 0;
}

int store_has_threads(void) {
    return 1;
}

int store_server(void) {
    return 0;
}
