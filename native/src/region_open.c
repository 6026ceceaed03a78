/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region_open.c: opening and closing; see region.h.  One attachment for each region and process: a second open
 * shares it, counted.  The file's name is looked up (not opened) first, because opening and closing the file
 * of an attached region would drop the proof of this process's life.
 */
#include "forks.h"
#include "holding.h"
#include "region_parts.h"
#include "seat.h"

#include <errno.h>
#include <stdlib.h>

#define LOOKS_MAX 64   /* at a name that others create, remove and replace meanwhile */
#define CLOSE_MS 1000u /* for calls under way in other threads */

/* ---- opening -------------------------------------------------------------------------------- */

static bool options_valid(const plc_options *o) {
    bool size_possible = o->size_bytes >= PLC_SIZE_MIN && o->size_bytes <= PLC_SIZE_MAX;
    bool share_possible = o->leased_share <= 100 || o->leased_share == PLC_COPIES_ONLY;
    return o->path != NULL && (o->size_bytes == 0 || size_possible) && o->protection <= PLC_PROTECT_PKU &&
           share_possible;
}

/* A retired region still has its name when whoever removed it died in between.  pre: process mutex held. */
static plc_status clear_name(const struct place *at, const struct os_file *old, plc_report *report) {
    struct os_file now;
    int lock = -1;
    int error = os_lock_folder(at->folder, REGION_LOCK_MS, &lock);
    if (error != 0) {
        return region_fail_system(report, error);
    }
    error = os_stat_at(at->folder, at->name, &now);
    if (error == 0 && now.device == old->device && now.inode == old->inode) {
        error = os_unlink(at->folder, at->name);
    }
    os_unlock_folder(lock);
    return error == 0 || error == ENOENT ? PLC_AGAIN : region_fail_system(report, error);
}

static plc_status met_retired(const plc_options *o, const struct place *at, const struct os_file *file,
                              plc_report *report) {
    return o->create != 0 ? clear_name(at, file, report) : PLC_NOT_FOUND;
}

/* This process is attached already.  A handle whose closing could not end is taken into use again. */
static plc_status share(plc_cache *c, const plc_options *o, plc_cache **out, plc_report *report) {
    uint64_t wanted = o->size_bytes & ~(uint64_t)(PAGE_BYTES - 1);
    if (wanted != 0 && wanted != c->geo.size_bytes) {
        return region_fail(report, PLC_SIZE_MISMATCH, c->geo.size_bytes, wanted);
    }
    if (o->protection == PLC_PROTECT_PKU && c->keys != PLC_KEYS_USED) {
        return region_fail(report, PLC_NO_PROTECTION, PLC_KEYS_OPEN_WITHOUT, 0);
    }
    c->references++;
    c->lingers = false;
    atomic_store(&c->closed, 0);
    *out = c;
    return PLC_OK;
}

static plc_status join(const plc_options *o, const struct place *at, const struct os_file *seen, plc_cache **out,
                       plc_report *report) {
    struct facts facts;
    int fd = -1;
    memset(&facts, 0, sizeof facts);
    int error = os_open_at(at->folder, at->name, true, &fd);
    if (error != 0) {
        return error == ENOENT || error == ELOOP ? PLC_AGAIN : region_fail_system(report, error);
    }
    plc_status status = region_examine(fd, o->size_bytes, &facts, report);
    if (facts.file.device != seen->device || facts.file.inode != seen->inode) {
        if (registry_find(facts.file.device, facts.file.inode) != NULL) {
            return PLC_AGAIN; /* fd is kept for ever: closing it would drop that attachment's lock byte */
        }
        status = PLC_AGAIN;
    } else if ((status == PLC_OK || status == PLC_SIZE_MISMATCH) && word_rlx(&facts.super.retired) != 0) {
        status = met_retired(o, at, seen, report);
    }
    if (status != PLC_OK) {
        os_close(fd);
        return status;
    }
    return region_attach(at, fd, &facts, out, report);
}

/* No file of that name.  Somebody who replaces a region takes the name away for an instant, and holds the
 * folder's lock: who would not create one looks once more behind it. */
static plc_status absent(const plc_options *o, const struct place *at, plc_report *report) {
    struct os_file file;
    int lock = -1;
    if (o->create != 0) {
        plc_status status = region_make(at, o->size_bytes, o->expected_entry, report);
        return status == PLC_OK || status == PLC_EXISTS ? PLC_AGAIN : status;
    }
    int error = os_lock_folder(at->folder, REGION_LOCK_MS, &lock);
    if (error == 0) {
        error = os_stat_at(at->folder, at->name, &file);
        os_unlock_folder(lock);
    }
    return error == 0 ? PLC_AGAIN : region_fail_system(report, error);
}

/* One look at the name.  PLC_AGAIN: it changed meanwhile. */
static plc_status look(const plc_options *o, const struct place *at, plc_cache **out, plc_report *report) {
    struct os_file file;
    int error = os_stat_at(at->folder, at->name, &file);
    if (error == ENOENT) {
        return absent(o, at, report);
    }
    if (error != 0) {
        return region_fail_system(report, error);
    }
    if (file.links == 0) {
        return PLC_AGAIN; /* unlinked between the kernel's finding it and its describing it */
    }
    if (!region_file_safe(&file)) {
        return region_fail_unsafe(report, PLC_UNSAFE_FILE, file.owner);
    }
    plc_cache *c = registry_find(file.device, file.inode);
    if (c == NULL) {
        return join(o, at, &file, out, report);
    }
    domain_open(c);
    bool retired = word_acq(&c->super->retired) != 0;
    domain_close(c);
    return retired ? met_retired(o, at, &file, report) : share(c, o, out, report);
}

static plc_status look_often(const plc_options *o, const struct place *at, plc_cache **out, plc_report *report) {
    plc_status status = PLC_AGAIN;
    for (int looks = 0; status == PLC_AGAIN && looks < LOOKS_MAX; looks++) {
        status = look(o, at, out, report);
    }
    return status;
}

plc_status region_open(const plc_options *options, region_rebuild *rebuild, plc_cache **out, plc_report *report) {
    struct place at;
    *report = (plc_report){0};
    if (!options_valid(options)) {
        return PLC_INVALID;
    }
    int error = registry_begin(forks_before, forks_parent, forks_child);
    if (error != 0) {
        return error == EINVAL ? PLC_UNSUPPORTED : region_fail_system(report, error);
    }
    registry_forget();
    plc_status status = place_open(&at, options->path, report);
    if (status != PLC_OK) {
        return status;
    }
    at.rebuild = rebuild;
    at.leased_share = options->leased_share;
    registry_lock();
    at.keys = options->protection == PLC_PROTECT_NONE ? PLC_KEYS_NOT_ASKED : domain_key_take(&at.key);
    if (options->protection == PLC_PROTECT_PKU && at.keys != PLC_KEYS_USED) {
        status = region_fail(report, PLC_NO_PROTECTION, at.keys, 0);
    } else {
        status = look_often(options, &at, out, report);
    }
    if (at.keys == PLC_KEYS_USED) {
        domain_key_give(); /* an attachment has its own part of it */
    }
    registry_unlock();
    place_close(&at);
    return status == PLC_AGAIN ? region_fail_system(report, EAGAIN) : status;
}

/* ---- closing -------------------------------------------------------------------------------- */

/* On disk: if nobody else is left, what is in memory goes to the disk and then the mark that it did.  Whoever
 * attaches stores its incarnation and then the mark; here it is the mark and then the incarnations, so one of
 * the two is seen even by who could not wait for the folder's lock. */
static void mark_clean(plc_cache *c) {
    for (uint32_t slot = 1; slot <= c->geo.slots; slot++) {
        if (!process_reap_locked(c, slot)) {
            return;
        }
    }
    if (os_sync(c->base, c->geo.size_bytes) != 0) {
        return;
    }
    domain_open(c);
    word_put_rel(&c->super->clean, 1);
    fence_full();
    if (process_count(c) != 0) {
        word_put_rel(&c->super->clean, 0);
    }
    domain_close(c);
    (void)os_sync(c->base, PAGE_BYTES);
}

/* A descriptor that others closed, and whose number is another file's now, is not ours to close. */
static void close_if(int fd, uint64_t device, uint64_t inode) {
    struct os_file file;
    if (os_stat(fd, &file) == 0 && file.device == device && file.inode == inode) {
        os_close(fd);
    }
}

/* What nobody reads in place any more. */
static void release_view(plc_cache *c) {
    struct holding *h = c->holding;
    uint8_t *view = atomic_exchange(&c->view, NULL);
    if (view != NULL) {
        os_unmap(view, c->geo.size_bytes);
    }
    if (h != NULL && h->own_fd >= 0) {
        os_close(h->own_fd);
    }
    c->holding = NULL;
    holding_free(h);
}

/* The handle itself stays, marked as closed: a stale one must be recognised, and the region may be opened again. */
static void release(plc_cache *c) {
    int lock = -1;
    bool locked = process_lock_folder(c, REGION_LOCK_MS, &lock) == 0;
    process_detach(c);
    if (locked) {
        mark_clean(c);
        os_unlock_folder(lock);
    }
    void *base = c->base;
    c->base = NULL;
    os_unmap(base, c->geo.size_bytes);
    release_view(c);
    domain_leave(c);
    close_if(c->fd_read, c->device, c->inode);
    close_if(c->fd, c->device, c->inode);
    close_if(c->folder, c->folder_device, c->folder_inode);
    c->fd = c->fd_read = c->folder = -1;
    free(c->verified);
    c->verified = NULL;
    char *path = c->path;
    c->path = NULL; /* a signal handler may look at it (explain.c) */
    free(path);
    registry_retire(c);
}

/* Calls take a ticket, or their thread's seat, and then look at `closed`. */
static bool calls_ended(plc_cache *c) {
    uint64_t until = os_monotonic_ms() + CLOSE_MS;
    while (word_acq(&c->tickets) != SHARED_TICKETS || !seat_all_idle(c) ||
           atomic_load_explicit(&c->outside, memory_order_acquire) != 0) {
        if (os_monotonic_ms() >= until) {
            return false;
        }
        os_sleep_ms(1);
    }
    return true;
}

uint64_t region_close_begin(plc_cache *c) {
    uint64_t closing = 0;
    if (!registry_enter()) {
        return 0; /* a signal handler's: it stays open */
    }
    if (c->references > 0 && --c->references == 0) {
        atomic_store(&c->closed, 1);
        closing = ++c->closings;
    }
    registry_unlock();
    return closing;
}

/* Views live on after it: then the last one to be given back does the rest. */
void region_close_end(plc_cache *c, uint64_t closing) {
    registry_lock();
    if (c->references == 0 && c->closings == closing && c->base != NULL) {
        c->lingers = c->holding != NULL && word_acq(&c->holding->alive) != 0;
        if (!c->lingers) {
            release(c);
        }
    }
    registry_unlock();
}

void region_close_rest(plc_cache *c) {
    registry_forget();
    if (!registry_enter()) {
        return; /* it lingers on */
    }
    if (c->lingers && c->references == 0 && c->base != NULL && word_acq(&c->holding->alive) == 0) {
        c->lingers = false;
        release(c);
    }
    registry_unlock();
}

void region_close(plc_cache *c) {
    registry_forget();
    uint64_t closing = region_close_begin(c);
    if (closing == 0) {
        return;
    }
    fence_full();
    /* threads in their seats pass no barrier of their own (seat.c); if either fails, the mapping and the place stay
     * until the process ends */
    if (os_membarrier() && calls_ended(c)) {
        region_close_end(c, closing);
    }
}
