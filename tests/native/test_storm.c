/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_storm: processes are killed by SIGKILL at random moments of a mixed load, some after having been stopped,
 * and new ones take their places; the others go on.  In the end nothing is wrong in the region, every page can
 * be had back, and no operation of a survivor was ever refused for good.  Threatens G1, G2, G3.
 */
#include "work.h"

#define CREW 4u

static pid_t start(uint64_t seed) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        struct work w;
        (void)alarm(HANG_SECONDS);
        work_begin(&w, region_named("r", 12 * MIB, 0), seed);
        for (;;) {
            work_step(&w);
        }
    }
    return pid;
}

static void end(pid_t pid) {
    int status = 0;
    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* else it had ended itself: a CHECK of its own */
}

/* Lets the others work for a while that is counted in my own steps, not in time. */
static void go_on(struct work *w, uint64_t steps) {
    for (uint64_t i = 0; i < steps; i++) {
        work_step(w);
    }
}

static void test_killed(void) {
    plc_cache *c = region_new(12 * MIB);
    struct work w;
    pid_t crew[CREW];
    work_begin(&w, c, check_random());
    for (unsigned i = 0; i < CREW; i++) {
        crew[i] = start(check_random());
    }
    uint64_t kills = rounds(400, 60);
    for (uint64_t k = 0; k < kills; k++) {
        unsigned i = (unsigned)below(CREW);
        go_on(&w, below(SANITIZED ? 60 : 400));
        if (k % 4 == 0) { /* stopped at a random instruction: the others neither wait nor harm it */
            CHECK(kill(crew[i], SIGSTOP) == 0);
            go_on(&w, SANITIZED ? 60 : 600);
            CHECK(kill(crew[i], SIGCONT) == 0);
            go_on(&w, 20);
        }
        end(crew[i]);
        crew[i] = start(check_random());
    }
    for (unsigned i = 0; i < CREW; i++) {
        end(crew[i]);
    }
    CHECK(w.hits > 0);
    work_end(&w);
    region_end(c, true);
}

/* All are stopped but one: it is never held up, and what the stopped ones hold costs it only refusals. */
static void test_stopped(void) {
    plc_cache *c = region_new(12 * MIB);
    struct work w;
    pid_t crew[CREW];
    work_begin(&w, c, check_random());
    for (unsigned i = 0; i < CREW; i++) {
        crew[i] = start(check_random());
    }
    CHECK_SOON(info_of(c).processes == CREW + 1);
    for (uint64_t k = 0; k < rounds(20, 5); k++) {
        for (unsigned i = 0; i < CREW; i++) {
            CHECK(kill(crew[i], SIGSTOP) == 0);
        }
        uint64_t contended = counter_of(c, "contended");
        go_on(&w, rounds(3000, 200));
        CHECK(counter_of(c, "contended") == contended); /* reads are not kept from their values */
        CHECK(info_of(c).processes == CREW + 1);         /* and nobody who lives is held to be dead */
        for (unsigned i = 0; i < CREW; i++) {
            CHECK(kill(crew[i], SIGCONT) == 0);
        }
        go_on(&w, 50);
    }
    for (unsigned i = 0; i < CREW; i++) {
        end(crew[i]);
    }
    work_end(&w);
    region_end(c, true);
}

int main(void) {
    static const struct check_test tests[] = {{"killed", test_killed}, {"stopped", test_stopped}};
    return RUN_TESTS(tests);
}
