/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region_parts.h: what the region_*.c files share: a path taken apart, the file's own statements about
 * itself, and how failures are reported.
 *   geometry.c where everything lies   region_grow.c growth   region_make.c create, examine, remove
 *   region_attach.c map, after a boot   region_open.c open, share, close
 */
#ifndef PLC_REGION_PARTS_H
#define PLC_REGION_PARTS_H

#include "region.h"

#define REGION_PATH_MAX 4096u
#define REGION_LOCK_MS 1000u     /* for the folder's lock */
#define REGION_REBUILD_MS 60000u /* ... by who needs it: its holder may rebuild a region on a disk, or write one */

/* Where the region is to be, while it is opened or removed. */
struct place {
    int folder;           /* opened, and found safe */
    const char *path;     /* absolute */
    const char *name;     /* its last part */
    region_rebuild *rebuild; /* when it is opened, and: */
    uint32_t keys, key;      /* PLC_KEYS_*; USED: with which the mapping is tagged */
    uint32_t leased_share;   /* as in plc_options */
};

/* Takes path apart and opens its folder.  PLC_OK; PLC_INVALID, PLC_UNSAFE_FOLDER, PLC_NOT_FOUND, ... */
plc_status place_open(struct place *at, const char *path, plc_report *report);
void place_close(struct place *at);

/* What a region's file says about itself, read without mapping it, and checked. */
struct facts {
    struct os_file file;
    struct shm_superblock super;
    struct geometry geo;
};

plc_status region_fail(plc_report *report, plc_status status, uint64_t a, uint64_t b);
plc_status region_fail_system(plc_report *report, int error);
plc_status region_fail_unsafe(plc_report *report, plc_status status, uint32_t owner);

/* The checksum of the fixed part of a superblock. */
uint64_t region_fixed_check(const struct shm_superblock *super);

/* A regular file of the caller's own with one link? */
bool region_file_safe(const struct os_file *file);
/* PLC_OK; PLC_NOT_A_REGION, PLC_LAYOUT_MISMATCH, PLC_CORRUPT, PLC_SIZE_MISMATCH.  size: 0, or what it must have. */
plc_status region_examine(int fd, uint64_t size_bytes, struct facts *facts, plc_report *report);

/* Makes a region, empty, complete, and gives it its name.  PLC_OK; PLC_EXISTS: somebody was faster; ... */
plc_status region_make(const struct place *at, uint64_t size_bytes, uint32_t expected_entry, plc_report *report);

/* Attaches to the open file.  PLC_OK: *out has taken fd over.  PLC_AGAIN: look anew (it was replaced).
 * pre: process mutex held; this process is not attached to that inode. */
plc_status region_attach(const struct place *at, int fd, const struct facts *facts, plc_cache **out,
                         plc_report *report);

/* The two ends of region_close.  Gives the number of the closing, or 0: others still use the handle. */
uint64_t region_close_begin(plc_cache *c);
/* Releases it, unless it was opened meanwhile: then what was seen of calls is worth nothing, even if it was closed
 * again (which releases it by itself).  pre: no call was under way after the beginning. */
void region_close_end(plc_cache *c, uint64_t closing);

/* region_refresh with the process mutex held. */
void region_refresh_locked(plc_cache *c);

#endif
