/* SPDX-License-Identifier: BSD-3-Clause */
/* test_reopen.c: a region that a process opens and closes again and again costs it one handle, whoever still comes with
 * it meanwhile; no other region gets that handle, nor does a fork child. */
#include "fixture.h"

#include <pthread.h>
#include <sys/wait.h>

#include "registry.h"
#include "seat.h"

static plc_cache *c;

static plc_status open_again(const char *name, plc_cache **out, plc_report *report) {
    const plc_options attach = {.path = check_path(name), .protection = check_protection()};
    return plc_open(&attach, out, report);
}

static plc_cache *opened(const char *name) {
    plc_cache *again = NULL;
    plc_report report;
    CHECK_STATUS(open_again(name, &again, &report), PLC_OK);
    return again;
}

static void set_one(plc_cache *cache, const char *key) {
    const plc_part part = {"value", 5};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1};
    MUST(cache, plc_store(cache, PLC_SET, &e, NULL), PLC_OK);
}

static plc_status get_one(plc_cache *cache) {
    char buffer[16];
    plc_found found;
    plc_status s;
    while ((s = plc_get(cache, "k", 1, 0, buffer, sizeof buffer, &found)) == PLC_AGAIN) {
        plc_status told = plc_assist(cache, 50);
        CHECK(told == PLC_OK || told == PLC_CLOSED);
    }
    CHECK(s != PLC_OK || (found.length == 5 && memcmp(buffer, "value", 5) == 0));
    return s;
}

/* Those that are attached. */
static unsigned in_the_list(void) {
    unsigned n = 0;
    for (plc_cache *one = registry_first(); one != NULL; one = atomic_load(&one->next)) {
        CHECK(++n < 100);
    }
    return n;
}

static void one_handle(void) {
    c = region_new(4 * MIB);
    plc_cache *other = region_named("other", 4 * MIB, 0);
    word *mark = c->fork_mark;
    set_one(c, "k");
    for (unsigned i = 0; i < 50; i++) {
        plc_close(c);
        CHECK_STATUS(get_one(c), PLC_CLOSED);
        if (i % 3 == 0) {
            plc_close(other);
            CHECK(opened("other") == other && in_the_list() == 1);
        }
        CHECK(opened("r") == c && c->fork_mark == mark && in_the_list() == 2);
        CHECK_STATUS(get_one(c), PLC_OK);
    }
    CHECK(counter_of(c, "hits") == 50 && word_acq(&c->tickets) == SHARED_TICKETS && seat_all_idle(c));
    plc_close(other);
    region_end(c, false);
}

static void another_region_of_that_name(void) {
    plc_report report;
    c = region_new(4 * MIB);
    plc_close(c);
    CHECK_STATUS(plc_remove(check_path("r"), &report), PLC_OK);
    plc_cache *made = region_named("r", 4 * MIB, 0);
    CHECK(made != c);
    CHECK_STATUS(get_one(made), PLC_MISS);
    CHECK_STATUS(get_one(c), PLC_CLOSED);
    region_end(made, false);
}

/* Somebody has come with the closed handle, and has not gone yet: he is in nobody's way. */
static void somebody_has_come(void) {
    c = region_new(4 * MIB);
    plc_close(c);
    CHECK(word_swap(&c->tickets, SHARED_TICKETS, SHARED_TICKETS & (SHARED_TICKETS - 1)));
    CHECK_STATUS(get_one(c), PLC_CLOSED);
    CHECK(opened("r") == c);
    set_one(c, "k");
    CHECK_STATUS(get_one(c), PLC_OK);
    word_put_rel(&c->tickets, SHARED_TICKETS);
    region_end(c, false);
}

static atomic_bool enough;

static void *comes(void *unused) {
    uint64_t *n = unused;
    while (!atomic_load(&enough)) {
        plc_status s = get_one(c);
        CHECK(s == PLC_OK || s == PLC_CLOSED);
        n[s == PLC_OK ? 0 : 1]++;
    }
    return NULL;
}

static void others_come_meanwhile(void) {
    uint64_t answers[3][2] = {{0}};
    pthread_t threads[3];
    c = region_new(4 * MIB);
    set_one(c, "k");
    atomic_store(&enough, false);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(pthread_create(&threads[i], NULL, comes, answers[i]) == 0);
    }
    for (uint64_t i = rounds(1000, 100); i > 0; i--) {
        plc_close(c);
        CHECK(opened("r") == c);
        CHECK_STATUS(get_one(c), PLC_OK);
    }
    atomic_store(&enough, true);
    for (unsigned i = 0; i < 3; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(word_acq(&c->tickets) == SHARED_TICKETS && seat_all_idle(c));
    region_end(c, false);
}

/* Nobody knows what calls the parent's threads were in. */
static void a_fork_child_has_its_own(void) {
    int status = 0;
    c = region_new(4 * MIB);
    set_one(c, "k");
    plc_close(c);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        plc_cache *own = opened("r");
        bool right = own != c && get_one(own) == PLC_OK;
        plc_close(own);
        _exit(right && opened("r") == own && get_one(own) == PLC_OK ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(opened("r") == c);
    CHECK_STATUS(get_one(c), PLC_OK);
    region_end(c, false);
}

int main(void) {
    static const struct check_test tests[] = {
        {"one handle", one_handle},
        {"another region of that name", another_region_of_that_name},
        {"somebody has come", somebody_has_come},
        {"others come meanwhile", others_come_meanwhile},
        {"a fork child has its own", a_fork_child_has_its_own},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
