/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_lost.c: what gets lost on the way.  Lock bytes: processes whose own code opens and closes the region's file,
 * and that fork, under load: nobody who lives is held to be dead.  Hints: deaths take free pages out of the lists
 * that name them; what the page words say is free is found again, and used.  SOAK=1: 20,000 kills.
 */
#include "soak.h"
#include "work.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "call.h"
#include "pages.h"
#include "process.h"
#include "run.h"
#include "spare.h"

#define CHILDREN 3u
#define SIZE (8u * MIB)

static plc_cache *c;

/* As any program may do that knows nothing of locks: afterwards the kernel holds no byte for this process. */
static void lose_the_byte(void) {
    int fd = open(check_path("r"), O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && close(fd) == 0);
}

static void still_me(uint64_t me) {
    uint64_t owner = word_acq(&c->owner);
    CHECK(owner == me && word_acq(&process_row(c, owner_slot(me))->inc) == owner_inc(me));
}

/* A fork child: works at a place of its own, loses its byte too, and ends. */
static pid_t fork_one(struct work *w) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)alarm(HANG_SECONDS);
        w->state ^= 0x5bd1e995;
        work_step(w);
        uint64_t me = word_acq(&c->owner);
        for (unsigned i = 0; i < 20; i++) {
            lose_the_byte();
            work_step(w);
            still_me(me);
        }
        _exit(0);
    }
    return child;
}

/* Works, loses its byte, forks; asks after all the others' lives; tells at the end that it was never held dead. */
static void careless(struct peer_ends ends) {
    struct work w;
    check_state = await(ends.in);
    plc_close(c);
    c = region_named("r", 0, 0);
    work_begin(&w, c, check_random());
    work_step(&w);
    uint64_t me = word_acq(&c->owner);
    uint64_t steps = soak_rounds(60000, 1500, 300);
    for (uint64_t i = 0; i < steps; i++) {
        (void)alarm(HANG_SECONDS); /* for each */
        work_step(&w);
        if (below(8) == 0) {
            lose_the_byte();
        }
        if (below(8) == 0) {
            (void)process_reap(c, 1 + (uint32_t)below(2 * CHILDREN));
        }
        if (below(60) == 0) {
            int status;
            pid_t child = fork_one(&w);
            lose_the_byte();
            work_step(&w);
            CHECK(waitpid(child, &status, 0) == child && status == 0);
        }
        still_me(me);
    }
    work_end(&w);
    tell(ends.out, 1);
    (void)await(ends.in);
    still_me(me);
    plc_close(c);
}

/* The parent, too, loses its byte, asks after everybody, and finds all of them alive until they have said goodbye. */
static void lost_bytes(void) {
    struct peer peers[CHILDREN];
    struct work w;
    c = region_new(SIZE);
    for (unsigned i = 0; i < CHILDREN; i++) {
        peers[i] = peer_start(careless);
        tell(peers[i].to, check_random());
    }
    work_begin(&w, c, check_random());
    uint64_t me = word_acq(&c->owner);
    for (uint64_t i = 0; i < soak_rounds(60000, 1500, 300); i++) {
        (void)alarm(HANG_SECONDS);
        work_step(&w);
        if (below(8) == 0) {
            lose_the_byte();
        }
        (void)process_reap(c, 1 + (uint32_t)below(2 * CHILDREN));
        still_me(me);
    }
    for (unsigned i = 0; i < CHILDREN; i++) {
        (void)alarm(soaking() ? 1800 : HANG_SECONDS);
        CHECK(hear(peers[i].from) == 1);
    }
    for (uint32_t slot = 1; slot <= c->geo.slots; slot++) { /* fork children are gone; the three sit there */
        (void)process_reap(c, slot);
    }
    CHECK(process_count(c) == 1 + CHILDREN);
    for (unsigned i = 0; i < CHILDREN; i++) {
        tell(peers[i].to, 1);
        peer_done(&peers[i]);
    }
    soak_line("lock bytes lost under load, with forks",
              "%" PRIu64 " steps of 4 processes, the byte is lost at each eighth; %" PRIu64
              " reaps, all of fork children; nobody else was held dead",
              4 * soak_rounds(60000, 1500, 300), counter_of(c, "reaps"));
    work_end(&w);
    region_end(c, true);
}

/* ---- hints ------------------------------------------------------------------------------------- */

static void load(struct peer_ends ends) {
    struct work w;
    check_state = await(ends.in);
    plc_close(c);
    c = region_named("r", 0, 0);
    work_begin(&w, c, check_random());
    tell(ends.out, 1);
    for (;;) {
        work_step(&w);
    }
}

static struct peer load_start(void) {
    struct peer p = peer_start(load);
    tell(p.to, check_random());
    CHECK(hear(p.from) == 1);
    return p;
}

/* Of a resting region: pages that are free by their words, and whole free segments that the reserve names. */
static uint32_t free_pages(uint32_t *reserved) {
    uint32_t n = 0;
    *reserved = 0;
    for (uint32_t page = c->geo.first_page; page < pages_limit(c); page++) {
        n += page_state(word_acq(page_word(c, page))) == PAGE_FREE ? 1 : 0;
    }
    for (unsigned i = 0; i < RESERVE_PLACES; i++) {
        uint64_t at = word_acq(&c->super->reserve[i]);
        uint32_t whole = 0;
        while (at != 0 && whole < c->geo.segment_pages && page_in_pool(c, (uint32_t)at + whole) &&
               page_state(word_acq(page_word(c, (uint32_t)at + whole))) == PAGE_FREE) {
            whole++;
        }
        *reserved += whole == c->geo.segment_pages ? 1 : 0;
    }
    return n;
}

/* Small values of new keys, as many as make the pool go round once. */
static void go_round(void) {
    static uint8_t bytes[900];
    static uint64_t number;
    for (uint64_t i = 0; i < SIZE / sizeof bytes; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "new %" PRIu64, number++);
        plc_status s = store(c, PLC_SET, key, bytes, sizeof bytes);
        CHECK(s == PLC_OK || s == PLC_BUSY);
    }
}

/* Until the sweep, which passes a few pages for every run made, has passed each page three times: once for what the
 * dead had claimed or were freeing, once for the tails that this left, once for what is free now and named nowhere. */
static void sweep_thrice(void) {
    uint64_t from = word_acq(&c->super->sweep.value);
    while (word_acq(&c->super->sweep.value) - from < 3 * (uint64_t)(c->geo.end_page - c->geo.first_page)) {
        (void)alarm(HANG_SECONDS);
        go_round();
    }
    go_round(); /* and what it found is taken */
}

/* While something is evicted for every new entry, nearly nothing is free, whatever died: and what is free is where
 * evictions look for it. */
static void reserve_after_kills(void) {
    struct peer peers[CHILDREN];
    uint32_t reserved = 0;
    c = region_new(SIZE);
    for (unsigned i = 0; i < CHILDREN; i++) {
        peers[i] = load_start();
    }
    uint64_t kills = soak_rounds(20000, 150, 30);
    for (uint64_t i = 0; i < kills; i++) {
        unsigned which = (unsigned)below(CHILDREN);
        (void)alarm(HANG_SECONDS);
        CHECK(usleep((useconds_t)below(4000)) == 0);
        peer_kill(&peers[which]);
        peers[which] = load_start();
    }
    for (unsigned i = 0; i < CHILDREN; i++) {
        peer_kill(&peers[i]);
    }
    for (uint32_t slot = 1; slot <= c->geo.slots; slot++) {
        (void)process_reap(c, slot);
    }
    CHECK(process_count(c) == 1);
    sweep_thrice();
    uint32_t n = free_pages(&reserved);
    soak_line("free pages after kills",
              "%" PRIu64 " kills; then %u pages are free and %u segments in reserve, of %u pages", kills, n, reserved,
              pages_limit(c) - c->geo.first_page);
    CHECK(reserved >= 1);
    CHECK(n - reserved * c->geo.segment_pages <= c->geo.segment_pages);
    region_end(c, false);
}

static uint32_t some_reserved(void) {
    for (unsigned i = 0; i < RESERVE_PLACES; i++) {
        uint64_t at = word_acq(&c->super->reserve[i]);
        if (page_in_pool(c, (uint32_t)at) && page_state(word_acq(page_word(c, (uint32_t)at))) == PAGE_FREE) {
            return (uint32_t)at;
        }
    }
    return 0;
}

static void name_twice(uint32_t beyond) {
    struct call k;
    struct fill f;
    uint32_t reserved;
    c = region_new(SIZE);
    go_round();
    go_round();
    (void)free_pages(&reserved);
    CHECK(reserved == 2);
    CHECK(call_enter(&k, c) == PLC_OK);
    uint32_t mine = spare_form_reserve(&k);
    CHECK(mine != 0);
    CHECK(call_leave(&k, PLC_OK) == PLC_OK);
    uint32_t at = some_reserved();
    CHECK(at != 0);
    word_put_rlx(&c->super->reserve[RESERVE_PLACES - 1], at + beyond);
    sweep_thrice();
    (void)free_pages(&reserved);
    CHECK(reserved == 2);
    CHECK(call_enter(&k, c) == PLC_OK);
    run_begin(&k, mine, false, &f);
    run_finish(&k, &f);
    CHECK(call_leave(&k, PLC_OK) == PLC_OK);
    region_end(c, false);
}

/* Two givers of neighbouring pages do not see each other, and their segments have pages in common, or are one: the sweep
 * leaves such a segment in reserve once only, so that there are two again. */
static void reserve_mended(void) {
    name_twice(5);
    name_twice(0);
}

static const struct check_test tests[] = {
    {"reserve_mended", reserve_mended},
    {"lost_bytes", lost_bytes},
    {"reserve_after_kills", reserve_after_kills},
};

int main(void) {
    return RUN_TESTS(tests);
}
