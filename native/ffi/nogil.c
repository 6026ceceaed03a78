/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nogil.c: wrappers that give the GIL up, for functions of plc.h that may wait, make system calls or copy
 * much.  build_ffi.py pastes this text behind plc.h and WITHOUT_GIL(statement).  Each has the signature and
 * the statuses of the function it is named after.  What the pointers name must stay alive until the call
 * returns: cffi keeps its arguments, and the caller what those point to.  The core holds no lock and no
 * open window when it returns, so a thread that never gets the GIL back holds up nobody.
 */

static plc_status plc_assist_nogil(plc_cache *cache, uint32_t limit_ms) {
    plc_status status;
    WITHOUT_GIL(status = plc_assist(cache, limit_ms));
    return status;
}

static plc_status plc_wait_nogil(plc_cache *cache, const void *key, size_t key_length, uint32_t limit_ms) {
    plc_status status;
    WITHOUT_GIL(status = plc_wait(cache, key, key_length, limit_ms));
    return status;
}

static plc_status plc_get_nogil(plc_cache *cache, const void *key, size_t key_length, uint16_t name, void *buffer,
                                size_t capacity, plc_found *found) {
    plc_status status;
    WITHOUT_GIL(status = plc_get(cache, key, key_length, name, buffer, capacity, found));
    return status;
}

static plc_status plc_peek_nogil(plc_cache *cache, const void *key, size_t key_length, void *buffer, size_t capacity,
                                 plc_found *found) {
    plc_status status;
    WITHOUT_GIL(status = plc_peek(cache, key, key_length, buffer, capacity, found));
    return status;
}

static plc_status plc_get_at_nogil(plc_cache *cache, uint64_t run, uint64_t token, void *buffer, size_t capacity,
                                   plc_found *found) {
    plc_status status;
    WITHOUT_GIL(status = plc_get_at(cache, run, token, buffer, capacity, found));
    return status;
}

static plc_status plc_get_many_nogil(plc_cache *cache, size_t count, const void *const *keys, const size_t *key_lengths,
                                     uint16_t name, void *buffer, size_t capacity, plc_found *found) {
    plc_status status;
    WITHOUT_GIL(status = plc_get_many(cache, count, keys, key_lengths, name, buffer, capacity, found));
    return status;
}

static plc_status plc_store_nogil(plc_cache *cache, plc_verb verb, const plc_entry *entry, uint64_t *token) {
    plc_status status;
    WITHOUT_GIL(status = plc_store(cache, verb, entry, token));
    return status;
}

static plc_status plc_store_many_nogil(plc_cache *cache, size_t count, const plc_entry *entries, uint32_t *statuses) {
    plc_status status;
    WITHOUT_GIL(status = plc_store_many(cache, count, entries, statuses));
    return status;
}

static plc_status plc_open_nogil(const plc_options *options, plc_cache **out, plc_report *report) {
    plc_status status;
    WITHOUT_GIL(status = plc_open(options, out, report));
    return status;
}

static void plc_close_nogil(plc_cache *cache) {
    WITHOUT_GIL(plc_close(cache));
}

static plc_status plc_remove_nogil(const char *path, plc_report *report) {
    plc_status status;
    WITHOUT_GIL(status = plc_remove(path, report));
    return status;
}

/* These wait for the disk, where the region lies on one. */
static plc_status plc_prefault_nogil(plc_cache *cache, uint64_t *cursor) {
    plc_status status;
    WITHOUT_GIL(status = plc_prefault(cache, cursor));
    return status;
}

static plc_status plc_sync_nogil(plc_cache *cache) {
    plc_status status;
    WITHOUT_GIL(status = plc_sync(cache));
    return status;
}

static plc_status plc_flush_nogil(plc_cache *cache, uint64_t at_ms) {
    plc_status status;
    WITHOUT_GIL(status = plc_flush(cache, at_ms));
    return status;
}

static plc_status plc_name_nogil(plc_cache *cache, const void *name, size_t length, uint16_t *number) {
    plc_status status;
    WITHOUT_GIL(status = plc_name(cache, name, length, number));
    return status;
}

static plc_status plc_name_invalidate_nogil(plc_cache *cache, uint16_t number) {
    plc_status status;
    WITHOUT_GIL(status = plc_name_invalidate(cache, number));
    return status;
}
