/* SPDX-License-Identifier: BSD-3-Clause */
/* memcached.c: a memcached server behind a unix socket, asked by libmemcached's plain functions. */
#include "store.h"

#include <libmemcached/memcached.h>
#include <stdlib.h>
#include <string.h>

static memcached_st *client;

static void expect(const char *what, memcached_return_t got) {
    if (got != MEMCACHED_SUCCESS) {
        fail(what, memcached_strerror(client, got));
    }
}

void store_open(const char *path, uint64_t bytes) {
    (void)bytes; /* the server was told */
    client = memcached_create(NULL);
    expect("memcached_server_add_unix_socket", memcached_server_add_unix_socket(client, path));
}

void store_close(void) {
    memcached_free(client);
}

void store_fill(uint32_t count, const void *value, size_t length) {
    char key[KEY_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        key_make(key, RECORDS, i);
        store_set(key, value, length);
    }
}

void store_counter(const char *key) {
    store_set(key, "0", 1);
}

long store_get(const char *key, void *buffer, size_t capacity) {
    size_t length;
    uint32_t flags;
    memcached_return_t got;
    char *value = memcached_get(client, key, KEY_BYTES, &length, &flags, &got);
    if (got == MEMCACHED_NOTFOUND) {
        return -1;
    }
    expect("memcached_get", got);
    if (length > capacity) {
        fail("memcached_get", "longer than the buffer");
    }
    memcpy(buffer, value, length);
    free(value);
    return (long)length;
}

void store_set(const char *key, const void *value, size_t length) {
    expect("memcached_set", memcached_set(client, key, KEY_BYTES, value, length, 0, 0));
}

void store_delete(const char *key) {
    expect("memcached_delete", memcached_delete(client, key, KEY_BYTES, 0));
}

void store_remove(const char *key) {
    store_delete(key);
}

void store_incr(const char *key) {
    uint64_t result;
    expect("memcached_increment", memcached_increment(client, key, KEY_BYTES, 1, &result));
}

uint64_t store_used(void) {
    return 0;
}

int store_has_threads(void) {
    return 0;
}

int store_server(void) {
    memcached_return_t got;
    memcached_stat_st *stat = memcached_stat(client, NULL, &got);
    expect("memcached_stat", got);
    const int pid = (int)stat->pid;
    memcached_stat_free(client, stat);
    return pid;
}
