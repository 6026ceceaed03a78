/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region.h: the file: geometry, creation, attachment, growth, removal.  All of it with the window closed.
 */
#ifndef PLC_REGION_H
#define PLC_REGION_H

#include "process.h"

/* Where everything lies.  False: size outside PLC_SIZE_MIN..PLC_SIZE_MAX, or no room for a pool. */
bool region_geometry(uint64_t size_bytes, uint32_t expected_entry, struct geometry *out);
/* version << 48 | hash of sizes and offsets of every shared structure */
uint64_t region_format(void);

/* For tests: regions made from now on are persistent, whatever the file system is that they lie on. */
extern bool region_always_persistent;

#define TOKENS_PER_BOOT (1ull << (40 - 24)) /* blocks of 2^24: what a lost page may have handed out already */

/* What is done with a persistent region that was in use when the machine went down; 0 or an errno (rebuild.h). */
typedef int region_rebuild(plc_cache *c, uint64_t now_ms);

plc_status region_open(const plc_options *options, region_rebuild *rebuild, plc_cache **out, plc_report *report);
void region_close(plc_cache *c);
/* What a closing left to do because something was held in place: nothing is any more.  Window closed. */
void region_close_rest(plc_cache *c);
plc_status region_remove(const char *path, plc_report *report);

/* Takes the next step(s) of memory so that the file has at least `pages` pages in all, or as many as there
 * is room for.  Updates limit_page, the hint and growth_stopped. */
void region_grow(plc_cache *c, uint32_t pages);
/* Grows the region by a step if there is room for it; if not, reads the next pages from *cursor on, so that they are
 * mapped.  False: that were all.  pre: the mapping stays (call_stay). */
bool region_prefault(plc_cache *c, uint64_t *cursor);
/* The file may have grown: asks the kernel, raises limit_page. */
void region_refresh(plc_cache *c);
/* Persistent regions; 0 or an errno.  pre: no window is open, the mapping stays (call_stay). */
int region_sync(plc_cache *c);       /* everything */
int region_sync_names(plc_cache *c); /* generations of names, moments of flushes */
int region_sync_name(plc_cache *c, uint16_t number); /* that the name has this number; once for each process */
bool region_retired(plc_cache *c); /* removed by plc_remove, or its name is another inode now */
uint64_t region_file_pages(plc_cache *c);

#endif
