/* SPDX-License-Identifier: BSD-3-Clause */
/* flight.c: see flight.h. */
#include "flight.h"

#include "counters.h"

static void suspect_owner(struct call *k, const struct entry *e) {
    uint32_t slot = owner_slot(entry_claim_owner(e));
    if (slot != 0 && slot <= k->c->geo.slots && slot != owner_slot(k->owner)) {
        k->suspect = slot;
    }
}

static plc_status admit_claim(struct store *st, const struct hit *hit) {
    struct call *k = st->k;
    if (hit == NULL) {
        return PLC_OK;
    }
    if (entry_valid(k, &hit->e)) {
        return PLC_EXISTS;
    }
    if (entry_live_claim(k, &hit->e)) {
        st->token = hit->e.spec.token;
        suspect_owner(k, &hit->e);
        return PLC_CLAIMED;
    }
    return PLC_OK; /* expired, invalidated, or a claim that is void */
}

plc_status flight_claim(struct call *k, const plc_entry *e, uint64_t limit_ms, plc_flight *flight) {
    struct store st;
    store_begin(&st, k);
    fence_full();
    uint64_t owner = k->owner;
    plc_part part = {&owner, sizeof owner};
    plc_entry claim = *e;
    claim.parts = &part;
    claim.part_count = 1;
    claim.deadline_ms = k->now_ms + (limit_ms < (1ull << 46) ? limit_ms : 1ull << 46);
    claim.sum = 0; /* captured now, before the truth is read */
    claim.own_token = 0; /* PUBLISH and abandon know a claim by its token */
    plc_status s = store_spec(&st, &claim);
    if (s != PLC_OK) {
        return s;
    }
    store_sum(&st);
    st.spec.kind = ENTRY_CLAIM;
    st.admit = admit_claim;
    st.ask_first = true;
    s = store_run(&st);
    if (s == PLC_OK) {
        fence_full(); /* the claim is seen before anything that the computation reads */
        flight->token = st.spec.token;
        flight->sum = st.spec.sum;
        bool over = st.replaced.bytes != 0 && st.replaced.kind == ENTRY_CLAIM;
        count(k, over ? COUNT_CLAIMS_TAKEN_OVER : COUNT_CLAIMS, 1);
    } else if (s == PLC_CLAIMED) {
        flight->token = st.token;
        flight->sum = 0;
    }
    return s;
}

plc_status flight_abandon(struct call *k, uint64_t token) {
    fence_full();
    for (unsigned i = 0; i < SWAPS_MOST; i++) {
        struct hit hit;
        plc_status s = index_look(k, &hit);
        if (s != PLC_OK || hit.e.spec.kind != ENTRY_CLAIM || hit.e.spec.token != token) {
            index_unpin(k);
            return s == PLC_OK ? PLC_MISS : s;
        }
        if (store_unlink(k, &hit)) {
            count(k, COUNT_ABANDONED, 1);
            return PLC_OK;
        }
    }
    index_unpin(k);
    return PLC_BUSY;
}

bool flight_claimed(struct call *k) {
    struct hit hit;
    fence_full();
    bool claimed = index_look(k, &hit) == PLC_OK && entry_live_claim(k, &hit.e);
    if (claimed) {
        suspect_owner(k, &hit.e);
        count(k, COUNT_WAITS, 1);
    }
    index_unpin(k);
    return claimed;
}
