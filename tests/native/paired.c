/* SPDX-License-Identifier: BSD-3-Clause */
/* paired.c: see paired.h. */
#include "paired.h"

#include "slow.h"

#define NAMES 5u

static plc_cache *c;
static uint8_t *buffer, *value;
static uint16_t names[NAMES];
static const struct load *load;

void paired_begin(plc_cache *cache, const struct load *l) {
    c = cache;
    load = l;
    buffer = malloc(l->region);
    value = malloc(l->region);
    CHECK(buffer != NULL && value != NULL);
    for (unsigned i = 0; i < NAMES; i++) {
        CHECK_STATUS(plc_name(c, &i, sizeof i, &names[i]), PLC_OK);
    }
}

void paired_end(void) {
    free(buffer);
    free(value);
}

void paired_look(unsigned i) {
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
    paired_look(i); /* a claim is a miss */
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

void paired_step(void) {
    unsigned i = (unsigned)below(load->keys), what = (unsigned)below(1000);
    i = below(2) == 0 ? i / 8 : i; /* some are used more */
    slow_doing = "get";
    if (what < 300) {
        paired_look(i);
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
