/* SPDX-License-Identifier: BSD-3-Clause */
/* part.c: see part.h. */
#include "part.h"

#include <errno.h>

static bool is_region(const plc_cache *c, int fd) {
    struct os_file file;
    return os_stat(fd, &file) == 0 && file.device == c->device && file.inode == c->inode;
}

/* By a descriptor that cannot write, so that nobody makes it writable. */
static void map_view(plc_cache *c) {
    void *view = NULL;
    if (!registry_enter()) {
        return;
    }
    if (c->base != NULL && atomic_load(&c->view) == NULL && is_region(c, c->fd_read) &&
        os_map(c->fd_read, 0, c->geo.size_bytes, OS_MAP_READ, &view) == 0) {
        atomic_store(&c->view, (uint8_t *)view);
    }
    registry_unlock();
}

const uint8_t *part_view(plc_cache *c) {
    if (atomic_load_explicit(&c->view, memory_order_acquire) == NULL) {
        map_view(c);
    }
    return atomic_load_explicit(&c->view, memory_order_acquire);
}

/* In a raw clone's child the lock may be held by a thread that is not there. */
static bool lock(plc_cache *c) {
    registry_forget();
    return holding_lock(c->holding);
}

static void list(plc_cache *c, struct part *part) {
    if (lock(c)) {
        holding_list(c->holding, part);
        holding_unlock(c->holding);
    }
}

static void unlist(plc_cache *c, struct part *part) {
    if (lock(c)) {
        holding_unlist(part);
        holding_unlock(c->holding);
    }
}

/* In memory only: a disk would be read.  Each page is going to be written to, and a store that faults maps one small
 * page (or a huge page that is whole in this mapping; at both ends none is); a read maps sixteen, writable ones. */
static void map_all(const plc_cache *c, const struct part *part) {
    if (c->in_memory) {
        os_map_filled(part->at, part->bytes);
    }
}

/* A fork child does not get what is filled: its stores would be the parent's.  It gets other memory (forks.c). */
int part_map(plc_cache *c, struct part *part, enum part_kind kind, uint64_t from, uint64_t bytes) {
    *part = (struct part){.kind = kind, .bytes = bytes};
    void *at = NULL;
    int fd = kind == PART_PRIVATE ? c->fd_read : c->fd;
    if (bytes == 0) {
        return 0;
    }
    int error = is_region(c, fd) ? 0 : EBADF;
    error = error != 0 ? error : os_map(fd, from, bytes, kind == PART_PRIVATE ? OS_MAP_PRIVATE : OS_MAP_WRITE, &at);
    if (error == 0 && kind == PART_FILLED) {
        error = os_map_keep(at, bytes, false);
        if (error != 0) {
            os_unmap(at, bytes);
        }
    }
    if (error == 0) {
        part->at = at;
        list(c, part);
    }
    if (error == 0 && kind == PART_FILLED) {
        map_all(c, part);
    }
    return error;
}

int part_seal(plc_cache *c, struct part *part) {
    int error = part->at != NULL ? os_map_limit(part->at, part->bytes, OS_MAP_READ) : 0;
    error = error == 0 && part->at != NULL ? os_map_keep(part->at, part->bytes, true) : error;
    if (error == 0 && holding_lock(c->holding)) {
        part->kind = PART_SEALED;
        holding_unlock(c->holding);
    }
    return error;
}

void part_disown(plc_cache *c, struct part *part) {
    unlist(c, part);
    if (part->at != NULL && os_map_nothing(part->at, part->bytes) != 0) { /* no memory even for that: it must go */
        os_unmap(part->at, part->bytes);
        part->at = NULL;
    }
}

void part_unmap(plc_cache *c, struct part *part) {
    unlist(c, part);
    if (part->at != NULL) {
        os_unmap(part->at, part->bytes);
        part->at = NULL;
    }
}
