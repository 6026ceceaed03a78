/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lmdb.c: LMDB in its fastest mode for a cache: on tmpfs, never synchronised, the map written directly, one
 * transaction for each operation.  A get renews one reading transaction, reads, copies and resets it, which is the
 * cheapest way to see what was stored last.
 */
#include "store.h"

#include <lmdb.h>
#include <string.h>

static MDB_env *env;
static MDB_dbi db;
static MDB_txn *reader;

static void expect(const char *what, int got) {
    if (got != 0) {
        fail(what, mdb_strerror(got));
    }
}

static MDB_txn *begin(void) {
    MDB_txn *txn;
    expect("mdb_txn_begin", mdb_txn_begin(env, NULL, 0, &txn));
    return txn;
}

static void commit(MDB_txn *txn) {
    expect("mdb_txn_commit", mdb_txn_commit(txn));
}

static MDB_val bytes_of(const void *bytes, size_t length) {
    return (MDB_val){.mv_size = length, .mv_data = (void *)(uintptr_t)bytes};
}

void store_open(const char *path, uint64_t bytes) {
    const unsigned flags = MDB_NOSYNC | MDB_NOMETASYNC | MDB_WRITEMAP | MDB_MAPASYNC | MDB_NOSUBDIR;
    expect("mdb_env_create", mdb_env_create(&env));
    expect("mdb_env_set_mapsize", mdb_env_set_mapsize(env, bytes));
    expect("mdb_env_open", mdb_env_open(env, path, flags, 0600));
    MDB_txn *txn = begin();
    expect("mdb_dbi_open", mdb_dbi_open(txn, NULL, 0, &db));
    commit(txn);
    expect("mdb_txn_begin", mdb_txn_begin(env, NULL, MDB_RDONLY, &reader));
    mdb_txn_reset(reader);
}

void store_close(void) {
    mdb_txn_abort(reader);
    mdb_env_close(env);
}

void store_fill(uint32_t count, const void *value, size_t length) {
    char key[KEY_BYTES];
    MDB_val k = bytes_of(key, KEY_BYTES);
    for (uint32_t i = 0; i < count;) {
        MDB_txn *txn = begin();
        for (uint32_t end = count - i > 10000 ? i + 10000 : count; i < end; i++) {
            MDB_val v = bytes_of(value, length);
            key_make(key, RECORDS, i);
            expect("mdb_put", mdb_put(txn, db, &k, &v, 0));
        }
        commit(txn);
    }
}

void store_counter(const char *key) {
    const uint64_t zero = 0;
    store_set(key, &zero, sizeof zero);
}

long store_get(const char *key, void *buffer, size_t capacity) {
    MDB_val k = bytes_of(key, KEY_BYTES), v;
    long length = -1;
    expect("mdb_txn_renew", mdb_txn_renew(reader));
    const int got = mdb_get(reader, db, &k, &v);
    if (got == 0 && v.mv_size <= capacity) {
        memcpy(buffer, v.mv_data, v.mv_size);
        length = (long)v.mv_size;
    } else if (got != MDB_NOTFOUND) {
        fail("mdb_get", mdb_strerror(got));
    }
    mdb_txn_reset(reader);
    return length;
}

void store_set(const char *key, const void *value, size_t length) {
    MDB_val k = bytes_of(key, KEY_BYTES), v = bytes_of(value, length);
    MDB_txn *txn = begin();
    expect("mdb_put", mdb_put(txn, db, &k, &v, 0));
    commit(txn);
}

void store_delete(const char *key) {
    MDB_val k = bytes_of(key, KEY_BYTES);
    MDB_txn *txn = begin();
    expect("mdb_del", mdb_del(txn, db, &k, NULL));
    commit(txn);
}

void store_remove(const char *key) {
    MDB_val k = bytes_of(key, KEY_BYTES);
    MDB_txn *txn = begin();
    const int got = mdb_del(txn, db, &k, NULL);
    if (got != MDB_NOTFOUND) {
        expect("mdb_del", got);
    }
    commit(txn);
}

/* A number in binary, which is less work than the decimal text that the others keep. */
void store_incr(const char *key) {
    MDB_val k = bytes_of(key, KEY_BYTES), v;
    uint64_t number;
    MDB_txn *txn = begin();
    expect("mdb_get", mdb_get(txn, db, &k, &v));
    memcpy(&number, v.mv_data, sizeof number);
    number++;
    v = bytes_of(&number, sizeof number);
    expect("mdb_put", mdb_put(txn, db, &k, &v, 0));
    commit(txn);
}

uint64_t store_used(void) {
    MDB_envinfo info;
    expect("mdb_env_info", mdb_env_info(env, &info));
    return (info.me_last_pgno + 1) * 4096;
}

int store_has_threads(void) {
    return 0;
}

int store_server(void) {
    return 0;
}
