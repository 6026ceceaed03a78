/* SPDX-License-Identifier: BSD-3-Clause */
/* test_told.c: a value that one process has leased is leased by another, who was told where it lies, whatever became of
 * its key; and what nobody keeps is not to be had. */
#include "inplace.h"
#include "told.h"

#define LARGE 300000u

static plc_cache *c;
static plc_view kept; /* of k1, serial 1, which is told of */
static uint64_t run, token;

/* ---- the other process ----------------------------------------------------------------------- */

enum wish { LEASE, LOOK, LET_GO, COPY };

static plc_status lease_told(plc_view *view) {
    plc_found found = {0};
    plc_status s = AGAIN(c, plc_lease_at(c, run, token, view, &found));
    CHECK(s != PLC_OK || (found.length == view->length && found.token == token));
    return s;
}

static bool copy_shows(void) {
    static uint8_t bytes[LARGE];
    plc_found found = {0};
    CHECK_STATUS(plc_get_at(c, run, token, bytes, LARGE - 1, &found), PLC_TOO_SMALL);
    CHECK(found.length == LARGE);
    CHECK_STATUS(plc_get_at(c, run, token, bytes, LARGE, &found), PLC_OK);
    return found.token == token && value_serial(bytes, LARGE, 1) == 1;
}

static uint64_t grant(enum wish wish, plc_view *view) {
    switch (wish) {
    case LEASE: return lease_told(view);
    case LOOK: return shows(view, 1, 1);
    case COPY: return copy_shows();
    default: plc_release(c, view); return 0;
    }
}

static void is_told(struct peer_ends ends) {
    plc_view view = {0};
    for (;;) {
        enum wish wish = (enum wish)await(ends.in);
        run = await(ends.in);
        token = await(ends.in);
        tell(ends.out, grant(wish, &view));
    }
}

static uint64_t ask(struct peer *p, enum wish wish) {
    tell(p->to, wish);
    tell(p->to, run);
    tell(p->to, token);
    return hear(p->from);
}

/* A region with k1, and other processes that have nothing of it; then this one keeps k1. */
static void begin(struct peer *peers, unsigned n) {
    plc_found found;
    c = region_new(16 * MIB);
    put_value(c, 1, 1, LARGE);
    for (unsigned i = 0; i < n; i++) {
        peers[i] = peer_start(is_told);
    }
    CHECK_STATUS(AGAIN(c, plc_lease(c, "k1", 2, 0, &kept, &found)), PLC_OK);
    token = found.token;
    CHECK_STATUS(plc_view_run(c, &kept, &run), PLC_OK);
}

/* ---- what becomes of its key ------------------------------------------------------------------ */

static void leave_k1(plc_cache *of, size_t n) {
    (void)of;
    (void)n;
}
/* Whoever is told has it too, keeps it when the first one lets go, and its pages are free when all have. */
static void whatever_became_of_its_key(void) {
    static void (*const fates[])(plc_cache *, size_t) = {leave_k1, replace_k1, delete_k1,
                                                         flush_k1, expire_k1,  drain_k1};
    for (unsigned i = 0; i < sizeof fates / sizeof *fates; i++) {
        struct peer p[2];
        begin(p, 2);
        fates[i](c, LARGE);
        overwrite_all(c, 2);
        CHECK(ask(&p[0], LEASE) == PLC_OK && ask(&p[1], COPY) == 1);
        plc_release(c, &kept);
        overwrite_all(c, 2);
        (void)drain(c);
        CHECK(ask(&p[1], LEASE) == PLC_OK && ask(&p[0], LET_GO) == 0);
        overwrite_all(c, 2);
        CHECK(ask(&p[1], LOOK) == 1 && usage_of(c).limbo_pages != 0);
        CHECK(ask(&p[1], LET_GO) == 0);
        CHECK(usage_of(c).limbo_pages == 0); /* without anybody else's coming by */
        CHECK(ask(&p[0], LEASE) == PLC_MISS);
        peer_kill(&p[0]);
        peer_kill(&p[1]);
        region_end(c, true);
    }
}

/* Within one process it is one more lease of what it has. */
static void told_to_oneself(void) {
    plc_view again;
    begin(NULL, 0);
    delete_k1(c, LARGE);
    CHECK_STATUS(lease_told(&again), PLC_OK);
    CHECK(again.bytes == kept.bytes && c->holding->used == 1 && c->holding->leases == 2 && copy_shows());
    plc_release(c, &kept);
    CHECK(shows(&again, 1, 1));
    plc_release(c, &again);
    CHECK(usage_of(c).limbo_pages == 0 && c->holding->used == 0);
    region_end(c, false);
}

/* ---- what is not there ------------------------------------------------------------------------ */

static plc_status asked_for(uint64_t other_run, uint64_t other_token) {
    plc_view view;
    plc_found found;
    plc_status s = AGAIN(c, plc_get_at(c, other_run, other_token, NULL, 0, &found));
    CHECK(s == PLC_TOO_SMALL || s == PLC_MISS);
    plc_status leased = AGAIN(c, plc_lease_at(c, other_run, other_token, &view, &found));
    CHECK((leased == PLC_OK) == (s == PLC_TOO_SMALL));
    if (leased == PLC_OK) {
        plc_release(c, &view);
    }
    return leased;
}

static void nobody_has_kept_it(void) {
    plc_view view;
    plc_found found;
    begin(NULL, 0);
    CHECK_STATUS(asked_for(run, token), PLC_OK);
    CHECK_STATUS(asked_for(run, token + 1), PLC_MISS);
    CHECK_STATUS(asked_for(run + 1, token), PLC_MISS);
    CHECK_STATUS(asked_for(run + (1ull << 32), token), PLC_MISS);
    CHECK_STATUS(plc_lease_at(c, run, token, NULL, &found), PLC_INVALID);
    CHECK_STATUS(plc_get_at(c, run, token, NULL, 1, &found), PLC_INVALID);
    CHECK_STATUS(plc_get_at(c, run, token, c->base, LARGE, &found), PLC_INVALID);
    plc_release(c, &kept);
    CHECK_STATUS(plc_view_run(c, &kept, &run), PLC_INVALID);
    CHECK_STATUS(asked_for(run, token), PLC_OK); /* by nobody, but it is there still */
    delete_k1(c, LARGE);
    CHECK_STATUS(asked_for(run, token), PLC_MISS);
    put_value(c, 1, 1, LARGE);
    overwrite_all(c, 3);
    CHECK_STATUS(asked_for(run, token), PLC_MISS);
    CHECK_STATUS(lease_value(c, 1, &view), PLC_MISS);
    for (unsigned i = 0; i < 100000; i++) {
        CHECK(asked_for(below(info_of(c).size_bytes >> 11) | below(64) << 32, below(100)) != PLC_BUSY);
        CHECK_STATUS(asked_for(below(UINT64_MAX), token), PLC_MISS);
    }
    CHECK(c->holding->used == 0);
    region_end(c, false);
}

static void a_private_view(void) {
    begin(NULL, 0);
    CHECK_STATUS(plc_view_private(c, &kept), PLC_OK);
    CHECK_STATUS(plc_view_run(c, &kept, &run), PLC_INVALID);
    plc_release(c, &kept);
    region_end(c, false);
}

/* ---- limits ----------------------------------------------------------------------------------- */

/* Who has as many as he can gets a copy. */
static void no_more_cells(void) {
    static plc_view views[COUNTED_PINS_SMALL];
    struct peer p;
    begin(&p, 1);
    plc_release(c, &kept);
    for (uint64_t i = 0; i < COUNTED_PINS_SMALL; i++) {
        put_value(c, 10 + i, 1, 10000);
        CHECK_STATUS(lease_value(c, 10 + i, &views[i]), PLC_OK);
    }
    CHECK(ask(&p, LEASE) == PLC_OK); /* the other one keeps it */
    CHECK_STATUS(lease_told(&kept), PLC_COPY);
    CHECK(copy_shows());
    plc_release(c, &views[7]);
    CHECK_STATUS(lease_told(&kept), PLC_OK);
    views[7] = kept;
    for (uint64_t i = 0; i < COUNTED_PINS_SMALL; i++) {
        plc_release(c, &views[i]);
    }
    peer_kill(&p);
    region_end(c, true);
}

/* ---- while it is evicted ---------------------------------------------------------------------- */

static void sits(struct peer_ends ends) {
    plc_view view;
    CHECK_STATUS(lease(c, "none", &view), PLC_MISS); /* its first call: it takes its place */
    tell(ends.out, my_slot(c));
    (void)await(ends.in);
}

/* An evictor may have looked at the cells already: while he lives one has to ask again; of a dead one the work is done
 * to the end, and the value is there, for it is kept. */
static void while_it_is_evicted(void) {
    struct peer p;
    begin(&p, 1);
    struct peer evictor = peer_start(sits);
    uint32_t slot = (uint32_t)hear(evictor.from);
    word *at = page_word(c, (uint32_t)run);
    uint64_t sealed = word_acq(at);
    CHECK(page_state(sealed) == PAGE_SEALED);
    uint64_t inc = word_acq(&process_row(c, slot)->inc);
    word_put_rel(at, page_make(PAGE_EVICT, owner_make(slot, (uint32_t)inc), page_gen(sealed)));
    CHECK(ask(&p, LEASE) == PLC_BUSY && ask(&p, COPY) == 1);
    word_put_rel(at, sealed);
    CHECK(ask(&p, LEASE) == PLC_OK && ask(&p, LET_GO) == 0);
    word_put_rel(at, page_make(PAGE_EVICT, owner_make(slot, (uint32_t)inc), page_gen(sealed)));
    peer_kill(&evictor);
    CHECK_SOON(process_reap(c, slot));
    CHECK(ask(&p, LEASE) == PLC_OK && page_state(word_acq(at)) == PAGE_LIMBO);
    plc_release(c, &kept);
    CHECK(ask(&p, LOOK) == 1 && ask(&p, LET_GO) == 0 && usage_of(c).limbo_pages == 0);
    peer_kill(&p);
    region_end(c, true);
}

int main(void) {
    static const struct check_test tests[] = {
        {"whatever_became_of_its_key", whatever_became_of_its_key},
        {"told_to_oneself", told_to_oneself},
        {"nobody_has_kept_it", nobody_has_kept_it},
        {"a_private_view", a_private_view},
        {"no_more_cells", no_more_cells},
        {"while_it_is_evicted", while_it_is_evicted},
    };
    return RUN_TESTS(tests);
}
