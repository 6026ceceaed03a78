/* SPDX-License-Identifier: BSD-3-Clause */
/* test_lock.c: the lock word.  Threatens: a dead holder never hangs anybody, a living one never loses the lock,
 * the same thread never takes it twice, waiters are woken. */
#include "attach.h"

#include "counters.h"
#include "lock.h"

#include <pthread.h>

#define SHARD 3
#define WORD(c) (&(c)->locks[SHARD])
#define HINT(c) (&(c)->wait_words[SHARD])

static plc_cache *begin(void) {
    check_folder_make(NULL);
    return open_region("r");
}

static plc_status try_lock(plc_cache *c, struct lock_held *held) {
    uint64_t seen = 0;
    return lock_try(c, WORD(c), os_thread(), held, &seen);
}

/* As an operation does it: tries, waits outside, tries again. */
static struct lock_held lock(plc_cache *c) {
    struct lock_held held;
    uint64_t seen = 0;
    time_t began = time(NULL);
    plc_status s = lock_try(c, WORD(c), os_thread(), &held, &seen);
    while (s == PLC_AGAIN) {
        lock_wait(c, WORD(c), seen, HINT(c), 1000);
        CHECK(time(NULL) - began < CHECK_HANG_SECONDS);
        s = lock_try(c, WORD(c), os_thread(), &held, &seen);
    }
    CHECK(s == PLC_OK);
    return held;
}

static void unlock(plc_cache *c, struct lock_held held) {
    lock_release(&held);
    if (held.wake) {
        atomic_fetch_add_explicit(HINT(c), 1, memory_order_release);
        os_wake(HINT(c));
    }
}

static void words_and_reentry(void) {
    plc_cache *c = begin();
    struct lock_held held, again;
    uint64_t seen = 0;
    CHECK(try_lock(c, &held) == PLC_OK);
    uint64_t w = word_acq(WORD(c));
    CHECK(lock_slot(w) == my_slot(c) && lock_inc(w) == inc_of(c, my_slot(c)) && lock_tid(w) == os_thread());
    CHECK(try_lock(c, &again) == PLC_BUSY && word_acq(WORD(c)) == w);
    CHECK(lock_try(c, WORD(c), os_thread() + 1, &again, &seen) == PLC_AGAIN && seen == w);
    lock_release(&held);
    CHECK(!held.wake && word_acq(WORD(c)) == 0);
    CHECK(try_lock(c, &held) == PLC_OK && word_acq(WORD(c)) != w); /* another sequence number */
    word_put_rel(WORD(c), word_acq(WORD(c)) | LOCK_WAITERS);
    lock_release(&held);
    CHECK(held.wake && word_acq(WORD(c)) == 0);
    lock_wait(c, WORD(c), 0, HINT(c), 1000); /* nothing to wait for */
    region_close(c);
}

static uint64_t shared_count; /* no atomic: the lock orders it */
enum { THREADS = 4, TURNS = 3000 };

static void *counts(void *arg) {
    for (int i = 0; i < TURNS; i++) {
        struct lock_held held = lock(arg);
        shared_count++;
        unlock(arg, held);
    }
    return NULL;
}

static void threads_take_turns(void) {
    plc_cache *c = begin();
    pthread_t threads[THREADS];
    shared_count = 0;
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, counts, c) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(shared_count == (uint64_t)THREADS * TURNS && word_acq(WORD(c)) == 0);
    region_close(c);
}

/* In the pool's first page, so that processes share it. */
static uint64_t *shared_cell(plc_cache *c) {
    return (uint64_t *)(void *)&c->super->baseline[0];
}

static void counts_in_region(struct peer_ends ends) {
    plc_cache *c = open_fresh("r");
    tell(ends.out, 1);
    (void)await(ends.in);
    for (int i = 0; i < TURNS; i++) {
        struct lock_held held = lock(c);
        ++*shared_cell(c);
        unlock(c, held);
    }
    region_close(c);
}

static void processes_take_turns(void) {
    plc_cache *c = begin();
    struct peer peers[3];
    for (int i = 0; i < 3; i++) {
        peers[i] = peer_start(counts_in_region);
        (void)hear(peers[i].from);
    }
    for (int i = 0; i < 3; i++) {
        tell(peers[i].to, 1);
    }
    for (int i = 0; i < 3; i++) {
        peer_done(&peers[i]);
    }
    CHECK(*shared_cell(c) == 3u * TURNS && word_acq(WORD(c)) == 0);
    region_close(c);
}

/* ---- holders that do not unlock ------------------------------------------------------------- */

static void holds(struct peer_ends ends) {
    plc_cache *c = open_fresh("r");
    struct lock_held held = lock(c);
    tell(ends.out, my_slot(c));
    (void)await(ends.in);
    unlock(c, held);
    tell(ends.out, 1);
    (void)await(ends.in);
}

/* Found dead by others before anybody waited for the lock: the word is exchanged as it is. */
static void reaped_holder(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(holds);
    uint32_t slot = (uint32_t)hear(p.from);
    struct lock_held held;
    peer_kill(&p);
    CHECK_SOON(process_reap(c, slot));
    word_put_rel(WORD(c), word_acq(WORD(c)) | LOCK_WAITERS);
    CHECK(try_lock(c, &held) == PLC_OK && word_acq(WORD(c)) == (held.mine | LOCK_WAITERS));
    CHECK(word_acq(&process_row(c, my_slot(c))->counters[COUNT_LOCK_TAKEOVERS]) == 1);
    lock_release(&held);
    CHECK(held.wake); /* those who waited for the dead one */
    region_close(c);
}

static void killed_holder(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(holds);
    uint32_t slot = (uint32_t)hear(p.from);
    uint64_t inc = inc_of(c, slot), before = word_acq(WORD(c));
    CHECK(kill(p.pid, SIGKILL) == 0);
    struct lock_held held = lock(c);
    CHECK((word_acq(WORD(c)) & ~LOCK_WAITERS) == held.mine && held.mine != before);
    CHECK_SOON(process_reap(c, slot)); /* perhaps only its thread was seen exiting yet */
    CHECK(inc_of(c, slot) == inc + 1);
    CHECK(word_acq(&process_row(c, my_slot(c))->counters[COUNT_REAPS]) == 1);
    unlock(c, held);
    (void)peer_end(&p);
    region_close(c);
}

/* Killed at any instruction between locking and unlocking, again and again: never a hang. */
static void locks_for_ever(struct peer_ends ends) {
    plc_cache *c = open_fresh("r");
    tell(ends.out, my_slot(c));
    for (;;) {
        unlock(c, lock(c));
    }
}

static void killed_at_random(void) {
    plc_cache *c = begin();
    for (int round = 0; round < 40; round++) {
        struct peer a = peer_start(locks_for_ever), b = peer_start(locks_for_ever);
        (void)hear(a.from);
        (void)hear(b.from);
        const struct timespec nap = {0, (long)(check_random() % 2000000)};
        (void)nanosleep(&nap, NULL);
        peer_kill(&a);
        unlock(c, lock(c));
        peer_kill(&b);
        unlock(c, lock(c));
        CHECK(word_acq(WORD(c)) == 0);
    }
    region_close(c);
}

static void stopped_holder_keeps_it(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(holds);
    (void)hear(p.from);
    int status = 0;
    struct lock_held held;
    CHECK(kill(p.pid, SIGSTOP) == 0 && waitpid(p.pid, &status, WUNTRACED) == p.pid);
    uint64_t w = word_acq(WORD(c));
    for (int i = 0; i < 10; i++) {
        uint64_t seen = 0;
        CHECK(lock_try(c, WORD(c), os_thread(), &held, &seen) == PLC_AGAIN);
        lock_wait(c, WORD(c), seen, HINT(c), 20);
        CHECK((word_acq(WORD(c)) & ~LOCK_WAITERS) == w);
    }
    CHECK((word_acq(WORD(c)) & LOCK_WAITERS) != 0);
    CHECK(kill(p.pid, SIGCONT) == 0);
    tell(p.to, 1);
    unlock(c, lock(c));
    (void)hear(p.from);
    peer_kill(&p);
    region_close(c);
}

static void *locks_and_ends(void *arg) {
    (void)lock(arg);
    return NULL;
}

static void thread_leaves_locked(struct peer_ends ends) {
    pthread_t thread;
    plc_cache *c = open_fresh("r");
    CHECK(pthread_create(&thread, NULL, locks_and_ends, c) == 0 && pthread_join(thread, NULL) == 0);
    tell(ends.out, my_slot(c));
    (void)await(ends.in);
}

static void thread_gone_in_a_living_process(void) {
    plc_cache *c = begin();
    struct peer p = peer_start(thread_leaves_locked);
    uint32_t slot = (uint32_t)hear(p.from);
    uint64_t inc = inc_of(c, slot);
    CHECK(word_acq(WORD(c)) != 0);
    unlock(c, lock(c));
    CHECK(inc_of(c, slot) == inc); /* the process itself is alive */
    peer_kill(&p);

    pthread_t thread; /* and one of this very process */
    CHECK(pthread_create(&thread, NULL, locks_and_ends, c) == 0 && pthread_join(thread, NULL) == 0);
    unlock(c, lock(c));
    region_close(c);
}

static plc_cache *inherited;

static void child_of_holder(struct peer_ends ends) {
    struct lock_held held;
    uint64_t seen = 0;
    CHECK(process_adopt(inherited) == 0);
    CHECK(lock_try(inherited, WORD(inherited), os_thread(), &held, &seen) == PLC_AGAIN);
    tell(ends.out, 1);
    unlock(inherited, lock(inherited));
}

static void forked_while_held(void) {
    plc_cache *c = begin();
    struct lock_held held = lock(c);
    inherited = c;
    struct peer p = peer_start(child_of_holder);
    (void)hear(p.from);
    CHECK((word_acq(WORD(c)) & ~LOCK_WAITERS) == held.mine);
    unlock(c, held);
    peer_done(&p);
    region_close(c);
}

static void garbage_is_taken_over(void) {
    plc_cache *c = begin();
    for (int i = 0; i < 2000; i++) {
        uint64_t w = check_random();
        if (lock_slot(w) == my_slot(c)) {
            continue;
        }
        word_put_rel(WORD(c), w);
        unlock(c, lock(c));
        CHECK(word_acq(WORD(c)) == 0);
    }
    /* a thread of mine that never was */
    word_put_rel(WORD(c), lock_make(my_slot(c), (uint32_t)inc_of(c, my_slot(c)), 0x3ffff0, 1));
    unlock(c, lock(c));
    /* what is not mine any more I do not unlock */
    struct lock_held held = lock(c);
    word_put_rel(WORD(c), held.mine + 1);
    lock_release(&held);
    CHECK(word_acq(WORD(c)) == held.mine + 1);
    word_put_rel(WORD(c), 0);
    region_close(c);
}

int main(void) {
    static const struct check_test tests[] = {
        {"words and re-entry", words_and_reentry},
        {"threads take turns", threads_take_turns},
        {"processes take turns", processes_take_turns},
        {"a reaped holder", reaped_holder},
        {"a killed holder", killed_holder},
        {"holders killed at random", killed_at_random},
        {"a stopped holder keeps it", stopped_holder_keeps_it},
        {"a thread gone in a living process", thread_gone_in_a_living_process},
        {"forked while held", forked_while_held},
        {"garbage is taken over", garbage_is_taken_over},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
