/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_holders.c: hundreds of SIGKILLs of processes that hold values in place.  Four of them read, fill, replace and
 * delete values in a pool so small that it is evicted all the time, hold on to dozens of them, and fork children that go
 * on reading what they have inherited, when their parents are long dead; whoever it is, is killed at whatever
 * instruction it is at.  Every value that is held is compared with itself, whole, when it is taken, again and again, and
 * once more before it is given back: it knows its key, its serial and its length in every byte.
 * Behind each storm: nothing of what the dead held is held, every page is free again, and check() finds nothing.
 * Threatens the orders of `lease`, `unlease`, `reserve`, `seal`, `abort`, `fork` and `death` in layout.h.
 * SOAK=1: 10,000 kills.
 */
#include "inplace.h"
#include "soak.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#define CHILDREN 4u
#define KEYS 300u
#define HELD 24u      /* by one process at once */
#define YOUNG 64u     /* children of children that may be known at once */
#define LARGEST 400000u
#define GENERATIONS 3u

struct board { /* outside of the region; everybody's */
    word over; /* 1: come to an end */
    word leases, looks, seals, aborts, forks, ends, copies, not_inherited;
    word young[YOUNG]; /* process ids, 0: none; who is there was not waited for yet */
};

struct held_value {
    plc_view view;
    plc_reservation *filled; /* then the view is the filler's own mapping */
    uint64_t key, serial;
};

static plc_cache *c;
static struct board *board;
static uint8_t buffer[LARGEST + VALUE_MIN];
static struct held_value mine[HELD];
static unsigned generation; /* how many forks away from the test's own process */
static uint64_t kills;

/* ---- holding ----------------------------------------------------------------------------------- */

static bool nothing(const struct held_value *h) {
    return h->view.bytes == NULL;
}

static void look(const struct held_value *h) {
    CHECK(value_serial(h->view.bytes, h->view.length, h->key) == h->serial);
    word_add_rlx(&board->looks, 1);
}

static void give_back(struct held_value *h) {
    if (nothing(h)) {
        return;
    }
    look(h);
    if (h->filled != NULL) {
        plc_reservation_end(c, h->filled);
    } else {
        plc_release(c, &h->view);
    }
    *h = (struct held_value){0};
}

static void look_at_some(void) {
    for (unsigned i = (unsigned)below(HELD), n = 6; n > 0; i = (i + 1) % HELD, n--) {
        if (!nothing(&mine[i])) {
            look(&mine[i]);
        }
    }
}

static uint64_t some_key(char name[32]) {
    uint64_t key = below(KEYS);
    (void)snprintf(name, 32, "k%" PRIu64, key);
    return key;
}

static void take(struct held_value *h) {
    char name[32];
    uint64_t key = some_key(name);
    give_back(h);
    plc_status s = lease(c, name, &h->view);
    CHECK(s == PLC_OK || s == PLC_MISS || s == PLC_COPY);
    word_add_rlx(s == PLC_COPY ? &board->copies : &board->leases, s == PLC_MISS ? 0 : 1);
    if (s == PLC_OK) {
        h->key = key;
        h->serial = value_serial(h->view.bytes, h->view.length, key);
        CHECK(h->serial != UINT64_MAX);
        look(h);
    }
}

/* Between 8 bytes and the largest, as often small as large. */
static size_t some_size(void) {
    return VALUE_MIN + (size_t)below(LARGEST >> below(12));
}

static bool refused(plc_status s) {
    return s == PLC_BUSY || s == PLC_FULL;
}

/* Filled, and then sealed and read on, or not. */
static void fill(struct held_value *h) {
    char name[32];
    plc_reservation *r;
    uint8_t *bytes;
    uint64_t key = some_key(name), serial = check_random() >> 1;
    size_t n = some_size();
    give_back(h);
    plc_status s = reserve(c, name, n, &r, &bytes);
    CHECK(s == PLC_OK || refused(s));
    if (s != PLC_OK) {
        return;
    }
    value_make(bytes, n, key, serial);
    CHECK(value_serial(bytes, n, key) == serial);
    s = below(4) == 0 ? PLC_BUSY : seal(c, r);
    CHECK(s == PLC_OK || refused(s));
    word_add_rlx(s == PLC_OK ? &board->seals : &board->aborts, 1);
    if (s == PLC_OK && below(2) == 0) {
        *h = (struct held_value){{bytes, n, 0, NULL}, r, key, serial};
        look(h);
        return;
    }
    if (below(2) == 0) {
        plc_abort(c, r);
    }
    plc_reservation_end(c, r);
}

/* ---- the storm --------------------------------------------------------------------------------- */

static void put(void) {
    char name[32];
    uint64_t key = some_key(name);
    size_t n = some_size();
    value_make(buffer, n, key, check_random() >> 1);
    plc_status s = store(c, below(4) == 0 ? PLC_ADD : PLC_SET, name, buffer, n);
    CHECK(s == PLC_OK || s == PLC_EXISTS || refused(s));
}

/* What one holds, or another key, is stored as another's: a view is a value as any. */
static void put_view(const struct held_value *h) {
    if (!nothing(h) && h->view.length >= VALUE_MIN) {
        char name[32];
        (void)snprintf(name, sizeof name, "k%" PRIu64, h->key);
        plc_status s = store(c, PLC_SET, name, h->view.bytes, h->view.length);
        CHECK(s == PLC_OK || refused(s));
    }
}

static void take_out(void) {
    char name[32];
    (void)some_key(name);
    plc_status s = AGAIN(c, plc_delete(c, name, strlen(name)));
    CHECK(s == PLC_OK || s == PLC_MISS || s == PLC_BUSY);
}

static void step(void) {
    struct held_value *h = &mine[below(HELD)];
    switch (below(32)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5: put(); break;
    case 6:
    case 7:
    case 8: take_out(); break;
    case 9:
    case 10:
    case 11:
    case 12: fill(h); break;
    case 13: put_view(h); break;
    case 14:
    case 15:
    case 16: give_back(h); break;
    case 17: CHECK(below(100) != 0 || AGAIN(c, plc_flush(c, 0)) == PLC_OK); break;
    case 18:
    case 19:
    case 20:
    case 21: look_at_some(); break;
    default: take(h);
    }
}

/* ---- processes --------------------------------------------------------------------------------- */

static void be_known(void) {
    for (unsigned i = 0; i < YOUNG && !word_swap(&board->young[i], 0, (uint64_t)getpid()); i++) {
    }
}

/* Its views may outlive the handle; half of those that end say so, the others just end. */
__attribute__((noreturn)) static void end(void) {
    bool closes = below(2) == 0;
    if (closes && below(2) == 0) {
        plc_close(c);
    }
    for (unsigned i = 0; closes && i < HELD; i++) {
        give_back(&mine[i]);
    }
    word_add_rlx(&board->ends, 1);
    _exit(0);
}

static void child_of_child(void);

static void live(uint64_t steps) {
    for (uint64_t i = 0; i < steps && word_rlx(&board->over) == 0; i++) {
        step();
        if (generation < GENERATIONS && below(100) == 0) {
            child_of_child();
        }
    }
    end();
}

/* In a new child: what was inherited goes on, whoever else lets go of it, before the child's first call and behind it. */
static void go_on(uint32_t leases) {
    generation++;
    (void)alarm(HANG_SECONDS);
    if (c->holding->leases != leases) {
        word_add_rlx(&board->not_inherited, 1);
        _exit(0);
    }
    for (uint64_t i = below(40); i > 0; i--) {
        look_at_some();
    }
}

static void child_of_child(void) {
    uint64_t seed = check_random();
    uint32_t leases = c->holding->leases;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) { /* nobody waits for it but, when its parent is dead, the test: so its number stays its own */
        check_state = seed;
        go_on(leases);
        be_known();
        live(below(500));
    }
    word_add_rlx(&board->forks, 1);
}

/* Some go on with what the test's own process holds, some begin with a handle of their own. */
static pid_t child(void) {
    uint64_t seed = check_random();
    uint32_t leases = c->holding->leases;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        check_state = seed;
        go_on(leases);
        if (below(2) == 0) {
            for (unsigned i = 0; i < HELD; i++) {
                give_back(&mine[i]);
            }
            plc_close(c);
            c = region_named("r", 0, 0);
        }
        live(UINT64_MAX);
    }
    return pid;
}

static void not_young_any_more(pid_t pid) {
    for (unsigned i = 0; i < YOUNG; i++) {
        (void)word_swap(&board->young[i], (uint64_t)pid, 0);
    }
}

/* Of all that have ended, or until nobody is left; each was killed, or has come to its end. */
static void wait_for(pid_t children[CHILDREN], bool all) {
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, all ? 0 : WNOHANG)) > 0;) {
        bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        CHECK(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
        kills += killed ? 1 : 0;
        not_young_any_more(pid);
        for (unsigned i = 0; i < CHILDREN; i++) {
            children[i] = children[i] == pid ? 0 : children[i];
        }
    }
    CHECK(!all || errno == ECHILD);
}

static void kill_one(const pid_t children[CHILDREN]) {
    pid_t pid = (pid_t)word_rlx(&board->young[below(YOUNG)]);
    pid = pid != 0 && below(3) != 0 ? pid : children[below(CHILDREN)];
    if (pid != 0) {
        CHECK(kill(pid, SIGKILL) == 0); /* it is not waited for by anybody else: it is the same one */
    }
}

static void some_steps(void) {
    for (uint64_t steps = below(20); steps > 0; steps--) {
        step();
    }
}

static void everybody_ends(pid_t children[CHILDREN]) {
    word_put_rlx(&board->over, 1);
    wait_for(children, true);
    for (unsigned i = 0; i < HELD; i++) {
        give_back(&mine[i]);
    }
    word_put_rlx(&board->over, 0);
}

static void storm(uint64_t wanted) {
    pid_t children[CHILDREN] = {0};
    uint64_t before = kills;
    c = region_new(16 * MIB);
    while (kills - before < wanted) {
        (void)alarm(HANG_SECONDS); /* for each */
        for (unsigned i = 0; i < CHILDREN; i++) {
            children[i] = children[i] == 0 ? child() : children[i];
        }
        some_steps();
        kill_one(children);
        wait_for(children, false);
    }
    everybody_ends(children);
    CHECK(counter_of(c, "corrupt_seen") == 0 && counter_of(c, "evictions") > 0 && counter_of(c, "limbo") > 0);
    CHECK_SOON(((void)drain(c), usage_of(c).limbo_pages == 0));
    region_end(c, true);
}

static void killed(void) {
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0); /* orphans are its own */
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(board != MAP_FAILED);
    for (uint64_t i = soak_rounds(20, 3, 1); i > 0; i--) {
        storm(soaking() ? 500 : SANITIZED ? 40 : 120);
    }
    CHECK(word_rlx(&board->seals) > 0 && word_rlx(&board->aborts) > 0 && word_rlx(&board->forks) > 0);
    CHECK(word_rlx(&board->leases) > 0 && word_rlx(&board->not_inherited) == 0);
    soak_line("SIGKILL of who holds values in place, 4 processes and their children",
              "%" PRIu64 " kills; %" PRIu64 " leases, %" PRIu64 " values filled, looked at %" PRIu64
              " times, 0 changed; %" PRIu64 " forked while holding; 0 pages lost",
              kills, word_rlx(&board->leases), word_rlx(&board->seals), word_rlx(&board->looks),
              word_rlx(&board->forks));
    (void)munmap(board, sizeof *board);
}

static const struct check_test tests[] = {
    {"killed", killed},
};

int main(void) {
    return RUN_TESTS(tests);
}
