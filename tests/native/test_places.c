/* SPDX-License-Identifier: BSD-3-Clause */
/* test_places.c: the places of processes in a region: all of them can be taken, they wear evenly, one death empties one
 * once, and whatever stands in a row that nobody lives in hurts nobody. */
#include "alive.h"

#include <pthread.h>

static void all_places(void) {
    plc_cache *c = begin();
    struct peer peers[SLOTS_SMALL];
    uint32_t slots[SLOTS_SMALL];
    for (uint32_t i = 1; i < SLOTS_SMALL; i++) {
        peers[i] = peer_start(sit);
        slots[i] = (uint32_t)hear(peers[i].from);
        CHECK(slots[i] >= 1 && slots[i] <= SLOTS_SMALL);
    }
    CHECK(process_count(c) == SLOTS_SMALL);
    uint32_t mine = my_slot(c);
    word_put_rel(&c->owner, 0); /* as if not attached: every place is taken */
    registry_lock();
    CHECK(process_attach(c) == EAGAIN && my_slot(c) == 0);
    peer_kill(&peers[77]);
    CHECK(process_attach(c) == 0 && my_slot(c) == slots[77]);
    process_detach(c);
    registry_unlock();
    word_put_rel(&c->owner, owner_make(mine, (uint32_t)inc_of(c, mine)));
    for (uint32_t i = 1; i < SLOTS_SMALL; i++) {
        if (i != 77) {
            peer_kill(&peers[i]);
        }
    }
    region_close(c);
}

static void attach_and_close(struct peer_ends ends) {
    plc_cache *c = open_fresh("r");
    tell(ends.out, my_slot(c));
    if (check_random() % 2 == 0) {
        region_close(c);
    }
}

/* Tenants, dead and closed ones, spread over the slots; what is at its end is not used; pins are cleared. */
static void places_wear_evenly(void) {
    plc_cache *c = begin();
    uint32_t mine = my_slot(c), worn = mine == 3 ? 4 : 3;
    word_put_rel(&process_row(c, worn)->inc, INC_LAST);
    for (uint32_t slot = 1; slot <= SLOTS_SMALL; slot++) {
        if (slot != mine) {
            word_put_rel(&process_row(c, slot)->counted[7], pin_make(99, 1));
            word_put_rel(&process_row(c, slot)->transient[63], pin_make(98, 1));
            word_put_rel(&process_row(c, slot)->pins_high, 8);
        }
    }
    for (int i = 0; i < 150; i++) {
        (void)check_random();
        struct peer p = peer_start(attach_and_close);
        uint32_t slot = (uint32_t)hear(p.from);
        CHECK(slot != worn && slot != mine && slot <= 16);
        peer_done(&p);
        CHECK(word_acq(&process_row(c, slot)->counted[7]) == 0 && word_acq(&process_row(c, slot)->transient[63]) == 0);
        CHECK(word_acq(&process_row(c, slot)->pins_high) == 0);
    }
    for (uint32_t slot = 1; slot <= 16; slot++) {
        CHECK(slot == mine || slot == worn || (inc_of(c, slot) >= 6 && inc_of(c, slot) <= 100));
    }
    CHECK(word_acq(&c->super->slots_used.value) == 17 && inc_of(c, worn) == INC_LAST);
    region_close(c);
}

static void *reaps(void *arg) {
    for (int i = 0; i < 50; i++) {
        for (uint32_t slot = 1; slot < 20; slot++) {
            (void)process_reap(arg, slot);
        }
    }
    return NULL;
}

static void many_reapers_one_death(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(sit), living = peer_start(sit);
    uint32_t slot = (uint32_t)hear(p.from), other = (uint32_t)hear(living.from);
    uint64_t inc = inc_of(c, slot), alive = inc_of(c, other);
    peer_kill(&p);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, reaps, c) == 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(inc_of(c, slot) == inc + 1 && inc_of(c, other) == alive);
    CHECK(process_reap_due(c, slot, 100000) && !process_reap_due(c, slot, 100000) && !process_reap_due(c, 0, 100000));
    peer_kill(&living);
    region_close(c);
}

/* Any byte of a row may be garbage: nobody who lives is hurt, nothing crashes. */
static void garbage_rows(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(sit);
    uint32_t slot = (uint32_t)hear(p.from), mine = my_slot(c);
    for (int round = 0; round < 300; round++) {
        for (uint32_t s = 20; s < 30; s++) {
            word *words = (word *)(void *)process_row(c, s);
            word_put_rel(&words[check_random() % 6], check_random() >> check_random() % 64);
            (void)process_reap(c, s);
            (void)process_thread_gone(c, lock_make(s, (uint32_t)inc_of(c, s), (uint32_t)check_random(), 1));
        }
        word_put_rel(&c->super->slots_used.value, check_random());
        CHECK(process_count(c) <= SLOTS_SMALL);
    }
    CHECK((inc_of(c, slot) & 1u) == 1 && my_slot(c) == mine);
    peer_kill(&p);
    region_close(c);
}

int main(void) {
    static const struct check_test tests[] = {
        {"all places taken", all_places},
        {"places wear evenly", places_wear_evenly},
        {"many reapers, one death", many_reapers_one_death},
        {"garbage in the rows", garbage_rows},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
