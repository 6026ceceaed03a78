/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region_sync.c: what is on the disk when a call returns; see region.h.  With the window closed.
 */
#include "region_parts.h"

#include <errno.h>

/* The entries go first, then what names them: an entry that stays where it is while this runs is safe behind it.  The
 * folder too, which holds the file's name. */
int region_sync(plc_cache *c) {
    uint64_t pool = (uint64_t)c->geo.first_page << PAGE_SHIFT;
    int error = os_sync(c->base + pool, c->geo.size_bytes - pool);
    error = error != 0 ? error : os_sync(c->base, pool);
    return error != 0 ? error : os_sync_file(c->folder);
}

int region_sync_names(plc_cache *c) {
    int error = os_sync(c->base, PAGE_BYTES);
    return error != 0 ? error : os_sync(c->base + c->geo.names_at, (uint64_t)c->geo.names * NAME_BYTES);
}

int region_sync_name(plc_cache *c, uint16_t number) {
    word *lasting = &c->lasting[number / 64];
    uint64_t bit = 1ull << number % 64;
    if (word_acq(lasting) & bit) {
        return 0;
    }
    uint64_t at = c->geo.names_at + (uint64_t)(number & (c->geo.names - 1)) * NAME_BYTES;
    int error = os_sync(c->base + (at & ~(uint64_t)(PAGE_BYTES - 1)), PAGE_BYTES);
    if (error == 0) {
        atomic_fetch_or_explicit(lasting, bit, memory_order_release);
    }
    return error;
}
