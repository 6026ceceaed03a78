/* SPDX-License-Identifier: BSD-3-Clause */
/* test_disk.c: a persistent region over a boot of the machine, which is played by changing the boot id in the file
 * (G10).  What was closed cleanly is kept and all owners are dead; what was not is rebuilt: content-addressed entries
 * stay, others go; and where anybody lives, nobody takes it for a boot.  What is killed without a boot loses nothing.
 * */
#include "attach.h"
#include "fixture.h"

#include <sched.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "call.h"

/* In the folder that TEST_DISK_FOLDER names, or wherever there is room: the region is persistent all the same. */
static void on_disk(void) {
    const char *where = getenv("TEST_DISK_FOLDER");
    region_always_persistent = true;
    check_folder_make(where != NULL ? where : access("/dev/shm", W_OK) == 0 ? NULL : "/tmp");
}

static struct shm_superblock superblock(void) {
    struct shm_superblock super;
    int fd = open(check_path("r"), O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && pread(fd, &super, sizeof super, 0) == sizeof super && close(fd) == 0);
    return super;
}

static void play_boot(void) {
    uint8_t other[16];
    memset(other, 0xee, sizeof other);
    int fd = open(check_path("r"), O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0 && pwrite(fd, other, 16, offsetof(struct shm_superblock, boot_id)) == 16 && close(fd) == 0);
}

/* Whoever the word named, it is nobody's after a boot. */
static void leave_traces(plc_cache *c) {
    word_put_rel(&c->names[7].generation, 4711);
    word_put_rel(&c->locks[2], lock_make(9, 3, 12345, 1));
    word_put_rel(&process_row(c, 9)->inc, 3); /* as if it had been killed, and the machine had stopped then */
    word_put_rel(&process_row(c, 9)->ns_inode, 1);
    word_put_rel(&c->super->tokens, 1000);
}

static void clean_end_is_kept(void) {
    on_disk();
    plc_cache *c = open_region("r");
    uint64_t id = c->region_id;
    CHECK(c->persistent && word_acq(&c->super->clean) == 0);
    leave_traces(c);
    region_close(c);
    struct shm_superblock super = superblock();
    CHECK(word_rlx(&super.clean) == 1);
    play_boot();
    c = open_region("r");
    CHECK(c->region_id == id && word_acq(&c->names[7].generation) == 4711);
    CHECK(word_acq(&c->super->clean) == 0 && word_acq(&c->locks[2]) == 0 && inc_of(c, 9) % 2 == 0);
    CHECK(word_acq(&c->super->tokens) == 1000 + (1u << 16));
    super = superblock();
    uint8_t boot[16];
    CHECK(os_boot_id(boot) == 0 && memcmp(boot, super.boot_id, 16) == 0 && word_rlx(&super.clean) == 0);
    region_close(c);
    c = open_region("r"); /* no boot: nothing is changed */
    CHECK(c->region_id == id && word_acq(&c->super->tokens) == 1000 + (1u << 16));
    region_close(c);
}

/* ---- entries --------------------------------------------------------------------------------- */

static void put(plc_cache *c, const char *key, const char *value, uint32_t options) {
    const plc_part part = {value, strlen(value)};
    const plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1, .options = options};
    CHECK_STATUS(AGAIN(c, plc_store(c, PLC_SET, &e, NULL)), PLC_OK);
}

static bool has(plc_cache *c, const char *key, const char *value) {
    char buffer[100];
    plc_found found;
    plc_status s = get(c, key, buffer, sizeof buffer, &found);
    CHECK(s == PLC_OK || s == PLC_MISS);
    return s == PLC_OK && found.length == strlen(value) && memcmp(buffer, value, found.length) == 0;
}

static void writes_and_sits(struct peer_ends ends) {
    plc_cache *c = open_fresh("r");
    put(c, "mutable", "one", 0);
    put(c, "immutable", "two", PLC_IMMUTABLE);
    tell(ends.out, my_slot(c));
    (void)await(ends.in);
}

static void killed_is_rebuilt_only_after_a_boot(void) {
    on_disk();
    plc_report report;
    plc_cache *c = NULL;
    struct peer p = peer_start(writes_and_sits);
    (void)hear(p.from);
    peer_kill(&p);
    uint64_t id = superblock().region_id;
    CHECK_STATUS(try_open(check_path("r"), 0, 0, &c, &report), PLC_OK);
    CHECK(c->region_id == id && has(c, "mutable", "one") && has(c, "immutable", "two"));
    region_close(c); /* the last one: clean, though another was killed */
    struct shm_superblock super = superblock();
    CHECK(word_rlx(&super.clean) == 1);
    play_boot();
    CHECK_STATUS(try_open(check_path("r"), 0, 0, &c, &report), PLC_OK);
    CHECK(c->region_id == id && has(c, "mutable", "one") && has(c, "immutable", "two")); /* a clean end keeps all */
    region_close(c);

    p = peer_start(writes_and_sits);
    (void)hear(p.from);
    peer_kill(&p);
    play_boot();
    CHECK_STATUS(try_open(check_path("r"), 0, 0, &c, &report), PLC_OK);
    CHECK(c->region_id == id && !has(c, "mutable", "one") && has(c, "immutable", "two"));
    CHECK(process_count(c) == 1 && check_folder_entries() == 1);
    put(c, "mutable", "three", 0);
    CHECK(has(c, "mutable", "three"));
    region_close(c);
}

/* All who are attached are killed at once: what was acknowledged is there, and nothing is walked to open it. */
enum { WRITERS = 4 };

static void writes_until_killed(struct peer_ends ends) {
    plc_cache *c = open_fresh("r");
    char key[32], value[32];
    for (uint64_t i = 0;; i++) {
        (void)snprintf(key, sizeof key, "%d-%d", (int)getpid(), (int)(i % 500));
        (void)snprintf(value, sizeof value, "%d", (int)i);
        put(c, key, value, 0);
        tell(ends.out, i);
    }
}

static void all_are_killed(void) {
    on_disk();
    struct peer peers[WRITERS];
    uint64_t acknowledged[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        peers[i] = peer_start(writes_until_killed);
    }
    for (int n = 0; n < 2000; n++) {
        acknowledged[n % WRITERS] = hear(peers[n % WRITERS].from);
    }
    for (int i = 0; i < WRITERS; i++) {
        CHECK(kill(peers[i].pid, SIGKILL) == 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        uint64_t more;
        CHECK(waitpid(peers[i].pid, NULL, 0) == peers[i].pid);
        while (read(peers[i].from, &more, sizeof more) == (ssize_t)sizeof more) { /* told before the kill */
            acknowledged[i] = more;
        }
    }
    plc_cache *c = open_region("r");
    for (int i = 0; i < WRITERS; i++) {
        uint64_t last = acknowledged[i];
        for (uint64_t n = last < 499 ? 0 : last - 499; n <= last; n++) {
            char key[32], value[32], next[32];
            (void)snprintf(key, sizeof key, "%d-%d", (int)peers[i].pid, (int)(n % 500));
            (void)snprintf(value, sizeof value, "%d", (int)n);
            (void)snprintf(next, sizeof next, "%d", (int)(n + 500)); /* stored, and killed before it was told */
            CHECK(has(c, key, value) || (n + 500 == last + 1 && has(c, key, next)));
        }
        (void)close(peers[i].from);
        (void)close(peers[i].to);
    }
    region_close(c);
}

/* ---- many openers ---------------------------------------------------------------------------- */

static void opens_after_boot(struct peer_ends ends) {
    plc_cache *c = NULL;
    plc_report report;
    (void)await(ends.in);
    CHECK_STATUS(try_open(check_path("r"), 0, 0, &c, &report), PLC_OK);
    CHECK(!has(c, "mutable", "one") && has(c, "immutable", "two"));
    tell(ends.out, c->region_id);
    (void)await(ends.in);
    region_close(c);
}

/* Many at once after a boot: one rebuilds it, all get the same. */
static void one_rebuilds(void) {
    for (int round = 0; round < 5; round++) {
        on_disk();
        enum { PEERS = 6 };
        struct peer peers[PEERS], p = peer_start(writes_and_sits);
        (void)hear(p.from);
        peer_kill(&p);
        play_boot();
        uint64_t old = superblock().region_id, ids[PEERS];
        for (int i = 0; i < PEERS; i++) {
            peers[i] = peer_start(opens_after_boot);
        }
        for (int i = 0; i < PEERS; i++) {
            tell(peers[i].to, 1);
        }
        for (int i = 0; i < PEERS; i++) {
            ids[i] = hear(peers[i].from);
            CHECK(ids[i] == old);
        }
        for (int i = 0; i < PEERS; i++) {
            tell(peers[i].to, 1);
            peer_done(&peers[i]);
        }
        struct shm_superblock super = superblock();
        CHECK(word_rlx(&super.clean) == 1);
    }
}

/* A container may show another boot id.  Somebody lives, so it was no boot. */
static void the_living_are_spared(void) {
    on_disk();
    struct peer p = peer_start(sit);
    uint32_t slot = (uint32_t)hear(p.from);
    struct shm_superblock before = superblock();
    plc_cache *c = NULL;
    plc_report report;
    play_boot();
    CHECK_STATUS(try_open(check_path("r"), 0, 0, &c, &report), PLC_OK);
    CHECK(c->region_id == before.region_id && (inc_of(c, slot) & 1u) == 1 && process_count(c) == 2);
    region_close(c);
    struct shm_superblock after = superblock();
    CHECK(word_rlx(&after.clean) == 0); /* not the last one */
    peer_kill(&p);
}

/* ---- the folder's lock ----------------------------------------------------------------------- */

/* The clock that the core goes by, while it is played: it stands, but for naps, which take no time.  So what is waited
 * for, and how long, does not depend on the machine. */
static struct {
    bool on;
    uint64_t ms;
    uint64_t end_ms;     /* then the holder has done its work */
    struct peer *holder; /* NULL: it never has */
} played;

int clock_gettime(clockid_t clock, struct timespec *t) {
    if (!played.on || clock != CLOCK_MONOTONIC_COARSE) {
        return (int)syscall(SYS_clock_gettime, clock, t);
    }
    *t = (struct timespec){(time_t)(played.ms / 1000), (long)(played.ms % 1000) * 1000000};
    return 0;
}

/* Says so to a peer that has the folder's lock: 0, and it gives it up. */
static void say(struct peer *holder, uint64_t what) {
    tell(holder->to, what);
    CHECK(hear(holder->from) == what);
}

int nanosleep(const struct timespec *nap, struct timespec *left) {
    if (!played.on) {
        return (int)syscall(SYS_nanosleep, nap, left);
    }
    played.ms += (uint64_t)nap->tv_sec * 1000 + (uint64_t)nap->tv_nsec / 1000000;
    if (played.holder != NULL && played.ms >= played.end_ms) {
        say(played.holder, 0);
        played.holder = NULL;
    }
    return 0;
}

/* Opens, or makes, the region while the clock is played.  How long it took by that. */
static uint64_t open_played(struct peer *holder, uint64_t end_ms, plc_status wanted, int wanted_error) {
    plc_cache *c = NULL;
    plc_report report;
    played.ms = 1000000;
    played.end_ms = played.ms + end_ms;
    played.holder = holder;
    played.on = true;
    plc_status status = try_open(check_path("r"), REGION_BYTES, 1, &c, &report);
    played.on = false;
    CHECK_STATUS(status, wanted);
    CHECK(status == PLC_OK || report.system_error == wanted_error);
    if (status == PLC_OK) {
        region_close(c);
    }
    return played.ms - (played.end_ms - end_ms);
}

static const char *locked; /* the folder that the next peer locks */

/* Has the lock until it is told 0; whatever else it is told it answers. */
static void locks_folder(struct peer_ends ends) {
    int folder = open(locked, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(folder >= 0 && flock(folder, LOCK_EX) == 0);
    for (uint64_t told = 1; told != 0; told = await(ends.in)) {
        tell(ends.out, told);
    }
    CHECK(flock(folder, LOCK_UN) == 0);
    tell(ends.out, 0);
}

static struct peer holder_of(const char *folder) {
    locked = folder;
    struct peer p = peer_start(locks_folder);
    (void)hear(p.from);
    return p;
}

static void stop(const struct peer *p) {
    int status = 0;
    CHECK(kill(p->pid, SIGSTOP) == 0);
    CHECK(waitpid(p->pid, &status, WUNTRACED) == p->pid && WIFSTOPPED(status));
}

static void go_on(struct peer *p) {
    CHECK(kill(p->pid, SIGCONT) == 0);
    say(p, 2);
}

/* Who works behind the lock, writing a region to its disk, is waited for, though it takes long: half a minute. */
static void a_working_holder_is_waited_for(void) {
    on_disk();
    struct peer p = holder_of(check_folder);
    CHECK(open_played(&p, 30000, PLC_OK, 0) >= 30000); /* made without that lock, attached with it */
    peer_done(&p);
    p = holder_of(check_folder);
    CHECK(open_played(&p, 30000, PLC_OK, 0) >= 30000);
    peer_done(&p);
}

/* Who is stopped with it is not, when it has been for a second; for a moment anybody may be. */
static void a_stopped_holder_is_not(void) {
    on_disk();
    region_close(open_region("r"));
    struct peer p = holder_of(check_folder);
    stop(&p);
    uint64_t ms = open_played(NULL, 0, PLC_SYSTEM, EAGAIN);
    CHECK(ms >= 1000 && ms <= 2000);
    go_on(&p);
    CHECK(open_played(&p, 3000, PLC_OK, 0) >= 3000);
    peer_done(&p);
}

/* It is the holder that is asked after, not whoever has locked another folder, before or behind it, on this processor
 * (the kernel lists locks by that), nor whoever asks. */
static void others_locks_say_nothing(void) {
    cpu_set_t all, one;
    int at = sched_getcpu();
    CPU_ZERO(&one);
    CPU_SET(at < 0 ? 0u : (unsigned)at, &one);
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    (void)sched_setaffinity(0, sizeof one, &one);
    on_disk();
    CHECK(mkdir(check_path("before"), 0700) == 0 && mkdir(check_path("behind"), 0700) == 0);
    struct peer before = holder_of(check_path("before")), p = holder_of(check_folder);
    struct peer behind = holder_of(check_path("behind"));
    int folder = open(check_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(folder >= 0 && !os_folder_holder_stopped(folder));
    stop(&p);
    CHECK(os_folder_holder_stopped(folder));
    go_on(&p);
    stop(&before);
    stop(&behind);
    CHECK(!os_folder_holder_stopped(folder));
    CHECK(close(folder) == 0);
    peer_kill(&before);
    peer_kill(&behind);
    peer_kill(&p);
    (void)sched_setaffinity(0, sizeof all, &all);
}

int main(void) {
    static const struct check_test tests[] = {
        {"a clean end is kept", clean_end_is_kept},
        {"killed: rebuilt only after a boot", killed_is_rebuilt_only_after_a_boot},
        {"all are killed", all_are_killed},
        {"one rebuilds it for all", one_rebuilds},
        {"the living are spared", the_living_are_spared},
        {"a working holder is waited for", a_working_holder_is_waited_for},
        {"a stopped holder is not", a_stopped_holder_is_not},
        {"others' locks say nothing", others_locks_say_nothing},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
