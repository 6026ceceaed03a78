/* SPDX-License-Identifier: BSD-3-Clause */
/* read.c: see read.h. */
#include "read.h"

#include "counters.h"

#define PINNED_FROM (64u * 1024u) /* copies of so many bytes are made under a pin */
#define BARE_TRIES 8u             /* copies without a pin before one is taken */

static void describe(const struct call *k, const struct entry *e, plc_found *found) {
    const struct spec *s = &e->spec;
    found->length = s->length;
    found->token = s->token;
    found->deadline_ms = s->deadline_ms;
    found->created_ms = entry_created_ms(k->c, e);
    found->client_flags = s->client_flags;
    found->name = s->name;
    found->type = s->type;
    found->cost = s->cost;
    found->key_is_text = s->options & ENTRY_TEXT ? 1 : 0;
    found->immutable = s->options & ENTRY_IMMUTABLE ? 1 : 0;
    found->reserved = 0;
}

/* One attempt without a pin.  PLC_BUSY: it changed under the copy, or wants a pin. */
static plc_status read_bare(struct call *k, void *buffer, size_t capacity, plc_found *found, unsigned *way) {
    struct hit hit;
    plc_status s = index_find(k, &hit);
    if (s != PLC_OK) {
        return s;
    }
    bool valid = entry_valid(k, &hit.e);
    uint64_t length = hit.e.spec.length;
    bool fits = length <= capacity;
    if (valid && fits && length >= PINNED_FROM) {
        return PLC_BUSY;
    }
    if (valid && fits) {
        copy_racing(buffer, hit.e.value, length);
    }
    if (!index_still(k, &hit.e)) {
        return PLC_BUSY;
    }
    if (!valid) {
        return PLC_MISS;
    }
    *way = hit.way;
    describe(k, &hit.e, found);
    return fits ? PLC_OK : PLC_TOO_SMALL;
}

static plc_status read_pinned(struct call *k, void *buffer, size_t capacity, plc_found *found, unsigned *way) {
    struct hit hit;
    fence_full();
    plc_status s = index_look(k, &hit);
    if (s != PLC_OK) {
        return s;
    }
    if (!entry_valid(k, &hit.e)) {
        s = PLC_MISS;
    } else if (hit.e.spec.length > capacity) {
        s = PLC_TOO_SMALL;
    } else {
        copy_racing(buffer, hit.e.value, hit.e.spec.length);
    }
    if (s != PLC_MISS) {
        *way = hit.way;
        describe(k, &hit.e, found);
    }
    index_unpin(k);
    return s;
}

static void count_read(struct call *k, plc_status s, uint16_t name) {
    bool hit = s == PLC_OK || s == PLC_TOO_SMALL;
    count(k, hit ? COUNT_HITS : COUNT_MISSES, 1);
    if (name != 0) {
        struct shm_name *row = name_row(k->c, name);
        word_add_rlx(hit ? &row->hits : &row->misses, 1);
    }
}

plc_status read_value(struct call *k, uint16_t name, void *buffer, size_t capacity, plc_found *found) {
    unsigned way = 0;
    plc_status s = PLC_BUSY;
    for (unsigned i = 0; i < BARE_TRIES && s == PLC_BUSY; i++) {
        s = read_bare(k, buffer, capacity, found, &way);
        if (s == PLC_BUSY && capacity >= PINNED_FROM) {
            break;
        }
    }
    if (s == PLC_BUSY) {
        s = read_pinned(k, buffer, capacity, found, &way);
    }
    if (s == PLC_BUSY) { /* changed 64 times more: a miss is an answer, waiting is not */
        count(k, COUNT_CONTENDED, 1);
        s = PLC_MISS;
    }
    if (s == PLC_AGAIN) {
        return s;
    }
    if (s == PLC_OK) {
        index_mark(k, way, 1);
    }
    if (s != PLC_TOO_SMALL) { /* the caller comes again with a larger buffer: counted then */
        count_read(k, s, name);
    }
    return s;
}
