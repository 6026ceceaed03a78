/* SPDX-License-Identifier: BSD-3-Clause */
/* test_closing.c: a region is closed by another thread at any instant of a call: begun before the call is in or behind
 * it, ended as soon as no call is under way.  Every call ends well, what it holds keeps the region, and then it is gone.
 * The other thread is played between the instructions of this one. */
#include "inplace.h"
#include "instants.h"

#include "region_parts.h"
#include "registry.h"
#include "seat.h"

#if INSTANTS

#define LARGE 100000u
#define BEFORE 12u /* so many instructions before the call is in, closing begins in turn */

static plc_cache *c;
static uint8_t buffer[2 * LARGE];

/* ---- calls ----------------------------------------------------------------------------------- */

static plc_found found;
static plc_view view;
static plc_reservation *reservation;
static uint64_t number;

static plc_status get_hit(void) {
    return plc_get(c, "k1", 2, 0, buffer, sizeof buffer, &found);
}
static plc_status get_miss(void) {
    return plc_get(c, "none", 4, 0, buffer, sizeof buffer, &found);
}
static plc_status get_many(void) {
    const void *keys[] = {"k1", "none"};
    const size_t lengths[] = {2, 4};
    plc_found each[2];
    return plc_get_many(c, 2, keys, lengths, 0, buffer, sizeof buffer, each);
}
static plc_status set(const char *key, size_t n) {
    const plc_part part = {buffer, n};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1};
    return plc_store(c, PLC_SET, &e, NULL);
}
static plc_status set_new(void) {
    return set("new", 100);
}
static plc_status replace_large(void) {
    return set("k2", LARGE);
}
static plc_status delete_hit(void) {
    return plc_delete(c, "k1", 2);
}
static plc_status incr(void) {
    return plc_incr(c, "n", 1, 1, 0, &number);
}
static plc_status claim(void) {
    const plc_entry e = {.key = "none", .key_length = 4};
    plc_flight made;
    return plc_claim(c, &e, 1000, &made);
}
static plc_status lease_hit(void) {
    return plc_lease(c, "k2", 2, 0, &view, &found);
}
static plc_status lease_miss(void) {
    return plc_lease(c, "none", 4, 0, &view, &found);
}
static plc_status lease_refused(void) {
    return plc_lease(c, "", 0, 0, &view, &found);
}
static plc_status lease_at_none(void) {
    return plc_lease_at(c, 1, 1, &view, &found);
}
static plc_status get_at_none(void) {
    return plc_get_at(c, 1, 1, buffer, sizeof buffer, &found);
}
static plc_status reserve_some(void) {
    const plc_entry e = {.key = "r", .key_length = 1};
    void *at;
    return plc_reserve(c, &e, LARGE, &reservation, &at);
}
static plc_status reserve_too_much(void) {
    const plc_entry e = {.key = "r", .key_length = 1};
    void *at;
    return plc_reserve(c, &e, 64 * MIB, &reservation, &at);
}
static plc_status flush(void) {
    return plc_flush(c, 0);
}
static plc_status info(void) {
    plc_info i;
    return plc_info_read(c, &i);
}
static plc_status wait_for(void) {
    return plc_wait(c, "k1", 2, 0);
}
static plc_status assist(void) {
    return plc_assist(c, 0);
}
static plc_status linked(void) {
    return plc_linked(c);
}

static const struct act {
    const char *name;
    plc_status (*run)(void);
    bool allocates; /* what it does before it is in is not to be interrupted by what allocates as well */
} acts[] = {
    {"get", get_hit, false},
    {"get, a miss", get_miss, false},
    {"get_many", get_many, false},
    {"set of a new key", set_new, false},
    {"replacing a large value", replace_large, false},
    {"delete", delete_hit, false},
    {"incr", incr, false},
    {"claim", claim, false},
    {"lease", lease_hit, false},
    {"lease, a miss", lease_miss, false},
    {"lease, refused", lease_refused, false},
    {"lease_at, a miss", lease_at_none, false},
    {"get_at, a miss", get_at_none, false},
    {"reserve", reserve_some, true},
    {"reserve, too large", reserve_too_much, true},
    {"flush", flush, false},
    {"info", info, false},
    {"wait", wait_for, false},
    {"assist", assist, false},
    {"linked", linked, false},
};

/* ---- the other thread ------------------------------------------------------------------------ */

static unsigned from, in_at; /* it begins behind so many instructions; behind so many the call was in */
static bool only_inside;
static uint64_t closing;

static bool none_inside(void) {
    return word_acq(&c->tickets) == SHARED_TICKETS && seat_all_idle(c) && atomic_load(&c->outside) == 0;
}

static bool mutex_free(void) {
    bool free = registry_try_lock();
    if (free) {
        registry_unlock();
    }
    return free;
}

/* region_close, between two instructions of the call. */
static bool closes(unsigned i, uintptr_t at) {
    (void)at;
    bool inside = !none_inside();
    in_at = inside && in_at == 0 ? i : in_at;
    if (mutex_free()) {
        if (closing == 0 && i >= from && (inside || !only_inside)) {
            closing = region_close_begin(c);
        }
        if (closing != 0 && c->base != NULL && none_inside()) {
            region_close_end(c, closing);
        }
    }
    return c->base != NULL;
}

/* One call, with closing begun behind its n-th instruction; what it has given. */
static plc_status closed_at(const struct act *act, unsigned n) {
    c = region_named("r", 4 * MIB, 0);
    CHECK(get_hit() == PLC_OK || get_hit() == PLC_MISS); /* the thread has its seat */
    put_value(c, 1, 1, 100);
    put_value(c, 2, 1, LARGE);
    CHECK_STATUS(store(c, PLC_SET, "n", "1", 1), PLC_OK);
    MUST(c, plc_assist(c, 0), PLC_OK);
    closing = 0;
    in_at = 0;
    from = n;
    only_inside = act->allocates;
    reservation = NULL;
    view = (plc_view){0};
    instants_begin(closes);
    plc_status s = act->run();
    instants_end();
    return s;
}

static bool ends_well(plc_status s) {
    return s == PLC_OK || s == PLC_MISS || s == PLC_CLOSED || s == PLC_AGAIN || s == PLC_TOO_LARGE ||
           s == PLC_INVALID || s == PLC_DONE || s == PLC_COPY || s == PLC_FULL || s == PLC_TOO_SMALL;
}

static bool closed_amid(const struct act *act, unsigned n) {
    plc_status s = closed_at(act, n);
    if (!ends_well(s)) {
        (void)fprintf(stderr, "%s, closed behind instruction %u: %s\n", act->name, n, plc_status_text(s));
    }
    CHECK(ends_well(s));
    if (closing == 0) {
        plc_close(c);
    } else if (view.ticket != 0 || reservation != NULL) {
        CHECK(c->base != NULL && c->lingers);
    }
    if (view.ticket != 0) {
        CHECK(shows(&view, 2, 1));
        plc_release(c, &view);
    }
    if (reservation != NULL) {
        plc_reservation_end(c, reservation);
    }
    CHECK(c->base == NULL);
    return closing != 0;
}

static void at_any_instant(void) {
    unsigned amid = 0;
    check_folder_make(NULL);
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        (void)printf("  %s\n", acts[i].name);
        (void)fflush(stdout);
        CHECK(!closed_amid(&acts[i], UINT32_MAX) && in_at != 0);
        unsigned in = in_at, first = in > BEFORE ? in - BEFORE : 0;
        for (unsigned n = first; n < in + 3; n++) {
            amid += closed_amid(&acts[i], n) ? 1 : 0;
        }
        for (unsigned n = 0; n < 3; n++) {
            amid += closed_amid(&acts[i], in + (unsigned)below(500)) ? 1 : 0;
        }
    }
    (void)printf("  closed in %u calls\n", amid);
    CHECK(amid > 15 * sizeof acts / sizeof acts[0]);
}

int main(void) {
    static const struct check_test tests[] = {
        {"at any instant", at_any_instant},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}

#else

int main(void) {
    check_skip("closing at any instant: no trap behind each instruction here");
    return 0;
}

#endif
