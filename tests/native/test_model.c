/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_model.c: random operations on one thread against a slow, obvious model: an array of keys with their
 * bytes.  What the model has, the cache has exactly, or it was evicted: then it is a miss once, the model forgets
 * it, and there were at least so many evictions.  What the model has not, the cache must not have: nothing wrong,
 * nothing that comes back.
 */
#include "fixture.h"
#include "slow.h"

#define NAMES 5u

struct load {
    const char *what;
    uint64_t region;
    unsigned keys;
    size_t small, large;  /* longest value of each kind */
    unsigned large_in_1000;
    unsigned every;       /* check() after so many operations */
};

static plc_cache *c;
static uint8_t *buffer, *value;
static uint16_t names[NAMES];
static const struct load *load;

static void look(unsigned i) {
    char key[PLC_KEY_MAX];
    plc_found found;
    size_t n = slow_key(i, key);
    plc_status s = AGAIN(c, plc_get(c, key, n, 0, buffer, load->region, &found));
    if (s == PLC_OK) {
        slow_same(i, buffer, &found);
        slow_rows[i].read = true;
    } else if (s == PLC_MISS) {
        slow_absent(i);
    } else {
        slow_fail(i, "an answer that get has not", s);
    }
}

/* As it is, and whether it was read; neither is a reading. */
static void do_peek(unsigned i) {
    char key[PLC_KEY_MAX];
    plc_found found;
    uint32_t read = 0;
    size_t n = slow_key(i, key);
    slow_doing = "peek";
    plc_status s = AGAIN(c, plc_peek(c, key, n, buffer, load->region, &found));
    if (s == PLC_OK) {
        slow_same(i, buffer, &found);
        CHECK_STATUS(AGAIN(c, plc_was_read(c, key, n, &read)), PLC_OK);
        CHECK(read == (slow_rows[i].read ? 1 : 0));
    } else {
        CHECK_STATUS(s, PLC_MISS);
        CHECK_STATUS(AGAIN(c, plc_was_read(c, key, n, &read)), PLC_MISS);
        slow_absent(i);
    }
}

static size_t some_length(void) {
    bool is_large = below(1000) < load->large_in_1000;
    size_t most = is_large ? load->large : load->small;
    return below(8) == 0 ? below(16) : below(most) + 1;
}

static uint64_t some_deadline(void) {
    switch (below(12)) {
    case 0: return 1 + below(1000000);
    case 1: return now_ms() + 3600 * 1000 + below(1000000);
    default: return 0;
    }
}

static plc_entry some_entry(unsigned i, char key[PLC_KEY_MAX], plc_part *part) {
    size_t n = some_length();
    for (size_t at = 0; at < n; at += 8) {
        uint64_t x = check_random();
        memcpy(value + at, &x, n - at < 8 ? n - at : 8);
    }
    if (below(6) == 0) {
        n = (size_t)snprintf((char *)value, 32, "%" PRIu64, check_random() >> below(64));
    }
    *part = (plc_part){value, n};
    return (plc_entry){.key = key,
                       .key_length = slow_key(i, key),
                       .parts = part,
                       .part_count = 1,
                       .deadline_ms = some_deadline(),
                       .client_flags = (uint32_t)check_random(),
                       .name = below(3) == 0 ? names[below(NAMES)] : 0,
                       .type = below(5) == 0 ? 4 : 0,
                       .own_token = below(4) == 0 ? check_random() >> below(64) : 0};
}

/* set, add, replace, cas */
static void do_store(unsigned i) {
    static const char *const called[] = {"set", "add", "replace", "cas"};
    char key[PLC_KEY_MAX];
    plc_part part;
    uint64_t token = 0;
    plc_entry e = some_entry(i, key, &part);
    plc_verb verb = (plc_verb)(below(3) == 0 ? PLC_SET : below(4));
    slow_doing = called[verb];
    bool right = below(4) != 0;
    e.token = verb == PLC_CAS ? (right ? slow_rows[i].token : slow_rows[i].token + 1) : 0;
    plc_status s = AGAIN(c, plc_store(c, verb, &e, &token));
    bool stores = s == PLC_OK;
    CHECK(!stores || e.own_token == 0 || token == e.own_token);
    switch (verb) {
    case PLC_SET: CHECK_STATUS(s, PLC_OK); break;
    case PLC_ADD:
        if (stores) {
            slow_absent(i);
        } else {
            CHECK_STATUS(s, PLC_EXISTS);
            slow_there(i, s);
        }
        break;
    case PLC_REPLACE:
    case PLC_CAS:
        if (s == PLC_MISS) {
            slow_absent(i);
        } else {
            slow_there(i, s);
            CHECK_STATUS(s, verb == PLC_CAS && !right ? PLC_EXISTS : PLC_OK);
        }
        break;
    default: CHECK(!"a verb");
    }
    if (stores) {
        slow_put(i, &e, value, part.length, token);
    }
}

/* Another value in the place of the one that is there: the rest stays. */
static void do_remake(unsigned i) {
    char key[PLC_KEY_MAX];
    plc_part part;
    uint64_t token = 0;
    plc_entry e = some_entry(i, key, &part);
    struct slow_row *r = &slow_rows[i], before = *r;
    bool right = below(4) != 0, typed = below(8) != 0, renews = below(3) == 0;
    slow_doing = "remake";
    e.token = right ? r->token : r->token + 1;
    e.seen_type = typed ? r->type : (uint8_t)(r->type + 1);
    e.options = renews ? PLC_NEW_DEADLINE : 0;
    plc_status s = AGAIN(c, plc_store(c, PLC_REMAKE, &e, &token));
    if (s == PLC_MISS) {
        slow_absent(i);
        return;
    }
    slow_there(i, s);
    CHECK_STATUS(s, right && typed ? PLC_OK : PLC_EXISTS);
    if (s == PLC_OK) {
        CHECK(e.own_token == 0 || token == e.own_token);
        e.name = before.name;
        e.deadline_ms = renews ? e.deadline_ms : before.deadline_ms;
        slow_put(i, &e, value, part.length, token);
        r->read = before.read;
    }
}

static void do_extend(unsigned i) {
    char key[PLC_KEY_MAX];
    plc_part part;
    uint64_t token = 0;
    plc_entry e = some_entry(i, key, &part);
    struct slow_row *r = &slow_rows[i];
    bool front = below(2) == 0;
    slow_doing = front ? "prepend" : "append";
    part.length = part.length % 3000;
    plc_status s = AGAIN(c, plc_store(c, front ? PLC_PREPEND : PLC_APPEND, &e, &token));
    if (s == PLC_MISS) {
        slow_absent(i);
        return;
    }
    if (s == PLC_TOO_LARGE) {
        CHECK(r->length + part.length > info_of(c).value_max);
        return;
    }
    slow_there(i, s);
    CHECK_STATUS(s, r->type == 0 ? PLC_OK : PLC_WRONG_TYPE);
    if (s == PLC_OK) {
        r->bytes = realloc(r->bytes, r->length + part.length + 32);
        CHECK(r->bytes != NULL);
        if (front) {
            memmove(r->bytes + part.length, r->bytes, r->length);
        }
        memcpy(r->bytes + (front ? 0 : r->length), value, part.length);
        r->length += part.length;
        r->token = token;
    }
}

/* Digits, of which 64 bits can hold the number, and then spaces. */
static bool is_number(const struct slow_row *r, uint64_t *n) {
    size_t i = 0;
    *n = 0;
    for (; i < r->length && i < 21 && r->bytes[i] >= '0' && r->bytes[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)r->bytes[i] - '0';
        if (*n > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *n = *n * 10 + digit;
    }
    bool any = i > 0;
    while (i < r->length && r->bytes[i] == ' ') {
        i++;
    }
    return any && i == r->length && r->length <= 64 && r->type <= PLC_TYPE_INT;
}

static void do_incr(unsigned i) {
    char key[PLC_KEY_MAX];
    uint64_t was = 0, now = 0, delta = check_random() >> below(64);
    struct slow_row *r = &slow_rows[i];
    bool down = below(2) == 0;
    size_t n = slow_key(i, key);
    slow_doing = "incr";
    plc_status s = AGAIN(c, plc_incr(c, key, n, delta, down, &now));
    if (s == PLC_MISS) {
        slow_absent(i);
        return;
    }
    slow_there(i, s);
    if (!is_number(r, &was)) {
        CHECK_STATUS(s, PLC_NOT_A_NUMBER);
        return;
    }
    CHECK_STATUS(s, PLC_OK);
    CHECK(now == (down ? (was > delta ? was - delta : 0) : was + delta));
    plc_found found;
    s = AGAIN(c, plc_get(c, key, n, 0, buffer, load->region, &found));
    if (s == PLC_OK) { /* the token is new, and only the cache knows it */
        r->token = found.token;
        r->length = (size_t)snprintf((char *)r->bytes, 21, "%" PRIu64, now);
        slow_same(i, buffer, &found);
        r->read = true;
    } else {
        CHECK_STATUS(s, PLC_MISS);
        slow_absent(i);
    }
}

static void do_touch(unsigned i) {
    char key[PLC_KEY_MAX];
    plc_found found;
    bool get = below(2) == 0;
    uint64_t deadline = some_deadline();
    size_t n = slow_key(i, key);
    slow_doing = get ? "get_touch" : "touch";
    plc_status s = get ? AGAIN(c, plc_get_touch(c, key, n, deadline, buffer, load->region, &found))
                       : AGAIN(c, plc_touch(c, key, n, deadline));
    bool gone = deadline != 0 && deadline <= now_ms();
    if (s == PLC_MISS) { /* get_touch with a moment that has passed has touched, and then finds nothing */
        if (get && gone && slow_rows[i].there) {
            slow_forget(i);
        } else {
            slow_absent(i);
        }
        return;
    }
    CHECK_STATUS(s, PLC_OK);
    slow_there(i, s);
    slow_rows[i].deadline_ms = deadline;
    if (get) {
        slow_same(i, buffer, &found);
        slow_rows[i].read = true;
    }
    slow_rows[i].there = !gone;
}

static void do_delete(unsigned i) {
    char key[PLC_KEY_MAX];
    size_t n = slow_key(i, key);
    slow_doing = "delete";
    plc_status s = AGAIN(c, plc_delete(c, key, n));
    if (s == PLC_MISS) {
        slow_absent(i);
    } else {
        CHECK_STATUS(s, PLC_OK);
        slow_there(i, s);
    }
    slow_forget(i);
}

/* claim, then publish or abandon or overwrite */
static void do_flight(unsigned i) {
    char key[PLC_KEY_MAX];
    plc_part part;
    plc_flight flight, other;
    uint64_t token = 0;
    plc_entry e = some_entry(i, key, &part);
    slow_doing = "claim";
    plc_status s = AGAIN(c, plc_claim(c, &e, 3600 * 1000, &flight));
    if (s == PLC_EXISTS) {
        slow_there(i, s);
        return;
    }
    CHECK_STATUS(s, PLC_OK);
    slow_absent(i);
    look(i); /* a claim is a miss */
    CHECK_STATUS(AGAIN(c, plc_claim(c, &e, 1000, &other)), PLC_CLAIMED);
    CHECK(other.token == flight.token);
    e.token = flight.token;
    e.sum = flight.sum;
    switch (below(4)) {
    case 0:
        CHECK_STATUS(AGAIN(c, plc_abandon(c, key, e.key_length, flight.token)), PLC_OK);
        CHECK_STATUS(AGAIN(c, plc_store(c, PLC_PUBLISH, &e, &token)), PLC_MISS);
        break;
    case 1: /* a set or a delete voids it */
        s = below(2) == 0 ? AGAIN(c, plc_delete(c, key, e.key_length)) : PLC_DONE;
        if (s == PLC_DONE) {
            MUST(c, plc_store(c, PLC_SET, &e, &token), PLC_OK);
            slow_put(i, &e, value, part.length, token);
        } else {
            CHECK_STATUS(s, PLC_MISS);
        }
        e.token = flight.token;
        CHECK_STATUS(AGAIN(c, plc_store(c, PLC_PUBLISH, &e, NULL)), PLC_MISS);
        break;
    default:
        s = AGAIN(c, plc_store(c, PLC_PUBLISH, &e, &token));
        if (s == PLC_OK) {
            slow_put(i, &e, value, part.length, token);
        } else {
            CHECK_STATUS(s, PLC_MISS); /* only its own copying can have pushed it out */
        }
    }
}

static void do_names(void) {
    unsigned which = (unsigned)below(NAMES);
    slow_doing = "invalidate";
    if (below(20) == 0) {
        CHECK_STATUS(plc_flush(c, 0), PLC_OK);
        which = NAMES;
    } else {
        CHECK_STATUS(plc_name_invalidate(c, names[which]), PLC_OK);
    }
    for (unsigned i = 0; i < load->keys; i++) {
        if (which == NAMES || slow_rows[i].name == names[which]) {
            slow_forget(i);
        }
    }
}

static void step(void) {
    unsigned i = (unsigned)below(load->keys), what = (unsigned)below(1000);
    i = below(2) == 0 ? i / 8 : i; /* some are used more */
    slow_doing = "get";
    if (what < 300) {
        look(i);
    } else if (what < 350) {
        do_peek(i);
    } else if (what < 640) {
        do_store(i);
    } else if (what < 700) {
        do_remake(i);
    } else if (what < 770) {
        do_extend(i);
    } else if (what < 840) {
        do_incr(i);
    } else if (what < 900) {
        do_touch(i);
    } else if (what < 960) {
        do_delete(i);
    } else if (what < 995) {
        do_flight(i);
    } else if (what == 999 && below(4) == 0) {
        do_names();
    }
}

static void agree(void) {
    uint64_t there = 0;
    CHECK(findings_of(c) == 0);
    for (unsigned i = 0; i < load->keys; i++) {
        slow_doing = "get of all";
        look(i);
        there += slow_rows[i].there ? 1 : 0;
    }
    CHECK(count_of(c, 0) == there);
    CHECK(slow_lost <= counter_of(c, "evictions") + counter_of(c, "displaced"));
    CHECK(counter_of(c, "corrupt_seen") == 0 && counter_of(c, "contended") == 0);
}

static void run(const struct load *l) {
    load = l;
    slow_what = l->what;
    slow_lost = slow_seen = 0;
    c = region_new(l->region);
    buffer = malloc(l->region);
    value = malloc(l->region);
    CHECK(buffer != NULL && value != NULL);
    memset(slow_rows, 0, sizeof slow_rows);
    for (unsigned i = 0; i < NAMES; i++) {
        CHECK_STATUS(plc_name(c, &i, sizeof i, &names[i]), PLC_OK);
    }
    uint64_t steps = rounds(100000, 12000);
    for (uint64_t i = 0; i < steps; i++) {
        step();
        if (i % l->every == l->every - 1) {
            agree();
        }
    }
    agree();
    (void)printf("  %s: %" PRIu64 " values compared, %" PRIu64 " evicted, %" PRIu64 " of them missed\n", l->what,
                 slow_seen, counter_of(c, "evictions"), slow_lost);
    region_end(c, false);
    for (unsigned i = 0; i < l->keys; i++) {
        free(slow_rows[i].bytes);
    }
    free(buffer);
    free(value);
}

static void tiny_small(void) {
    run(&(struct load){"4 MiB, small values", 4 * MIB, 6000, 2000, 2000, 0, 20000});
}

static void tiny_mixed(void) {
    run(&(struct load){"4 MiB, small and large values", 4 * MIB, 300, 6000, 300000, 60, 10000});
}

static void tiny_large(void) {
    run(&(struct load){"4 MiB, the largest values", 4 * MIB, 40, 20000, 1200000, 150, 10000});
}

static void middle_mixed(void) {
    run(&(struct load){"16 MiB, small and large values", 16 * MIB, 1500, 9000, 200000, 50, 25000});
}

static void roomy(void) { /* nothing is evicted here, so nothing may be missed */
    run(&(struct load){"64 MiB, everything fits", 64 * MIB, 2000, 3000, 50000, 20, 50000});
}

static void wide_mixed(void) {
    run(&(struct load){"64 MiB, small and large values", 64 * MIB, 5000, 9000, 500000, 40, 50000});
}

static const struct check_test tests[] = {
    {"tiny_small", tiny_small},     {"tiny_mixed", tiny_mixed}, {"tiny_large", tiny_large},
    {"middle_mixed", middle_mixed}, {"roomy", roomy},           {"wide_mixed", wide_mixed},
};

int main(void) {
    return RUN_TESTS(tests);
}
