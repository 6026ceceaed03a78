/* SPDX-License-Identifier: BSD-3-Clause */
/* forks.c: see forks.h; the order of its stores is `fork` in layout.h. */
#include "forks.h"

#include "holding.h"
#include "process.h"

/* One that had no call since it was forked itself takes its place first: the copy is made from it. */
static void place_child(plc_cache *c) {
    struct process_child child = {0, -1};
    bool here = word_acq(c->fork_mark) == 1 || process_adopt(c) == 0;
    if (here && process_place_child(c, &child)) {
        c->holding->child_place = child.place;
        c->holding->child_fd = child.fd;
    }
}

/* With every lock held no lease begins or ends until the fork is over: what the child finds in its memory is what its
 * pins say.  Inside a call of this very thread (a signal handler forks) they cannot be taken: such a child inherits
 * nothing. */
void forks_before(void) {
    registry_forget(); /* in a raw clone's child a lock may be held by a thread that is not there */
    for (plc_cache *c = registry_first(); c != NULL; c = atomic_load(&c->next)) {
        struct holding *h = c->base != NULL ? c->holding : NULL;
        if (h == NULL || !holding_lock(h)) {
            continue;
        }
        h->forking = true;
        h->child_place = 0;
        if (h->leases != 0) {
            place_child(c);
        }
    }
}

void forks_parent(void) {
    for (plc_cache *c = registry_first(); c != NULL; c = atomic_load(&c->next)) {
        struct holding *h = c->base != NULL ? c->holding : NULL;
        if (h != NULL && h->forking && h->lock == os_thread()) {
            if (h->child_place != 0) {
                os_close(h->child_fd);
                h->child_place = 0;
            }
            h->forking = false;
            holding_unlock(h);
        }
    }
}

/* The values that the parent was filling: their mappings are not inherited, and the child's buffers are to lie over
 * memory. */
static void replace_filled(struct holding *h) {
    for (struct part *p = h->parts; p != NULL; p = p->next) {
        if (p->kind == PART_FILLED && p->at != NULL) {
            (void)os_map_nothing(p->at, p->bytes);
        }
    }
}

static void inherit(plc_cache *c) {
    struct holding *h = c->holding;
    replace_filled(h);
    if (h->own_fd >= 0) { /* the parent's own proof, which must fall with the parent */
        os_close(h->own_fd);
        h->own_fd = -1;
    }
    h->inherited = h->child_place != 0;
    if (h->inherited) {
        c->inherited = h->child_place;
        h->own_fd = h->child_fd;
        h->child_place = 0;
    }
}

void forks_child(void) {
    for (plc_cache *c = registry_first(); c != NULL; c = atomic_load(&c->next)) {
        if (c->base != NULL && c->holding != NULL && c->holding->forking) {
            inherit(c);
        }
    }
    registry_forget();
}
