/* SPDX-License-Identifier: BSD-3-Clause */
/* scene.c: see scene.h. */
#include "scene.h"

#include "counters.h"
#include "inplace.h"
#include "part.h"
#include "process.h"

#include <stddef.h>

#define SCENE_BYTES (4 * MIB)
#define SCENE_ENTRY 1024u /* expected: few buckets, so that one look at everything is short */
#define BUFFER (256u * 1024u)

plc_cache *scene;
uint64_t scene_deadline_ms;
plc_view scene_held;

static struct {
    char key[24];
    size_t length;
    uint64_t number;
} others[OTHERS_MOST];
static uint32_t others_there;

/* The start state.  What a page that is free then holds is nothing that anybody asks for, and is left as it is. */
static uint8_t *image;
static uint32_t image_pages;
static bool *image_has;
static void *holding_kept; /* what the survivor knows of its leases is part of it */
static plc_view held_kept;
static uint8_t buffer[BUFFER];
static struct plc_stats counters_before;
static uint64_t looked, worked; /* gets and sets of the survivor since then */

/* ---- the region ---------------------------------------------------------------------------------- */

static void put(const char *key, size_t length, uint64_t number, uint64_t serial, uint64_t deadline_ms) {
    value_make(buffer, length, number, serial);
    const plc_part part = {buffer, length};
    const plc_entry e = {
        .key = key, .key_length = strlen(key), .parts = &part, .part_count = 1, .deadline_ms = deadline_ms};
    MUST(scene, plc_store(scene, PLC_SET, &e, NULL), PLC_OK);
}

void scene_other(const char *key, size_t length) {
    CHECK(others_there < OTHERS_MOST);
    (void)snprintf(others[others_there].key, sizeof others[0].key, "%s", key);
    others[others_there].length = length;
    others[others_there].number = value_mix(others_there + 100) >> 8;
    put(key, length, others[others_there].number, 1, 0);
    others_there++;
}

void scene_subject(size_t length, uint64_t serial, uint64_t deadline_ms) {
    put(SUBJECT, length, 0, serial, deadline_ms);
}

static void make_folder(bool on_disk) {
    const char *disk = getenv("TEST_DISK_FOLDER");
    check_folder_make(on_disk ? disk != NULL ? disk : "/var/tmp" : access("/dev/shm", W_OK) == 0 ? NULL : "/tmp");
}

plc_cache *scene_open(const char *name) {
    plc_cache *c = NULL;
    plc_report report;
    const plc_options options = {.path = check_path(name),
                                 .protection = check_protection(),
                                 .size_bytes = SCENE_BYTES,
                                 .expected_entry = SCENE_ENTRY,
                                 .create = 1};
    plc_status s = plc_open(&options, &c, &report);
    CHECK(s == PLC_OK || s == PLC_UNSUPPORTED || (s == PLC_SYSTEM && report.system_error == EAGAIN));
    return c;
}

bool scene_has_disk(void) {
    make_folder(true);
    plc_cache *c = scene_open("r");
    bool has = c != NULL && !c->in_memory;
    plc_close(c);
    return has;
}

/* The first store takes a step of memory; then growth is put off for ever. */
void scene_new(bool on_disk) {
    static const size_t lengths[] = {20, 300, 1500, LARGE_BYTES, 77, 4000, 12000, 8, 1000, 2500};
    char key[24];
    if (scene != NULL) {
        scene_let_go();
        plc_close(scene);
        scene = NULL;
    }
    if (scene_deadline_ms == 0) {
        scene_deadline_ms = now_ms() + 24 * 3600 * 1000;
    }
    (void)alarm(HANG_SECONDS);
    make_folder(on_disk);
    scene = scene_open("r");
    CHECK(scene != NULL && scene->geo.shards > 1);
    CHECK(part_view(scene) != NULL); /* at the same address in the subject, which is forked */
    others_there = 0;
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        (void)snprintf(key, sizeof key, "other-%u", i);
        scene_other(key, lengths[i]);
        word_put_rlx(&scene->growth_retry_ms, UINT64_MAX);
    }
}

/* ---- what the survivor holds in place ---------------------------------------------------------------- */

void scene_hold(void) {
    CHECK_STATUS(lease(scene, SUBJECT, &scene_held), PLC_OK);
}

void scene_let_go(void) {
    if (scene_held.ticket != 0) {
        CHECK(value_serial(scene_held.bytes, scene_held.length, 0) == SERIAL_OLD);
        plc_release(scene, &scene_held);
    }
}

static size_t holding_bytes(void) {
    const struct holding *h = scene->holding;
    return sizeof *h + h->cells * (sizeof *h->held + sizeof *h->first);
}

static void keep_held(void) {
    holding_kept = realloc(holding_kept, holding_bytes());
    CHECK(holding_kept != NULL);
    memcpy(holding_kept, scene->holding, holding_bytes());
    held_kept = scene_held;
}

static void put_held_back(void) {
    CHECK(scene->holding->lock == 0 && scene->holding->parts == NULL);
    memcpy(scene->holding, holding_kept, holding_bytes());
    scene_held = held_kept;
}

/* ---- the start state --------------------------------------------------------------------------------- */

void scene_find(const char *key, struct call *k) {
    CHECK_STATUS(call_enter(k, scene), PLC_OK);
    CHECK_STATUS(index_key(k, key, strlen(key)), PLC_OK);
    CHECK_STATUS(call_leave(k, PLC_OK), PLC_OK);
}

uint32_t scene_shard_of(const char *key) {
    struct call k;
    scene_find(key, &k);
    return k.shard;
}

static void everybody_finds(uint32_t run) {
    for (unsigned i = 0; i < PARKED_PLACES; i++) {
        word_put_rlx(&scene->super->parked[i], run);
    }
}

void scene_nobody_finds_parked(void) {
    everybody_finds(0);
}

void scene_everybody_finds_parked(void) {
    for (uint32_t page = scene->geo.first_page; page < pages_limit(scene); page++) {
        if (page_state(word_acq(page_word(scene, page))) == PAGE_PARKED) {
            everybody_finds(page);
        }
    }
}

void scene_keep(void) {
    keep_held();
    image_pages = pages_limit(scene);
    image = realloc(image, (size_t)image_pages << PAGE_SHIFT);
    CHECK(image != NULL);
    memcpy(image, scene->base, (size_t)image_pages << PAGE_SHIFT);
    image_has = realloc(image_has, image_pages * sizeof *image_has);
    CHECK(image_has != NULL);
    for (uint32_t page = 0; page < image_pages; page++) {
        bool pool = page >= scene->geo.first_page;
        image_has[page] = !pool || page_state(word_acq(page_word(scene, page))) != PAGE_FREE;
    }
}

/* Nobody is asked after less often because somebody died a moment ago; and samples are taken where they were. */
void scene_forget_when(void) {
    for (uint32_t slot = 0; slot <= SLOTS_MAX; slot++) {
        word_put_rlx(&scene->reaped_ms[slot], 0);
    }
    memset(scene->given_up, 0, sizeof scene->given_up);
    word_put_rlx(&scene->samples, 0);
}

bool scene_put_back(void) {
    (void)alarm(HANG_SECONDS);
    scene_forget_when();
    region_refresh(scene);
    if (pages_limit(scene) != image_pages) {
        return false;
    }
    for (uint32_t page = 0; page < image_pages; page++) {
        size_t at = (size_t)page << PAGE_SHIFT;
        if (image_has[page] && memcmp(scene->base + at, image + at, PAGE_BYTES) != 0) {
            memcpy(scene->base + at, image + at, PAGE_BYTES);
        }
    }
    put_held_back();
    return true;
}

/* ---- looking --------------------------------------------------------------------------------------- */

static struct look look_at(const char *key) {
    plc_found found;
    struct look l = {.status = get(scene, key, buffer, sizeof buffer, &found)};
    CHECK(l.status == PLC_OK || l.status == PLC_MISS);
    looked++;
    if (l.status == PLC_OK) {
        l.length = found.length;
        l.deadline_ms = found.deadline_ms;
        l.serial = value_serial(buffer, found.length, 0);
        l.digest = found.length;
        for (size_t i = 0; i < found.length; i++) {
            l.digest = (l.digest ^ buffer[i]) * 0x100000001b3ull;
        }
    }
    return l;
}

void scene_look(struct looks *at) {
    at->subject = look_at(SUBJECT);
    at->others_there = others_there;
    for (uint32_t i = 0; i < others_there; i++) {
        at->others[i] = look_at(others[i].key);
        if (at->others[i].status == PLC_OK) {
            CHECK(value_serial(buffer, at->others[i].length, others[i].number) == 1);
        }
    }
}

bool scene_subject_is(const struct looks *at, uint64_t serial) {
    return at->subject.status == PLC_OK && at->subject.serial == serial;
}

static bool same(const struct look *a, const struct look *b) {
    return a->status == b->status &&
           (a->status != PLC_OK ||
            (a->length == b->length && a->deadline_ms == b->deadline_ms && a->digest == b->digest));
}

static void show(const char *key, const struct look *l) {
    (void)fprintf(stderr, "  %s: status %d, %" PRIu64 " bytes, deadline %" PRIu64 ", digest %016" PRIx64 "\n", key,
                  (int)l->status, l->length, l->deadline_ms, l->digest);
}

void scene_compare(const struct looks *now, const struct looks *before, const struct looks *after,
                   const struct allowance *may, bool missing_too) {
    bool old = same(&now->subject, &before->subject), new = same(&now->subject, &after->subject);
    uint32_t gone = 0;
    if (!old && !new && !(missing_too && now->subject.status == PLC_MISS)) {
        show("subject, now", &now->subject);
        show("       before", &before->subject);
        show("        after", &after->subject);
        CHECK(!"the subject has its old or its new value");
    }
    for (uint32_t i = 0; i < now->others_there; i++) {
        const struct look *o = &now->others[i];
        bool as_before = same(o, &before->others[i]), as_after = same(o, &after->others[i]);
        bool right = may->together ? (old && as_before) || (new && as_after) : as_before;
        if (!right && o->status == PLC_MISS) {
            gone++;
            right = missing_too || gone <= may->loses;
        }
        if (!right) {
            show(others[i].key, o);
            show("       before", &before->others[i]);
            show("        after", &after->others[i]);
            show("subject, now", &now->subject);
        }
        CHECK(right);
    }
}

/* ---- counters -------------------------------------------------------------------------------------- */

void scene_counters_begin(void) {
    CHECK_STATUS(plc_stats_read(scene, &counters_before), PLC_OK);
    looked = worked = 0;
}

/* Each victim counts what it did itself: when it took its place, and then. */
#define GETS_OF_ONE 2u
#define SETS_OF_ONE 2u

void scene_counters_check(unsigned victims) {
    plc_stats now;
    CHECK_STATUS(plc_stats_read(scene, &now), PLC_OK);
    for (unsigned i = 0; i < COUNT_END; i++) {
        CHECK(now.counters[i] >= counters_before.counters[i]);
        now.counters[i] -= counters_before.counters[i];
    }
    uint64_t gets = now.counters[COUNT_HITS] + now.counters[COUNT_MISSES];
    CHECK(gets >= looked && gets <= looked + victims * GETS_OF_ONE);
    CHECK(now.counters[COUNT_SETS] >= worked && now.counters[COUNT_SETS] <= worked + victims * SETS_OF_ONE);
    CHECK(now.counters[COUNT_CORRUPT_SEEN] == 0);
}

/* ---- behind a death -------------------------------------------------------------------------------- */

void scene_is_whole(void) {
    CHECK(findings_of(scene) == 0);
    CHECK(runs_overcounted(scene) == 0);
    CHECK_SOON(drained_whole(scene));
    CHECK(count_of(scene, 0) == 0);
    CHECK(findings_of(scene) == 0);
    CHECK(runs_overcounted(scene) == 0);
}

/* Somebody's claim must not keep the key from being computed for ever. */
static void can_be_claimed(void) {
    plc_flight flight;
    const plc_entry e = {.key = SUBJECT, .key_length = strlen(SUBJECT)};
    plc_status s = AGAIN(scene, plc_claim(scene, &e, 600000, &flight));
    for (unsigned waits = 0; s == PLC_CLAIMED; waits++) {
        CHECK(waits < 1000);
        CHECK_STATUS(plc_wait(scene, SUBJECT, strlen(SUBJECT), 20), PLC_OK);
        s = AGAIN(scene, plc_claim(scene, &e, 600000, &flight));
    }
    CHECK(s == PLC_OK || s == PLC_EXISTS);
    if (s == PLC_OK) {
        MUST(scene, plc_abandon(scene, SUBJECT, strlen(SUBJECT), flight.token), PLC_OK);
    }
}

/* Every operation goes on, at the subject's own place. */
static void works(void) {
    static const size_t lengths[] = {SMALL_BYTES, LARGE_BYTES, 5000, 40000};
    plc_found found;
    can_be_claimed();
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        scene_subject(lengths[i], 50 + i, 0);
        worked++;
        CHECK_STATUS(get(scene, SUBJECT, buffer, sizeof buffer, &found), PLC_OK);
        looked++;
        CHECK(found.length == lengths[i] && value_serial(buffer, found.length, 0) == 50 + i);
        CHECK_STATUS(store(scene, PLC_ADD, SUBJECT, "x", 1), PLC_EXISTS);
        CHECK_STATUS(store(scene, PLC_APPEND, SUBJECT, "tail", 4), PLC_OK);
        MUST(scene, plc_touch(scene, SUBJECT, strlen(SUBJECT), scene_deadline_ms), PLC_OK);
        MUST(scene, plc_delete(scene, SUBJECT, strlen(SUBJECT)), PLC_OK);
    }
    CHECK_STATUS(store(scene, PLC_ADD, SUBJECT, "41", 2), PLC_OK);
    uint64_t number = 0;
    MUST(scene, plc_incr(scene, SUBJECT, strlen(SUBJECT), 1, 0, &number), PLC_OK);
    CHECK(number == 42);
}

/* The dead give their places back. */
static bool alone(void) {
    for (uint32_t slot = 1; slot <= scene->geo.slots; slot++) {
        (void)process_reap(scene, slot);
    }
    return info_of(scene).processes == 1;
}

void scene_alone(void) {
    CHECK_SOON(alone());
}

void scene_goes_on(unsigned victims) {
    works();
    scene_counters_check(victims);
    scene_is_whole();
    scene_alone();
}

void scene_survives(const struct looks *before, const struct looks *after, const struct allowance *may) {
    struct looks now;
    CHECK(findings_of(scene) == 0);
    CHECK(runs_overcounted(scene) == 0);
    scene_look(&now);
    scene_compare(&now, before, after, may, false);
    scene_let_go();
    scene_goes_on(1);
}
