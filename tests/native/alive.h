/* SPDX-License-Identifier: BSD-3-Clause */
/* alive.h: asking who is alive, in the tests of processes: by the lock byte, and by taking a process's place. */
#ifndef PLC_TEST_ALIVE_H
#define PLC_TEST_ALIVE_H

#include "attach.h"

__attribute__((unused)) static plc_cache *begin(void) {
    check_folder_make(NULL);
    plc_cache *c = open_region("r");
    CHECK(my_slot(c) != 0 && (inc_of(c, my_slot(c)) & 1u) == 1);
    return c;
}

__attribute__((unused)) static bool byte_held(const plc_cache *c, uint32_t slot) {
    bool held = false;
    CHECK(os_byte_held(c->fd, slot, &held) == 0);
    return held;
}

/* Not dead, however often one asks. */
__attribute__((unused)) static void check_alive(plc_cache *c, uint32_t slot) {
    for (int i = 0; i < 20; i++) {
        CHECK(!process_reap(c, slot));
    }
    CHECK((inc_of(c, slot) & 1u) == 1);
}

__attribute__((unused)) static void check_dies(plc_cache *c, uint32_t slot) {
    uint64_t inc = inc_of(c, slot);
    CHECK_SOON(process_reap(c, slot));
    CHECK(inc_of(c, slot) == inc + 1);
    CHECK(process_reap(c, slot) && inc_of(c, slot) == inc + 1);
}

#endif
