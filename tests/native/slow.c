/* SPDX-License-Identifier: BSD-3-Clause */
/* slow.c: see slow.h. */
#include "slow.h"

struct slow_row slow_rows[SLOW_KEYS_MOST];
uint64_t slow_lost, slow_seen;
const char *slow_what, *slow_doing;

size_t slow_key(unsigned i, char key[PLC_KEY_MAX]) {
    size_t n = (size_t)snprintf(key, 64, "key-%u-", i);
    size_t want = i % 97 == 0 ? 400 : i == 55 ? PLC_KEY_MAX : n + i % 23;
    for (; n < want; n++) {
        key[n] = (char)('a' + n % 26);
    }
    return n;
}

void slow_fail(unsigned i, const char *what, plc_status s) {
    (void)fprintf(stderr, "%s: key %u: %s: %s; model: %s, %zu bytes\n", slow_what, i, slow_doing, what,
                  slow_rows[i].there ? "there" : "absent", slow_rows[i].length);
    (void)fprintf(stderr, "%s\n", plc_status_text(s));
    CHECK(!"the cache agrees with the model");
}

void slow_forget(unsigned i) {
    slow_rows[i].there = false;
}

void slow_absent(unsigned i) {
    if (slow_rows[i].there) {
        slow_lost++;
        slow_forget(i);
    }
}

void slow_there(unsigned i, plc_status s) {
    if (!slow_rows[i].there) {
        slow_fail(i, "a value that nobody has stored, or that is gone", s);
    }
}

void slow_put(unsigned i, const plc_entry *e, const uint8_t *bytes, size_t n, uint64_t token) {
    struct slow_row *r = &slow_rows[i];
    r->there = e->deadline_ms == 0 || e->deadline_ms > now_ms();
    r->bytes = realloc(r->bytes, n + 32); /* room for any number */
    CHECK(r->bytes != NULL);
    memcpy(r->bytes, bytes, n);
    r->length = n;
    r->token = token;
    r->deadline_ms = e->deadline_ms;
    r->flags = e->client_flags;
    r->name = e->name;
    r->type = e->type;
    r->read = false;
}

void slow_same(unsigned i, const uint8_t *bytes, const plc_found *found) {
    const struct slow_row *r = &slow_rows[i];
    slow_there(i, PLC_OK);
    if (found->length != r->length || memcmp(bytes, r->bytes, r->length) != 0) {
        slow_fail(i, "other bytes", PLC_OK);
    }
    if (found->token != r->token || found->deadline_ms != r->deadline_ms || found->client_flags != r->flags ||
        found->name != r->name || found->type != r->type) {
        slow_fail(i, "other fields", PLC_OK);
    }
    slow_seen++;
}
