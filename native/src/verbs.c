/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs.c: see verbs.h. */
#include "verbs.h"

#include "counters.h"

#define DIGITS_MOST 20u /* of a number of 64 bits */

/* ---- admitting ------------------------------------------------------------------------------- */

static plc_status admit_set(struct store *st, const struct hit *hit) {
    (void)st;
    (void)hit;
    return PLC_OK;
}

static plc_status admit_add(struct store *st, const struct hit *hit) {
    return hit != NULL && entry_valid(st->k, &hit->e) ? PLC_EXISTS : PLC_OK;
}

static plc_status admit_present(struct store *st, const struct hit *hit) {
    return hit != NULL && entry_valid(st->k, &hit->e) ? PLC_OK : PLC_MISS;
}

/* What is built from an entry gets a checksum of its own: a damaged one must not get a new one that holds. */
static plc_status admit_whole(struct store *st, const struct hit *hit) {
    plc_status s = admit_present(st, hit);
    if (s == PLC_OK && !entry_whole(st->k->c, &hit->e)) {
        count(st->k, COUNT_CORRUPT_SEEN, 1);
        return PLC_MISS;
    }
    return s;
}

static plc_status admit_cas(struct store *st, const struct hit *hit) {
    plc_status s = admit_present(st, hit);
    return s == PLC_OK && hit->e.spec.token != st->token ? PLC_EXISTS : s;
}

/* Only the claim itself gives way to what was computed under it: whoever has set, deleted or taken it over
 * has voided it. */
static plc_status admit_publish(struct store *st, const struct hit *hit) {
    const struct call *k = st->k;
    if (hit == NULL || !hit->e.intact || hit->e.spec.kind != ENTRY_CLAIM || hit->e.spec.token != st->token) {
        return PLC_MISS;
    }
    return hit->e.spec.deadline_ms != 0 && hit->e.spec.deadline_ms <= k->now_ms ? PLC_MISS : PLC_OK;
}

/* ---- building from the old entry ------------------------------------------------------------- */

/* What the new entry inherits: all but its length. */
static void inherit(struct store *st, const struct hit *hit, uint64_t length) {
    st->spec = hit->e.spec;
    st->spec.key = st->k->key;
    st->spec.options &= (uint8_t)~ENTRY_PAGED; /* by its own length */
    st->spec.length = length;
}

/* Writes header and key of the new entry, if the room that was made is of the right kind and size. */
static plc_status begin(struct store *st, uint8_t **value) {
    struct fill *f = &st->fill;
    if (f->committed && !f->own) { /* the swap was lost: below the mark nothing is written again */
        run_dead(st->k, f->head, f->gen, f->bytes);
        run_next(f);
    }
    entry_choose(st->k->c, &st->spec, false);
    if (((st->spec.options & ENTRY_OWN) != 0) != f->own || entry_bytes(&st->spec) > run_room(f)) {
        return PLC_TOO_SMALL;
    }
    *value = run_write(st->k, f, &st->spec);
    count(st->k, COUNT_BYTES_WRITTEN, f->bytes);
    return PLC_OK;
}

static plc_status admit_extend(struct store *st, const struct hit *hit) {
    plc_status s = admit_whole(st, hit);
    if (s == PLC_OK && hit->e.spec.type != PLC_TYPE_BYTES) {
        return PLC_WRONG_TYPE;
    }
    if (s == PLC_OK) {
        inherit(st, hit, hit->e.spec.length + st->given);
    }
    return s;
}

static plc_status build_extend(struct store *st, const struct hit *hit) {
    uint8_t *to;
    st->spec.token = store_token(st);
    plc_status s = begin(st, &to);
    if (s != PLC_OK) {
        return s;
    }
    uint8_t *old_at = st->front ? to + st->given : to;
    uint8_t *new_at = st->front ? to : to + hit->e.spec.length;
    fill_value(old_at, hit->e.value, hit->e.spec.length);
    store_parts(st, new_at);
    run_sign(st->k, &st->fill);
    return PLC_OK;
}

/* A new value in the place of a certain one.  Of that one's header all but type and flags stays, its sum and the moment
 * of its creation too: what is invalidated meanwhile stays so. */
static plc_status admit_remake(struct store *st, const struct hit *hit) {
    plc_status s = admit_cas(st, hit);
    if (s == PLC_OK && hit->e.spec.type != st->seen_type) {
        return PLC_EXISTS; /* another one of the same token, which was a caller's own */
    }
    if (s == PLC_OK && (hit->e.spec.options & ENTRY_IMMUTABLE)) {
        return PLC_WRONG_TYPE;
    }
    if (s == PLC_OK) {
        inherit(st, hit, st->given);
        st->spec.type = st->type;
        st->spec.client_flags = st->client_flags;
        st->spec.deadline_ms = st->renews ? st->deadline_ms : hit->e.spec.deadline_ms;
    }
    return s;
}

static plc_status build_remake(struct store *st, const struct hit *hit) {
    (void)hit;
    uint8_t *to;
    st->spec.token = store_token(st);
    plc_status s = begin(st, &to);
    if (s == PLC_OK) {
        store_parts(st, to);
        run_sign(st->k, &st->fill);
    }
    return s;
}

/* A decimal number of 64 bits; spaces behind it are allowed, as memcached leaves them after decr. */
static bool parse(const uint8_t *text, uint64_t length, uint64_t *number) {
    uint64_t n = 0, i = 0;
    for (; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
        if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, (uint64_t)(text[i] - '0'), &n)) {
            return false;
        }
    }
    *number = n;
    bool any = i > 0 && i <= DIGITS_MOST + 1;
    while (i < length && text[i] == ' ') {
        i++;
    }
    return any && i == length;
}

/* The digits of n at the end of text.  Returns how many they are. */
static uint32_t digits(uint64_t n, uint8_t text[DIGITS_MOST]) {
    uint32_t at = DIGITS_MOST;
    do {
        text[--at] = (uint8_t)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    return DIGITS_MOST - at;
}

static plc_status admit_number(struct store *st, const struct hit *hit) {
    plc_status s = admit_whole(st, hit);
    if (s != PLC_OK) {
        return s;
    }
    uint8_t text[64];
    uint64_t n = 0;
    if (hit->e.spec.length > sizeof text || hit->e.spec.type > PLC_TYPE_INT) {
        return PLC_NOT_A_NUMBER;
    }
    copy_racing(text, hit->e.value, hit->e.spec.length);
    if (!parse(text, hit->e.spec.length, &n)) {
        return PLC_NOT_A_NUMBER;
    }
    st->number = st->down ? (n > st->delta ? n - st->delta : 0) : n + st->delta;
    inherit(st, hit, digits(st->number, st->text));
    return PLC_OK;
}

static plc_status build_number(struct store *st, const struct hit *hit) {
    (void)hit;
    uint8_t *to;
    st->spec.token = store_token(st);
    plc_status s = begin(st, &to);
    if (s == PLC_OK) {
        fill_racing(to, st->text + DIGITS_MOST - st->spec.length, st->spec.length);
        run_sign(st->k, &st->fill);
    }
    return s;
}

static plc_status admit_touch(struct store *st, const struct hit *hit) {
    plc_status s = admit_whole(st, hit);
    if (s == PLC_OK) {
        inherit(st, hit, hit->e.spec.length);
        st->spec.deadline_ms = st->deadline_ms;
    }
    return s;
}

static plc_status build_same(struct store *st, const struct hit *hit) {
    uint8_t *to;
    plc_status s = begin(st, &to);
    if (s == PLC_OK) {
        fill_value(to, hit->e.value, hit->e.spec.length);
        run_sign(st->k, &st->fill);
    }
    return s;
}

/* ---- the verbs ------------------------------------------------------------------------------- */

static const struct {
    plc_status (*admit)(struct store *, const struct hit *);
    plc_status (*build)(struct store *, const struct hit *);
    unsigned counter;
} verbs[] = {
    [PLC_SET] = {admit_set, NULL, COUNT_SETS},
    [PLC_ADD] = {admit_add, NULL, COUNT_ADDS},
    [PLC_REPLACE] = {admit_present, NULL, COUNT_REPLACES},
    [PLC_CAS] = {admit_cas, NULL, COUNT_CAS},
    [PLC_APPEND] = {admit_extend, build_extend, COUNT_APPENDS},
    [PLC_PREPEND] = {admit_extend, build_extend, COUNT_APPENDS},
    [PLC_PUBLISH] = {admit_publish, NULL, COUNT_PUBLISHED},
    [PLC_REMAKE] = {admit_remake, build_remake, COUNT_CAS},
};

plc_status verb_given(struct store *st, struct call *k, plc_verb verb, const plc_entry *e) {
    if ((unsigned)verb >= sizeof verbs / sizeof verbs[0]) {
        return PLC_INVALID;
    }
    store_begin(st, k);
    st->admit = verbs[verb].admit;
    st->build = verbs[verb].build;
    st->token = e->token;
    st->front = verb == PLC_PREPEND;
    if (verb == PLC_REMAKE) {
        st->type = e->type;
        st->seen_type = e->seen_type;
        st->client_flags = e->client_flags;
        st->deadline_ms = e->deadline_ms;
        st->renews = e->options & PLC_NEW_DEADLINE;
    }
    return store_spec(st, e);
}

plc_status verb_store(struct store *st, plc_verb verb) {
    store_sum(st);
    plc_status s = store_run(st);
    if (s == PLC_OK) {
        count(st->k, verbs[verb].counter, 1);
    } else if (verb == PLC_PUBLISH && s == PLC_MISS) {
        count(st->k, COUNT_PUBLISH_VOID, 1);
    }
    return s;
}

plc_status verb_seal(struct store *st) {
    st->admit = admit_set;
    plc_status s = store_run(st);
    if (s == PLC_OK) {
        count(st->k, COUNT_SETS, 1);
    }
    return s;
}

plc_status verb_delete(struct call *k) {
    fence_full(); /* a claim made before now is seen */
    bool removed = false;
    plc_status s = PLC_OK;
    for (unsigned i = 0; i < SWAPS_MOST && s == PLC_OK; i++) { /* MISS: both buckets were walked to their end */
        struct hit hit;
        s = index_look(k, &hit);
        if (s == PLC_OK) {
            bool valid = entry_valid(k, &hit.e);
            removed = (store_unlink(k, &hit) && valid) || removed;
        }
    }
    index_unpin(k);
    if (removed) { /* AGAIN and BUSY say that nothing was changed */
        count(k, COUNT_DELETES, 1);
        return PLC_OK;
    }
    return s == PLC_OK ? PLC_BUSY : s;
}

plc_status verb_incr(struct call *k, uint64_t delta, bool down, uint64_t *result) {
    struct store st;
    store_begin(&st, k);
    st.admit = admit_number;
    st.build = build_number;
    st.delta = delta;
    st.down = down;
    plc_status s = store_run(&st);
    if (s == PLC_OK) {
        count(k, COUNT_INCRS, 1);
        *result = st.number;
    }
    return s;
}

/* A value with a run of its own is not copied for a new deadline: the word is stored in place, under the
 * shard lock, with the value pinned.  PLC_DONE: it is not such a value (any more). */
static plc_status touch_own(struct call *k, uint64_t deadline_ms) {
    struct hit hit;
    plc_status s = index_look(k, &hit);
    if (s != PLC_OK || !entry_valid(k, &hit.e) || hit.e.deadline_at == NULL || !(hit.e.spec.options & ENTRY_OWN)) {
        bool valid = s == PLC_OK && entry_valid(k, &hit.e);
        index_unpin(k);
        return valid ? PLC_DONE : s == PLC_OK ? PLC_MISS : s;
    }
    index_unpin(k); /* no pin is held into the lock: looked at anew under it */
    struct lock_held held;
    s = call_lock(k, &held);
    if (s != PLC_OK) {
        return s;
    }
    s = index_look(k, &hit);
    if (s == PLC_OK && !entry_valid(k, &hit.e)) {
        s = PLC_MISS;
    } else if (s == PLC_OK && !(hit.e.spec.options & ENTRY_OWN)) {
        s = PLC_DONE;
    } else if (s == PLC_OK && hit.e.deadline_at != NULL) {
        word_put_rlx(hit.e.deadline_at, entry_deadline_word(deadline_ms));
    }
    index_unpin(k);
    call_unlock(k, &held);
    return s;
}

plc_status verb_touch(struct call *k, uint64_t deadline_ms) {
    fence_full();
    plc_status s = touch_own(k, deadline_ms);
    if (s == PLC_DONE) {
        struct store st;
        store_begin(&st, k);
        st.admit = admit_touch;
        st.build = build_same;
        st.deadline_ms = deadline_ms;
        st.renews = true;
        s = store_run(&st);
    }
    if (s == PLC_OK) {
        count(k, COUNT_TOUCHES, 1);
    }
    return s;
}
