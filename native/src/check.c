/* SPDX-License-Identifier: BSD-3-Clause */
/* check.c: see check.h. */
#include "check.h"

#define SLICE_BUCKETS 512u
#define SLICE_PAGES 4096u
#define PHASE_SHIFT 60

enum phase { PHASE_REGION, PHASE_INDEX, PHASE_PAGES, PHASE_END };

struct report {
    plc_finding *findings;
    size_t capacity, count;
};

static void report(struct report *r, uint32_t invariant, uint64_t where, uint64_t value) {
    if (r->count < r->capacity) {
        r->findings[r->count++] = (plc_finding){.invariant = invariant, .where = where, .value = value};
    }
}

/* I9 and I10 */
static void check_region(struct call *k, struct report *r) {
    plc_cache *c = k->c;
    const struct shm_superblock *s = c->super;
    if (s->magic != LAYOUT_MAGIC || s->format != region_format() || s->size_bytes != c->geo.size_bytes ||
        s->expected_entry != c->geo.expected_entry || s->region_id != c->region_id) {
        report(r, 9, 0, s->format);
    }
    for (uint32_t slot = 1; slot <= c->geo.slots; slot++) {
        const struct shm_process *row = process_row(c, slot);
        uint64_t high = word_acq(&row->pins_high);
        for (uint32_t i = 0; (word_acq(&row->inc) & 1u) && i < TICKETS + high && i < TICKETS + c->geo.counted_pins;
             i++) {
            uint64_t cell = i < TICKETS ? word_acq(&row->transient[i]) : word_acq(&row->counted[i - TICKETS]);
            if (cell != 0 && (pin_head(cell) < c->geo.first_page || pin_head(cell) >= c->geo.end_page)) {
                report(r, 10, slot, cell);
            }
        }
    }
}

/* Is the same key in another slot of its buckets?  (I4)  The slot value seen there, or 0. */
static uint64_t same_key(struct call *k, const word *slot) {
    for (unsigned way = 0; way < INDEX_WAYS; way++) {
        struct entry e;
        uint64_t v = word_acq(index_slot(k, way));
        if (v == 0 || index_slot(k, way) == slot || slot_tag(v) != k->tag || !page_in_pool(k->c, slot_head(v))) {
            continue;
        }
        uint64_t w = word_acq(page_word(k->c, slot_head(v)));
        if (page_readable(w) && entry_read(k->c, v, w, &e) && entry_has_key(&e, k) && index_still(k, &e) &&
            word_acq(index_slot(k, way)) == v) {
            return v;
        }
    }
    return 0;
}

/* I11; a value is looked at even if this process has verified it before. */
static bool sums_hold(const plc_cache *c, const struct entry *e) {
    const struct entry_place nowhere = {0, 0, 0};
    return !c->persistent ||
           (e->intact && entry_value_holds(c, nowhere, false, e->value, e->spec.length, e->value_check));
}

/* The number of the invariant that the slot breaks, or 0. */
static uint32_t slot_breaks(struct call *k, uint64_t bucket, const word *slot, uint64_t *value) {
    plc_cache *c = k->c;
    uint64_t v = word_acq(slot);
    *value = v;
    if (v == 0) {
        return 0;
    }
    uint32_t head = slot_head(v);
    if (!page_in_pool(c, head)) {
        return pages_unseen(k, (uint64_t)head + 1) ? 0 : 1;
    }
    uint64_t w = word_acq(page_word(c, head));
    struct entry e;
    if (!page_readable(w)) {
        return 1;
    }
    if (!entry_read(c, v, w, &e)) {
        return pages_unseen_run(k, head) ? 0 : 2;
    }
    index_of_entry(k, &e);
    const struct shm_bucket *b = &c->buckets[bucket];
    if (slot_tag(v) != k->tag || (b != k->buckets[0] && b != k->buckets[1])) {
        return 3;
    }
    if (same_key(k, slot) != 0 && word_acq(slot) == v) {
        return 4;
    }
    return sums_hold(c, &e) || !index_still(k, &e) ? 0 : 11;
}

static void check_bucket(struct call *k, uint64_t bucket, struct report *r) {
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        const word *slot = &k->c->buckets[bucket].slots[i];
        uint64_t first, again;
        uint32_t broken = slot_breaks(k, bucket, slot, &first);
        if (broken != 0 && slot_breaks(k, bucket, slot, &again) == broken && again == first) {
            report(r, broken, bucket * BUCKET_SLOTS + i, first);
        }
    }
}

/* I5 and I7; the word that was looked at in *value. */
static uint32_t page_breaks(struct call *k, uint32_t page, uint64_t *value) {
    plc_cache *c = k->c;
    uint64_t w = word_acq(page_word(c, page));
    *value = w;
    if (page_state(w) == PAGE_CONT) {
        uint32_t head = page_cont_head(w);
        uint64_t hw = page_in_pool(c, head) ? word_acq(page_word(c, head)) : 0;
        bool same = (page_readable(hw) || page_state(hw) == PAGE_FREEING) && page_gen(hw) == page_gen(w);
        return same && head < page ? 0 : 5;
    }
    if (page_readable(w) && page_state(w) != PAGE_OPEN && !pages_unseen_run(k, page)) {
        uint64_t a = word_acq(page_side_a(c, page)), b = word_acq(page_side_b(c, page));
        uint64_t run_bytes = (uint64_t)pages_of_run(c, page, a) << PAGE_SHIFT;
        uint64_t dead = side_a_own(a) ? 0 : (uint64_t)side_b_dead(b) * ALIGN;
        bool fits = run_bytes != 0 && side_a_mark(a) <= run_bytes && dead <= side_a_mark(a);
        return fits && side_b_gen(b) == (page_gen(w) & 0x3fffffu) ? 0 : 7;
    }
    return 0;
}

static void check_page(struct call *k, uint32_t page, struct report *r) {
    uint64_t first, again;
    uint32_t broken = page_breaks(k, page, &first);
    if (broken != 0 && page_breaks(k, page, &again) == broken && again == first) {
        report(r, broken, page, first);
    }
}

static uint64_t phase_end(const plc_cache *c, enum phase phase) {
    return phase == PHASE_REGION ? 1 : phase == PHASE_INDEX ? walk_buckets(c) : pages_limit(c);
}

plc_status check_slice(struct call *k, uint64_t *cursor, plc_finding *findings, size_t capacity, size_t *count_of) {
    plc_cache *c = k->c;
    struct report r = {findings, capacity, 0};
    enum phase phase = (enum phase)(*cursor >> PHASE_SHIFT);
    uint64_t at = BITS(*cursor, 0, PHASE_SHIFT);
    if (phase == PHASE_PAGES && at < c->geo.first_page) {
        at = c->geo.first_page;
    }
    uint64_t slice = phase == PHASE_PAGES ? SLICE_PAGES : SLICE_BUCKETS;
    uint64_t end = phase < PHASE_END ? phase_end(c, phase) : 0;
    for (uint64_t i = 0; i < slice && at < end && r.count + BUCKET_SLOTS <= capacity; i++, at++) {
        if (phase == PHASE_REGION) {
            check_region(k, &r);
        } else if (phase == PHASE_INDEX) {
            check_bucket(k, at, &r);
        } else {
            check_page(k, (uint32_t)at, &r);
        }
    }
    *count_of = r.count;
    if (at >= end) {
        phase = phase < PHASE_END ? phase + 1 : PHASE_END;
        at = 0;
    }
    *cursor = (uint64_t)phase << PHASE_SHIFT | at;
    return phase >= PHASE_END ? PLC_DONE : PLC_OK;
}
