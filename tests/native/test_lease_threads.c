/* SPDX-License-Identifier: BSD-3-Clause */
/* test_lease_threads.c: threads that lease and give back, while the process forks: what a child finds held is held for
 * it, for as long as it lives. */
#include "inplace.h"

#include <pthread.h>

static plc_cache *c;

static void limbo_ends(void) {
    CHECK_SOON(((void)drain(c), usage_of(c).limbo_pages == 0));
    region_end(c, true);
}

#define KEYS 12u
static _Atomic bool over;

struct taken { /* by one thread; a child looks at what it finds */
    plc_view view;
    uint64_t key;
    _Atomic bool held;
};
static struct taken taken[2];

/* Leases, lets go, replaces and deletes without end. */
static void *churn(void *arg) {
    struct taken *t = arg;
    while (!atomic_load(&over)) {
        uint64_t key = (uint64_t)(t - taken) * KEYS + (uint64_t)(rand() % (int)KEYS);
        put_value(c, key, 1, 20000);
        t->key = key;
        if (lease_value(c, key, &t->view) == PLC_OK) {
            atomic_store(&t->held, true);
            CHECK(shows(&t->view, key, 1));
            atomic_store(&t->held, false);
            plc_release(c, &t->view);
        }
    }
    return NULL;
}

/* What some thread held when the child was forked: the same bytes, for as long as the child lives. */
static void looks_for_a_while(struct peer_ends ends) {
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned t = 0; t < 2; t++) {
            CHECK(!atomic_load(&taken[t].held) || shows(&taken[t].view, taken[t].key, 1));
        }
        tell(ends.out, i);
        (void)await(ends.in);
    }
}

static void forks_among_threads(void) {
    pthread_t threads[2];
    unsigned forks = (unsigned)rounds(150, 6), held = 0;
    c = region_new(16 * MIB);
    atomic_store(&over, false);
    for (size_t t = 0; t < 2; t++) {
        CHECK(pthread_create(&threads[t], NULL, churn, &taken[t]) == 0);
    }
    for (unsigned i = 0; i < forks; i++) {
        held += atomic_load(&taken[i % 2].held) ? 1 : 0;
        struct peer p = peer_start(looks_for_a_while);
        for (unsigned n = 0; n < 3; n++) {
            (void)hear(p.from);
            if (n == 0 || !SANITIZED) {
                overwrite_all(c, 1);
            }
            tell(p.to, n);
        }
        peer_done(&p);
    }
    atomic_store(&over, true);
    for (size_t t = 0; t < 2; t++) {
        CHECK(pthread_join(threads[t], NULL) == 0);
    }
    CHECK(c->holding->used == 0 && c->holding->leases == 0);
    (void)printf("  %u forks, something was held just before %u of them\n", forks, held);
    limbo_ends();
}

int main(void) {
    static const struct check_test tests[] = {
        {"forks_among_threads", forks_among_threads},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
