/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_death.c: death at every instruction.  A process is stepped through one operation and killed behind its n-th
 * instruction; a survivor, attached before, then finds every other key as it was, the key in question with its old or
 * its new value, nothing that check() has to say, no operation that hangs, nothing lost for good, and counters that
 * can be.  In a second pass it is halted there instead: the survivor stores three times what the pool holds, lets it
 * go on to its end, and compares everything that can be read.
 * Threatens G2, and of G1, G3 what a stop can show: every row of ORDER OF SHARED STORES in layout.h.
 * Plain: behind every store to the region, found by a tracing run, and now and then between them.  SOAK=1: behind
 * every instruction.  ONLY=name: that operation; ONLY=deaths: several deaths one behind another.
 */
#include "soak.h"
#include "acts.h"
#include "operations.h"
#include "process.h"
#include "recycle.h"
#include "stepper.h"

#define SLICE 500u    /* places that one process tries */
#define BETWEEN 1024u /* a place at random among so many instructions that store nothing */

struct places {
    uint32_t *n, there, room;
};

struct tried {
    unsigned operations;
    uint64_t instructions, kills, stops, leases;
};

static const struct operation *operation;
static struct looks before, after;
static struct path path;
static struct places places;
static struct tried all;

/* ---- where ------------------------------------------------------------------------------------------ */

static void add_place(uint32_t n) {
    if (places.there > 0 && places.n[places.there - 1] >= n) {
        return;
    }
    if (places.there == places.room) {
        places.room = places.room * 2 + 256;
        places.n = realloc(places.n, places.room * sizeof *places.n);
        CHECK(places.n != NULL);
    }
    places.n[places.there++] = n;
}

/* Pages in which stores are looked for, and what was in them. */
static struct {
    uint32_t *pages, there;
    uint8_t *copies;
    uint32_t filling, between; /* stores in a row that only fill a run; instructions until the next place anyhow */
} watch;

static void watch_page(uint32_t page) {
    watch.pages[watch.there++] = page;
}

/* All tables but the rows of processes that never were, and the pages of the pool that differ behind a whole run. */
static void watch_choose(const uint8_t *first) {
    const struct geometry *g = &scene->geo;
    uint64_t rows_end = g->processes_at + 4ull * g->process_bytes;
    watch.pages = realloc(watch.pages, g->end_page * sizeof *watch.pages);
    CHECK(watch.pages != NULL);
    watch.there = 0;
    for (uint32_t page = 0; page < pages_limit(scene); page++) {
        uint64_t at = (uint64_t)page << PAGE_SHIFT;
        bool row = at >= rows_end && at < g->ring_at;
        bool written = page >= g->first_page && memcmp(first + at, scene->base + at, PAGE_BYTES) != 0;
        if (page < g->first_page ? !row : written) {
            watch_page(page);
        }
    }
    watch.copies = realloc(watch.copies, (size_t)watch.there << PAGE_SHIFT);
    CHECK(watch.copies != NULL);
}

static void watch_begin(void) {
    for (uint32_t i = 0; i < watch.there; i++) {
        memcpy(watch.copies + ((size_t)i << PAGE_SHIFT), scene->base + ((size_t)watch.pages[i] << PAGE_SHIFT),
               PAGE_BYTES);
    }
    watch.filling = 0;
    watch.between = (uint32_t)below(BETWEEN);
    places.there = 0;
}

/* Behind an instruction: has it stored?  Of those that fill a run the first few are enough, fewer and fewer. */
static void watch_step(uint32_t n) {
    bool table = false, pool = false;
    for (uint32_t i = 0; i < watch.there; i++) {
        uint8_t *copy = watch.copies + ((size_t)i << PAGE_SHIFT);
        const uint8_t *now = scene->base + ((size_t)watch.pages[i] << PAGE_SHIFT);
        if (memcmp(copy, now, PAGE_BYTES) != 0) {
            memcpy(copy, now, PAGE_BYTES);
            table = table || watch.pages[i] < scene->geo.first_page;
            pool = pool || watch.pages[i] >= scene->geo.first_page;
        }
    }
    watch.filling = pool ? watch.filling + 1 : table ? 0 : watch.filling;
    bool one_of_many = pool && !table && (watch.filling & (watch.filling - 1)) != 0;
    if ((table || pool) && !one_of_many) {
        add_place(n);
    } else if (watch.between-- == 0) {
        watch.between = (uint32_t)below(2 * BETWEEN);
        add_place(n);
    }
}

/* In a soak: every one, or as many of a hundred as ROUNDS says; of an instruction that repeats itself, fewer and
 * fewer. */
static void every_place(void) {
    uint64_t percent = rounds(100, 100);
    places.there = 0;
    for (uint32_t n = 0, same = 0; n <= path.n; n++) {
        same = n > 0 && path.pc[n] == path.pc[n - 1] ? same + 1 : 0;
        if ((same & (same - 1)) == 0 && below(100) < percent) {
            add_place(n);
        }
    }
}

/* ---- one place -------------------------------------------------------------------------------------- */

static void make_scene(void) {
    struct looks unused;
    scene_new(operation->may.on_disk);
    if (operation->prepare != NULL) {
        operation->prepare();
    }
    scene_look(&unused); /* from now on all of them are read ones */
    scene_keep();
}

static void start_state(void) {
    *act_view = (plc_view){0};
    if (!scene_put_back()) {
        make_scene();
    }
    scene_counters_begin();
}

static plc_cache *open_new(void) {
    return operation->may.created ? scene_open("new") : NULL;
}

/* The region that it was making: there or not, and nothing half. */
static void new_region_is_whole(plc_cache *new, bool had) {
    plc_report report;
    if (!operation->may.created) {
        return;
    }
    CHECK(new != NULL);
    CHECK(check_folder_entries() == 2);
    CHECK(holds(new, "a", "1") == had);
    CHECK_STATUS(store(new, PLC_SET, "a", "2", 1), PLC_OK);
    CHECK(holds(new, "a", "2"));
    CHECK(findings_of(new) == 0 && drained_whole(new));
    plc_close(new);
    CHECK_STATUS(plc_remove(check_path("new"), &report), PLC_OK);
}

static void killed_at(uint32_t n) {
    start_state();
    struct victim v = stepper_start(operation->ready, operation->act);
    (void)stepper_go(&v, &path, n);
    stepper_kill(&v);
    new_region_is_whole(open_new(), false);
    scene_survives(&before, &after, &operation->may);
    all.kills++;
}

static bool allowed(plc_status s) {
    return s == PLC_OK || s == PLC_MISS || s == PLC_EXISTS || s == PLC_BUSY || s == PLC_FULL || s == PLC_CLAIMED;
}

/* With the key deleted meanwhile, what was there before must not come back; and only who stores one anew, or has
 * not begun to, has its value seen. */
static void compare_deleted(const struct looks *now) {
    struct looks gone = operation->may.together ? after : before;
    gone.subject = (struct look){.status = PLC_MISS};
    scene_compare(now, &gone, operation->may.inserts ? &after : &gone, &operation->may, true);
}

/* What it says that it reads in place is what it was, though all others' pages were stored to three times. */
static void leased_is_whole(plc_status s) {
    if (s == PLC_OK && act_view->ticket != 0) {
        CHECK(value_serial(act_view->bytes, act_view->length, 0) == SERIAL_OLD);
        all.leases++;
    }
}

/* Who holds something in place, or fills it, has to go first. */
static void all_go(struct victim *v) {
    scene_let_go();
    if (operation->may.holds) {
        stepper_kill(v);
    }
    scene_is_whole();
    if (!operation->may.holds) {
        stepper_kill(v);
    }
    scene_alone();
}

static void stopped_at(uint32_t n, bool deletes) {
    struct looks now;
    start_state();
    struct victim v = stepper_start(operation->ready, operation->act);
    (void)stepper_go(&v, &path, n);
    if (operation->may.inherits) {
        scene_let_go();
    }
    if (deletes) {
        plc_status gone = AGAIN(scene, plc_delete(scene, SUBJECT, strlen(SUBJECT)));
        CHECK(gone == PLC_OK || gone == PLC_MISS);
    }
    recycle_pool();
    /* on disk it may be halted with the folder's lock: others are refused behind a second */
    plc_cache *new = operation->may.on_disk && soaking() && n % 256 != 0 ? NULL : open_new();
    if (new != NULL) {
        CHECK_STATUS(store(new, PLC_SET, "a", "1", 1), PLC_OK);
    }
    plc_status s = stepper_finish(&v);
    CHECK(allowed(s));
    leased_is_whole(s);
    bool had = new != NULL;
    new = had ? new : open_new();
    scene_look(&now);
    scene_compare(&now, &before, &after, &operation->may, true);
    if (deletes) {
        compare_deleted(&now);
    }
    if (s == PLC_OK) { /* then it has happened to the subject, whatever was done meanwhile; another neighbour than in
                        * `after` may have given way to it, or none: those that recycled have made room */
        struct looks happened = before;
        happened.subject = after.subject;
        scene_compare(&now, &happened, &happened, &(struct allowance){.loses = LOSES_ANY}, true);
    }
    recycle_is_right();
    new_region_is_whole(new, had);
    all_go(&v);
    all.stops++;
}

/* ---- one operation ---------------------------------------------------------------------------------- */

/* One that is let run to its end says which pages it writes; the next one, stepped, where. */
static void trace(void) {
    make_scene();
    scene_look(&before);
    scene_keep();
    start_state();
    uint8_t *first = malloc((size_t)pages_limit(scene) << PAGE_SHIFT);
    CHECK(first != NULL);
    struct victim v = stepper_start(operation->ready, operation->act);
    memcpy(first, scene->base, (size_t)pages_limit(scene) << PAGE_SHIFT);
    CHECK_STATUS(stepper_finish(&v), PLC_OK);
    watch_choose(first);
    free(first);
    stepper_kill(&v);
    new_region_is_whole(open_new(), false);

    start_state();
    v = stepper_start(operation->ready, operation->act);
    watch_begin();
    stepper_walk(&v, &path, watch_step);
    CHECK_STATUS(stepper_finish(&v), PLC_OK);
    scene_look(&after);
    stepper_kill(&v);
    new_region_is_whole(open_new(), false);
    if (soaking()) {
        every_place();
    } else if (places.there == 0) { /* it stores nothing */
        add_place((uint32_t)below(path.n));
    }
}

static void try_places(uint32_t from, uint32_t to) {
    for (uint32_t i = from; i < to; i++) {
        killed_at(places.n[i]);
    }
    for (uint32_t i = from; i < to; i++) {
        stopped_at(places.n[i], i % 2 != 0);
    }
}

/* In a process of its own, since what regions leave in one that has had ten thousand of them makes each fork slower. */
static void try_slice(struct peer_ends ends) {
    uint32_t from = (uint32_t)await(ends.in);
    all = (struct tried){0};
    trace();
    try_places(from, from + SLICE < places.there ? from + SLICE : places.there);
    plc_close(scene);
    check_folder_remove();
    const uint64_t came_of_it[] = {path.n, places.there, all.kills, all.stops, all.leases, stepper_diverged()};
    for (unsigned i = 0; i < sizeof came_of_it / sizeof *came_of_it; i++) {
        tell(ends.out, came_of_it[i]);
    }
}

static void run_operation(const struct operation *o) {
    uint64_t instructions = 0, there = 1, kills = 0, stops = 0, leases = 0, diverged = 0;
    operation = o;
    for (uint64_t from = 0; from < there; from += SLICE) {
        struct peer p = peer_start(try_slice);
        tell(p.to, from);
        instructions = hear(p.from);
        there = hear(p.from);
        kills += hear(p.from);
        stops += hear(p.from);
        leases += hear(p.from);
        diverged += hear(p.from);
        peer_done(&p);
    }
    all.operations++;
    all.instructions += instructions;
    all.kills += kills;
    all.stops += stops;
    all.leases += leases;
    soak_line("death at every instruction",
              "%s: %" PRIu64 " instructions, %" PRIu64 " kills, %" PRIu64 " stops, %" PRIu64 " elsewhere", o->name,
              instructions, kills, stops, diverged);
    (void)fflush(stdout);
}

/* ---- deaths one behind another ---------------------------------------------------------------------- */

static const struct operation crowd = {"deaths", operations_fill_pool, ready_placed, NULL, {.loses = LOSES_ANY}};

/* Up to six die, each wherever it is, in what the earlier ones left. */
static void some_die(void) {
    struct looks now;
    unsigned victims = 2 + (unsigned)below(5);
    start_state();
    for (unsigned i = 0; i < victims; i++) {
        const struct operation *o = &chained[below(chained_there)];
        struct victim v = stepper_start(o->ready, o->act);
        bool more = true;
        for (uint64_t n = below(1ull << (4 + below(11))); n > 0 && more; n--) {
            more = stepper_step(&v);
        }
        stepper_kill(&v);
        scene_forget_when();
        all.kills++;
    }
    scene_look(&now);
    scene_compare(&now, &now, &now, &crowd.may, false);
    CHECK(now.subject.status == PLC_MISS || scene_subject_is(&now, SERIAL_NEW));
    scene_goes_on(victims);
}

static void deaths(void) {
    struct tried was = all;
    operation = &crowd;
    make_scene();
    for (uint64_t i = 0; i < soak_rounds(2000, 40, 10); i++) {
        some_die();
    }
    soak_line("deaths one behind another", "%" PRIu64 " kills", all.kills - was.kills);
}

static void death(void) {
    if (!stepper_allowed()) {
        check_skip("death at every instruction (no ptrace, or another processor than x86-64)");
        return;
    }
    const char *only = getenv("ONLY");
    act_view_make();
    bool disk = scene_has_disk();
    if (!disk) {
        check_skip("death in a region on disk (set TEST_DISK_FOLDER to a folder on ext4 or xfs)");
    }
    for (unsigned i = 0; i < operations_there; i++) {
        bool wanted = only == NULL || strcmp(only, operations[i].name) == 0;
        if (wanted && (disk || !operations[i].may.on_disk)) {
            run_operation(&operations[i]);
        }
    }
    if (only == NULL || strcmp(only, "deaths") == 0) {
        deaths();
    }
    CHECK(all.kills > 0 || !disk);
    if (only == NULL) {
        soak_line("death at every instruction, in all",
                  "%u operations of %" PRIu64 " instructions: %" PRIu64 " kills, %" PRIu64 " stops; %" PRIu64
                  " values leased meanwhile; nothing lost, torn or kept",
                  all.operations, all.instructions, all.kills, all.stops, all.leases);
    }
    plc_close(scene);
}

static const struct check_test tests[] = {{"death", death}};

/* A copy by one instruction that repeats itself is a stop for each byte: copies by many are asked for. */
int main(int argc, char **argv) {
    static const char *const tunables = "GLIBC_TUNABLES";
    static const char *const none =
        "glibc.cpu.x86_rep_movsb_threshold=0x1000000:glibc.cpu.x86_rep_stosb_threshold=0x1000000";
    (void)argc;
    if (getenv(tunables) == NULL && setenv(tunables, none, 1) == 0) {
        (void)execv("/proc/self/exe", argv); /* else it only takes longer */
    }
    return check_run(tests, 1); /* ONLY names an operation */
}
