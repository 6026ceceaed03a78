/* SPDX-License-Identifier: BSD-3-Clause */
/* lease.c: see lease.h; the order of its stores is `lease` and `unlease` in layout.h. */
#include "lease.h"

#include "counters.h"

#define SEEN_WORDS 1024u /* of a set of runs, by a hash: who shares a bit is taken for the same */

/* ---- how much is held ------------------------------------------------------------------------ */

static uint32_t rows_used(const plc_cache *c) {
    uint64_t used = word_rlx(&c->super->slots_used.value);
    return used < c->geo.slots ? (uint32_t)used : c->geo.slots;
}

static bool row_lives(const struct shm_process *row) {
    return (word_acq(&row->inc) & 1u) != 0;
}

/* Bytes that the rows say; a run that several hold is in it several times. */
static uint64_t bytes_said(const plc_cache *c) {
    uint64_t bytes = 0;
    for (uint32_t s = 1; s <= rows_used(c); s++) {
        const struct shm_process *row = process_row(c, s);
        if (row_lives(row)) {
            bytes += word_rlx(&row->leased) + word_rlx(&row->reserved);
        }
    }
    return bytes;
}

/* Is it the first look at that run? */
static bool first_seen(uint64_t seen[SEEN_WORDS], uint32_t head) {
    uint64_t bit = hash_mix(head) % (SEEN_WORDS * 64u), word_before = seen[bit / 64];
    seen[bit / 64] |= 1ull << bit % 64;
    return (word_before >> bit % 64 & 1u) == 0;
}

static uint64_t pages_of_row(const plc_cache *c, const struct shm_process *row, uint64_t seen[SEEN_WORDS]) {
    uint64_t pages = word_rlx(&row->reserved) >> PAGE_SHIFT, high = word_acq(&row->pins_high);
    for (uint64_t i = 0; i < high && i < c->geo.counted_pins; i++) {
        uint32_t head = pin_head(word_acq(&row->counted[i]));
        if (page_in_pool(c, head) && first_seen(seen, head)) {
            pages += pages_of_run(c, head, word_rlx(page_side_a(c, head)));
        }
    }
    return pages;
}

/* Beside a run that is counted already. */
static uint64_t pages_beside(const plc_cache *c, uint32_t head) {
    uint64_t seen[SEEN_WORDS] = {0}, pages = 0;
    (void)first_seen(seen, head);
    for (uint32_t s = 1; s <= rows_used(c); s++) {
        const struct shm_process *row = process_row(c, s);
        pages += row_lives(row) ? pages_of_row(c, row, seen) : 0;
    }
    return pages;
}

/* Too much is held: is one of the holders dead?  Of the others the one is asked after, at the end of the call, who was
 * not for longest; for nobody else may have a reason to, and what the dead hold would be missing for ever. */
static void suspect_holder(struct call *k) {
    plc_cache *c = k->c;
    for (uint32_t s = 1; s <= rows_used(c); s++) {
        const struct shm_process *row = process_row(c, s);
        if (s != owner_slot(k->owner) && row_lives(row) && (word_rlx(&row->leased) | word_rlx(&row->reserved)) != 0 &&
            (k->suspect == 0 || word_rlx(&c->reaped_ms[s]) < word_rlx(&c->reaped_ms[k->suspect]))) {
            k->suspect = s;
        }
    }
}

/* What the rows say is never less than the truth, and cheap; only if it is too much each run is counted once. */
bool lease_room(struct call *k, uint32_t head, uint64_t pages) {
    const plc_cache *c = k->c;
    bool room = pages <= c->held_most && ((bytes_said(c) >> PAGE_SHIFT) + pages <= c->held_most ||
                                          pages_beside(c, head) + pages <= c->held_most);
    if (!room) {
        suspect_holder(k);
    }
    return room;
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* Makes the cell name the run.  Evictors look at the cells below pins_high. */
static void name_run(struct call *k, uint32_t cell, uint32_t head) {
    struct shm_process *row = k->row;
    if (word_rlx(&row->pins_high) <= cell) {
        word_put_rel(&row->pins_high, cell + 1);
    }
    word_put_rel(&row->counted[cell], pin_make(head, 0));
    fence_full();
}

static void keep(struct call *k, uint32_t cell, uint64_t *ticket) {
    struct holding *h = k->c->holding;
    if (h->held[cell].count++ == 0) {
        word_add_rlx(&k->row->leased, (uint64_t)h->held[cell].pages << PAGE_SHIFT);
    }
    h->leases++;
    *ticket = ticket_make(h, cell);
    count(k, COUNT_LEASES, 1);
}

plc_status lease_take(struct call *k, const struct hit *hit, uint64_t *ticket) {
    plc_cache *c = k->c;
    struct holding *h = c->holding;
    uint32_t head = hit->e.head;
    int cell = holding_find(h, head);
    if (h->leases >= HELD_MOST) {
        return PLC_COPY;
    }
    if (cell < 0) { /* the first lease of that run in this process */
        uint32_t pages = pages_of_run(c, head, word_rlx(page_side_a(c, head)));
        cell = pages != 0 && lease_room(k, head, pages) ? holding_add(h, head, page_gen(hit->e.head_word), pages) : -1;
        if (cell < 0) {
            return PLC_COPY;
        }
        name_run(k, (uint32_t)cell, head);
        if (word_acq(index_slot(k, hit->way)) != hit->e.slot) {
            word_put_rel(&k->row->counted[cell], 0);
            holding_remove(h, (uint32_t)cell);
            return PLC_BUSY;
        }
    }
    keep(k, (uint32_t)cell, ticket);
    return PLC_OK;
}

plc_status lease_own(struct call *k, const struct fill *f, uint64_t *ticket) {
    int cell = holding_add(k->c->holding, f->head, f->gen, f->pages);
    if (cell < 0) {
        return PLC_FULL;
    }
    name_run(k, (uint32_t)cell, f->head);
    keep(k, (uint32_t)cell, ticket);
    return PLC_OK;
}

/* ---- giving back ----------------------------------------------------------------------------- */

/* The last to leave frees what is in limbo, even if nobody else comes: the cell, a fence, the head's word; who puts
 * it into limbo looks at the cells behind a fence of his own. */
static void leave_run(struct call *k, uint32_t cell) {
    plc_cache *c = k->c;
    const struct held *held = &c->holding->held[cell];
    word_put_rel(&k->row->counted[cell], 0);
    word_add_rlx(&k->row->leased, -((uint64_t)held->pages << PAGE_SHIFT));
    if (c->holding->used == 1) {
        word_put_rel(&k->row->pins_high, 0);
    }
    fence_full();
    uint64_t w = word_acq(page_word(c, held->head));
    if (page_state(w) == PAGE_LIMBO && page_gen(w) == held->gen) {
        (void)evict_run(k, held->head, EVICT_ALL);
    }
}

bool lease_drop(plc_cache *c, uint64_t ticket) {
    struct holding *h = c->holding;
    int cell = ticket_cell(h, ticket);
    if (cell < 0) {
        return true;
    }
    if (h->held[cell].count == 1) {
        struct call k;
        if (!call_enter_late(&k, c)) {
            return false;
        }
        leave_run(&k, (uint32_t)cell);
        holding_remove(h, (uint32_t)cell);
        (void)call_leave(&k, PLC_OK);
    } else {
        h->held[cell].count--;
    }
    h->leases--;
    return true;
}
