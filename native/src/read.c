/* SPDX-License-Identifier: BSD-3-Clause */
/* read.c: see read.h. */
#include "read.h"

#include "store.h"

#define BARE_TRIES 8u /* copies without a pin before one is taken */

/* What a pinned entry is. */
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
    found->key_is_text = (s->options & ENTRY_TEXT) != 0;
    found->immutable = (s->options & ENTRY_IMMUTABLE) != 0;
    found->reserved = 0;
    memcpy(found->tags, s->tags, sizeof found->tags);
}

bool read_holds(const struct call *k, const struct glance *g, const void *copy) {
    uint64_t words[5] = {g->first, g->size, glance_sum(g), glance_token(g), glance_stamp(g)};
    const uint8_t *at = page_bytes(k->c, g->head) + slot_offset(g->slot);
    uint32_t check = 0;
    return entry_head_holds(k->c, words, at, glance_place(g), k->key, &check) &&
           (copy == NULL ||
            entry_value_holds(k->c, glance_place(g), glance_options(g) & ENTRY_OWN, copy, g->length, check));
}

/* A damaged entry is a miss, and is taken out of the index: else it would be in the way of `add`. */
static plc_status drop_damaged(struct call *k, const struct hit *hit) {
    count(k, COUNT_CORRUPT_SEEN, 1);
    (void)store_unlink(k, hit); /* lost: it has gone already */
    index_unpin(k);
    return PLC_MISS;
}

/* The entry, pinned and undamaged, when PLC_OK. */
static plc_status look_whole(struct call *k, struct hit *hit) {
    fence_full();
    plc_status s = index_look(k, hit);
    bool whole = s != PLC_OK || (hit->e.intact && entry_whole(k->c, &hit->e));
    return whole ? s : drop_damaged(k, hit);
}

static plc_status read_pinned(struct call *k, void *buffer, size_t capacity, plc_found *found, bool marks) {
    struct hit hit;
    if (k->now_ms == 0) {
        call_tell_time(k);
    }
    plc_status s = look_whole(k, &hit);
    if (s != PLC_OK) {
        return s;
    }
    if (!entry_valid(k, &hit.e)) {
        s = PLC_MISS;
    } else if (hit.e.spec.length > capacity) {
        s = PLC_TOO_SMALL;
    } else {
        copy_racing(buffer, hit.e.value, hit.e.spec.length);
        if (marks) {
            mark_visited(index_visited(k, hit.way));
        }
    }
    if (s != PLC_MISS) {
        describe(k, &hit.e, found);
    }
    index_unpin(k);
    return s;
}

/* It has changed 64 times under the look: a miss is an answer, waiting is not. */
static plc_status give_up(struct call *k) {
    count(k, COUNT_CONTENDED, 1);
    return PLC_MISS;
}

/* The ways on which a value changed under the copy, or that want a pin. */
__attribute__((noinline)) plc_status read_again(struct call *k, void *buffer, size_t capacity, plc_found *found) {
    plc_status s = PLC_BUSY;
    for (unsigned i = 1; i < BARE_TRIES && s == PLC_BUSY && capacity < PINNED_FROM; i++) {
        s = read_bare(k, buffer, capacity, found);
    }
    if (s == PLC_BUSY) {
        s = read_pinned(k, buffer, capacity, found, true);
    }
    return s == PLC_BUSY ? give_up(k) : s;
}

void read_count_name(const struct call *k, plc_status s, uint16_t name, uint64_t n) {
    struct shm_name *row = name_row(k->c, name);
    word_add_rlx(s == PLC_OK ? &row->hits : &row->misses, n);
}

plc_status read_value(struct call *k, uint16_t name, void *buffer, size_t capacity, plc_found *found) {
    return read_value_inline(k, name, buffer, capacity, found);
}

/* One attempt, without a pin and without a store.  PLC_BUSY: it changed under the look. */
static plc_status was_read_once(struct call *k, bool *read) {
    struct glance g;
    plc_status s = find_entry(k, &g);
    if (s != PLC_OK) {
        return s;
    }
    bool there = valid(k, &g, name_any_flush(k->c)) && (!k->c->persistent || read_holds(k, &g, NULL));
    *read = atomic_load_explicit(g.visited, memory_order_relaxed) & VISITED_READ;
    /* the slot again: else the mark might be that of what took its place */
    bool still = index_still_at(k, g.head, g.word) && word_acq(g.at) == g.slot;
    return !still ? PLC_BUSY : there ? PLC_OK : PLC_MISS;
}

plc_status read_was_read(struct call *k, bool *read) {
    plc_status s = PLC_BUSY;
    for (unsigned i = 0; i < INDEX_TRIES && s == PLC_BUSY; i++) {
        s = was_read_once(k, read);
    }
    return s == PLC_BUSY ? give_up(k) : s;
}

plc_status read_peek(struct call *k, void *buffer, size_t capacity, plc_found *found) {
    plc_status s = PLC_BUSY;
    for (unsigned i = 0; i < INDEX_TRIES && s == PLC_BUSY; i++) {
        s = read_pinned(k, buffer, capacity, found, false);
    }
    return s == PLC_BUSY ? give_up(k) : s;
}

/* ---- in place ------------------------------------------------------------------------------- */

/* One attempt.  PLC_BUSY: it has changed under the look. */
static plc_status lease_once(struct call *k, uint64_t *ticket, const uint8_t **value, plc_found *found) {
    struct hit hit;
    plc_status s = look_whole(k, &hit);
    if (s != PLC_OK) {
        return s;
    }
    if (!entry_valid(k, &hit.e)) {
        s = PLC_MISS;
    } else {
        s = hit.e.spec.options & ENTRY_OWN ? lease_take(k, &hit, ticket) : PLC_COPY;
        *value = hit.e.value;
        describe(k, &hit.e, found);
        mark_visited(index_visited(k, hit.way));
    }
    index_unpin(k);
    return s;
}

plc_status read_lease(struct call *k, uint16_t name, uint64_t *ticket, const uint8_t **value, plc_found *found) {
    plc_status s = PLC_BUSY;
    for (unsigned i = 0; i < INDEX_TRIES && s == PLC_BUSY; i++) {
        s = lease_once(k, ticket, value, found);
    }
    if (s == PLC_COPY) { /* counted as a hit or a miss when it is read */
        count(k, COUNT_LEASES_COPIED, found->length >= k->c->geo.own_bytes ? 1 : 0);
        return s;
    }
    return counted(k, s == PLC_BUSY ? give_up(k) : s, name);
}

/* ---- many ------------------------------------------------------------------------------------ */

/* A read of a large region waits for memory three times, each time for what the last told it: bucket, page word and
 * entry.  Of many keys these waits overlap: the hashes of a group, then all their buckets, then all their entries
 * are asked for before the first of them is read. */
#define GROUP 16u
#define GROUP_KEY 48u /* longer keys are read one by one */

struct ahead {
    uint64_t hash;
    uint32_t length; /* 0: not looked at ahead */
    uint8_t key[GROUP_KEY];
};

static void ask_bucket(struct call *k, const void *key, size_t length, struct ahead *a) {
    a->length = 0;
    if (key == NULL || length == 0 || length > GROUP_KEY || domain_overlaps(k->c, key, length)) {
        return;
    }
    a->length = (uint32_t)length;
    copy_short(a->key, key, length);
    a->hash = hash_from(k->c->hash, a->key, length);
    index_place(k, a->hash);
    index_ask(k);
}

static void ask_entry(struct call *k, const struct ahead *a) {
    if (a->length != 0) {
        index_place(k, a->hash);
        index_ask_entry(k);
    }
}

static plc_status use_key(struct call *k, const struct read_batch *b, size_t i, const struct ahead *a) {
    if (a->length == 0) {
        return index_key(k, once_pointer(&b->keys[i]), once_size(&b->key_lengths[i]));
    }
    copy_short(k->key, a->key, a->length);
    k->key_length = a->length;
    index_place(k, a->hash);
    return PLC_OK;
}

/* What was read of a batch so far: bytes of the buffer that are taken, keys by their answers. */
struct progress {
    size_t used, hits, misses;
};

/* Keys [from, from + n) of the batch. */
static plc_status read_group(struct call *k, const struct read_batch *b, size_t from, size_t n, struct progress *p) {
    struct ahead ahead[GROUP];
    for (size_t i = 0; i < n; i++) {
        ask_bucket(k, once_pointer(&b->keys[from + i]), once_size(&b->key_lengths[from + i]), &ahead[i]);
    }
    for (size_t i = 0; i < n; i++) {
        ask_entry(k, &ahead[i]);
    }
    for (size_t i = 0; i < n; i++) {
        plc_found *found = &b->found[from + i];
        plc_status s = use_key(k, b, from + i, &ahead[i]);
        if (s != PLC_OK) {
            return s;
        }
        plc_status one = read_one(k, b->buffer + p->used, b->capacity - p->used, found);
        if (one == PLC_AGAIN) {
            return one;
        }
        found->status = (uint32_t)one;
        found->offset = p->used;
        if (one == PLC_OK) {
            size_t next = p->used + ((found->length + ALIGN - 1) & ~(size_t)(ALIGN - 1));
            p->used = next < b->capacity ? next : b->capacity;
            p->hits++;
        } else if (one == PLC_MISS) {
            p->misses++;
        }
    }
    return PLC_OK;
}

plc_status read_many(struct call *k, const struct read_batch *b) {
    struct progress p = {0, 0, 0};
    for (size_t from = 0; from < b->count; from += GROUP) {
        size_t n = b->count - from < GROUP ? b->count - from : GROUP;
        plc_status s = read_group(k, b, from, n, &p);
        if (s != PLC_OK) {
            return s; /* nothing is counted: the caller comes again with all of them */
        }
    }
    count(k, COUNT_HITS, p.hits);
    count(k, COUNT_MISSES, p.misses);
    if (b->name != 0) {
        read_count_name(k, PLC_OK, b->name, p.hits);
        read_count_name(k, PLC_MISS, b->name, p.misses);
    }
    count(k, COUNT_GET_MANY_KEYS, b->count);
    return PLC_OK;
}
