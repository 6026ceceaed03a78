/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pinned.c: see pinned.h.
 *
 * Within a row a pin passes from a call's cell to a lease's, which is looked at later.  From row to row it passes at a
 * fork, after which the parent may let go; who has passed the child's row by then finds that pins have changed hands.
 */
#include "pinned.h"

#define HANDOVER_TRIES 16u

static bool row_pins(const plc_cache *c, const struct shm_process *row, uint32_t head) {
    for (unsigned i = 0; i < TICKETS; i++) {
        if (pin_head(word_acq(&row->transient[i])) == head) {
            return true;
        }
    }
    uint64_t high = word_acq(&row->pins_high);
    for (uint64_t i = 0; i < high && i < c->geo.counted_pins; i++) {
        if (pin_head(word_acq(&row->counted[i])) == head) {
            return true;
        }
    }
    return false;
}

static bool some_row_pins(struct call *k, uint32_t head) {
    const plc_cache *c = k->c;
    uint64_t used = word_rlx(&c->super->slots_used.value);
    uint32_t last = used < c->geo.slots ? (uint32_t)used : c->geo.slots;
    for (uint32_t s = 1; s <= last; s++) {
        const struct shm_process *row = process_row(c, s);
        if ((word_acq(&row->inc) & 1u) != 0 && row_pins(c, row, head)) {
            k->suspect = s != owner_slot(k->owner) ? s : k->suspect;
            return true;
        }
    }
    return false;
}

bool pinned(struct call *k, uint32_t head) {
    const word *handovers = &k->c->super->handovers;
    for (unsigned tries = 0; tries < HANDOVER_TRIES; tries++) {
        uint64_t seen = word_acq(handovers);
        if (some_row_pins(k, head)) {
            return true;
        }
        if (word_acq(handovers) == seen) {
            return false;
        }
    }
    return true;
}
