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

plc_status region_open(const plc_options *options, plc_cache **out, plc_report *report);
void region_close(plc_cache *c);
plc_status region_remove(const char *path, plc_report *report);

/* Takes the next step(s) of memory so that the file has at least `pages` pages in all, or as many as there
 * is room for.  Updates limit_page, the hint and growth_stopped. */
void region_grow(plc_cache *c, uint32_t pages);
/* The file may have grown: asks the kernel, raises limit_page. */
void region_refresh(plc_cache *c);
bool region_retired(plc_cache *c); /* removed by plc_remove, or its name is another inode now */
uint64_t region_file_pages(plc_cache *c);

#endif
