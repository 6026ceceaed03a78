/* SPDX-License-Identifier: BSD-3-Clause */
/* holding.c: see holding.h. */
#include "holding.h"

#include <stdlib.h>

#include "os_linux.h"

/* All cells free, the lowest first: whoever looks for pins looks at few. */
static void all_free(struct holding *h) {
    memset(h->first, 0, h->cells * sizeof *h->first);
    memset(h->held, 0, h->cells * sizeof *h->held);
    for (uint32_t i = 0; i + 1 < h->cells; i++) {
        h->held[i].next = i + 2;
    }
    h->free = h->cells != 0 ? 1 : 0;
    h->used = h->leases = 0;
}

struct holding *holding_make(uint32_t cells) {
    struct holding *h = calloc(1, sizeof *h + cells * (sizeof *h->held + sizeof *h->first));
    if (h == NULL) {
        return NULL;
    }
    h->cells = cells;
    h->held = (void *)(h + 1);
    h->first = (void *)(h->held + cells);
    h->child_fd = h->own_fd = -1;
    all_free(h);
    return h;
}

void holding_free(struct holding *h) {
    free(h);
}

bool holding_lock(struct holding *h) {
    uint32_t me = os_thread();
    for (;;) {
        uint32_t at = 0;
        if (atomic_compare_exchange_strong_explicit(&h->lock, &at, me, memory_order_acquire, memory_order_relaxed)) {
            return true;
        }
        if (at == me) {
            return false;
        }
        os_yield(); /* it is held for less than a microsecond, or for a fork */
    }
}

void holding_unlock(struct holding *h) {
    atomic_store_explicit(&h->lock, 0, memory_order_release);
}

static uint32_t *chain_of(const struct holding *h, uint32_t head) {
    return &h->first[head % h->cells];
}

int holding_find(const struct holding *h, uint32_t head) {
    for (uint32_t i = *chain_of(h, head); i != 0; i = h->held[i - 1].next) {
        if (h->held[i - 1].head == head) {
            return (int)i - 1;
        }
    }
    return -1;
}

int holding_add(struct holding *h, uint32_t head, uint32_t gen, uint32_t pages) {
    uint32_t cell = h->free;
    if (cell == 0) {
        return -1;
    }
    struct held *held = &h->held[cell - 1];
    h->free = held->next;
    h->used++;
    uint32_t *chain = chain_of(h, head);
    *held = (struct held){.head = head, .gen = gen, .pages = pages, .next = *chain};
    *chain = cell;
    return (int)cell - 1;
}

void holding_remove(struct holding *h, uint32_t cell) {
    struct held *held = &h->held[cell];
    uint32_t *at = chain_of(h, held->head);
    while (*at != cell + 1) {
        at = &h->held[*at - 1].next;
    }
    *at = held->next;
    held->count = 0;
    held->next = h->free;
    h->free = cell + 1;
    h->used--;
}

void holding_lose(struct holding *h) {
    h->epoch++;
    all_free(h);
}

void holding_list(struct holding *h, struct part *part) {
    part->next = h->parts;
    part->back = &h->parts;
    if (part->next != NULL) {
        part->next->back = &part->next;
    }
    h->parts = part;
}

void holding_unlist(struct part *part) {
    if (part->back != NULL) {
        *part->back = part->next;
        if (part->next != NULL) {
            part->next->back = part->back;
        }
        part->back = NULL;
    }
}
