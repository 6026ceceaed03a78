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

/* The last to leave frees what is in limbo, even if nobody else comes: the cell, a fence, the head's word; who puts
 * it into limbo looks at the cells behind a fence of his own. */
static void leave_run(struct call *k, uint32_t cell, uint32_t head, uint32_t gen) {
    plc_cache *c = k->c;
    word_put_rel(&k->row->counted[cell], 0);
    if (c->holding->used == 1) {
        word_put_rel(&k->row->pins_high, 0);
    }
    fence_full();
    uint64_t w = word_acq(page_word(c, head));
    if (page_state(w) == PAGE_LIMBO && page_gen(w) == gen) {
        (void)evict_run(k, head, EVICT_ALL);
    }
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

/* A cell for a run that this process does not hold yet, or -1: too much is held. */
static int cell_for(struct call *k, uint32_t head, uint32_t gen) {
    const plc_cache *c = k->c;
    uint32_t pages = pages_of_run(c, head, word_rlx(page_side_a(c, head)));
    return pages != 0 && lease_room(k, head, pages) ? holding_add(c->holding, head, gen, pages) : -1;
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
        cell = cell_for(k, head, page_gen(hit->e.head_word));
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

/* Somebody is evicting it.  If he is dead, another one does it to the end, which is limbo: who told of it keeps it. */
static void finish_eviction(struct call *k, uint32_t head, uint64_t w) {
    if (owner_alive(k->c, w)) {
        k->suspect = owner_slot(w);
    } else {
        (void)evict_run(k, head, EVICT_ALL);
    }
}

/* Who evicts a run wins its head's word, fences, and looks at the cells; who names it stores a cell, fences, and looks
 * at the head's word.  If it is not being evicted then, whoever wins it later finds the cell. */
static plc_status name_told(struct call *k, uint32_t cell, uint32_t head, uint32_t gen) {
    plc_cache *c = k->c;
    name_run(k, cell, head);
    uint64_t w = word_acq(page_word(c, head));
    bool same = page_gen(w) == gen && page_readable(w), evicted = same && page_state(w) == PAGE_EVICT;
    if (same && !evicted) {
        return PLC_OK;
    }
    leave_run(k, cell, head, gen);
    if (evicted) {
        finish_eviction(k, head, w);
    }
    return evicted ? PLC_BUSY : PLC_MISS;
}

plc_status lease_take_at(struct call *k, uint32_t head, uint32_t gen, uint64_t *ticket) {
    plc_cache *c = k->c;
    struct holding *h = c->holding;
    int cell = holding_find(h, head);
    if (h->leases >= HELD_MOST) {
        return PLC_COPY;
    }
    if (cell >= 0 && h->held[cell].gen != gen) {
        return PLC_MISS;
    }
    if (cell < 0) {
        cell = cell_for(k, head, gen);
        if (cell < 0) {
            return PLC_COPY;
        }
        plc_status s = name_told(k, (uint32_t)cell, head, gen);
        if (s != PLC_OK) {
            holding_remove(h, (uint32_t)cell);
            return s;
        }
    }
    keep(k, (uint32_t)cell, ticket);
    return PLC_OK;
}

bool lease_run(const plc_cache *c, uint64_t ticket, uint32_t *head, uint32_t *gen) {
    int cell = ticket_cell(c->holding, ticket);
    if (cell < 0) {
        return false;
    }
    *head = c->holding->held[cell].head;
    *gen = c->holding->held[cell].gen;
    return true;
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

static void let_go(struct call *k, uint32_t cell) {
    const struct held *held = &k->c->holding->held[cell];
    leave_run(k, cell, held->head, held->gen);
    word_add_rlx(&k->row->leased, -((uint64_t)held->pages << PAGE_SHIFT));
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
        let_go(&k, (uint32_t)cell);
        holding_remove(h, (uint32_t)cell);
        (void)call_leave(&k, PLC_OK);
    } else {
        h->held[cell].count--;
    }
    h->leases--;
    return true;
}
