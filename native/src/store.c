/* SPDX-License-Identifier: BSD-3-Clause */
/* store.c: the steps that all writing operations share; see store.h, and `store` and `lock` in layout.h. */
#include "store.h"

#include "counters.h"

enum { LOST = -1 }; /* the swap was lost: look again */

plc_status store_spec(struct store *st, const plc_entry *e) {
    plc_cache *c = st->k->c;
    struct spec *s = &st->spec;
    uint64_t length = 0;
    const plc_part *parts = *(const plc_part *const volatile *)&e->parts;
    size_t part_count = once_size(&e->part_count);
    if ((parts == NULL && part_count != 0) || part_count > SIZE_MAX / sizeof *parts ||
        domain_overlaps(c, parts, part_count * sizeof *parts)) {
        return PLC_INVALID;
    }
    for (size_t i = 0; i < part_count; i++) {
        const plc_part *part = &parts[i];
        if (part->length > PLC_SIZE_MAX - length || (part->bytes == NULL && part->length != 0) ||
            domain_overlaps(c, part->bytes, part->length)) {
            return PLC_INVALID;
        }
        length += part->length;
    }
    s->key = st->k->key;
    s->key_length = st->k->key_length;
    s->kind = ENTRY_VALUE;
    s->type = e->type;
    s->options = (uint8_t)((e->options & PLC_KEY_IS_TEXT ? ENTRY_TEXT : 0u) |
                           (e->options & PLC_IMMUTABLE ? ENTRY_IMMUTABLE : 0u) | (c->persistent ? ENTRY_CHECKSUM : 0u));
    s->cost = e->cost;
    s->name = e->name;
    memcpy(s->tags, e->tags, sizeof s->tags);
    s->length = length;
    s->sum = e->sum;
    s->deadline_ms = e->deadline_ms;
    s->created = entry_created_now(st->k);
    s->client_flags = e->client_flags;
    st->parts = parts;
    st->part_count = part_count;
    st->given = length;
    st->own_token = e->own_token;
    return PLC_OK;
}

void store_sum(struct store *st) {
    struct spec *s = &st->spec;
    if (s->sum == 0) {
        s->sum = name_sum(st->k->c, s->name, s->tags);
    }
}

uint64_t store_token(struct store *st) {
    bool own = st->own_token != 0 && !(st->spec.options & ENTRY_IMMUTABLE);
    return own ? st->own_token : call_token(st->k);
}

/* In its place, in prepare: as a call of its own it made set slower, and the compiler chose that. */
static inline __attribute__((always_inline)) void copy_parts(const struct store *st, uint8_t *to) {
    uint64_t left = st->given;
    for (size_t i = 0; i < st->part_count; i++) {
        /* looked at once more, so checked once more: never beyond the room, never from the region */
        uint64_t n = once_size(&st->parts[i].length);
        const void *bytes = once_pointer(&st->parts[i].bytes);
        n = n < left ? n : left;
        if (!domain_overlaps(st->k->c, bytes, n)) {
            fill_value(to, bytes, n);
            to += n;
            left -= n;
        }
    }
    if (__builtin_expect(left != 0, 0)) {
        memset(to, 0, left); /* the caller has changed them meanwhile: not what lay there before */
    }
}

void store_parts(const struct store *st, uint8_t *to) {
    copy_parts(st, to);
}

/* Of who only wants room (store_room); it is never called. */
static plc_status build_later(struct store *st, const struct hit *hit) {
    (void)st;
    (void)hit;
    return PLC_DONE;
}

/* Makes room and writes the entry; of an entry that is built from the old one only room is made. */
static plc_status prepare(struct store *st) {
    index_ask_entry(st->k); /* a hint only: loaded before the pin, not believed */
    plc_status s = st->placed ? PLC_OK : space_prepare(st->k, &st->spec, &st->fill);
    if (s != PLC_OK || st->build != NULL) {
        return s == PLC_OK && st->build == build_later ? PLC_DONE : s;
    }
    st->spec.token = store_token(st);
    uint8_t *to = run_write(st->k, &st->fill, &st->spec);
    copy_parts(st, to);
    run_sign(st->k, &st->fill);
    count(st->k, COUNT_BYTES_WRITTEN, st->fill.bytes);
    return PLC_OK;
}

bool store_unlink(struct call *k, const struct hit *hit) {
    if (!word_swap(index_slot(k, hit->way), hit->e.slot, 0)) {
        return false;
    }
    run_dead(k, hit->e.head, page_gen(hit->e.head_word), entry_dead_bytes(&hit->e));
    if (hit->e.spec.kind == ENTRY_CLAIM) {
        wake_later(k, index_wait_word(k));
    }
    index_unpin(k);
    return true;
}

/* Swaps the slot from what was found (or from empty, or from a victim) to the new entry, which gets these marks. */
static bool publish(struct store *st, unsigned way, uint64_t old, uint8_t marks) {
    run_commit(st->k, &st->fill);
    if (!word_swap(index_slot(st->k, way), old, run_place(st->k, &st->fill))) {
        return false;
    }
    st->fill.published = true;
    index_mark(st->k, way, marks);
    return true;
}

static void note_replaced(struct store *st, const struct entry *e) {
    st->replaced.head = e->head;
    st->replaced.gen = page_gen(e->head_word);
    st->replaced.bytes = entry_dead_bytes(e);
    st->replaced.kind = e->spec.kind;
}

static void account_replaced(struct store *st) {
    if (st->replaced.bytes != 0) {
        run_dead(st->k, st->replaced.head, st->replaced.gen, st->replaced.bytes);
        if (st->replaced.kind == ENTRY_CLAIM) {
            wake_later(st->k, index_wait_word(st->k));
        }
    }
}

/* Gives the new entry the deadline that the old one has now.  False: it is over, or the new entry has no field for one:
 * the old one is to be looked at again.  pre: shard lock held. */
static bool follow_touch(struct store *st, const struct hit *hit) {
    uint64_t now = word_acq(hit->e.deadline_at), deadline_ms = entry_deadline_of(now);
    if (deadline_ms != 0 && deadline_ms <= st->k->now_ms) {
        return false;
    }
    if (st->renews) {
        return true;
    }
    struct entry mine;
    uint64_t w = word_rlx(page_word(st->k->c, st->fill.head));
    if (entry_read_at(st->k->c, st->fill.head, w, st->fill.mark, &mine) && mine.deadline_at != NULL) {
        word_put_rlx(mine.deadline_at, now);
        return true;
    }
    return deadline_ms == st->spec.deadline_ms;
}

/* A value that is built from one with a run of its own: that one's deadline may be changed in place, by
 * touch, under the shard lock.  So the swap is under it too, and the deadline is looked at again. */
static plc_status publish_touched(struct store *st, const struct hit *hit, uint8_t marks) {
    struct lock_held held;
    plc_status s = call_lock(st->k, &held);
    if (s != PLC_OK) {
        return s;
    }
    bool won = follow_touch(st, hit) && publish(st, hit->way, hit->e.slot, marks);
    call_unlock(st->k, &held);
    return won ? PLC_OK : PLC_MISS;
}

/* A found, pinned entry: is it to be replaced, and with what?  PLC_OK: done; LOST; or the answer. */
static int replace_found(struct store *st, const struct hit *hit) {
    plc_status s = hit == &st->early ? PLC_OK : st->admit(st, hit);
    if (s == PLC_OK && st->build != NULL) {
        s = st->build(st, hit);
    }
    if (s != PLC_OK) {
        return (int)s;
    }
    uint8_t marks = hit->e.spec.kind == ENTRY_VALUE ? VISITED_USED : 0; /* stored again: the key is in use */
    if (st->build != NULL) {
        marks |= index_marks(st->k, hit->way) & VISITED_READ; /* what is built from it has been read when it has */
    }
    s = st->build != NULL && (hit->e.spec.options & ENTRY_OWN) ? publish_touched(st, hit, marks)
        : publish(st, hit->way, hit->e.slot, marks)            ? PLC_OK
                                                               : PLC_MISS;
    if (s != PLC_OK) {
        return s == PLC_MISS ? LOST : (int)s;
    }
    note_replaced(st, &hit->e);
    return PLC_OK;
}

/* How little is lost when this way's entry makes room; larger is better. */
static unsigned worth_evicting(struct call *k, unsigned way, struct hit *hit) {
    plc_status s = index_look_way(k, way, hit);
    if (s != PLC_OK) { /* AGAIN: not known to this process yet; BUSY: somebody is at work on it */
        return s == PLC_MISS ? 5 : 1;
    }
    if (!entry_current(k, &hit->e)) {
        return 4;
    }
    if (entry_live_claim(k, &hit->e)) {
        return 0;
    }
    if (hit->e.spec.kind == ENTRY_CLAIM) {
        return 3;
    }
    return index_marks(k, way) & VISITED_USED ? 1 : 2;
}

/* All 14 ways are taken: the worst one gives way to the new entry.  pre: shard lock held. */
static int displace(struct store *st) {
    struct call *k = st->k;
    unsigned worst = 0, most = 0;
    uint64_t victim = 0;
    for (unsigned i = 0; i < INDEX_WAYS; i++) {
        struct hit hit;
        unsigned way = (i + k->tag) % INDEX_WAYS; /* not always the first of equals */
        unsigned worth = worth_evicting(k, way, &hit);
        if (worth > most || victim == 0) {
            most = worth;
            worst = way;
            victim = hit.e.slot;
        }
    }
    if (st->spec.kind == ENTRY_CLAIM && most == 0) {
        index_unpin(k);
        return PLC_FULL; /* a claim does not push out another */
    }
    struct hit hit;
    bool readable = index_look_way(k, worst, &hit) == PLC_OK;
    if (hit.e.slot != victim || victim == 0 || !publish(st, worst, victim, 0)) {
        return LOST;
    }
    if (readable) {
        note_replaced(st, &hit.e);
    }
    count(k, COUNT_DISPLACED, 1);
    return PLC_OK;
}

/* The key was seen absent: under the shard lock, look again, and insert.  `held` is released by the caller. */
static int insert_locked(struct store *st) {
    struct call *k = st->k;
    struct hit hit;
    plc_status s = index_look(k, &hit);
    if (s == PLC_OK) {
        return replace_found(st, &hit);
    }
    if (s != PLC_MISS) {
        return (int)s;
    }
    s = st->admit(st, NULL);
    if (s != PLC_OK) {
        return (int)s;
    }
    int way = index_empty(k);
    if (way < 0) {
        return displace(st);
    }
    return publish(st, (unsigned)way, 0, 0) ? PLC_OK : LOST;
}

static int insert(struct store *st) {
    struct lock_held held;
    int s = (int)call_lock(st->k, &held);
    if (s != PLC_OK) {
        return s;
    }
    s = LOST;
    for (unsigned i = 0; i < SWAPS_MOST && s == LOST; i++) {
        s = insert_locked(st);
    }
    call_unlock(st->k, &held);
    return s == LOST ? PLC_BUSY : s;
}

/* One attempt: look, then replace or insert.  What is built from the entry that was admitted before room was made
 * is built from it, if it is still there: what admit has found out holds for it. */
static int attempt(struct store *st) {
    if (st->has_early) {
        st->has_early = false;
        if (index_look_again(st->k, &st->early)) {
            return replace_found(st, &st->early);
        }
    }
    struct hit hit;
    plc_status s = index_look(st->k, &hit);
    if (s == PLC_OK) {
        return replace_found(st, &hit);
    }
    if (s != PLC_MISS) {
        return (int)s;
    }
    s = st->admit(st, NULL);
    return s == PLC_OK ? insert(st) : (int)s;
}

/* Would the operation be refused anyway?  Asked before a large value is copied. */
static plc_status refused_early(struct store *st) {
    struct hit *hit = &st->early;
    plc_status s = index_look(st->k, hit);
    bool found = s == PLC_OK;
    if (s == PLC_OK || s == PLC_MISS) {
        s = st->admit(st, found ? hit : NULL);
    }
    index_unpin(st->k);
    st->has_early = found && s == PLC_OK && st->build != NULL;
    return s;
}

plc_status store_room(struct store *st) {
    st->build = build_later;
    plc_status s = store_run(st);
    return s == PLC_DONE ? PLC_OK : s;
}

plc_status store_run(struct store *st) {
    struct call *k = st->k;
    fence_full(); /* before the first slot load: a claim made before now is seen */
    index_ask(k); /* they come while the entry is written */
    if (st->build != NULL || st->ask_first || st->spec.length >= k->c->geo.own_bytes) {
        plc_status early = refused_early(st);
        if (early != PLC_OK) {
            return early;
        }
    }
    int s = LOST;
    for (unsigned rooms = 0; rooms < 8; rooms++) {
        plc_status room = prepare(st);
        if (room != PLC_OK) {
            return room;
        }
        for (unsigned i = 0; i < SWAPS_MOST && s == LOST; i++) {
            s = attempt(st);
        }
        account_replaced(st); /* before the pin goes: afterwards the run may be another */
        index_unpin(k);
        if (s != PLC_OK && st->placed) {
            break;
        }
        run_finish(k, &st->fill);
        if (s != PLC_TOO_SMALL) {
            break;
        }
        s = LOST; /* the old value has grown since its length was read */
    }
    s = s == LOST || s == PLC_TOO_SMALL ? PLC_BUSY : s;
    if (s == PLC_BUSY || s == PLC_FULL) {
        count(k, s == PLC_BUSY ? COUNT_STORES_REFUSED_BUSY : COUNT_STORES_REFUSED_FULL, 1);
    }
    return (plc_status)s;
}
