/* SPDX-License-Identifier: BSD-3-Clause */
/* test_region.c: the life of a region's file: made by exactly one, never half made; growth to the end and without room;
 * closing; removal.  (On disk: test_disk.c; files that are no regions: test_refused.c.) */
#include "attach.h"
#include "seat.h"

#include <pthread.h>
#include <sys/mount.h>
#include <sys/time.h>

static void create_and_attach(void) {
    plc_report report;
    check_folder_make(NULL);
    CHECK_STATUS(status_of("r", 0, 0, &report), PLC_NOT_FOUND);
    CHECK_STATUS(status_of("r", 0, 1, &report), PLC_INVALID);
    CHECK_STATUS(status_of("r", PLC_SIZE_MIN - 1, 1, &report), PLC_INVALID);
    CHECK_STATUS(status_of("r", PLC_SIZE_MAX + 1, 1, &report), PLC_INVALID);
    CHECK(check_folder_entries() == 0);
    mode_t before = umask(0777);
    plc_cache *c = open_region("r");
    (void)umask(before);
    struct stat s;
    CHECK(stat(check_path("r"), &s) == 0 && (s.st_mode & 07777) == 0600);
    CHECK((uint64_t)s.st_size == (uint64_t)c->geo.first_page << PAGE_SHIFT);
    CHECK((uint64_t)s.st_blocks * 512 >= (uint64_t)s.st_size); /* reserved, not a hole */
    CHECK(c->limit_page == c->geo.first_page && (uintptr_t)c->base % (2u << 20) == 0);
    CHECK(word_acq(&c->names[0].generation) == 1 && word_acq(&c->super->slots_used.value) >= 2);
    CHECK(c->in_memory == (strncmp(check_folder, "/dev/shm", 8) == 0));
    CHECK_STATUS(status_of("r", REGION_BYTES * 2, 1, &report), PLC_SIZE_MISMATCH);
    CHECK(report.a == REGION_BYTES && report.b == REGION_BYTES * 2);
    CHECK_STATUS(status_of("r", 0, 0, &report), PLC_OK);
    region_close(c);
    CHECK_STATUS(status_of("r", REGION_BYTES * 2, 0, &report), PLC_SIZE_MISMATCH);
    CHECK(report.a == REGION_BYTES && report.b == REGION_BYTES * 2);
    CHECK_STATUS(status_of("r", 0, 0, &report), PLC_OK);
    CHECK_STATUS(status_of("r", REGION_BYTES, 1, &report), PLC_OK);
}

/* ---- races of creation ---------------------------------------------------------------------- */

static void creates(struct peer_ends ends) {
    plc_cache *c = NULL;
    plc_report report;
    (void)await(ends.in);
    CHECK_STATUS(try_open(check_path("r"), REGION_BYTES, 1, &c, &report), PLC_OK);
    tell(ends.out, c->region_id);
    tell(ends.out, my_slot(c));
    (void)await(ends.in);
}

static void one_region_of_eight_creators(void) {
    enum { CREATORS = 8 };
    for (int round = 0; round < 15; round++) {
        check_folder_make(NULL);
        struct peer peers[CREATORS];
        uint64_t ids[CREATORS], slots[CREATORS];
        for (int i = 0; i < CREATORS; i++) {
            peers[i] = peer_start(creates);
        }
        for (int i = 0; i < CREATORS; i++) {
            tell(peers[i].to, 1);
        }
        for (int i = 0; i < CREATORS; i++) {
            ids[i] = hear(peers[i].from);
            slots[i] = hear(peers[i].from);
            CHECK(ids[i] == ids[0]);
            for (int j = 0; j < i; j++) {
                CHECK(slots[i] != slots[j]);
            }
        }
        CHECK(check_folder_entries() == 1);
        for (int i = 0; i < CREATORS; i++) {
            peer_kill(&peers[i]);
        }
    }
}

static void creates_and_removes(struct peer_ends ends) {
    plc_report report;
    tell(ends.out, 1);
    for (;;) {
        plc_cache *c = NULL;
        CHECK_STATUS(try_open(check_path("r"), REGION_BYTES, 1, &c, &report), PLC_OK);
        region_close(c);
        plc_status s = region_remove(check_path("r"), &report);
        CHECK(s == PLC_OK || s == PLC_NOT_FOUND);
    }
}

/* Killed anywhere: what has a name is a whole region, or one that was just being removed. */
static void creators_killed(void) {
    plc_report report;
    check_folder_make(NULL);
    for (int round = 0; round < 60; round++) {
        struct peer a = peer_start(creates_and_removes), b = peer_start(creates_and_removes);
        (void)hear(a.from);
        (void)hear(b.from);
        const struct timespec nap = {0, (long)(check_random() % 3000000)};
        (void)nanosleep(&nap, NULL);
        peer_kill(&a);
        peer_kill(&b);
        CHECK(check_folder_entries() <= 1);
        plc_status s = status_of("r", 0, 0, &report);
        CHECK(s == PLC_OK || s == PLC_NOT_FOUND);
        CHECK_STATUS(status_of("r", REGION_BYTES, 1, &report), PLC_OK);
        CHECK_STATUS(region_remove(check_path("r"), &report), PLC_OK);
        CHECK(check_folder_entries() == 0);
    }
}

/* ---- growth --------------------------------------------------------------------------------- */

static void grows_when_told(struct peer_ends ends) {
    plc_cache *c = open_fresh("r");
    tell(ends.out, c->limit_page);
    for (uint64_t pages = await(ends.in); pages != 0; pages = await(ends.in)) {
        region_grow(c, (uint32_t)pages);
        tell(ends.out, c->limit_page);
    }
}

static void growth(void) {
    check_folder_make(NULL);
    plc_cache *c = open_region("r");
    struct peer p = peer_start(grows_when_told);
    uint32_t first = c->geo.first_page, step = c->geo.step_pages, end = c->geo.end_page;
    CHECK(hear(p.from) == first);
    region_grow(c, first); /* has it already */
    CHECK(c->limit_page == first);
    region_grow(c, first + 1);
    CHECK(c->limit_page == first + step && region_file_pages(c) == first + step);
    memset(c->base + ((size_t)first << PAGE_SHIFT), 7, (size_t)step << PAGE_SHIFT);
    tell(p.to, first + step + 1);
    CHECK(hear(p.from) == first + 2 * step);
    CHECK(word_acq(&c->super->taken_pages) == first + 2 * step && c->limit_page == first + step);
    region_refresh(c);
    CHECK(c->limit_page == first + 2 * step);
    tell(p.to, UINT32_MAX);
    region_grow(c, UINT32_MAX);
    CHECK(hear(p.from) == end && c->limit_page == end && region_file_pages(c) == end);
    for (size_t i = 0; i < (size_t)step << PAGE_SHIFT; i++) { /* what was there stays */
        if (c->base[((size_t)first << PAGE_SHIFT) + i] != 7) {
            CHECK(false);
        }
    }
    struct stat s;
    CHECK(stat(check_path("r"), &s) == 0 && (uint64_t)s.st_size <= REGION_BYTES);
    CHECK((uint64_t)s.st_blocks * 512 >= (uint64_t)s.st_size);
    peer_kill(&p);
    region_close(c);
}

static void ignore(int signal) {
    (void)signal;
}

/* A profiler's timer interrupts whatever takes long. */
static void growth_under_signals(void) {
    check_folder_make(NULL);
    plc_cache *c = NULL;
    plc_report report;
    struct sigaction action = {.sa_handler = ignore}, before;
    const struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    CHECK(sigaction(SIGALRM, &action, &before) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
    CHECK_STATUS(try_open(check_path("r"), 128ull << 20, 1, &c, &report), PLC_OK);
    region_grow(c, c->geo.end_page);
    CHECK(c->limit_page == c->geo.end_page);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0 && sigaction(SIGALRM, &before, NULL) == 0);
    region_close(c);
}

static void full_file_system(void) {
    plc_report report;
    plc_cache *c = NULL;
    check_folder_make(NULL);
    CHECK(mkdir(check_path("small"), 0700) == 0);
    if (mount("none", check_path("small"), "tmpfs", 0, "size=6m,mode=0700") != 0) {
        check_skip("a full file system (mount not permitted)");
        return;
    }
    plc_status s = status_of("small/r", 16ull << 20, 1, &report);
    bool told = report.a == 16ull << 20 && report.b == 6ull << 20;
    plc_status made = try_open(check_path("small/r"), 5ull << 20, 1, &c, &report);
    int filler = open(check_path("small/filler"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool filled = filler >= 0 && fallocate(filler, 0, 0, 5 << 20) == 0;
    uint32_t before = made == PLC_OK ? c->limit_page : 0, stuck = 0, freed = 0;
    uint64_t stopped = 0, retry = 0;
    if (made == PLC_OK) {
        region_grow(c, c->geo.end_page);
        stuck = c->limit_page;
        stopped = word_acq(&c->super->growth_stopped);
        retry = word_acq(&c->growth_retry_ms);
        CHECK(ftruncate(filler, 0) == 0);
        region_grow(c, c->geo.end_page);
        freed = c->limit_page;
    }
    bool again = made == PLC_OK && word_acq(&c->super->growth_stopped) == 0 && freed == c->geo.end_page;
    if (made == PLC_OK) {
        region_close(c);
    }
    (void)close(filler);
    CHECK(umount(check_path("small")) == 0);
    CHECK(s == PLC_NO_SPACE && told);
    CHECK(made == PLC_OK && filled && stuck == before);
    CHECK(stopped != 0 && retry != 0 && again);
}

/* ---- removal -------------------------------------------------------------------------------- */

static void removal(void) {
    plc_report report;
    check_folder_make(NULL);
    plc_cache *c = open_region("r");
    struct peer p = peer_start(sit);
    uint32_t slot = (uint32_t)hear(p.from);
    CHECK(!region_retired(c));
    CHECK_STATUS(region_remove(check_path("r"), &report), PLC_OK);
    CHECK(check_folder_entries() == 0 && region_retired(c) && (inc_of(c, slot) & 1u) == 1);
    bool held = false; /* removing took nobody's proof of life */
    CHECK(os_byte_held(c->fd, slot, &held) == 0 && held);
    CHECK_STATUS(region_remove(check_path("r"), &report), PLC_NOT_FOUND);
    region_grow(c, c->geo.end_page); /* those attached keep what they have, and may go on */
    CHECK(c->limit_page == c->geo.end_page);
    plc_cache *anew = open_region("r");
    CHECK(anew != c && anew->region_id != c->region_id && !region_retired(anew) && region_retired(c));
    region_close(c);
    peer_kill(&p);
    region_close(anew);
}

static void removes(struct peer_ends ends) {
    plc_report report;
    while (last_opened->base != NULL) {
        region_close(last_opened);
    }
    CHECK_STATUS(region_remove(check_path("r"), &report), PLC_OK);
    tell(ends.out, 1);
}

static void removal_by_others(void) {
    plc_report report;
    check_folder_make(NULL);
    plc_cache *c = open_region("r");
    struct peer p = peer_start(removes);
    (void)hear(p.from);
    peer_done(&p);
    CHECK(region_retired(c) && word_acq(&c->super->retired) == 1);
    CHECK_STATUS(status_of("r", 0, 0, &report), PLC_NOT_FOUND);
    region_close(c);
    c = open_region("r"); /* unlinked without being told: found by its name */
    CHECK(unlink(check_path("r")) == 0 && region_retired(c));
    region_close(c);
    c = open_region("r");
    CHECK(rename(check_path("r"), check_path("old")) == 0 && region_retired(c));
    region_close(open_region("old"));
    region_close(c);
}

/* Whoever removed it died between the mark and the unlinking: here attached, and here not. */
static void removal_that_died(void) {
    plc_report report;
    check_folder_make(NULL);
    for (int attached = 0; attached < 2; attached++) {
        plc_cache *c = open_region("r");
        uint64_t id = c->region_id;
        word_put_rel(&c->super->retired, 1);
        if (attached == 0) {
            region_close(c);
        }
        CHECK_STATUS(status_of("r", 0, 0, &report), PLC_NOT_FOUND);
        plc_cache *anew = open_region("r");
        CHECK(anew->region_id != id && !region_retired(anew));
        region_close(anew);
        if (attached == 1) {
            region_close(c);
        }
        CHECK_STATUS(region_remove(check_path("r"), &report), PLC_OK);
    }
}

/* A call that does not end keeps the mapping; the handle can be taken into use again. */
static void closing_under_a_call(void) {
    check_folder_make(NULL);
    plc_cache *c = open_region("r");
    uint32_t slot = my_slot(c);
    word_put_rel(&c->tickets, SHARED_TICKETS - 4);
    region_close(c);
    CHECK(c->base != NULL && atomic_load(&c->closed) == 1 && (inc_of(c, slot) & 1u) == 1);
    CHECK(open_region("r") == c && atomic_load(&c->closed) == 0 && my_slot(c) == slot);
    word_put_rel(&c->tickets, SHARED_TICKETS);
    region_close(c);
    CHECK(c->base == NULL && atomic_load(&c->closed) == 1);
}

static void *opens_and_closes(void *arg) {
    (void)arg;
    for (int i = 0; i < 100; i++) {
        plc_cache *c = NULL;
        plc_report report;
        char path[300];
        (void)snprintf(path, sizeof path, "%s/r", check_folder);
        CHECK_STATUS(try_open(path, REGION_BYTES, 1, &c, &report), PLC_OK);
        region_grow(c, c->geo.first_page + 1);
        CHECK(!region_retired(c));
        CHECK(process_reassert(c));
        region_close(c);
    }
    return NULL;
}

static void threads_open_and_close(void) {
    check_folder_make(NULL);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, opens_and_closes, NULL) == 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    plc_cache *c = open_region("r");
    CHECK(process_count(c) == 1);
    region_close(c);
}

int main(void) {
    static const struct check_test tests[] = {
        {"create and attach", create_and_attach},
        {"one region of eight creators", one_region_of_eight_creators},
        {"creators killed", creators_killed},
        {"growth", growth},
        {"growth under signals", growth_under_signals},
        {"a full file system", full_file_system},
        {"removal", removal},
        {"removal by others", removal_by_others},
        {"a removal that died", removal_that_died},
        {"closing under a call", closing_under_a_call},
        {"threads open and close", threads_open_and_close},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
