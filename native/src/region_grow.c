/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region_grow.c: memory is taken in equal steps as the cache fills.  The file's size, rounded down to whole steps, is
 * the limit: the kernel raises it to the end of a step only when the whole step was reserved; the shared hint only says
 * that it is worth asking.  The file never shrinks.  No room: the region stays as large as it is, and evicts.
 *
 * A step in memory, with huge pages to be had, and what a death or a stop behind each leaves:
 *   1 the step's last page, but for its last byte: the size says that a step is being taken, and nobody believes more
 *     than the steps before it; the kernel has no huge page beyond a file's end
 *   2 a page of each of its huge pages          3 huge pages for the rest of them: cleared once, nothing is copied
 *   4 the whole step: what is left of it, and its last byte, which proves it
 * Whoever comes next takes the step from 1 on; what is there already is left as it is.  Nothing here ever shrinks the
 * file, so who was stopped behind any of them may go on whenever that is.  Otherwise a step is the last of them only.
 */
#include "region_parts.h"

#include <errno.h>

#include "counters.h"

#define RETRY_MS 1000u
#define TURN_MS 50u /* for another process that is extending the file already */
#define GROW_BYTE 0u
#define PREFAULT_PAGES 4096u  /* mapped by one call: milliseconds */
#define TABLES_AT_ONCE 4u     /* huge pages of the tables with each step, */
#define COLLAPSED_AT_ONCE 20u /* and of the pool: as many as the step has, and some that were left before */

/* pre: process mutex held.  What the kernel says of the file; false when the descriptor is not ours any more. */
static bool ask(const plc_cache *c, struct os_file *file) {
    return c->base != NULL && os_stat(c->fd, file) == 0 && file->device == c->device && file->inode == c->inode;
}

/* Proved pages.  In memory whole steps only: beyond them lies a step that somebody takes, or died over. */
static uint64_t pages_in(const plc_cache *c, const struct os_file *file) {
    uint64_t pages = file->size >> PAGE_SHIFT, first = c->geo.first_page;
    bool proved = !c->in_memory || pages <= first || pages >= c->geo.end_page;
    return proved ? pages : pages - (pages - first) % c->geo.step_pages;
}

static void raise_limit(plc_cache *c, uint64_t pages) {
    uint32_t limit = pages < c->geo.end_page ? (uint32_t)pages : c->geo.end_page;
    domain_open(c);
    word *hint = &c->super->taken_pages; /* first, so that whoever meets a new page knows that there are some */
    for (uint64_t had = word_acq(hint); had < limit && !word_swap(hint, had, limit);) {
        had = word_acq(hint);
    }
    domain_close(c);
    uint32_t seen = atomic_load_explicit(&c->limit_page, memory_order_acquire);
    while (seen < limit && !atomic_compare_exchange_weak_explicit(&c->limit_page, &seen, limit, memory_order_acq_rel,
                                                                  memory_order_acquire)) {
    }
}

/* The hint is read before the kernel is asked: it is raised only behind the file, so one that the answer does not bear
 * out is garbage, and not to be asked about again.  The other way round one that was raised in between would be taken
 * for garbage, and what lies there be missing. */
void region_refresh_locked(plc_cache *c) {
    struct os_file file;
    if (c->base == NULL) {
        return;
    }
    domain_open(c);
    uint64_t hint = word_acq(&c->super->taken_pages);
    domain_close(c);
    if (ask(c, &file)) {
        uint64_t pages = pages_in(c, &file);
        raise_limit(c, pages);
        if (hint > pages) {
            word_put_rlx(&c->hint_distrusted, hint);
        }
    }
}

void region_refresh(plc_cache *c) {
    registry_lock();
    region_refresh_locked(c);
    registry_unlock();
}

uint64_t region_file_pages(plc_cache *c) {
    struct os_file file;
    registry_lock();
    uint64_t pages = ask(c, &file) ? pages_in(c, &file) : 0;
    registry_unlock();
    return pages;
}

static void note_growth(plc_cache *c, bool grown) {
    uint64_t now = os_now_ms();
    domain_open(c);
    word_put_rlx(&c->super->growth_stopped, grown ? 0 : now);
    if (grown && my_slot(c) != 0) {
        word_add_rlx(&process_row(c, my_slot(c))->counters[COUNT_GROWTHS], 1);
    }
    domain_close(c);
    word_put_rlx(&c->growth_retry_ms, grown ? 0 : now + RETRY_MS);
}

/* One step: pages from..to of the file; the same: there is nothing to be taken. */
struct step {
    uint64_t from, to;
    bool turn; /* the others wait */
    bool huge; /* begun with huge pages */
};

/* Is there room for the rest of the step without being killed for it? */
static int ask_room(const plc_cache *c, const struct os_file *file, const struct step *s) {
    uint64_t left = 0, had = s->from << PAGE_SHIFT, end = s->to << PAGE_SHIFT;
    bool in_memory = false;
    if (c->in_memory && file->taken > had) {
        had = file->taken < end ? file->taken : end; /* it was begun */
    }
    int error = os_free_bytes(c->fd, &left, &in_memory);
    return error == 0 && left < end - had ? ENOSPC : error;
}

/* ---- huge pages ------------------------------------------------------------------------------ */

/* A read at random waits for the index and the page words, and as long again for the tables that say where they are;
 * whoever comes to a large value waits for each of its pages.  So as the region fills both move into huge pages, a few
 * with each step: at once it would take as long as the region's creation.  In memory only; a file system on disk has
 * none.  A crowded machine has them later. */

/* Has the step begun so that there are huge pages to be had in it?  Else it is taken at once. */
static bool begin_holes(const plc_cache *c, const struct os_file *file, const struct step *s) {
    if (!c->in_memory || os_crowded()) {
        return false;
    }
    if (c->collapse_from == c->geo.size_bytes) {
        return true; /* none for the pool; for the tables */
    }
    uint64_t end = s->to << PAGE_SHIFT, at = (s->from << PAGE_SHIFT) + OS_HUGE_BYTES - 1;
    at &= ~(uint64_t)(OS_HUGE_BYTES - 1);
    int error = ask_room(c, file, s);
    error = error != 0 ? error : os_reserve(c->fd, end - PAGE_BYTES, PAGE_BYTES - 1);
    for (; error == 0 && at + OS_HUGE_BYTES <= end; at += OS_HUGE_BYTES) {
        error = os_reserve(c->fd, at, PAGE_BYTES); /* where there is nothing at all the kernel makes none */
    }
    return error == 0;
}

/* pre: process mutex held.  This process takes what is between these pages of the file: the first step begins in the
 * huge page in which the tables end.  Threads that are at the same step share its huge pages. */
static void note_taken(plc_cache *c, uint64_t from, uint64_t to) {
    if (c->collapse_to == to << PAGE_SHIFT) {
        return;
    }
    if (c->collapse_to != from << PAGE_SHIFT && c->collapse_from != c->geo.size_bytes) {
        c->collapse_from = from << PAGE_SHIFT & ~(uint64_t)(OS_HUGE_BYTES - 1); /* others have taken what is between */
    }
    c->collapse_to = to << PAGE_SHIFT;
}

/* pre: process mutex held.  Where the next one begins: there are none of the tables or of the pool, or NULL. */
static uint64_t *next_huge(plc_cache *c, unsigned asked) {
    uint64_t least = c->key_bits != 0 ? OS_HUGE_BYTES : 0; /* the page of wait words in the first has another key, so it
                                                              is three mappings */
    c->collapsed = c->collapsed > least ? c->collapsed : least;
    c->collapse_from = c->collapse_from > least ? c->collapse_from : least;
    if (asked < TABLES_AT_ONCE && c->collapsed + OS_HUGE_BYTES <= (uint64_t)c->geo.first_page << PAGE_SHIFT) {
        return &c->collapsed;
    }
    return c->collapse_from + OS_HUGE_BYTES <= c->collapse_to ? &c->collapse_from : NULL;
}

/* pre: the mapping stays (call_stay).  The kernel is asked without the process mutex: others may want to establish a
 * death meanwhile. */
static void collapse_some(plc_cache *c) {
    bool more = true;
    for (unsigned i = 0; i < COLLAPSED_AT_ONCE && more; i++) {
        registry_lock();
        uint64_t *next = c->base != NULL ? next_huge(c, i) : NULL;
        uint8_t *at = next != NULL ? c->base + *next : NULL;
        if (next != NULL) {
            *next += OS_HUGE_BYTES;
        }
        registry_unlock();
        more = next != NULL;
        if (more && os_collapse(at) == EINVAL) {
            registry_lock(); /* not to be had, ever; of the pool, which nobody has touched, before Linux 6.12 */
            *next = c->geo.size_bytes;
            registry_unlock();
        }
    }
}

/* Two that reserve the same step do no harm, but the second one zeroes it once more: so whoever comes while
 * another process is at it waits for its turn, a little. */
static bool take_turn(const plc_cache *c) {
    int error = os_byte_take(c->fd, GROW_BYTE);
    for (uint32_t ms = 0; error == EAGAIN && ms < TURN_MS; ms++) {
        os_sleep_ms(1);
        error = os_byte_take(c->fd, GROW_BYTE);
    }
    return error == 0;
}

static struct step begin_step(plc_cache *c, uint64_t wanted) {
    struct os_file file;
    struct step s = {0};
    s.turn = ask(c, &file) && take_turn(c);
    if (ask(c, &file)) {
        s.from = s.to = pages_in(c, &file);
        raise_limit(c, s.from);
        if (s.from < wanted) {
            uint64_t n = c->geo.end_page - s.from;
            s.to += n < c->geo.step_pages ? n : c->geo.step_pages;
            s.huge = begin_holes(c, &file, &s);
        }
        if (s.huge) {
            note_taken(c, s.from, s.to);
        }
    }
    return s;
}

/* True: the file is larger now, look again. */
static bool end_step(plc_cache *c, const struct step *s) {
    struct os_file file;
    bool ours = ask(c, &file), more = ours && s->from < s->to;
    if (!ours) {
        note_growth(c, false);
    } else if (more && pages_in(c, &file) < s->to) { /* else others were faster */
        int error = ask_room(c, &file, s);
        error = error != 0 ? error : os_reserve(c->fd, s->from << PAGE_SHIFT, (s->to - s->from) << PAGE_SHIFT);
        more = error == 0;
        note_growth(c, more);
        if (more && !s->huge) {
            note_taken(c, s->from, s->to);
        }
    }
    if (s->turn) {
        os_byte_drop(c->fd, GROW_BYTE);
    }
    region_refresh_locked(c);
    return more;
}

/* The process mutex is held for one part of a step at a time: others may want to establish a death meanwhile. */
void region_grow(plc_cache *c, uint32_t pages) {
    uint32_t wanted = pages < c->geo.end_page ? pages : c->geo.end_page;
    bool more = true;
    while (more && atomic_load_explicit(&c->limit_page, memory_order_acquire) < wanted) {
        registry_lock();
        struct step s = begin_step(c, wanted);
        registry_unlock();
        if (s.huge) {
            collapse_some(c);
        }
        registry_lock();
        more = end_step(c, &s);
        registry_unlock();
    }
}

/* Reading is enough: the kernel maps what it maps to be written as well, and on a disk nothing has to go back to it.
 * Last, because what moves into huge pages is mapped no more. */
bool region_prefault(plc_cache *c, uint64_t *cursor) {
    uint64_t limit = atomic_load_explicit(&c->limit_page, memory_order_acquire), at = *cursor;
    if (at == 0 && limit < c->geo.end_page) {
        region_grow(c, (uint32_t)limit + 1);
        if (atomic_load_explicit(&c->limit_page, memory_order_acquire) > limit) {
            return true;
        }
    }
    uint64_t end = at + PREFAULT_PAGES < limit ? at + PREFAULT_PAGES : limit;
    domain_open(c);
    for (; at < end; at++) {
        (void)atomic_load_explicit((_Atomic uint8_t *)(c->base + (at << PAGE_SHIFT)), memory_order_relaxed);
    }
    domain_close(c);
    *cursor = at > *cursor ? at : *cursor;
    return at < limit;
}

bool region_retired(plc_cache *c) {
    struct os_file file;
    bool retired = false;
    registry_lock();
    if (c->base != NULL) {
        domain_open(c);
        retired = word_acq(&c->super->retired) != 0;
        domain_close(c);
        int error = retired ? 0 : os_stat_at(c->folder, c->path, &file);
        retired = retired || error == ENOENT || (error == 0 && (file.device != c->device || file.inode != c->inode));
    }
    registry_unlock();
    return retired;
}
