/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region_attach.c: mapping a region that was examined, and taking a place in it.
 *
 * A persistent region outlives the machine's boot.  Then nobody of the earlier boot lives, whatever the process
 * rows say, and locks are nobody's; what was closed cleanly is kept as it is, anything else is rebuilt, because the
 * kernel writes pages back in any order.  Containers may show a boot id of their own: so a boot is believed only
 * when nobody holds a lock byte.
 */
#include "holding.h"
#include "region_parts.h"
#include "seat.h"

#include <errno.h>
#include <stdlib.h>

#define HELD_SHARE 50u /* percent of the pool that may be held in place, unless told otherwise */

static void point_into(plc_cache *c) {
    const struct geometry *g = &c->geo;
    uint8_t *base = c->base;
    c->super = (void *)base;
    c->wait_words = (void *)(base + g->wait_at);
    c->locks = (void *)(base + g->locks_at);
    c->names = (void *)(base + g->names_at);
    c->processes = base + g->processes_at;
    c->ring[0] = (void *)(base + g->ring_at);
    c->ring[1] = c->ring[0] + g->ring_places;
    c->free_ring = (void *)(base + g->free_at);
    c->ghosts = (void *)(base + g->ghosts_at);
    c->pages = (void *)(base + g->pages_at);
    c->side_b = (void *)(base + g->side_b_at);
    c->buckets = (void *)(base + g->index_at);
}

/* What this process may hold in place. */
static int make_holding(plc_cache *c, uint32_t share) {
    if (share == PLC_COPIES_ONLY) {
        return 0;
    }
    c->held_most = (uint64_t)(c->geo.end_page - c->geo.first_page) * (share != 0 ? share : HELD_SHARE) / 100;
    c->holding = holding_make(c->geo.counted_pins);
    return c->holding == NULL ? ENOMEM : 0;
}

/* The parts of the handle that can fail.  What was made before a failure is undone by unmake. */
static int make_parts(plc_cache *c, const struct place *at) {
    uint64_t left = 0;
    struct os_file folder;
    int error = os_reopen(at->folder, false, &c->folder);
    error = error != 0 ? error : os_stat(c->folder, &folder);
    if (error == 0) {
        c->folder_device = folder.device;
        c->folder_inode = folder.inode;
        c->path = strdup(at->path);
        error = c->path != NULL ? 0 : ENOMEM;
    }
    error = error != 0 ? error : os_reopen(c->fd, false, &c->fd_read);
    error = error != 0 ? error : os_free_bytes(c->fd, &left, &c->in_memory);
    error = error != 0 || c->fork_mark != NULL ? error : os_fork_mark(&c->fork_mark);
    error = error != 0 ? error : make_holding(c, at->leased_share);
    c->persistent = c->persistent || !c->in_memory;
    if (error == 0 && c->persistent) {
        c->verified = calloc(VERIFIED_PLACES + LASTING_WORDS, sizeof(word));
        c->lasting = c->verified != NULL ? c->verified + VERIFIED_PLACES : NULL;
        error = c->verified != NULL ? 0 : ENOMEM;
    }
    if (error == 0) {
        void *base = NULL;
        enum os_map kind = at->keys == PLC_KEYS_USED ? OS_MAP_CLOSED : OS_MAP_WRITE;
        error = os_map(c->fd, 0, c->geo.size_bytes, kind, &base);
        c->base = base;
    }
    if (error == 0 && at->keys == PLC_KEYS_USED) {
        error = domain_protect(c, at->key);
    }
    return error;
}

/* Closing these descriptors is harmless: this process holds no lock byte of that inode yet, or gives up. */
static void unmake(plc_cache *c) {
    if (c->base != NULL) {
        os_unmap(c->base, c->geo.size_bytes);
    }
    holding_free(c->holding);
    const int descriptors[] = {c->folder, c->fd_read, c->fd};
    for (size_t i = 0; i < 3; i++) {
        if (descriptors[i] >= 0) {
            os_close(descriptors[i]);
        }
    }
    free(c->verified);
    free(c->path);
    if (c->closings == 0) {
        if (c->fork_mark != NULL) {
            os_unmap(c->fork_mark, PAGE_BYTES);
        }
        free(c);
        return;
    }
    c->base = NULL;
    c->holding = NULL;
    c->verified = NULL;
    c->path = NULL;
    c->fd = c->fd_read = c->folder = -1;
    c->key_bits = 0;
    registry_retire(c);
}

static plc_cache *handle_new(int fd, const struct facts *f) {
    plc_cache *c = aligned_alloc(64, (sizeof *c + 63) & ~(size_t)63);
    if (c == NULL) {
        return NULL;
    }
    memset(c, 0, sizeof *c);
    c->geo = f->geo;
    c->hash = sip_begin(f->super.hash_key);
    c->region_id = f->super.region_id;
    c->created_ms = f->super.created_ms;
    c->persistent = f->super.persistent != 0;
    c->fd = fd;
    c->fd_read = c->folder = -1;
    c->device = f->file.device;
    c->inode = f->file.inode;
    c->references = 1;
    seat_forget(c);
    return c;
}

/* One that was closed, and is until all is done: seats and tickets stay, because threads may still come with it and
 * go.  What it knew of the region may not be so any more. */
static plc_cache *handle_again(plc_cache *c, int fd) {
    c->fd = fd;
    c->fd_read = c->folder = -1;
    c->inherited = 0;
    c->references = 1;
    atomic_store_explicit(&c->limit_page, 0, memory_order_relaxed);
    word_put_rlx(&c->suspect, 0);
    word_put_rlx(&c->hint_distrusted, 0);
    word_put_rlx(&c->growth_retry_ms, 0);
    c->collapsed = c->collapse_from = c->collapse_to = 0;
    return c;
}

static plc_cache *handle_for(int fd, const struct facts *f) {
    plc_cache *c = registry_reclaim(f->file.device, f->file.inode, f->super.region_id);
    return c != NULL ? handle_again(c, fd) : handle_new(fd, f);
}

/* ---- after a boot --------------------------------------------------------------------------- */

static void everybody_died(plc_cache *c) {
    domain_open(c);
    for (uint32_t slot = 1; slot <= c->geo.slots; slot++) {
        struct shm_process *row = process_row(c, slot);
        uint64_t inc = word_acq(&row->inc);
        word_put_rel(&row->inc, inc + (inc & 1u));
    }
    for (uint32_t i = 0; i < c->geo.shards; i++) {
        word_put_rel(&c->locks[i], 0);
    }
    word_add_rlx(&c->super->tokens, TOKENS_PER_BOOT);
    domain_close(c);
}

/* What the superblock is to say of a region that was made ready for this boot: by pwrite, and last of all, when
 * everything else is on the disk.  Whoever dies before leaves a region that is made ready again. */
static int say_ready(const plc_cache *c, struct shm_superblock *super, const uint8_t boot[16]) {
    super->persistent = 1;
    super->check = region_fixed_check(super);
    memcpy(super->boot_id, boot, sizeof super->boot_id);
    return os_write_at(c->fd, 0, super, offsetof(struct shm_superblock, pad0));
}

/* pre: the folder's lock is held.  A region that lies on a disk and was not made persistent was copied there: its
 * entries prove nothing, so it is rebuilt, which empties it. */
static plc_status after_boot(plc_cache *c, const struct place *at, plc_report *report) {
    uint8_t boot[16] = {0};
    struct shm_superblock super;
    bool held = true;
    int untold = os_boot_id(boot);
    int error = os_read_at(c->fd, 0, &super, sizeof super); /* as it is under the lock */
    error = error != 0 ? error : os_bytes_held(c->fd, 1, SLOTS_MAX, &held);
    if (error != 0) {
        return region_fail_system(report, error);
    }
    bool booted = untold == 0 && memcmp(boot, super.boot_id, sizeof boot) != 0;
    if (held || (!booted && super.persistent != 0)) {
        return PLC_OK;
    }
    if (word_rlx(&super.clean) == 1 && super.persistent != 0) {
        everybody_died(c);
        error = os_sync(c->base, (uint64_t)c->geo.first_page << PAGE_SHIFT);
    } else {
        region_refresh_locked(c);
        error = at->rebuild(c, os_now_ms());
    }
    error = error != 0 ? error : say_ready(c, &super, boot);
    return error == 0 ? PLC_OK : region_fail_system(report, error);
}

/* ---- attaching ------------------------------------------------------------------------------ */

static plc_status take_place(plc_cache *c, plc_report *report) {
    int error = process_attach(c);
    return error == 0 ? PLC_OK : error == EAGAIN ? PLC_NO_SLOT : region_fail_system(report, error);
}

/* A persistent region, with the folder's lock held.  PLC_AGAIN: its name is another file's now. */
static plc_status take_place_again(plc_cache *c, const struct place *at, plc_report *report) {
    struct os_file named;
    if (os_stat_at(at->folder, at->name, &named) != 0 || named.device != c->device || named.inode != c->inode) {
        return PLC_AGAIN;
    }
    plc_status status = after_boot(c, at, report);
    return status == PLC_OK ? take_place(c, report) : status;
}

plc_status region_attach(const struct place *at, int fd, const struct facts *facts, plc_cache **out,
                         plc_report *report) {
    plc_cache *c = os_holds_regions(fd) ? handle_for(fd, facts) : NULL;
    if (c == NULL) {
        plc_status refused = os_holds_regions(fd) ? PLC_NO_MEMORY : PLC_UNSUPPORTED;
        os_close(fd);
        return refused;
    }
    c->keys = at->keys;
    int lock = -1, error = make_parts(c, at);
    if (error == 0 && c->persistent) {
        error = os_lock_folder(at->folder, REGION_REBUILD_MS, &lock);
    }
    plc_status status = error == 0 ? PLC_OK : region_fail_system(report, error);
    if (status == PLC_OK) {
        point_into(c);
        status = c->persistent ? take_place_again(c, at, report) : take_place(c, report);
    }
    if (status == PLC_OK) {
        domain_join(c);
        region_refresh_locked(c);
        registry_add(c);
        atomic_store(&c->closed, 0); /* last: who comes with the handle looks at it before anything else of it */
        *out = c;
    } else {
        unmake(c);
    }
    if (lock >= 0) {
        os_unlock_folder(lock);
    }
    return status;
}
