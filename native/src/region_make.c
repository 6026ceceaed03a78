/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region_make.c: making, examining and removing a region's file.  It is made without a name and linked when it
 * is complete: no half-made region exists, whoever loses the race attaches, and a maker that dies leaves
 * nothing.  Of a file found there nothing is believed before it is checked.
 */
#include "region_parts.h"

#include "crc32c.h"

#include <errno.h>

#define NAME_LONGEST 255u

plc_status region_fail(plc_report *report, plc_status status, uint64_t a, uint64_t b) {
    report->a = a;
    report->b = b;
    return status;
}

plc_status region_fail_unsafe(plc_report *report, plc_status status, uint32_t owner) {
    report->owner = owner;
    return status;
}

plc_status region_fail_system(plc_report *report, int error) {
    report->system_error = error;
    switch (error) {
    case ENOMEM: return PLC_NO_MEMORY;
    case EACCES:
    case EPERM:
    case EROFS: return PLC_NO_PERMISSION;
    case EOPNOTSUPP:
    case EISDIR: /* what O_TMPFILE is to a kernel or file system that does not know it */
    case ENOLCK:
    case ENOSYS: return PLC_UNSUPPORTED;
    case ENOENT: return PLC_NOT_FOUND;
    case ENOSPC:
    case EDQUOT: return PLC_NO_SPACE;
    default: return PLC_SYSTEM;
    }
}

/* ---- where it is ---------------------------------------------------------------------------- */

plc_status place_open(struct place *at, const char *path, plc_report *report) {
    char folder[REGION_PATH_MAX];
    uint32_t owner = 0;
    size_t n = path != NULL ? strnlen(path, REGION_PATH_MAX) : 0;
    const char *slash = n > 0 && n < REGION_PATH_MAX && path[0] == '/' ? strrchr(path, '/') : NULL;
    if (slash == NULL) {
        return PLC_INVALID;
    }
    at->path = path;
    at->name = slash + 1;
    size_t length = strlen(at->name);
    if (length == 0 || length > NAME_LONGEST || strcmp(at->name, ".") == 0 || strcmp(at->name, "..") == 0) {
        return PLC_INVALID;
    }
    size_t before = slash == path ? 1 : (size_t)(slash - path);
    memcpy(folder, path, before);
    folder[before] = '\0';
    int error = os_open_folder(folder, &at->folder, &owner);
    return error == 0       ? PLC_OK
           : error == EPERM ? region_fail_unsafe(report, PLC_UNSAFE_FOLDER, owner)
                            : region_fail_system(report, error);
}

void place_close(struct place *at) {
    os_close(at->folder);
}

/* ---- examining ------------------------------------------------------------------------------ */

bool region_file_safe(const struct os_file *file) {
    return file->regular && file->owner == os_user() && file->links == 1;
}

static bool consistent(const struct facts *f) {
    uint64_t pages = f->file.size >> PAGE_SHIFT;
    bool whole = f->super.persistent == 0 || f->super.check == region_fixed_check(&f->super);
    return whole && f->geo.size_bytes == f->super.size_bytes && f->geo.expected_entry == f->super.expected_entry &&
           pages >= f->geo.first_page && f->file.size <= f->geo.size_bytes;
}

plc_status region_examine(int fd, uint64_t size_bytes, struct facts *f, plc_report *report) {
    int error = os_stat(fd, &f->file);
    if (error != 0) {
        return region_fail_system(report, error);
    }
    if (f->file.size < PAGE_BYTES) {
        return PLC_NOT_A_REGION;
    }
    error = os_read_at(fd, 0, &f->super, sizeof f->super);
    if (error != 0) {
        return error == ENODATA ? PLC_CORRUPT : region_fail_system(report, error);
    }
    if (f->super.magic != LAYOUT_MAGIC) {
        return PLC_NOT_A_REGION;
    }
    if (f->super.format != region_format()) {
        return region_fail(report, PLC_LAYOUT_MISMATCH, f->super.format, region_format());
    }
    if (!region_geometry(f->super.size_bytes, f->super.expected_entry, &f->geo) || !consistent(f)) {
        return PLC_CORRUPT;
    }
    uint64_t wanted = size_bytes & ~(uint64_t)(PAGE_BYTES - 1);
    return size_bytes == 0 || wanted == f->geo.size_bytes
               ? PLC_OK
               : region_fail(report, PLC_SIZE_MISMATCH, f->geo.size_bytes, wanted);
}

/* ---- making --------------------------------------------------------------------------------- */

bool region_always_persistent;

uint64_t region_fixed_check(const struct shm_superblock *super) {
    return crc32c(0, super, offsetof(struct shm_superblock, boot_id));
}

static int first_superblock(struct shm_superblock *super, const struct geometry *geo, bool persistent) {
    memset(super, 0, sizeof *super);
    super->magic = LAYOUT_MAGIC;
    super->format = region_format();
    super->size_bytes = geo->size_bytes;
    super->expected_entry = geo->expected_entry;
    super->persistent = persistent ? 1 : 0;
    super->created_ms = os_now_ms();
    word_put_rlx(&super->taken_pages, geo->first_page);
    word_put_rlx(&super->frontier.value, geo->first_page);
    word_put_rlx(&super->hand.value, geo->first_page);
    word_put_rlx(&super->sweep.value, geo->first_page);
    word_put_rlx(&super->slots_used.value, 1);
    int error = os_random(super->hash_key, sizeof super->hash_key);
    error = error != 0 ? error : os_random(&super->region_id, sizeof super->region_id);
    (void)os_boot_id(super->boot_id); /* zeros where it cannot be told */
    super->check = region_fixed_check(super);
    return error;
}

/* Everything that is not zero in an empty region: the superblock, and the generation of the whole. */
static int write_tables(int fd, const struct geometry *geo, bool persistent) {
    struct shm_superblock super;
    struct shm_name whole;
    memset(&whole, 0, sizeof whole);
    word_put_rlx(&whole.generation, 1);
    int error = os_reserve(fd, 0, (uint64_t)geo->first_page << PAGE_SHIFT);
    error = error != 0 ? error : first_superblock(&super, geo, persistent);
    error = error != 0 ? error : os_write_at(fd, geo->names_at, &whole, sizeof whole);
    error = error != 0 ? error : os_write_at(fd, 0, &super, sizeof super);
    /* before it has a name: else that may be an empty file's */
    return error == 0 && persistent ? os_sync_file(fd) : error;
}

/* The pool is taken as the cache fills; but a size that can never be had is refused at once. */
static plc_status enough_room(int folder, uint64_t bytes, bool *in_memory, plc_report *report) {
    uint64_t left = 0;
    int error = os_free_bytes(folder, &left, in_memory);
    if (error != 0) {
        return region_fail_system(report, error);
    }
    return left >= bytes ? PLC_OK : region_fail(report, PLC_NO_SPACE, bytes, left);
}

plc_status region_make(const struct place *at, uint64_t size_bytes, uint32_t expected_entry, plc_report *report) {
    struct geometry geo;
    int fd = -1;
    bool in_memory = false;
    if (!region_geometry(size_bytes, expected_entry, &geo)) {
        return PLC_INVALID;
    }
    if (!os_holds_regions(at->folder)) {
        return PLC_UNSUPPORTED;
    }
    plc_status status = enough_room(at->folder, geo.size_bytes, &in_memory, report);
    if (status != PLC_OK) {
        return status;
    }
    int error = os_make_unnamed(at->folder, &fd);
    if (error != 0) {
        return region_fail_system(report, error);
    }
    error = write_tables(fd, &geo, !in_memory || region_always_persistent);
    error = error != 0 ? error : os_link(fd, at->folder, at->name);
    os_close(fd);
    if (error == EEXIST) {
        return PLC_EXISTS;
    }
    status = error == 0 ? PLC_OK : region_fail_system(report, error);
    if (status == PLC_NO_SPACE) {
        uint64_t left = 0;
        (void)os_free_bytes(at->folder, &left, &in_memory);
        (void)region_fail(report, status, geo.size_bytes, left);
    }
    return status;
}

/* ---- removing ------------------------------------------------------------------------------- */

/* Magic and `retired` lie where they are in every version of the format: so any version can be removed. */
static plc_status retire_file(const struct place *at, const struct os_file *expected, plc_report *report) {
    int fd = -1;
    uint64_t magic = 0, yes = 1;
    struct os_file file;
    int error = os_open_at(at->folder, at->name, true, &fd);
    if (error != 0) {
        return region_fail_system(report, error);
    }
    error = os_stat(fd, &file);
    if (error == 0 && (file.device != expected->device || file.inode != expected->inode)) {
        error = ESTALE; /* replaced by somebody who does not take the lock */
    }
    error = error != 0 ? error : os_read_at(fd, 0, &magic, sizeof magic);
    plc_status status = error == ENODATA || (error == 0 && (magic != LAYOUT_MAGIC || file.size < PAGE_BYTES))
                            ? PLC_NOT_A_REGION
                            : PLC_OK;
    if (status == PLC_OK && error == 0) {
        error = os_write_at(fd, offsetof(struct shm_superblock, retired), &yes, sizeof yes);
    }
    if (registry_find(file.device, file.inode) == NULL) { /* else closing would drop that attachment's lock byte */
        os_close(fd);
    }
    return status != PLC_OK || error == 0 ? status : region_fail_system(report, error);
}

static plc_status remove_locked(const struct place *at, plc_report *report) {
    struct os_file file;
    int error = os_stat_at(at->folder, at->name, &file);
    if (error == 0 && file.links == 0) {
        error = ENOENT; /* unlinked between the kernel's finding it and its describing it */
    }
    if (error != 0) {
        return region_fail_system(report, error);
    }
    if (!region_file_safe(&file)) {
        return region_fail_unsafe(report, PLC_UNSAFE_FILE, file.owner);
    }
    plc_cache *c = registry_find(file.device, file.inode);
    plc_status status = PLC_OK;
    if (c != NULL) {
        domain_open(c);
        word_put_rel(&c->super->retired, 1);
        domain_close(c);
    } else {
        status = retire_file(at, &file, report);
    }
    error = status == PLC_OK ? os_unlink(at->folder, at->name) : 0;
    return error == 0 ? status : region_fail_system(report, error);
}

plc_status region_remove(const char *path, plc_report *report) {
    struct place at;
    int lock = -1;
    *report = (plc_report){0};
    registry_forget();
    plc_status status = place_open(&at, path, report);
    if (status != PLC_OK) {
        return status;
    }
    int error = registry_enter() ? 0 : EDEADLK;
    if (error != 0) {
        place_close(&at);
        return region_fail_system(report, error);
    }
    error = os_lock_folder(at.folder, REGION_LOCK_MS, &lock);
    if (error == 0) {
        status = remove_locked(&at, report);
        os_unlock_folder(lock);
    } else {
        status = region_fail_system(report, error);
    }
    registry_unlock();
    place_close(&at);
    return status;
}
