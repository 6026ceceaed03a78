/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * work.h: a mixed load on few keys in a small pool, so that everything is recycled all the time: values that
 * know their key (a torn, foreign or old one ends the program), numbers, claims.  What others do meanwhile,
 * dying included, must not show but as a miss, a refusal, or another whole value of the same key.
 */
#ifndef PLC_TEST_WORK_H
#define PLC_TEST_WORK_H

#include "fixture.h"

#define WORK_KEYS 2000u
#define WORK_NUMBERS 50u
#define WORK_CLAIMS 100u
#define WORK_LARGEST (512u * 1024u)

struct work {
    plc_cache *c;
    uint64_t state; /* of a generator of its own: threads do not share one */
    uint8_t *out, *in;
    uint64_t hits, refused;
};

static uint64_t work_random(struct work *w) {
    uint64_t x = w->state += 0x9e3779b97f4a7c15ull;
    return value_mix(value_mix(x) + 1);
}

static void work_begin(struct work *w, plc_cache *c, uint64_t seed) {
    memset(w, 0, sizeof *w);
    w->c = c;
    w->state = value_mix(seed);
    w->out = malloc(WORK_LARGEST);
    w->in = malloc(WORK_LARGEST);
    CHECK(w->out != NULL && w->in != NULL);
}

static void work_end(struct work *w) {
    free(w->out);
    free(w->in);
}

static size_t work_length(struct work *w) {
    uint64_t kind = work_random(w) % 100;
    uint64_t most = kind < 80 ? 500 : kind < 95 ? 20000 : kind < 99 ? 100000 : WORK_LARGEST;
    return VALUE_MIN + (size_t)(work_random(w) % (most - VALUE_MIN));
}

/* Each status is one of those allowed, or the program ends. */
static void work_allowed(struct work *w, plc_status s, plc_status other) {
    if (s == PLC_BUSY || s == PLC_FULL) {
        w->refused++;
        return;
    }
    CHECK(s == PLC_OK || s == PLC_MISS || s == other);
}

static void work_get(struct work *w, const char *key, uint64_t number) {
    plc_found found;
    plc_status s = get(w->c, key, w->in, WORK_LARGEST, &found);
    CHECK(s == PLC_OK || s == PLC_MISS);
    if (s == PLC_OK) {
        CHECK(value_serial(w->in, found.length, number) != UINT64_MAX);
        w->hits++;
    }
}

static void work_store(struct work *w, const char *key, uint64_t number) {
    static const plc_verb verbs[] = {PLC_SET, PLC_SET, PLC_SET, PLC_SET, PLC_ADD, PLC_REPLACE};
    size_t n = work_length(w);
    value_make(w->out, n, number, work_random(w) >> 1);
    work_allowed(w, store(w->c, verbs[work_random(w) % 6], key, w->out, n), PLC_EXISTS);
}

static void work_cas(struct work *w, const char *key, uint64_t number) {
    plc_found found;
    if (get(w->c, key, w->in, WORK_LARGEST, &found) != PLC_OK) {
        return;
    }
    size_t n = work_length(w);
    value_make(w->out, n, number, work_random(w) >> 1);
    const plc_part part = {w->out, n};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1, .token = found.token};
    work_allowed(w, AGAIN(w->c, plc_store(w->c, work_random(w) % 2 == 0 ? PLC_CAS : PLC_REMAKE, &e, NULL)), PLC_EXISTS);
}

static void work_number(struct work *w) {
    char key[24];
    uint64_t result = 0;
    (void)snprintf(key, sizeof key, "number %u", (unsigned)(work_random(w) % WORK_NUMBERS));
    plc_status s = AGAIN(w->c, plc_incr(w->c, key, strlen(key), 1, 0, &result));
    if (s == PLC_MISS) {
        s = store(w->c, PLC_ADD, key, "0", 1);
    }
    work_allowed(w, s, PLC_EXISTS);
}

static void work_claim(struct work *w) {
    char key[24];
    plc_flight flight;
    (void)snprintf(key, sizeof key, "claim %u", (unsigned)(work_random(w) % WORK_CLAIMS));
    plc_entry e = {.key = key, .key_length = strlen(key)};
    plc_status s = AGAIN(w->c, plc_claim(w->c, &e, 60000, &flight));
    if (s == PLC_OK && work_random(w) % 2 == 0) {
        s = AGAIN(w->c, plc_abandon(w->c, key, strlen(key), flight.token));
    } else if (s == PLC_OK) {
        const plc_part part = {"computed", 8};
        e.parts = &part;
        e.part_count = 1;
        e.token = flight.token;
        e.sum = flight.sum;
        s = AGAIN(w->c, plc_store(w->c, PLC_PUBLISH, &e, NULL));
    } else if (s == PLC_EXISTS) {
        s = AGAIN(w->c, plc_delete(w->c, key, strlen(key)));
    }
    work_allowed(w, s, PLC_CLAIMED);
}

static void work_step(struct work *w) {
    char key[24];
    uint64_t number = work_random(w) % WORK_KEYS, kind = work_random(w) % 100;
    (void)snprintf(key, sizeof key, "key %u", (unsigned)number);
    if (kind < 40) {
        work_get(w, key, number);
    } else if (kind < 72) {
        work_store(w, key, number);
    } else if (kind < 77) {
        work_cas(w, key, number);
    } else if (kind < 85) {
        work_allowed(w, AGAIN(w->c, plc_delete(w->c, key, strlen(key))), PLC_MISS);
    } else if (kind < 90) {
        work_allowed(w, AGAIN(w->c, plc_touch(w->c, key, strlen(key), now_ms() + 3600000)), PLC_MISS);
    } else if (kind < 96) {
        work_number(w);
    } else {
        work_claim(w);
    }
}

#endif
