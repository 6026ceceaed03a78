/* SPDX-License-Identifier: BSD-3-Clause */
/* attach.h: opening regions in the tests of what lies below plc.h. */
#ifndef PLC_TEST_ATTACH_H
#define PLC_TEST_ATTACH_H

#include "check.h"
#include "rebuild.h"

#define REGION_BYTES (8ull << 20)

__attribute__((unused)) static plc_status try_open(const char *path, uint64_t size, uint32_t create, plc_cache **c,
                                                   plc_report *report) {
    const plc_options options = {.path = path, .protection = check_protection(), .size_bytes = size, .create = create};
    return region_open(&options, rebuild_region, c, report);
}

/* What opening it says; it is closed again. */
__attribute__((unused)) static plc_status status_of(const char *name, uint64_t size, uint32_t create,
                                                    plc_report *report) {
    plc_cache *c = NULL;
    plc_status s = try_open(check_path(name), size, create, &c, report);
    if (s == PLC_OK) {
        region_close(c);
    }
    return s;
}

static plc_cache *last_opened;

/* In a fork child this may be the handle of the parent, which then gets a place of its own. */
__attribute__((unused)) static plc_cache *open_region(const char *name) {
    plc_cache *c = NULL;
    plc_report report;
    CHECK_STATUS(try_open(check_path(name), REGION_BYTES, 1, &c, &report), PLC_OK);
    CHECK(word_acq(c->fork_mark) == 1 || process_adopt(c) == 0);
    last_opened = c;
    return c;
}

/* In a peer: as a process would open it that was not forked from one that is attached. */
__attribute__((unused)) static plc_cache *open_fresh(const char *name) {
    while (last_opened != NULL && last_opened->base != NULL) {
        region_close(last_opened);
    }
    return open_region(name);
}

__attribute__((unused)) static uint64_t inc_of(const plc_cache *c, uint32_t slot) {
    return word_acq(&process_row(c, slot)->inc);
}

/* Attaches, tells its slot, and stays until it is told to go. */
__attribute__((unused)) static void sit(struct peer_ends ends) {
    plc_cache *c = open_fresh("r");
    tell(ends.out, my_slot(c));
    (void)await(ends.in);
}

#endif
