/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_between.c: an operation of another process is stopped just before and just behind each of its stores to the
 * region (puppet.h), and meanwhile its key is deleted, replaced, moved by an eviction, or deleted and stored anew after
 * the whole pool was recycled.  Whichever came first, the two happened one behind the other: what the stopped one saw is
 * not there any more, so it looks again; an eviction's copy brings nothing back.  And a value that is replaced or moved
 * is there at every instruction.
 * Threatens G2, G3 and the orders of `store`, `clean` and `evict` in layout.h.
 */
#include "puppet.h"

#define EVENTS_MOST 64u

/* ---- what happens to a key, as it should be ------------------------------------------------------- */

enum kind { NOTHING, VALUE, CLAIM };
struct state {
    enum kind kind;
    char text[32];
    bool first; /* with the token that it had at first */
};

static void now_is(struct state *s, const char *text) {
    *s = (struct state){.kind = VALUE};
    (void)snprintf(s->text, sizeof s->text, "%s", text);
}

static plc_status does_set(struct state *s) {
    now_is(s, "new");
    return PLC_OK;
}

static plc_status does_add(struct state *s) {
    return s->kind == VALUE ? PLC_EXISTS : does_set(s);
}

static plc_status does_replace(struct state *s) {
    return s->kind == VALUE ? does_set(s) : PLC_MISS;
}

static plc_status does_cas(struct state *s) {
    return s->kind != VALUE ? PLC_MISS : s->first ? does_set(s) : PLC_EXISTS;
}

static plc_status does_delete(struct state *s) {
    plc_status answer = s->kind == VALUE ? PLC_OK : PLC_MISS;
    s->kind = NOTHING;
    return answer;
}

static plc_status does_incr(struct state *s) {
    char text[32];
    if (s->kind != VALUE) {
        return PLC_MISS;
    }
    (void)snprintf(text, sizeof text, "%llu", strtoull(s->text, NULL, 10) + 1);
    now_is(s, text);
    return PLC_OK;
}

static plc_status does_append(struct state *s) {
    if (s->kind != VALUE) {
        return PLC_MISS;
    }
    size_t n = strlen(s->text);
    CHECK(n + 2 <= sizeof s->text);
    memcpy(s->text + n, "0", 2);
    s->first = false;
    return PLC_OK;
}

static plc_status does_nothing(struct state *s) {
    return s->kind == VALUE ? PLC_OK : PLC_MISS;
}

static plc_status does_publish(struct state *s) {
    return s->kind == CLAIM && s->first ? does_set(s) : PLC_MISS;
}

static plc_status does_abandon(struct state *s) {
    plc_status answer = s->kind == CLAIM && s->first ? PLC_OK : PLC_MISS;
    s->kind = answer == PLC_OK ? NOTHING : s->kind;
    return answer;
}

/* ---- what the other process does ------------------------------------------------------------------ */

static plc_status act_set(void) {
    return store(common, PLC_SET, SUBJECT, "new", 3);
}

static plc_status act_add(void) {
    return store(common, PLC_ADD, SUBJECT, "new", 3);
}

static plc_status act_replace(void) {
    return store(common, PLC_REPLACE, SUBJECT, "new", 3);
}

static plc_status with_token(plc_verb verb) {
    const plc_part part = {"new", 3};
    const plc_entry e = {
        .key = SUBJECT, .key_length = strlen(SUBJECT), .parts = &part, .part_count = 1, .token = task->token};
    return AGAIN(common, plc_store(common, verb, &e, NULL));
}

static plc_status act_cas(void) {
    return with_token(PLC_CAS);
}

static plc_status act_remake(void) {
    return with_token(PLC_REMAKE);
}

static plc_status act_peek(void) {
    char buffer[64];
    plc_found found;
    return AGAIN(common, plc_peek(common, SUBJECT, strlen(SUBJECT), buffer, sizeof buffer, &found));
}

static plc_status act_was_read(void) {
    uint32_t answer;
    return AGAIN(common, plc_was_read(common, SUBJECT, strlen(SUBJECT), &answer));
}

static plc_status act_publish(void) {
    return with_token(PLC_PUBLISH);
}

static plc_status act_abandon(void) {
    return AGAIN(common, plc_abandon(common, SUBJECT, strlen(SUBJECT), task->token));
}

static plc_status act_delete(void) {
    return AGAIN(common, plc_delete(common, SUBJECT, strlen(SUBJECT)));
}

static plc_status act_incr(void) {
    uint64_t result;
    return AGAIN(common, plc_incr(common, SUBJECT, strlen(SUBJECT), 1, 0, &result));
}

static plc_status act_append(void) {
    return store(common, PLC_APPEND, SUBJECT, "0", 1);
}

static plc_status act_touch(void) {
    return AGAIN(common, plc_touch(common, SUBJECT, strlen(SUBJECT), 1ull << 44));
}

static plc_status act_move(void) {
    return evict_now(common, task->run, EVICT_MOVE);
}

static plc_status act_drop(void) {
    return evict_now(common, task->run, EVICT_ALL);
}

static const struct operation {
    const char *name;
    plc_status (*act)(void);
    plc_status (*does)(struct state *);
    bool of_claim;
} operations[] = {
    {"set", act_set, does_set, false},
    {"add", act_add, does_add, false},
    {"replace", act_replace, does_replace, false},
    {"cas", act_cas, does_cas, false},
    {"remake", act_remake, does_cas, false},
    {"delete", act_delete, does_delete, false},
    {"incr", act_incr, does_incr, false},
    {"append", act_append, does_append, false},
    {"touch", act_touch, does_nothing, false},
    {"publish", act_publish, does_publish, true},
    {"abandon", act_abandon, does_abandon, true},
    {"move", act_move, does_nothing, false},
    {"move a claim", act_move, does_nothing, true},
    {"drop", act_drop, NULL, false},
    {"get", puppet_get, does_nothing, false},
    {"peek", act_peek, does_nothing, false},
    {"was_read", act_was_read, does_nothing, false},
};
#define OPERATIONS (sizeof operations / sizeof *operations)

static bool evicts(const struct operation *o) {
    return o->act == act_move || o->act == act_drop;
}

static bool reads(const struct operation *o) {
    return o->act == puppet_get || o->act == act_peek || o->act == act_was_read;
}

static uint64_t stops;

/* ---- one stop ------------------------------------------------------------------------------------- */

enum meanwhile { DELETED, REPLACED, MOVED, RECYCLED, MEANWHILES };

static void do_meanwhile(enum meanwhile what, const struct call *k, struct state *s) {
    if (what == MOVED) {
        uint32_t run = slot_head(subject_slot(k));
        CHECK(run == 0 || evict_now(common, run, EVICT_MOVE) == PLC_OK);
        s->kind = subject_slot(k) != 0 ? s->kind : NOTHING; /* there was no room for a copy */
        return;
    }
    if (what != REPLACED) {
        MUST(common, plc_delete(common, SUBJECT, strlen(SUBJECT)), s->kind == VALUE ? PLC_OK : PLC_MISS);
        s->kind = NOTHING;
    }
    if (what == RECYCLED) {
        puppet_recycle_pool();
    }
    if (what != DELETED) {
        CHECK_STATUS(store(common, PLC_SET, SUBJECT, "77", 2), PLC_OK);
        now_is(s, "77");
    }
}

/* The subject as it is at first, and the puppet's task. */
static struct state begin(const struct operation *o, const struct call *k) {
    puppet_begin(o->act, o->of_claim, evicts(o) || reads(o), k);
    return (struct state){.kind = o->of_claim ? CLAIM : VALUE, .text = "41", .first = true};
}

static bool is_so(const struct state *s) {
    char buffer[64];
    plc_found found;
    plc_status there = get(common, SUBJECT, buffer, sizeof buffer - 1, &found);
    if (s->kind == VALUE) {
        return there == PLC_OK && found.length == strlen(s->text) && memcmp(buffer, s->text, found.length) == 0 &&
               (found.token == task->token) == s->first;
    }
    plc_flight flight;
    const plc_entry e = {.key = SUBJECT, .key_length = strlen(SUBJECT)};
    plc_status claimed = AGAIN(common, plc_claim(common, &e, 1000, &flight));
    return there == PLC_MISS && claimed == (s->kind == CLAIM ? PLC_CLAIMED : PLC_OK) &&
           (s->kind != CLAIM || flight.token == task->token);
}

/* An answer that leaves everything as it was: at the beginning it was right, or while the key was not there. */
static bool refused(const struct operation *o, enum meanwhile what, struct state s) {
    struct state nothing = {.kind = NOTHING};
    plc_status first = o->does(&s), amid = o->does(&nothing);
    return (task->status == first && first != PLC_OK) || (what == RECYCLED && task->status == amid && amid != PLC_OK);
}

/* The two in one order or the other, as the slot says which it was. */
static bool one_behind_the_other(const struct operation *o, enum meanwhile what, const struct call *k, uint64_t slot,
                                 struct state s) {
    const struct state first = s;
    plc_status answer = PLC_OK;
    bool before = subject_slot(k) != slot; /* it has changed the slot already */
    if (before && evicts(o)) {
        s.kind = subject_slot(k) == 0 ? NOTHING : s.kind; /* dropped, or there was no room for a copy */
    } else if (before && !evicts(o)) {
        answer = o->does(&s);
    }
    do_meanwhile(what, k, &s);
    uint64_t between = subject_slot(k), evictions = counter_of(common, "evictions");
    puppet_let_go();
    if (o->act == act_move && subject_slot(k) == 0 && counter_of(common, "evictions") != evictions) {
        s.kind = NOTHING; /* no room */
    }
    if (o->act == act_drop && slot_head(between) == task->run && subject_slot(k) == 0) {
        s.kind = NOTHING; /* it lay in that very run */
    }
    if (o->act == act_delete && before && subject_slot(k) == 0) {
        s.kind = NOTHING; /* it goes on to the ends of both buckets, and met what was stored meanwhile */
    }
    if (reads(o)) { /* it changes nothing, and may have looked before or behind */
        return (task->status == PLC_OK || task->status == PLC_MISS) && is_so(&s);
    }
    if (!before && !evicts(o) && !refused(o, what, first)) {
        answer = o->does(&s);
    }
    return (task->status == answer || (!before && !evicts(o) && refused(o, what, first))) && is_so(&s);
}

/* What a slot names is whole, and below the mark of its run, at every instruction. */
static bool is_covered(const struct call *k) {
    struct entry e;
    uint64_t v = subject_slot(k);
    uint64_t mark = v != 0 ? side_a_mark(word_acq(page_side_a(common, slot_head(v)))) : 0;
    return v == 0 ||
           (entry_read(common, v, word_acq(page_word(common, slot_head(v))), &e) && e.offset + e.bytes <= mark);
}

/* False: the operation has not so many changes. */
static bool stopped_at(const struct operation *o, enum meanwhile what, unsigned changes, unsigned beyond) {
    struct call k;
    unsigned since = 0;
    (void)alarm(HANG_SECONDS);
    subject_look(common, &k);
    struct state s = begin(o, &k);
    uint64_t slot = subject_slot(&k);
    bool there = puppet_step_to(&k, changes, beyond, &since);
    if (!there) {
        puppet_let_go();
        return false;
    }
    CHECK(is_covered(&k));
    if (!one_behind_the_other(o, what, &k, slot, s)) {
        (void)fprintf(stderr, "%s, stopped %u instructions behind its change %u, meanwhile %u: %s\n", o->name, beyond,
                      changes, what, plc_status_text(task->status));
        CHECK(!"one behind the other");
    }
    CHECK(findings_of(common) == 0);
    CHECK(runs_overcounted(common) == 0);
    stops++;
    return true;
}

/* How many instructions before each of its changes: the last of them is the one that makes it. */
static unsigned changes_of(const struct operation *o, unsigned steps[EVENTS_MOST]) {
    struct call k;
    unsigned n = 0;
    subject_look(common, &k);
    (void)begin(o, &k);
    while (n < EVENTS_MOST && puppet_step_to(&k, 1, 0, &steps[n])) {
        n++;
    }
    CHECK(n < EVENTS_MOST);
    puppet_let_go();
    return n;
}

/* Before and behind each of its changes, and somewhere between. */
static void stop_everywhere(const struct operation *o, enum meanwhile from, enum meanwhile to) {
    unsigned steps[EVENTS_MOST] = {0}, n = changes_of(o, steps);
    uint64_t before = stops;
    CHECK(n > 0 || reads(o));
    for (unsigned at = 0; at <= n; at++) {
        for (enum meanwhile what = from; what <= to; what++) {
            if (SANITIZED && below(8) != 0) {
                continue; /* ten times as many instructions: some of them */
            }
            if (what == from || SANITIZED) {
                (void)stopped_at(o, from + (unsigned)below(to - from + 1), at, 0);
            }
            if (at < n && steps[at] > 1) {
                (void)stopped_at(o, what, at, steps[at] - 1);
            }
        }
        if (at < n && !SANITIZED) {
            (void)stopped_at(o, from + (unsigned)below(to - from + 1), at, (unsigned)below(steps[at]));
        }
    }
    (void)printf("  %s: %u changes, %" PRIu64 " stops\n", o->name, n, stops - before);
}

static void writers(void) {
    puppet_start();
    for (unsigned i = 0; i < OPERATIONS; i++) {
        stop_everywhere(&operations[i], DELETED, MOVED);
    }
    CHECK(SANITIZED || counter_of(common, "reinserted") > stops / 8);
    puppet_end();
}

/* What it saw is gone, and its place another's. */
static void recycled(void) {
    puppet_start();
    for (unsigned i = 0; i < OPERATIONS; i++) {
        if (!evicts(&operations[i])) {
            stop_everywhere(&operations[i], RECYCLED, RECYCLED);
        }
    }
    puppet_end();
}

/* ---- what holds at each instruction -------------------------------------------------------------------- */

/* A value that is replaced or moved is there all the time, the old one or the new one: at no instruction is its key in
 * no slot. */
static void never_absent(void) {
    struct call k;
    puppet_start();
    subject_look(common, &k);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        const struct operation *o = &operations[i];
        if (o->of_claim || o->act == act_delete || o->act == act_drop) {
            continue;
        }
        (void)begin(o, &k);
        uint64_t slot = subject_slot(&k), swaps = 0;
        CHECK(slot != 0);
        for (unsigned n = 0; !task->done; n++) {
            CHECK(n < PUPPET_STEPS_MOST);
            puppet_step();
            uint64_t now = subject_slot(&k);
            CHECK(now != 0);
            swaps += now != slot ? 1 : 0;
            slot = now;
        }
        puppet_let_go();
        CHECK(swaps <= 1 && (swaps == 1 || (o->act != act_set && o->act != act_move)));
    }
    puppet_end();
}

static const struct check_test tests[] = {
    {"writers", writers},
    {"recycled", recycled},
    {"never_absent", never_absent},
};

int main(void) {
    return trace_needed() ? RUN_TESTS(tests) : 77;
}
