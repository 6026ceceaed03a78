/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_between.c: an operation of another process is stopped just before and just behind each of its stores to the
 * region (it is stepped there by ptrace), and meanwhile its key is deleted, replaced, moved by an eviction, or
 * deleted and stored anew after the whole pool was recycled.  Whichever came first, the two happened one behind the
 * other: what the stopped one saw is not there any more, so it looks again; an eviction's copy brings nothing back.
 * And a reader under whom the slot changes at every look ends, after a bounded number of looks; a value that is replaced
 * or moved is there at every instruction; what a dead one had given back is not taken for its run's.
 * Threatens G1, G2, G3, I6 and the orders of `store`, `clean` and `evict` in layout.h.
 */
#include "fixture.h"
#include "call.h"
#include "spare.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

#define STEPS_MOST 400000u
#define EVENTS_MOST 64u
#define READER_STEPS_MOST 60000u

static plc_cache *c;
static const char *const key = "K";

/* What the other process is told, and answers. */
static struct task {
    volatile unsigned op;
    volatile bool begun, done;
    volatile plc_status status;
    volatile uint64_t token; /* of what is there at first */
    volatile uint32_t run;   /* that it lies in */
    char text[64];           /* what it has read */
    char key[8];             /* arguments of its own, which somebody changes under it */
    plc_part parts[2];
} *task;

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
    return store(c, PLC_SET, key, "new", 3);
}

static plc_status act_add(void) {
    return store(c, PLC_ADD, key, "new", 3);
}

static plc_status act_replace(void) {
    return store(c, PLC_REPLACE, key, "new", 3);
}

static plc_status with_token(plc_verb verb) {
    const plc_part part = {"new", 3};
    const plc_entry e = {.key = key, .key_length = 1, .parts = &part, .part_count = 1, .token = task->token};
    return AGAIN(c, plc_store(c, verb, &e, NULL));
}

static plc_status act_cas(void) {
    return with_token(PLC_CAS);
}

static plc_status act_publish(void) {
    return with_token(PLC_PUBLISH);
}

static plc_status act_abandon(void) {
    return AGAIN(c, plc_abandon(c, key, 1, task->token));
}

static plc_status act_delete(void) {
    return AGAIN(c, plc_delete(c, key, 1));
}

static plc_status act_incr(void) {
    uint64_t result;
    return AGAIN(c, plc_incr(c, key, 1, 1, 0, &result));
}

static plc_status act_append(void) {
    return store(c, PLC_APPEND, key, "0", 1);
}

static plc_status act_touch(void) {
    return AGAIN(c, plc_touch(c, key, 1, 1ull << 44));
}

static plc_status evict(uint32_t run, enum evict_mode mode) {
    struct call k;
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    (void)evict_run(&k, run, mode);
    return call_leave(&k, PLC_OK);
}

static plc_status act_move(void) {
    return evict(task->run, EVICT_MOVE);
}

static plc_status act_drop(void) {
    return evict(task->run, EVICT_ALL);
}

static plc_status act_get(void) {
    char text[64] = "";
    plc_found found;
    plc_status s = plc_get(c, key, 1, 0, text, sizeof text - 1, &found);
    memcpy(task->text, text, sizeof text);
    return s;
}

static uint8_t lent[256 * 1024];
#define LARGE 70000u /* copied under a pin */
static uint8_t large[LARGE];

/* The text is the value's bytes if they are all the same, as often as there is room. */
static plc_status act_get_large(void) {
    plc_found found;
    plc_status s = plc_get(c, key, 1, 0, large, sizeof large, &found);
    bool same = s == PLC_OK && found.length == LARGE && memcmp(large, large + 1, LARGE - 1) == 0;
    (void)snprintf(task->text, sizeof task->text, "%.2s", same ? (const char *)large : "torn");
    return s;
}

static plc_status with_parts(plc_verb verb) {
    const plc_entry e = {.key = task->key, .key_length = sizeof task->key, .parts = task->parts, .part_count = 2};
    return AGAIN(c, plc_store(c, verb, &e, NULL));
}

static plc_status act_given(void) {
    return with_parts(PLC_SET);
}

static plc_status act_given_more(void) {
    return with_parts(PLC_APPEND);
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
    {"delete", act_delete, does_delete, false},
    {"incr", act_incr, does_incr, false},
    {"append", act_append, does_append, false},
    {"touch", act_touch, does_nothing, false},
    {"publish", act_publish, does_publish, true},
    {"abandon", act_abandon, does_abandon, true},
    {"move", act_move, does_nothing, false},
    {"move a claim", act_move, does_nothing, true},
    {"drop", act_drop, NULL, false},
    {"get", act_get, does_nothing, false},
    {"set what changes", act_given, NULL, false}, /* from here on: for tests of their own */
    {"append what changes", act_given_more, NULL, false},
    {"get large", act_get_large, NULL, false},
};
#define GET 13u
#define GIVEN (GET + 1)
#define GET_LARGE (GET + 3)
#define OPERATIONS GIVEN

static bool evicts(const struct operation *o) {
    return o->act == act_move || o->act == act_drop;
}

/* ---- stepping it ---------------------------------------------------------------------------------- */

static uint32_t other; /* its place in the region */
static uint64_t stops;

static void acts(struct peer_ends ends) {
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    (void)await(ends.in);
    plc_close(c);
    c = region_named("r", 0, 0);
    CHECK(store(c, PLC_SET, "mine", "x", 1) == PLC_OK); /* what is done once is done */
    tell(ends.out, info_of(c).slot);
    CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    for (;;) {
        CHECK(raise(SIGTRAP) == 0);
        task->begun = true;
        task->status = operations[task->op].act();
        task->done = true;
    }
}

static void wait_stopped(pid_t pid) {
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
}

static void step(pid_t pid) {
    CHECK(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
    wait_stopped(pid);
}

static void let_go(pid_t pid) {
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
    wait_stopped(pid); /* where it waits for the next task */
    CHECK(task->done);
}

/* Whether a key may be in it is all that is asked of a call here. */
static void look_at(struct call *k) {
    CHECK_STATUS(call_enter(k, c), PLC_OK);
    CHECK_STATUS(index_key(k, key, 1), PLC_OK);
    CHECK_STATUS(call_leave(k, PLC_OK), PLC_OK);
}

static uint64_t slot_of_key(const struct call *k) {
    for (unsigned way = 0; way < INDEX_WAYS; way++) {
        uint64_t v = word_acq(index_slot(k, way));
        if (v != 0 && slot_tag(v) == k->tag) {
            return v;
        }
    }
    return 0;
}

/* A number that changes with every store to what the slots of the key rest on: pins, the lock, the runs. */
static uint64_t picture(const struct call *k) {
    const struct shm_process *row = process_row(c, other);
    uint64_t sum = word_rlx(&c->locks[k->shard]), pages = c->geo.end_page - c->geo.first_page;
    for (unsigned i = 0; i < INDEX_WAYS; i++) {
        sum = sum * 31 + word_rlx(index_slot(k, i));
    }
    for (unsigned i = 0; i < TICKETS; i++) {
        sum = sum * 31 + word_rlx(&row->transient[i]);
    }
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t w = word_rlx(&c->words[i]);
        sum += page_readable(w) ? (w ^ word_rlx(&c->side_a[i]) * 7 ^ word_rlx(&c->side_b[i]) * 13) * (2 * i + 1) : 0;
    }
    return sum;
}

/* Steps it until so many changes were seen, and so many instructions beyond.  False: it is done before. */
static bool step_to(pid_t pid, const struct call *k, unsigned changes, unsigned beyond, unsigned *steps_since) {
    uint64_t last = picture(k);
    unsigned seen = 0, since = 0;
    for (unsigned i = 0; !task->done && (seen < changes || since < beyond); i++) {
        CHECK(i < STEPS_MOST);
        step(pid);
        since += task->begun ? 1 : 0;
        uint64_t now = picture(k);
        if (now != last) {
            *steps_since = since;
            last = now;
            seen++;
            since = 0;
        }
    }
    return !task->done;
}

/* ---- one stop ------------------------------------------------------------------------------------- */

enum meanwhile { DELETED, REPLACED, MOVED, RECYCLED, MEANWHILES };

static void recycle(void) {
    static uint8_t bytes[60000];
    char name[32];
    for (uint64_t written = 0; written < 12 * MIB;) {
        size_t n = below(4) == 0 ? 8 + below(sizeof bytes - 8) : 2000 + below(6000);
        (void)snprintf(name, sizeof name, "other %u", (unsigned)below(3000));
        plc_status s = store(c, PLC_SET, name, bytes, n);
        CHECK(s == PLC_OK || s == PLC_FULL || s == PLC_BUSY);
        written += n;
    }
}

static void do_meanwhile(enum meanwhile what, const struct call *k, struct state *s) {
    if (what == MOVED) {
        uint32_t run = slot_head(slot_of_key(k));
        CHECK(run == 0 || evict(run, EVICT_MOVE) == PLC_OK);
        s->kind = slot_of_key(k) != 0 ? s->kind : NOTHING; /* there was no room for a copy */
        return;
    }
    if (what != REPLACED) {
        MUST(c, plc_delete(c, key, 1), s->kind == VALUE ? PLC_OK : PLC_MISS);
        s->kind = NOTHING;
    }
    if (what == RECYCLED) {
        recycle();
    }
    if (what != DELETED) {
        CHECK_STATUS(store(c, PLC_SET, key, "77", 2), PLC_OK);
        now_is(s, "77");
    }
}

/* The key as it is at first: a value, or a claim, in a run that is parked, and not in the last run of anybody. */
static struct state begin(const struct operation *o, const struct call *k) {
    struct state s = {.kind = o->of_claim ? CLAIM : VALUE, .text = "41", .first = true};
    plc_status gone = AGAIN(c, plc_delete(c, key, 1));
    CHECK(gone == PLC_OK || gone == PLC_MISS);
    bool alone = evicts(o) || o->act == act_get; /* few entries are in its run */
    CHECK(task->run == 0 || !alone || evict(task->run, EVICT_ALL) == PLC_OK);
    if (o->of_claim) {
        plc_flight flight;
        const plc_entry e = {.key = key, .key_length = 1};
        MUST(c, plc_claim(c, &e, 3600000, &flight), PLC_OK);
        task->token = flight.token;
    } else {
        plc_found found;
        char buffer[32];
        CHECK_STATUS(store(c, PLC_SET, key, "41", 2), PLC_OK);
        CHECK_STATUS(get(c, key, buffer, sizeof buffer, &found), PLC_OK);
        task->token = found.token;
    }
    task->run = slot_head(slot_of_key(k));
    task->begun = task->done = false;
    task->op = (unsigned)(o - operations);
    return s;
}

static bool is_so(const struct state *s) {
    char buffer[64];
    plc_found found;
    plc_status there = get(c, key, buffer, sizeof buffer - 1, &found);
    if (s->kind == VALUE) {
        return there == PLC_OK && found.length == strlen(s->text) && memcmp(buffer, s->text, found.length) == 0 &&
               (found.token == task->token) == s->first;
    }
    plc_flight flight;
    const plc_entry e = {.key = key, .key_length = 1};
    plc_status claimed = AGAIN(c, plc_claim(c, &e, 1000, &flight));
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
                                 struct state s, pid_t pid) {
    const struct state first = s;
    plc_status answer = PLC_OK;
    bool before = slot_of_key(k) != slot; /* it has changed the slot already */
    if (before && evicts(o)) {
        s.kind = slot_of_key(k) == 0 ? NOTHING : s.kind; /* dropped, or there was no room for a copy */
    } else if (before && !evicts(o)) {
        answer = o->does(&s);
    }
    do_meanwhile(what, k, &s);
    uint64_t between = slot_of_key(k), evictions = counter_of(c, "evictions");
    let_go(pid);
    if (o->act == act_move && slot_of_key(k) == 0 && counter_of(c, "evictions") != evictions) {
        s.kind = NOTHING; /* no room */
    }
    if (o->act == act_drop && slot_head(between) == task->run && slot_of_key(k) == 0) {
        s.kind = NOTHING; /* it lay in that very run */
    }
    if (o->act == act_delete && before && slot_of_key(k) == 0) {
        s.kind = NOTHING; /* it goes on to the ends of both buckets, and met what was stored meanwhile */
    }
    if (o->act == act_get) { /* it changes nothing, and may have looked before or behind */
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
    uint64_t v = slot_of_key(k);
    uint64_t mark = v != 0 ? side_a_mark(word_acq(page_side_a(c, slot_head(v)))) : 0;
    return v == 0 || (entry_read(c, v, word_acq(page_word(c, slot_head(v))), &e) && e.offset + e.bytes <= mark);
}

/* False: the operation has not so many changes. */
static bool stopped_at(const struct operation *o, enum meanwhile what, pid_t pid, unsigned changes, unsigned beyond) {
    struct call k;
    unsigned since = 0;
    (void)alarm(HANG_SECONDS);
    look_at(&k);
    struct state s = begin(o, &k);
    uint64_t slot = slot_of_key(&k);
    bool there = step_to(pid, &k, changes, beyond, &since);
    if (!there) {
        let_go(pid);
        return false;
    }
    CHECK(is_covered(&k));
    if (!one_behind_the_other(o, what, &k, slot, s, pid)) {
        (void)fprintf(stderr, "%s, stopped %u instructions behind its change %u, meanwhile %u: %s\n", o->name, beyond,
                      changes, what, plc_status_text(task->status));
        CHECK(!"one behind the other");
    }
    CHECK(findings_of(c) == 0);
    CHECK(runs_overcounted(c) == 0);
    stops++;
    return true;
}

/* How many instructions before each of its changes: the last of them is the one that makes it. */
static unsigned changes_of(const struct operation *o, pid_t pid, unsigned steps[EVENTS_MOST]) {
    struct call k;
    unsigned n = 0;
    look_at(&k);
    (void)begin(o, &k);
    while (n < EVENTS_MOST && step_to(pid, &k, 1, 0, &steps[n])) {
        n++;
    }
    CHECK(n < EVENTS_MOST);
    let_go(pid);
    return n;
}

/* Both on one processor: they never run at once, and a step costs a switch, not a wake. */
static void share_processor(void) {
    cpu_set_t one;
    int at = sched_getcpu(); /* -1: any will do */
    CPU_ZERO(&one);
    CPU_SET(at < 0 ? 0u : (unsigned)at, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
}

static pid_t start_other(struct peer *p) {
    share_processor();
    c = region_new(4 * MIB);
    task = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(task != MAP_FAILED);
    *p = peer_start(acts);
    tell(p->to, 1);
    other = (uint32_t)hear(p->from);
    wait_stopped(p->pid);
    return p->pid;
}

static void end_other(struct peer *p) {
    peer_kill(p);
    CHECK(munmap(task, 4096) == 0);
    region_end(c, true);
}

/* Before and behind each of its changes, and somewhere between. */
static void stop_everywhere(const struct operation *o, pid_t pid, enum meanwhile from, enum meanwhile to) {
    unsigned steps[EVENTS_MOST] = {0}, n = changes_of(o, pid, steps);
    uint64_t before = stops;
    CHECK(n > 0 || o->act == act_get);
    for (unsigned at = 0; at <= n; at++) {
        for (enum meanwhile what = from; what <= to; what++) {
            if (SANITIZED && below(8) != 0) {
                continue; /* ten times as many instructions: some of them */
            }
            if (what == from || SANITIZED) {
                (void)stopped_at(o, from + (unsigned)below(to - from + 1), pid, at, 0);
            }
            if (at < n && steps[at] > 1) {
                (void)stopped_at(o, what, pid, at, steps[at] - 1);
            }
        }
        if (at < n && !SANITIZED) {
            (void)stopped_at(o, from + (unsigned)below(to - from + 1), pid, at, (unsigned)below(steps[at]));
        }
    }
    (void)printf("  %s: %u changes, %" PRIu64 " stops\n", o->name, n, stops - before);
}

static void writers(void) {
    struct peer p;
    pid_t pid = start_other(&p);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        stop_everywhere(&operations[i], pid, DELETED, MOVED);
    }
    CHECK(SANITIZED || counter_of(c, "reinserted") > stops / 8);
    end_other(&p);
}

/* What it saw is gone, and its place another's. */
static void recycled(void) {
    struct peer p;
    pid_t pid = start_other(&p);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        if (!evicts(&operations[i])) {
            stop_everywhere(&operations[i], pid, RECYCLED, RECYCLED);
        }
    }
    end_other(&p);
}

/* ---- an absent key ---------------------------------------------------------------------------------- */

/* Stores the key, but not in the way that who inserts it now would take.  False: its shard is locked. */
static bool put_elsewhere(struct call *k) {
    const plc_part part = {"77", 2};
    const plc_entry e = {.key = key, .key_length = 1, .parts = &part, .part_count = 1};
    int way = index_empty(k);
    uint64_t other_tag = (uint64_t)(k->tag ^ 1u) << 42 | 1; /* of no page of the pool: nobody's entry */
    CHECK(way >= 0 && word_swap(index_slot(k, (unsigned)way), 0, other_tag));
    plc_status s = plc_store(c, PLC_SET, &e, NULL);
    CHECK(s == PLC_OK || s == PLC_AGAIN || s == PLC_BUSY);
    CHECK(word_swap(index_slot(k, (unsigned)way), other_tag, 0));
    return s == PLC_OK;
}

/* A key that two insert at once is in one slot: who has not the lock inserts nothing. */
static void inserting(void) {
    struct peer p;
    struct call k;
    uint64_t stored = 0, locked = 0;
    pid_t pid = start_other(&p);
    look_at(&k);
    bool there = true;
    for (unsigned n = 0; there; n += (SANITIZED ? 150 : 8) + (unsigned)below(5)) {
        (void)alarm(HANG_SECONDS);
        (void)begin(&operations[0], &k);
        MUST(c, plc_delete(c, key, 1), PLC_OK);
        for (unsigned i = 0; i < n && !task->done; i += task->begun ? 1 : 0) {
            step(pid);
        }
        there = !task->done;
        if (there && slot_of_key(&k) == 0) {
            bool could = put_elsewhere(&k);
            stored += could ? 1 : 0;
            locked += could ? 0 : 1;
        }
        let_go(pid);
        CHECK(task->status == PLC_OK && holds(c, key, "new"));
        CHECK(findings_of(c) == 0);
    }
    CHECK(stored > 0 && locked > 0);
    (void)printf("  %" PRIu64 " stored meanwhile, %" PRIu64 " found it locked\n", stored, locked);
    end_other(&p);
}

/* ---- a dead one's pin -------------------------------------------------------------------------------- */

static void dies_with_a_pin(struct peer_ends ends) {
    struct call k;
    struct hit hit;
    (void)await(ends.in);
    plc_close(c);
    c = region_named("r", 0, 0);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, key, 1), PLC_OK);
    fence_full();
    CHECK_STATUS(index_look(&k, &hit), PLC_OK);
    (void)kill(getpid(), SIGKILL);
}

/* Who finds a run pinned asks whether the one who pinned it lives; nobody else has a reason to. */
static void dead_pin(void) {
    struct call k;
    c = region_new(4 * MIB);
    CHECK_STATUS(store(c, PLC_SET, key, "41", 2), PLC_OK);
    look_at(&k);
    uint32_t run = slot_head(slot_of_key(&k));
    struct peer p = peer_start(dies_with_a_pin);
    tell(p.to, 1);
    CHECK(WIFSIGNALED(peer_end(&p)));
    CHECK(evict(run, EVICT_ALL) == PLC_OK);
    CHECK_SOON(page_state(word_acq(page_word(c, run))) == PAGE_FREE || (evict(run, EVICT_ALL), false));
    region_end(c, true);
}

/* A dead one has given back a tail of its run, which is another run's by now: who frees the rest lets it be. */
static void others_tails(void) {
    struct call k;
    struct fill run, others;
    uint64_t met;
    c = region_new(4 * MIB);
    CHECK_STATUS(store(c, PLC_SET, "warm", "x", 1), PLC_OK);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    uint32_t head = spare_form_reserve(&k), tail = head + 3;
    CHECK(head != 0);
    run_begin(&k, head, false, &run);
    CHECK(run.pages > 4);
    CHECK(word_swap(page_word(c, tail), page_cont(head, run.gen), page_make(PAGE_FREE, 0, run.gen)));
    CHECK(pages_claim(&k, tail, &met));
    (void)pages_form(&k, tail, 1, false);
    uint64_t w = word_acq(page_word(c, tail));
    word_put_rel(page_word(c, head), page_make(PAGE_SEALED, 0, run.gen));
    CHECK(evict_run(&k, head, EVICT_ALL) == EVICT_FREED);
    CHECK(word_acq(page_word(c, tail)) == w);
    run_begin(&k, tail, false, &others);
    run_finish(&k, &others);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    region_end(c, false);
}

/* ---- the reader ------------------------------------------------------------------------------------ */

static void begin_large(const struct call *k) {
    (void)begin(&operations[GET], k);
    memset(lent, '4', LARGE);
    CHECK_STATUS(store(c, PLC_SET, key, lent, LARGE), PLC_OK);
    task->run = slot_head(slot_of_key(k));
    task->op = GET_LARGE;
}

/* From its first pin on the key is stored anew at each of its instructions. */
static void reader_under_pin(void) {
    struct peer p;
    struct call k;
    unsigned since = 0;
    pid_t pid = start_other(&p);
    look_at(&k);
    begin_large(&k);
    CHECK(step_to(pid, &k, 1, 0, &since));
    for (unsigned i = 0; !task->done; i++) {
        CHECK(i < READER_STEPS_MOST);
        CHECK_STATUS(store(c, PLC_SET, key, "x", 1), PLC_OK);
        step(pid);
    }
    let_go(pid);
    CHECK_STATUS(task->status, PLC_MISS);
    CHECK(counter_of(c, "contended") == 1);
    end_other(&p);
}

/* Every few instructions the key is stored anew: so often that whatever it looked at has changed since. */
static void reader(void) {
    struct peer p;
    struct call k;
    uint64_t changed = 0, contended = 0;
    pid_t pid = start_other(&p);
    look_at(&k);
    for (unsigned every = 1; every <= 64; every *= SANITIZED ? 64 : 4) {
        uint64_t had = counter_of(c, "contended");
        (void)begin(&operations[GET], &k);
        for (unsigned i = 0; !task->done; i++) {
            CHECK(i < READER_STEPS_MOST);
            step(pid);
            if (task->begun && i % every == 0) {
                CHECK_STATUS(store(c, PLC_SET, key, "x", 1), PLC_OK);
                changed++;
            }
        }
        let_go(pid);
        CHECK(task->status == PLC_OK || task->status == PLC_MISS); /* it never waits, nor is it told to come again */
        contended += counter_of(c, "contended") - had;
    }
    CHECK(contended > 0);
    (void)printf("  %" PRIu64 " changes under reads, of which %" PRIu64 " gave up\n", changed, contended);
    end_other(&p);
}

/* The key goes, and its place becomes another run's, whose owner has written, but not published, an entry of the same
 * key there.  False: somebody has pinned it. */
static bool forge(struct call *k, struct fill *fill, bool own) {
    uint64_t met;
    uint32_t run = task->run, pages = own ? (LARGE + 128 + PAGE_BYTES - 1) / PAGE_BYTES : 1;
    MUST(c, plc_delete(c, key, 1), PLC_OK);
    CHECK(evict(run, EVICT_ALL) == PLC_OK);
    if (page_state(word_acq(page_word(c, run))) == PAGE_LIMBO) {
        return false;
    }
    CHECK_STATUS(call_enter(k, c), PLC_OK);
    CHECK_STATUS(index_key(k, key, 1), PLC_OK);
    for (uint32_t i = 0; i < pages; i++) {
        CHECK(pages_claim(k, run + i, &met));
    }
    (void)pages_form(k, run, pages, own);
    run_begin(k, run, own, fill);
    const struct spec spec = {.key = k->key,
                              .key_length = 1,
                              .kind = ENTRY_VALUE,
                              .options = own ? ENTRY_OWN : 0,
                              .length = own ? LARGE : 2,
                              .sum = name_sum(c, 0, (const uint16_t[4]){0}),
                              .token = 1,
                              .created = entry_created_now(k)};
    memset(lent, '?', spec.length);
    fill_racing(run_write(k, fill, &spec), lent, spec.length);
    run_commit(k, fill);
    return true;
}

/* A reader stopped at every instruction believes nothing that was never published. */
static void misled_in(bool own, unsigned stride, unsigned most) {
    struct peer p;
    struct call k;
    struct fill fill;
    uint64_t hits = 0, misses = 0;
    pid_t pid = start_other(&p);
    look_at(&k);
    bool there = true;
    for (unsigned n = (unsigned)below(stride); there && n < most;
         n += SANITIZED ? 40 * stride + (unsigned)below(40) : stride) {
        (void)alarm(HANG_SECONDS);
        do {
            (void)begin(&operations[GET], &k);
        } while (slot_offset(slot_of_key(&k)) != 0);
        if (own) {
            begin_large(&k);
        }
        for (unsigned i = 0; i < n && !task->done; i += task->begun ? 1 : 0) {
            step(pid);
        }
        there = !task->done;
        bool forged = forge(&k, &fill, own);
        let_go(pid);
        if (forged) {
            run_finish(&k, &fill);
            CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
        }
        hits += task->status == PLC_OK ? 1 : 0;
        misses += task->status == PLC_MISS ? 1 : 0;
        CHECK(task->status == PLC_MISS || (task->status == PLC_OK && strcmp(task->text, own ? "44" : "41") == 0));
    }
    CHECK(hits > 0 && misses > 0);
    (void)printf("  %" PRIu64 " hits and %" PRIu64 " misses\n", hits, misses);
    end_other(&p);
}

static void misled(void) {
    misled_in(false, 3, STEPS_MOST);
    misled_in(true, 4, SANITIZED ? 12000 : 1600);
}

/* ---- the caller ------------------------------------------------------------------------------------- */

static void arguments(void) {
    memcpy(task->key, "argument", sizeof task->key);
    task->parts[0] = (plc_part){lent, 40};
    task->parts[1] = (plc_part){lent, 60};
}

/* Its key and the lengths of its parts change while it is at work: what was checked is what is used. */
static void changed_under_it(unsigned which) {
    struct peer p;
    pid_t pid = start_other(&p);
    recycle(); /* its run has neighbours */
    bool there = true;
    for (unsigned n = (unsigned)below(13), i; there; n += SANITIZED ? 150 : 13) {
        (void)alarm(HANG_SECONDS);
        arguments();
        CHECK_STATUS(store(c, PLC_SET, "argument", "41", 2), PLC_OK);
        CHECK_STATUS(store(c, PLC_SET, "brgument", "41", 2), PLC_OK);
        task->op = which;
        task->begun = task->done = false;
        for (i = 0; i < n && !task->done; i += task->begun ? 1 : 0) {
            step(pid);
        }
        there = !task->done;
        task->key[0] = 'b';
        task->parts[0].length = sizeof lent;
        let_go(pid);
        CHECK(task->status == PLC_OK || task->status == PLC_TOO_LARGE);
        CHECK(findings_of(c) == 0);
        stops++;
    }
    CHECK(counter_of(c, "corrupt_seen") == 0);
    end_other(&p);
}

static void changing_arguments(void) {
    memset(lent, 'z', sizeof lent);
    changed_under_it(GIVEN);
    changed_under_it(GIVEN + 1);
}

/* ---- a dead one's tails -------------------------------------------------------------------------------- */

/* A dead one has given back a tail of its open run, and its side word does not say so: who continues the run has the
 * pages before that one, and room for no more. */
static void continued(uint64_t need, bool fits) {
    struct call k;
    struct fill run, more;
    c = region_new(4 * MIB);
    CHECK_STATUS(store(c, PLC_SET, "warm", "x", 1), PLC_OK);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    const uint64_t dead = owner_make(owner_slot(k.owner), owner_inc(k.owner) - 1);
    uint32_t head = spare_form_reserve(&k), tail = head + 3;
    CHECK(head != 0);
    run_begin(&k, head, false, &run);
    CHECK(run.pages > 5 && side_a_pages(word_acq(page_side_a(c, head))) == run.pages);
    CHECK(word_swap(page_word(c, tail), page_cont(head, run.gen), page_make(PAGE_FREE, 0, run.gen)));
    word_put_rel(page_word(c, head), page_make(PAGE_OPEN, dead, run.gen));
    CHECK(run_resume(&k, head, need, &more) == fits);
    if (fits) {
        CHECK(more.pages == 3 && side_a_pages(word_acq(page_side_a(c, head))) == 3);
        more.published = true;
        run_finish(&k, &more);
    }
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    region_end(c, true);
}

static void tails_of_the_dead(void) {
    continued(3 * PAGE_BYTES, true);
    continued(3 * PAGE_BYTES + ALIGN, false);
}

/* ---- what holds at each instruction -------------------------------------------------------------------- */

/* A value that is replaced or moved is there all the time, the old one or the new one: at no instruction is its key in
 * no slot. */
static void never_absent(void) {
    struct peer p;
    struct call k;
    pid_t pid = start_other(&p);
    look_at(&k);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        const struct operation *o = &operations[i];
        if (o->of_claim || o->act == act_delete || o->act == act_drop) {
            continue;
        }
        (void)begin(o, &k);
        uint64_t slot = slot_of_key(&k), swaps = 0;
        CHECK(slot != 0);
        for (unsigned n = 0; !task->done; n++) {
            CHECK(n < STEPS_MOST);
            step(pid);
            uint64_t now = slot_of_key(&k);
            CHECK(now != 0);
            swaps += now != slot ? 1 : 0;
            slot = now;
        }
        let_go(pid);
        CHECK(swaps <= 1 && (swaps == 1 || (o->act != act_set && o->act != act_move)));
    }
    end_other(&p);
}

/* ---- generations --------------------------------------------------------------------------------------- */

/* A run's generation is larger than any that one of its pages had, whichever page that is (I6). */
static void generations(void) {
    struct call k;
    struct fill run;
    uint64_t met;
    enum { PAGES = 3, TIMES = 5 };
    c = region_new(4 * MIB);
    CHECK_STATUS(store(c, PLC_SET, "warm", "x", 1), PLC_OK);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    uint32_t head = spare_form_reserve(&k);
    CHECK(head != 0);
    run_begin(&k, head, false, &run);
    CHECK(run.pages >= PAGES);
    pages_release(&k, head, run.gen, run.pages);
    for (uint32_t often = 0; often < PAGES; often++) { /* this one has been in more runs than its neighbours */
        uint32_t gen = 0;
        for (unsigned i = 0; i < TIMES; i++) {
            CHECK(pages_claim(&k, head + often, &met));
            gen = pages_form(&k, head + often, 1, false);
            pages_release(&k, head + often, gen, 1);
        }
        for (uint32_t i = 0; i < PAGES; i++) {
            CHECK(pages_claim(&k, head + i, &met));
        }
        uint32_t whole = pages_form(&k, head, PAGES, false);
        CHECK(whole > gen);
        pages_release(&k, head, whole, PAGES);
    }
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    region_end(c, false);
}

/* Forbidden, or not to be had under this program's own tracer? */
static bool may_trace(void) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 && raise(SIGTRAP) == 0 ? 0 : 3);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    bool can = WIFSTOPPED(status) && ptrace(PTRACE_CONT, pid, NULL, NULL) == 0;
    if (WIFSTOPPED(status)) {
        CHECK(waitpid(pid, &status, 0) == pid);
    }
    return can;
}

static const struct check_test tests[] = {
    {"writers", writers},
    {"recycled", recycled},
    {"inserting", inserting},
    {"dead_pin", dead_pin},
    {"others_tails", others_tails},
    {"reader", reader},
    {"reader_under_pin", reader_under_pin},
    {"misled", misled},
    {"changing_arguments", changing_arguments},
    {"tails_of_the_dead", tails_of_the_dead},
    {"never_absent", never_absent},
    {"generations", generations},
};

int main(void) {
    if (!may_trace()) {
        (void)printf("this machine does not let a process be stepped (ptrace)\n");
        return 77;
    }
    return RUN_TESTS(tests);
}
