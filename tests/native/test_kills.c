/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_kills.c: thousands of SIGKILLs under load, and what was acknowledged.  Four children and the parent set,
 * get, delete, increment and compare-and-swap in a pool so small that everything is evicted all the time; a child
 * is killed at whatever instruction it is at, attaching included, and another takes its part.  A board outside the
 * region knows what was begun and what was acknowledged, and says of every value that is read:
 *   - it is whole and of its own key, or it is torn or foreign;
 *   - a key with one writer: it is not older than what that writer was told is stored, or deleted: not resurfaced;
 *   - a number: it counts every increment that was acknowledged since it was made.
 * Threatens G2 and the orders of `store`, `evict`, `lock`, `attach` and `death` in layout.h.  SOAK=1: 100,000 kills,
 * and no call may take five seconds.
 */
#include "soak.h"
#include "sync.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#define CHILDREN 4u
#define OWNED 24u   /* keys of each writer's own */
#define SHARED 60u  /* keys that all write */
#define NUMBERS 4u  /* incremented by all; as many are compared and swapped */
#define LIVES (1u << 18) /* of one number: it is made anew when it was evicted or deleted */
#define BUFFER (512u * 1024u)
#define LONGEST_US 5000000u

struct number {
    word lives;          /* the next one's number */
    word begun;          /* increments, of all lives */
    word32 acked[LIVES]; /* increments that were answered with PLC_OK */
};

struct board {
    word begun[CHILDREN + 1][OWNED]; /* serial of the last set or delete that was begun, and of the */
    word acked[CHILDREN + 1][OWNED]; /* last one that was answered with PLC_OK, or nothing to delete */
    word reads, writes, deletes, increments, swaps;
    word longest_us;
    struct number numbers[2 * NUMBERS]; /* the second half: by compare-and-swap */
};

static plc_cache *c;
static struct board *board;
static uint8_t buffer[BUFFER];
static unsigned me; /* which writer this process is */

/* A call, repeated while it answers PLC_AGAIN; how long all of it took is noted in a soak. */
static void note_time(uint64_t began) {
    uint64_t took = began != 0 ? soak_clock() - began : 0;
    for (uint64_t most = word_rlx(&board->longest_us); took > most && !word_swap(&board->longest_us, most, took);) {
        most = word_rlx(&board->longest_us);
    }
    CHECK(took < LONGEST_US);
}

#define TIMED(call)                         \
    ({                                      \
        uint64_t began_ = soak_clock();     \
        plc_status timed_ = AGAIN(c, call); \
        note_time(began_);                  \
        timed_;                             \
    })

static bool refused(plc_status s) {
    return s == PLC_BUSY || s == PLC_FULL;
}

static size_t some_size(void) {
    switch (below(20)) {
    case 0: return 8 + below(300000);
    case 1: return 8 + below(40000);
    case 2: return 7000 + below(3000);
    default: return 8 + below(1200);
    }
}

static plc_status put(plc_verb verb, const char *key, uint64_t number, uint64_t serial, uint64_t token) {
    size_t n = some_size();
    value_make(buffer, n, number, serial);
    const plc_part part = {buffer, n};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1, .token = token};
    word_add_rlx(&board->writes, 1);
    return TIMED(plc_store(c, verb, &e, NULL));
}

/* The value of a key is whole and the key's own; its serial. */
static plc_status read_whole(const char *key, uint64_t number, uint64_t *serial, plc_found *found) {
    plc_status s = TIMED(plc_get(c, key, strlen(key), 0, buffer, BUFFER, found));
    CHECK(s == PLC_OK || s == PLC_MISS);
    if (s == PLC_OK) {
        *serial = value_serial(buffer, found->length, number);
        CHECK(*serial != UINT64_MAX);
        word_add_rlx(&board->reads, 1);
    }
    return s;
}

/* ---- keys of one writer ----------------------------------------------------------------------- */

static void owned_name(char *key, size_t room, unsigned writer, unsigned i) {
    (void)snprintf(key, room, "own-%u-%u", writer, i);
}

static void owned_write(void) {
    char key[32];
    unsigned i = (unsigned)below(OWNED);
    uint64_t serial = word_rlx(&board->begun[me][i]) + 1;
    owned_name(key, sizeof key, me, i);
    word_put_rel(&board->begun[me][i], serial);
    plc_status s;
    if (below(5) == 0) {
        s = TIMED(plc_delete(c, key, strlen(key)));
        s = s == PLC_MISS ? PLC_OK : s;
        word_add_rlx(&board->deletes, 1);
    } else {
        s = put(PLC_SET, key, me * OWNED + i, serial, 0);
    }
    CHECK(s == PLC_OK || refused(s));
    if (s == PLC_OK) {
        word_put_rel(&board->acked[me][i], serial);
    }
}

static void owned_read(void) {
    char key[32];
    plc_found found;
    uint64_t serial = 0;
    unsigned writer = (unsigned)below(CHILDREN + 1), i = (unsigned)below(OWNED);
    owned_name(key, sizeof key, writer, i);
    uint64_t oldest = word_acq(&board->acked[writer][i]);
    if (read_whole(key, writer * OWNED + i, &serial, &found) == PLC_OK) {
        CHECK(serial >= oldest);
        CHECK(serial <= word_acq(&board->begun[writer][i]));
    }
}

/* ---- keys of all ------------------------------------------------------------------------------- */

static void shared_step(void) {
    char key[32];
    plc_found found;
    uint64_t serial = 0;
    unsigned i = (unsigned)below(SHARED);
    (void)snprintf(key, sizeof key, "all-%u", i);
    switch (below(6)) {
    case 0:
    case 1: (void)read_whole(key, 1000 + i, &serial, &found); break;
    case 2: {
        plc_status s = TIMED(plc_delete(c, key, strlen(key)));
        CHECK(s == PLC_OK || s == PLC_MISS || s == PLC_BUSY);
        break;
    }
    default: {
        plc_status s = put(below(3) ? PLC_SET : PLC_ADD, key, 1000 + i, check_random() >> 1, 0);
        CHECK(s == PLC_OK || s == PLC_EXISTS || refused(s));
    }
    }
}

/* ---- numbers ----------------------------------------------------------------------------------- */

/* A number is life << 32 | increments: so one that was evicted, or deleted, begins a life of its own. */
static uint64_t new_life(struct number *n) {
    uint64_t life = word_add_rlx(&n->lives, 1);
    CHECK(life < LIVES);
    return life << 32;
}

static uint32_t acknowledged(struct number *n, uint64_t life) {
    CHECK(life < word_acq(&n->lives));
    return atomic_load_explicit(&n->acked[life], memory_order_acquire);
}

static void acknowledge(struct number *n, uint64_t value) {
    CHECK(value >> 32 < LIVES);
    uint64_t now = atomic_fetch_add_explicit(&n->acked[value >> 32], 1, memory_order_release) + 1;
    CHECK((uint32_t)value <= word_acq(&n->begun) && now <= word_acq(&n->begun));
}

/* No increment that was acknowledged before is missing in what the latest life says now. */
static void number_add(void) {
    char key[32], text[24];
    unsigned i = (unsigned)below(NUMBERS);
    struct number *n = &board->numbers[i];
    uint64_t result = 0, latest = word_acq(&n->lives);
    uint32_t least = latest != 0 ? acknowledged(n, latest - 1) : 0;
    (void)snprintf(key, sizeof key, "number-%u", i);
    word_add_rlx(&n->begun, 1);
    plc_status s = TIMED(plc_incr(c, key, strlen(key), 1, 0, &result));
    if (s == PLC_OK) {
        CHECK(result >> 32 != latest - 1 || (uint32_t)result > least);
        acknowledge(n, result);
        word_add_rlx(&board->increments, 1);
    } else if (s == PLC_MISS) {
        (void)snprintf(text, sizeof text, "%" PRIu64, new_life(n));
        s = store(c, PLC_ADD, key, text, strlen(text));
    }
    CHECK(s == PLC_OK || s == PLC_EXISTS || refused(s));
}

static void number_swap(void) {
    char key[32];
    plc_found found;
    unsigned i = (unsigned)below(NUMBERS);
    struct number *n = &board->numbers[NUMBERS + i];
    uint64_t value = 0, latest = word_acq(&n->lives);
    uint32_t least = latest != 0 ? acknowledged(n, latest - 1) : 0;
    (void)snprintf(key, sizeof key, "swap-%u", i);
    plc_status s = read_whole(key, 2000 + i, &value, &found);
    if (s == PLC_MISS) {
        s = put(PLC_ADD, key, 2000 + i, new_life(n), 0);
        CHECK(s == PLC_OK || s == PLC_EXISTS || refused(s));
        return;
    }
    CHECK(value >> 32 != latest - 1 || (uint32_t)value >= least);
    word_add_rlx(&n->begun, 1);
    s = put(below(2) == 0 ? PLC_CAS : PLC_REMAKE, key, 2000 + i, value + 1, found.token);
    CHECK(s == PLC_OK || s == PLC_EXISTS || s == PLC_MISS || refused(s));
    if (s == PLC_OK) {
        acknowledge(n, value + 1);
        word_add_rlx(&board->swaps, 1);
    }
}

/* At rest, what stands there is at least what was acknowledged, and at most what dead ones may have added. */
static void numbers_end(uint64_t kills) {
    char key[32], text[32];
    plc_found found;
    for (unsigned i = 0; i < NUMBERS; i++) {
        (void)snprintf(key, sizeof key, "number-%u", i);
        if (get(c, key, text, sizeof text - 1, &found) == PLC_OK) {
            text[found.length] = '\0';
            uint64_t value = strtoull(text, NULL, 10);
            uint32_t acked = acknowledged(&board->numbers[i], value >> 32);
            CHECK((uint32_t)value >= acked && (uint32_t)value <= acked + kills);
        }
        uint64_t value = 0;
        (void)snprintf(key, sizeof key, "swap-%u", i);
        if (read_whole(key, 2000 + i, &value, &found) == PLC_OK) {
            uint32_t acked = acknowledged(&board->numbers[NUMBERS + i], value >> 32);
            CHECK((uint32_t)value >= acked && (uint32_t)value <= acked + kills);
        }
    }
}

/* ---- processes --------------------------------------------------------------------------------- */

static void step(void) {
    switch (below(10)) {
    case 0:
    case 1: owned_write(); break;
    case 2:
    case 3:
    case 4: owned_read(); break;
    case 5: number_add(); break;
    case 6: number_swap(); break;
    default: shared_step();
    }
}

static void load(struct peer_ends ends) {
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    uint64_t given = await(ends.in), told = 0;
    me = (unsigned)(given % CHILDREN);
    check_state = given;
    plc_close(c);
    c = region_named("r", 0, 0);
    CHECK(fcntl(ends.in, F_SETFL, O_NONBLOCK) == 0);
    tell(ends.out, 1);
    for (uint64_t i = 0; i % 64 != 0 || read(ends.in, &told, sizeof told) != sizeof told; i++) {
        step();
    }
    plc_close(c);
}

#define DYING 8u

static struct peer children[CHILDREN];
static struct peer dying[DYING]; /* killed, and not waited for yet; pid 0: nobody */

static void child_start(unsigned i) {
    children[i] = peer_start(load);
    tell(children[i].to, (check_random() & ~(uint64_t)(CHILDREN - 1)) | i);
}

/* Ended by the kill, and not by a check of its own. */
static void reap(struct peer *p) {
    int status = peer_end(p);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    p->pid = 0;
}

/* Waits until a child works.  One that has ended by itself is an error, and how it ended is told. */
static void await_work(struct peer *p) {
    uint64_t value = 0;
    if (read(p->from, &value, sizeof value) != sizeof value) {
        int status = peer_end(p);
        (void)fprintf(stderr, "child %d ended by itself: signal %d, exit status %d\n", p->pid,
                      WIFSIGNALED(status) ? WTERMSIG(status) : 0, WIFEXITED(status) ? WEXITSTATUS(status) : 0);
    }
    CHECK(value == 1);
}

/* One in eight is waited for at once.  The others go on dying when the next ones come: not reaped, their memory
 * perhaps not torn down, their lock bytes perhaps still held. */
static void child_kill(unsigned i) {
    static unsigned oldest;
    CHECK(kill(children[i].pid, SIGKILL) == 0);
    if (below(2) == 0) {
        for (uint64_t steps = below(20); steps > 0; steps--) {
            step();
        }
    }
    struct peer *p = &dying[oldest++ % DYING];
    if (p->pid != 0) {
        reap(p);
    }
    *p = children[i];
    if (below(8) == 0) {
        reap(p);
    }
}

static void storm(uint64_t kills) {
    c = region_new(4 * MIB);
    me = CHILDREN;
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(board != MAP_FAILED);
    for (unsigned i = 0; i < CHILDREN; i++) {
        child_start(i);
    }
    for (uint64_t done = 0; done < kills; done++) {
        (void)alarm(HANG_SECONDS); /* for each */
        unsigned which = (unsigned)below(CHILDREN);
        if (below(4) != 0) { /* else it may be attaching */
            await_work(&children[which]);
        }
        for (uint64_t steps = below(60); steps > 0; steps--) {
            step();
        }
        child_kill(which);
        child_start(which);
    }
    for (unsigned i = 0; i < CHILDREN; i++) {
        await_work(&children[i]);
        tell(children[i].to, 1);
        peer_done(&children[i]);
    }
    for (unsigned i = 0; i < DYING; i++) {
        if (dying[i].pid != 0) {
            reap(&dying[i]);
        }
    }
    numbers_end(kills);
    CHECK(counter_of(c, "corrupt_seen") == 0 && counter_of(c, "evictions") > 0);
    CHECK(word_rlx(&board->increments) > 0 && word_rlx(&board->swaps) > 0 && word_rlx(&board->reads) > 0);
    char longest[64] = "";
    if (soaking()) {
        (void)snprintf(longest, sizeof longest, ", longest call %" PRIu64 " ms", word_rlx(&board->longest_us) / 1000);
    }
    soak_line("SIGKILL under load, 4 processes",
              "%" PRIu64 " kills; %" PRIu64 " values read, 0 torn, foreign or resurfaced; %" PRIu64
              " increments and %" PRIu64 " swaps acknowledged, 0 lost; %" PRIu64 " evictions, %" PRIu64
              " locks taken over%s",
              kills, word_rlx(&board->reads), word_rlx(&board->increments), word_rlx(&board->swaps),
              counter_of(c, "evictions"), counter_of(c, "lock_takeovers"), longest);
    CHECK(munmap(board, sizeof *board) == 0);
    region_end(c, true);
}

static void killed(void) {
    storm(soak_rounds(100000, 2000, 100));
}

static const struct check_test tests[] = {
    {"killed", killed},
};

int main(void) {
    return RUN_TESTS(tests);
}
