/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cache.c: the exported functions of plc.h on entries.  Each checks its arguments, enters (call.c), works,
 * leaves, gives its results; nothing else happens here.
 *
 * What the caller gives is copied before the window opens and results after it has closed, but for what would be copied
 * twice for it: values, and what belongs to single keys of many.  Memory that is read or written meanwhile is refused
 * if it lies in the region: the caller must not reach there through this library (a confused deputy).
 */
#include "flight.h"
#include "hash.h"
#include "read.h"
#include "rebuild.h"
#include "verbs.h"

/* Enters with a key; out: what else is read or written with the window open. */
static inline __attribute__((always_inline)) plc_status enter_key(struct call *k, plc_cache *c, const void *key,
                                                                  size_t length, const void *out, size_t bytes) {
    plc_status s = call_begin(k, c);
    if (s != PLC_OK) {
        return s;
    }
    return call_open(k, index_key(k, key, length) != PLC_OK || domain_overlaps(c, out, bytes));
}

plc_status plc_open(const plc_options *options, plc_cache **out, plc_report *report) {
    return options == NULL || out == NULL || report == NULL || options->path == NULL
               ? PLC_INVALID
               : region_open(options, rebuild_region, out, report);
}

void plc_close(plc_cache *cache) {
    if (cache != NULL) {
        region_close(cache);
    }
}

plc_status plc_remove(const char *path, plc_report *report) {
    return path == NULL || report == NULL ? PLC_INVALID : region_remove(path, report);
}

plc_status plc_assist(plc_cache *cache, uint32_t limit_ms) {
    return call_assist(cache, limit_ms);
}

plc_status plc_get(plc_cache *cache, const void *key, size_t key_length, uint16_t name, void *buffer, size_t capacity,
                   plc_found *found) {
    struct call k;
    if (found == NULL || (buffer == NULL && capacity != 0)) {
        return PLC_INVALID;
    }
    plc_status s = call_begin_untimed(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    const struct guard guard = domain_guard(cache);
    s = call_open(&k, domain_refuses(cache, guard, buffer, capacity) ||
                          domain_refuses(cache, guard, found, sizeof *found) ||
                          index_key_beside(&k, guard, key, key_length) != PLC_OK);
    return s == PLC_OK ? call_leave(&k, read_value_inline(&k, name, buffer, capacity, found)) : s;
}

plc_status plc_get_touch(plc_cache *cache, const void *key, size_t key_length, uint64_t deadline_ms, void *buffer,
                         size_t capacity, plc_found *found) {
    struct call k;
    if (found == NULL || (buffer == NULL && capacity != 0)) {
        return PLC_INVALID;
    }
    plc_found seen;
    plc_status s = enter_key(&k, cache, key, key_length, buffer, capacity);
    if (s != PLC_OK) {
        return s;
    }
    s = verb_touch(&k, deadline_ms);
    if (s == PLC_OK) {
        s = read_value(&k, 0, buffer, capacity, &seen);
    }
    s = call_leave(&k, s);
    if (s == PLC_OK || s == PLC_TOO_SMALL) {
        *found = seen;
    }
    return s;
}

plc_status plc_was_read(plc_cache *cache, const void *key, size_t key_length, uint32_t *answer) {
    struct call k;
    bool read = false;
    if (answer == NULL) {
        return PLC_INVALID;
    }
    plc_status s = enter_key(&k, cache, key, key_length, NULL, 0);
    s = s == PLC_OK ? call_leave(&k, read_was_read(&k, &read)) : s;
    if (s == PLC_OK) {
        *answer = read ? 1 : 0;
    }
    return s;
}

plc_status plc_peek(plc_cache *cache, const void *key, size_t key_length, void *buffer, size_t capacity,
                    plc_found *found) {
    struct call k;
    plc_found seen;
    if (found == NULL || (buffer == NULL && capacity != 0)) {
        return PLC_INVALID;
    }
    plc_status s = enter_key(&k, cache, key, key_length, buffer, capacity);
    s = s == PLC_OK ? call_leave(&k, read_peek(&k, buffer, capacity, &seen)) : s;
    if (s == PLC_OK || s == PLC_TOO_SMALL) {
        *found = seen;
    }
    return s;
}

/* The same of an array; one that is longer than the address space overlaps with everything. */
static bool overlaps_each(const plc_cache *c, const void *at, size_t each, size_t n) {
    return n > SIZE_MAX / each || domain_overlaps(c, at, n * each);
}

plc_status plc_get_many(plc_cache *cache, size_t count_of, const void *const *keys, const size_t *key_lengths,
                        uint16_t name, void *buffer, size_t capacity, plc_found *found) {
    struct call k;
    if (keys == NULL || key_lengths == NULL || found == NULL || (buffer == NULL && capacity != 0)) {
        return PLC_INVALID;
    }
    plc_status s = call_begin(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    const struct read_batch batch = {keys, key_lengths, count_of, buffer, capacity, found, name};
    s = call_open(&k, domain_overlaps(cache, buffer, capacity) || overlaps_each(cache, keys, sizeof *keys, count_of) ||
                          overlaps_each(cache, key_lengths, sizeof *key_lengths, count_of) ||
                          overlaps_each(cache, found, sizeof *found, count_of));
    return s == PLC_OK ? call_leave(&k, read_many(&k, &batch)) : s;
}

plc_status plc_store(plc_cache *cache, plc_verb verb, const plc_entry *entry, uint64_t *token) {
    struct call k;
    struct store st;
    if (entry == NULL) {
        return PLC_INVALID;
    }
    plc_status s = call_begin(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    s = call_open(&k,
                  index_key(&k, entry->key, entry->key_length) != PLC_OK || verb_given(&st, &k, verb, entry) != PLC_OK);
    if (s != PLC_OK) {
        return s;
    }
    s = call_leave(&k, verb_store(&st, verb));
    if (s == PLC_OK && token != NULL) {
        *token = st.spec.token;
    }
    return s;
}

plc_status plc_store_many(plc_cache *cache, size_t count_of, const plc_entry *entries, uint32_t *statuses) {
    struct call k;
    struct store st;
    if (entries == NULL || statuses == NULL) {
        return PLC_INVALID;
    }
    plc_status s = call_begin(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    s = call_open(&k, overlaps_each(cache, entries, sizeof *entries, count_of) ||
                          overlaps_each(cache, statuses, sizeof *statuses, count_of));
    if (s != PLC_OK) {
        return s;
    }
    bool paused = false; /* a large one found others in its way: tried again for a while, as plc_store does */
    for (size_t i = 0; i < count_of; i++) {
        plc_status one = index_key(&k, once_pointer(&entries[i].key), once_size(&entries[i].key_length));
        one = one == PLC_OK ? verb_given(&st, &k, PLC_SET, &entries[i]) : one;
        one = one == PLC_OK && s == PLC_AGAIN ? PLC_AGAIN : one; /* the rest waits with the first that has to */
        k.want_pause = false;
        one = one == PLC_OK ? verb_store(&st, PLC_SET) : one;
        if (one == PLC_FULL && k.want_pause) {
            paused = true;
            one = PLC_AGAIN;
        } else if (one == PLC_AGAIN) {
            s = PLC_AGAIN;
        }
        statuses[i] = (uint32_t)one;
        evict_emptied(&k);
    }
    k.want_pause = paused;
    s = call_leave(&k, s == PLC_OK && paused ? PLC_FULL : s);
    for (size_t i = 0; i < count_of && s == PLC_FULL; i++) {
        statuses[i] = statuses[i] == PLC_AGAIN ? PLC_FULL : statuses[i];
    }
    return s == PLC_FULL ? PLC_OK : s;
}

plc_status plc_delete(plc_cache *cache, const void *key, size_t key_length) {
    struct call k;
    plc_status s = enter_key(&k, cache, key, key_length, NULL, 0);
    return s == PLC_OK ? call_leave(&k, verb_delete(&k)) : s;
}

plc_status plc_delete_many(plc_cache *cache, size_t count_of, const void *const *keys, const size_t *key_lengths,
                           uint64_t *removed) {
    struct call k;
    if (keys == NULL || key_lengths == NULL || removed == NULL) {
        return PLC_INVALID;
    }
    plc_status s = call_begin(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    s = call_open(&k, overlaps_each(cache, keys, sizeof *keys, count_of) ||
                          overlaps_each(cache, key_lengths, sizeof *key_lengths, count_of));
    if (s != PLC_OK) {
        return s;
    }
    uint64_t n = 0;
    for (size_t i = 0; i < count_of && s == PLC_OK; i++) {
        s = index_key(&k, once_pointer(&keys[i]), once_size(&key_lengths[i]));
        if (s == PLC_OK) {
            s = verb_delete(&k);
            n += s == PLC_OK ? 1 : 0;
            s = s == PLC_MISS ? PLC_OK : s;
            evict_emptied(&k);
        }
    }
    s = call_leave(&k, s);
    *removed += n; /* also before AGAIN: the next call no longer finds them */
    return s;
}

plc_status plc_incr(plc_cache *cache, const void *key, size_t key_length, uint64_t delta, uint32_t down,
                    uint64_t *result) {
    struct call k;
    if (result == NULL) {
        return PLC_INVALID;
    }
    uint64_t sum = 0;
    plc_status s = enter_key(&k, cache, key, key_length, NULL, 0);
    s = s == PLC_OK ? call_leave(&k, verb_incr(&k, delta, down != 0, &sum)) : s;
    if (s == PLC_OK) {
        *result = sum;
    }
    return s;
}

plc_status plc_touch(plc_cache *cache, const void *key, size_t key_length, uint64_t deadline_ms) {
    struct call k;
    plc_status s = enter_key(&k, cache, key, key_length, NULL, 0);
    return s == PLC_OK ? call_leave(&k, verb_touch(&k, deadline_ms)) : s;
}

plc_status plc_claim(plc_cache *cache, const plc_entry *entry, uint64_t limit_ms, plc_flight *flight) {
    struct call k;
    if (entry == NULL || flight == NULL) {
        return PLC_INVALID;
    }
    const plc_entry given = *entry;
    plc_flight made = {0, 0};
    plc_status s = enter_key(&k, cache, given.key, given.key_length, NULL, 0);
    s = s == PLC_OK ? call_leave(&k, flight_claim(&k, &given, limit_ms, &made)) : s;
    if (s == PLC_OK || s == PLC_CLAIMED) {
        *flight = made;
    }
    return s;
}

plc_status plc_abandon(plc_cache *cache, const void *key, size_t key_length, uint64_t token) {
    struct call k;
    plc_status s = enter_key(&k, cache, key, key_length, NULL, 0);
    return s == PLC_OK ? call_leave(&k, flight_abandon(&k, token)) : s;
}

plc_status plc_wait(plc_cache *cache, const void *key, size_t key_length, uint32_t limit_ms) {
    struct call k;
    plc_status s = enter_key(&k, cache, key, key_length, NULL, 0);
    if (s != PLC_OK) {
        return s;
    }
    word32 *at = &cache->wait_words[index_wait_word(&k)];
    uint32_t seen = atomic_load_explicit(at, memory_order_acquire); /* before the index is looked at */
    bool claimed = flight_claimed(&k);
    s = call_leave(&k, PLC_OK);
    if (s == PLC_OK && claimed) {
        if (!call_stay(cache)) {
            return PLC_CLOSED;
        }
        os_wait(at, seen, limit_ms < 50 ? limit_ms : 50);
        call_go(cache);
    }
    return s;
}
