/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * read.h: get.  No lock, no store into pool or index but the visited hint beside the slot.  What was copied
 * counts only if the run's generation is still the same afterwards; a large value is pinned meanwhile, so
 * that its copy need not be taken again.
 */
#ifndef PLC_READ_H
#define PLC_READ_H

#include "find.h"
#include "lease.h"

/* pre: the call's key is set.  As plc_get; read_value_inline below is the same, inlined. */
plc_status read_value(struct call *k, uint16_t name, void *buffer, size_t capacity, plc_found *found);

/* Has it been read since it was stored?  *read counts only if PLC_OK; PLC_MISS; PLC_AGAIN.  Nothing is marked or
 * counted.  pre: the call knows the time. */
plc_status read_was_read(struct call *k, bool *read);

/* As plc_peek.  pre: the call knows the time. */
plc_status read_peek(struct call *k, void *buffer, size_t capacity, plc_found *found);

/* Leases the value instead.  PLC_OK: *ticket, *value (in the region) and *found are set; PLC_COPY: to be read by
 * read_value instead, nothing is counted; PLC_MISS; PLC_AGAIN.  pre: holding's lock held. */
plc_status read_lease(struct call *k, uint16_t name, uint64_t *ticket, const uint8_t **value, plc_found *found);

/* The same for many keys, one call's worth of plc_get_many. */
struct read_batch {
    const void *const *keys;
    const size_t *key_lengths;
    size_t count;
    uint8_t *buffer;
    size_t capacity;
    plc_found *found; /* status, offset and description of each */
    uint16_t name;
};

/* PLC_OK; PLC_INVALID: a key's length; PLC_AGAIN. */
plc_status read_many(struct call *k, const struct read_batch *batch);

/* ---- the usual way, inline ------------------------------------------------------------------ */

static inline void mark_visited(_Atomic uint8_t *visited) {
    const uint8_t read = VISITED_USED | VISITED_READ;
    if (__builtin_expect(atomic_load_explicit(visited, memory_order_relaxed) != read, 0)) {
        atomic_store_explicit(visited, read, memory_order_relaxed);
    }
}

/* In a persistent region: do the checksums of the entry and of its copy (NULL: none was made) hold? */
bool read_holds(const struct call *k, const struct glance *g, const void *copy);

/* One attempt without a pin.  PLC_BUSY: it changed under the copy, is damaged, wants a pin, or wanted the time.  What
 * it says of the entry is stored as it is loaded, before it is known to count: kept, it would be in the way. */
HOT plc_status read_bare(struct call *k, void *buffer, size_t capacity, plc_found *found) {
    struct glance g;
    plc_status s = find_entry(k, &g);
    if (s != PLC_OK) {
        return s;
    }
    bool flushes = name_any_flush(k->c);
    if (untimed(k, &g, flushes)) {
        call_tell_time(k);
        return PLC_BUSY;
    }
    if (__builtin_expect(!valid(k, &g, flushes), 0)) {
        return index_still_at(k, g.head, g.word) ? PLC_MISS : PLC_BUSY;
    }
    fill_found(k->c, &g, found);
    bool fits = g.length <= capacity;
    if (__builtin_expect(fits && g.length >= PINNED_FROM, 0)) {
        return PLC_BUSY;
    }
    copy_racing(buffer, g.value, fits ? g.length : 0);
    bool whole = true;
    if (__builtin_expect(k->c->persistent, 0)) {
        struct glance seen = g; /* so that g stays in registers */
        whole = read_holds(k, &seen, fits ? buffer : NULL);
    }
    if (__builtin_expect(!index_still_at(k, g.head, g.word) || !whole, 0)) {
        return PLC_BUSY;
    }
    if (!fits) {
        return PLC_TOO_SMALL;
    }
    mark_visited(g.visited);
    return PLC_OK;
}

/* The ways on which a value changed under the copy, or that want a pin. */
plc_status read_again(struct call *k, void *buffer, size_t capacity, plc_found *found);
void read_count_name(const struct call *k, plc_status s, uint16_t name, uint64_t n);

HOT plc_status read_one(struct call *k, void *buffer, size_t capacity, plc_found *found) {
    plc_status s = read_bare(k, buffer, capacity, found);
    return __builtin_expect(s == PLC_BUSY, 0) ? read_again(k, buffer, capacity, found) : s;
}

HOT plc_status counted(struct call *k, plc_status s, uint16_t name) {
    if (s == PLC_AGAIN || s == PLC_TOO_SMALL) { /* the caller comes again: counted then */
        return s;
    }
    count(k, s == PLC_OK ? COUNT_HITS : COUNT_MISSES, 1);
    if (__builtin_expect(name != 0, 0)) {
        read_count_name(k, s, name, 1);
    }
    return s;
}

HOT plc_status read_value_inline(struct call *k, uint16_t name, void *buffer, size_t capacity, plc_found *found) {
    return counted(k, read_one(k, buffer, capacity, found), name);
}

#endif
