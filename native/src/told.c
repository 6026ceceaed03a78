/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * told.c: see told.h.  The value's checksum, where entries have one, was proved when it was first leased, and its bytes
 * have not changed since: only its head is proved again.
 */
#include "told.h"

#include "index.h"

static void describe(const struct entry *e, plc_found *found) {
    *found = (plc_found){.length = e->spec.length,
                         .token = e->spec.token,
                         .client_flags = e->spec.client_flags,
                         .name = e->spec.name,
                         .type = e->spec.type,
                         .cost = e->spec.cost};
}

/* What lies there, if it is what was told of.  It counts if the run has the same generation afterwards.  Nothing is
 * concluded from a bound that another thread raises meanwhile. */
static plc_status look(struct call *k, struct told t, struct entry *e) {
    plc_cache *c = k->c;
    uint32_t head = (uint32_t)t.run, gen = (uint32_t)(t.run >> 32), limit;
    do {
        limit = pages_limit(c);
        uint64_t w = page_in_pool(c, head) ? word_acq(page_word(c, head)) : 0;
        if (page_readable(w) && page_gen(w) == gen && entry_read_at(c, head, w, 0, e)) {
            bool same = e->spec.kind == ENTRY_VALUE && (e->spec.options & ENTRY_OWN) && e->spec.token == t.token;
            return same && e->intact ? PLC_OK : PLC_MISS;
        }
        if (page_in_pool(c, head) ? pages_unseen_run(k, head) : pages_unseen(k, (uint64_t)head + 1)) {
            return PLC_AGAIN;
        }
    } while (limit != pages_limit(c));
    return PLC_MISS;
}

plc_status told_lease(struct call *k, struct told t, struct leased *l) {
    plc_status s = PLC_BUSY;
    for (unsigned i = 0; i < INDEX_TRIES && s == PLC_BUSY; i++) {
        struct entry e;
        s = look(k, t, &e);
        s = s == PLC_OK ? lease_take_at(k, e.head, page_gen(e.head_word), &l->ticket) : s;
        if (s == PLC_OK) {
            l->value = e.value;
            describe(&e, &l->found);
        }
    }
    return s;
}

plc_status told_read(struct call *k, struct told t, void *buffer, size_t capacity, plc_found *found) {
    struct entry e;
    plc_status s = look(k, t, &e);
    if (s != PLC_OK) {
        return s;
    }
    bool fits = e.spec.length <= capacity;
    copy_racing(buffer, e.value, fits ? e.spec.length : 0);
    if (!index_still(k, &e)) {
        return PLC_MISS;
    }
    describe(&e, found);
    return fits ? PLC_OK : PLC_TOO_SMALL;
}
