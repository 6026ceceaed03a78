/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region_attach.c: mapping a region that was examined, and taking a place in it.
 *
 * A region on disk outlives the machine's boot.  Then nobody of the earlier boot lives, whatever the process
 * rows say, and locks are nobody's; what was closed cleanly is kept, anything else is replaced by an empty
 * region, because the kernel writes pages back in any order.  Containers may show a boot id of their own: so a
 * boot is believed only when nobody holds a lock byte.
 */
#include "region_parts.h"
#include "seat.h"

#include <errno.h>
#include <stdlib.h>

#define TOKENS_PER_BOOT (1ull << (40 - 24)) /* blocks of 2^24: what a lost page may have handed out already */

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
    c->words = (void *)(base + g->words_at);
    c->side_a = (void *)(base + g->side_a_at);
    c->side_b = (void *)(base + g->side_b_at);
    c->buckets = (void *)(base + g->index_at);
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
    error = error != 0 ? error : os_fork_mark(&c->fork_mark);
    if (error == 0 && c->persistent) {
        c->verified = calloc(VERIFIED_PLACES, sizeof(word));
        error = c->verified != NULL ? 0 : ENOMEM;
    }
    if (error == 0) {
        void *base = NULL;
        error = os_map(c->fd, c->geo.size_bytes, true, &base);
        c->base = base;
    }
    return error;
}

/* Closing these descriptors is harmless: this process holds no lock byte of that inode yet, or gives up. */
static void unmake(plc_cache *c) {
    if (c->base != NULL) {
        os_unmap(c->base, c->geo.size_bytes);
    }
    if (c->fork_mark != NULL) {
        os_unmap(c->fork_mark, PAGE_BYTES);
    }
    const int descriptors[] = {c->folder, c->fd_read, c->fd};
    for (size_t i = 0; i < 3; i++) {
        if (descriptors[i] >= 0) {
            os_close(descriptors[i]);
        }
    }
    free(c->verified);
    free(c->path);
    free(c);
}

static plc_cache *handle_new(int fd, const struct facts *f) {
    plc_cache *c = aligned_alloc(64, (sizeof *c + 63) & ~(size_t)63);
    if (c == NULL) {
        return NULL;
    }
    memset(c, 0, sizeof *c);
    c->geo = f->geo;
    memcpy(c->hash_key, f->super.hash_key, sizeof c->hash_key);
    c->region_id = f->super.region_id;
    c->created_ms = f->super.created_ms;
    c->protection = PLC_PROTECT_NONE;
    c->persistent = f->super.persistent != 0;
    c->fd = fd;
    c->fd_read = c->folder = -1;
    c->device = f->file.device;
    c->inode = f->file.inode;
    c->process_mutex = registry_mutex();
    c->references = 1;
    seat_forget(c);
    return c;
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

/* pre: the folder's lock is held.  PLC_OK: go on.  PLC_DONE: the region was not closed before the machine went
 * down, and is to be replaced. */
static plc_status after_boot(plc_cache *c, plc_report *report) {
    uint8_t boot[16] = {0};
    struct shm_superblock super;
    bool held = true;
    int untold = os_boot_id(boot);
    int error = os_read_at(c->fd, 0, &super, sizeof super); /* as it is under the lock */
    error = error != 0 ? error : os_bytes_held(c->fd, 1, SLOTS_MAX, &held);
    if (error != 0) {
        return region_fail_system(report, error);
    }
    if (untold != 0 || held || memcmp(boot, super.boot_id, sizeof boot) == 0) {
        return PLC_OK;
    }
    if (word_rlx(&super.clean) != 1) {
        return PLC_DONE;
    }
    everybody_died(c);
    error = os_sync(c->base, (uint64_t)c->geo.first_page << PAGE_SHIFT);
    error = error != 0 ? error : os_write_at(c->fd, offsetof(struct shm_superblock, boot_id), boot, sizeof boot);
    return error == 0 ? PLC_OK : region_fail_system(report, error);
}

/* ---- attaching ------------------------------------------------------------------------------ */

static plc_status take_place(plc_cache *c, plc_report *report) {
    int error = process_attach(c);
    return error == 0 ? PLC_OK : error == EAGAIN ? PLC_NO_SLOT : region_fail_system(report, error);
}

/* A region on disk, with the folder's lock held.  PLC_AGAIN: its name is another file's now. */
static plc_status take_place_on_disk(plc_cache *c, const struct place *at, plc_report *report) {
    struct os_file named;
    if (os_stat_at(at->folder, at->name, &named) != 0 || named.device != c->device || named.inode != c->inode) {
        return PLC_AGAIN;
    }
    plc_status status = after_boot(c, report);
    return status == PLC_OK ? take_place(c, report) : status;
}

/* The old file is let go first, so that its room can be had.  The same size again, and with the lock held: so
 * also those find one who would not create it. */
static plc_status replace(const struct place *at, const struct geometry *geo, plc_report *report) {
    int error = os_unlink(at->folder, at->name);
    if (error != 0) {
        return region_fail_system(report, error);
    }
    plc_status status = region_make(at, geo->size_bytes, geo->expected_entry, report);
    return status == PLC_OK || status == PLC_EXISTS ? PLC_AGAIN : status;
}

plc_status region_attach(const struct place *at, int fd, const struct facts *facts, plc_cache **out,
                         plc_report *report) {
    plc_cache *c = os_holds_regions(fd) ? handle_new(fd, facts) : NULL;
    if (c == NULL) {
        plc_status refused = os_holds_regions(fd) ? PLC_NO_MEMORY : PLC_UNSUPPORTED;
        os_close(fd);
        return refused;
    }
    int lock = -1, error = make_parts(c, at);
    if (error == 0 && !c->in_memory) {
        error = os_lock_folder(at->folder, REGION_LOCK_MS, &lock);
    }
    plc_status status = error == 0 ? PLC_OK : region_fail_system(report, error);
    if (status == PLC_OK) {
        point_into(c);
        status = c->in_memory ? take_place(c, report) : take_place_on_disk(c, at, report);
    }
    if (status == PLC_OK) {
        region_refresh_locked(c);
        registry_add(c);
        *out = c;
    } else {
        unmake(c);
        status = status == PLC_DONE ? replace(at, &facts->geo, report) : status;
    }
    if (lock >= 0) {
        os_unlock_folder(lock);
    }
    return status;
}
