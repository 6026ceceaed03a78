/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store.h: what driver.c measures.  Each of ours.c, lmdb.c, memcached.c and nothing.c implements it for one store,
 * and is linked with driver.c into a program of its own, so that an operation is a plain call everywhere.
 *
 * All stores get the same keys of KEY_BYTES printable bytes and the same values, VALUE_BYTES long if nothing else is
 * said; a get copies the value into the caller's buffer, and sees what was stored last.  A failure that is no answer
 * ends the program (`fail`).
 */
#ifndef BENCH_STORE_H
#define BENCH_STORE_H

#include <stddef.h>
#include <stdint.h>

#define KEY_BYTES 16u
#define VALUE_BYTES 128u
#define VALUE_MOST 8192u
#define RECORDS "record--" /* the families of keys: eight bytes, then the number in eight hexadecimal digits */
#define COUNTERS "counter-"
#define ABSENT "absent--"

/* driver.c */
void key_make(char *key, const char *family, uint32_t number);
_Noreturn void fail(const char *what, const char *why);

/* Opens the store at path, and makes it if it is not there.  bytes: how much it may hold. */
void store_open(const char *path, uint64_t bytes);
void store_close(void);

/* Stores records 0 to count - 1, all with that value, in order, in the fastest way; never timed. */
void store_fill(uint32_t count, const void *value, size_t length);
/* Stores a counter of 0. */
void store_counter(const char *key);

/* The value's length, or -1 if there is no such key. */
long store_get(const char *key, void *buffer, size_t capacity);
void store_set(const char *key, const void *value, size_t length);
void store_delete(const char *key); /* of a key that is there */
void store_remove(const char *key); /* of one that need not be */
void store_incr(const char *key);   /* of a counter that is there */

/* Bytes of memory in use for what is stored; 0: unknown. */
uint64_t store_used(void);
/* The process that does the work, or 0: this one. */
int store_server(void);
/* May several threads call at once? */
int store_has_threads(void);

#endif
