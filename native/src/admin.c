/* SPDX-License-Identifier: BSD-3-Clause */
/* admin.c: the exported functions of plc.h that look after a region: names, walks, statistics, information. */
#include "check.h"
#include "counters.h"
#include "gauge.h"
#include "hash.h"
#include "registry.h"

/* What a persistent region must not forget is on the disk when the call returns: after it, outside the window.  An
 * error of the disk is an answer; in memory it has happened. */
static plc_status lasting(plc_cache *c, plc_status s, int (*sync)(plc_cache *c)) {
    if (s != PLC_OK || !c->persistent) {
        return s;
    }
    if (!call_stay(c)) {
        return PLC_CLOSED;
    }
    int error = sync(c);
    call_go(c);
    return error == 0 ? PLC_OK : PLC_SYSTEM;
}

plc_status plc_sync(plc_cache *cache) {
    struct call k;
    plc_status s = call_enter(&k, cache); /* also: is it open, are we a fork child */
    s = s == PLC_OK ? call_leave(&k, PLC_OK) : s;
    return lasting(cache, s, region_sync);
}

plc_status plc_linked(plc_cache *cache) {
    struct os_file file;
    if (cache == NULL) {
        return PLC_INVALID;
    }
    if (!call_stay(cache)) {
        return PLC_CLOSED;
    }
    /* also if somebody closed all descriptors, and the number is another file's now */
    bool ours = os_stat(cache->fd, &file) == 0 && file.device == cache->device && file.inode == cache->inode;
    call_go(cache);
    return ours && file.links != 0 ? PLC_OK : PLC_MISS;
}

plc_status plc_prefault(plc_cache *cache, uint64_t *cursor) {
    struct call k;
    if (cursor == NULL) {
        return PLC_INVALID;
    }
    plc_status s = call_enter(&k, cache); /* also: is it open, are we a fork child */
    s = s == PLC_OK ? call_leave(&k, PLC_OK) : s;
    if (s == PLC_OK) {
        s = call_stay(cache) ? PLC_OK : PLC_CLOSED;
    }
    if (s == PLC_OK) {
        s = region_prefault(cache, cursor) ? PLC_OK : PLC_DONE;
        call_go(cache);
    }
    return s;
}

plc_status plc_flush(plc_cache *cache, uint64_t at_ms) {
    struct call k;
    plc_status s = call_enter(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    bool done = true;
    if (at_ms == 0) {
        name_invalidate(cache, NAME_WHOLE);
    } else {
        done = name_flush_at(cache, at_ms, k.now_ms);
    }
    return lasting(cache, call_leave(&k, done ? PLC_OK : PLC_BUSY), region_sync_names);
}

plc_status plc_name(plc_cache *cache, const void *name, size_t length, uint16_t *number) {
    struct call k;
    if (name == NULL || number == NULL || length == 0 || length > PLC_KEY_MAX) {
        return PLC_INVALID;
    }
    plc_status s = call_begin(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    bool refused = domain_overlaps(cache, name, length);
    memcpy(k.key, name, refused ? 0 : length);
    s = call_open(&k, refused);
    if (s != PLC_OK) {
        return s;
    }
    uint16_t found = name_find(&k, hash_from(cache->hash, k.key, length));
    s = call_leave(&k, PLC_OK);
    if (s == PLC_OK && cache->persistent) {
        if (!call_stay(cache)) {
            return PLC_CLOSED;
        }
        /* before an entry has the number: else another name may be given it after a power loss */
        int error = region_sync_name(cache, found);
        call_go(cache);
        s = error == 0 ? PLC_OK : PLC_SYSTEM;
    }
    if (s == PLC_OK) {
        *number = found;
    }
    return s;
}

plc_status plc_name_invalidate(plc_cache *cache, uint16_t number) {
    struct call k;
    plc_status s = call_enter(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    name_invalidate(cache, number);
    return lasting(cache, call_leave(&k, PLC_OK), region_sync_names);
}

plc_status plc_name_read(plc_cache *cache, uint16_t number, plc_name_counts *counts) {
    struct call k;
    if (counts == NULL) {
        return PLC_INVALID;
    }
    plc_status s = call_enter(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    struct shm_name *row = name_row(cache, number);
    const plc_name_counts seen = {
        .generation = word_acq(&row->generation),
        .hits = word_rlx(&row->hits) - word_rlx(&row->base_hits),
        .misses = word_rlx(&row->misses) - word_rlx(&row->base_misses),
        .saved_us = word_rlx(&row->saved_us) - word_rlx(&row->base_saved_us),
    };
    s = call_leave(&k, PLC_OK);
    *counts = seen;
    return s;
}

plc_status plc_name_reset(plc_cache *cache, uint16_t number) {
    struct call k;
    plc_status s = call_enter(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    struct shm_name *row = name_row(cache, number);
    word_put_rlx(&row->base_hits, word_rlx(&row->hits));
    word_put_rlx(&row->base_misses, word_rlx(&row->misses));
    word_put_rlx(&row->base_saved_us, word_rlx(&row->saved_us));
    return call_leave(&k, PLC_OK);
}

plc_status plc_name_count(plc_cache *cache, uint16_t number, uint64_t hits, uint64_t misses, uint64_t saved_us) {
    struct call k;
    plc_status s = call_enter(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    struct shm_name *row = name_row(cache, number);
    word_add_rlx(&row->hits, hits);
    word_add_rlx(&row->misses, misses);
    word_add_rlx(&row->saved_us, saved_us);
    return call_leave(&k, PLC_OK);
}

plc_status plc_sum(plc_cache *cache, uint16_t name, const uint16_t tags[4], uint64_t *sum) {
    struct call k;
    if (tags == NULL || sum == NULL) {
        return PLC_INVALID;
    }
    uint16_t given[4];
    memcpy(given, tags, sizeof given);
    plc_status s = call_enter(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    uint64_t seen = name_sum(cache, name, given);
    s = call_leave(&k, PLC_OK);
    *sum = seen;
    return s;
}

/* A walk begins with what the file is now: others may have made it larger.  to: what it fills. */
static plc_status enter_walk(struct call *k, plc_cache *cache, uint64_t cursor, const void *to, size_t bytes) {
    if (cache != NULL && cursor == 0) {
        registry_forget(); /* the refresh takes the mutex */
        region_refresh(cache);
    }
    plc_status s = call_begin(k, cache);
    return s == PLC_OK ? call_open(k, domain_overlaps(cache, to, bytes)) : s;
}

plc_status plc_scan(plc_cache *cache, uint64_t *cursor, uint16_t name, void *buffer, size_t capacity, size_t *used) {
    struct call k;
    if (cursor == NULL || buffer == NULL || used == NULL || capacity < 65536) {
        return PLC_INVALID;
    }
    uint64_t at = *cursor;
    size_t filled = *used;
    plc_status s = enter_walk(&k, cache, at, buffer, capacity);
    if (s == PLC_OK) {
        s = call_leave(&k, walk_scan(&k, &at, name, buffer, capacity, &filled));
        *cursor = at;
        *used = filled;
    }
    return s;
}

plc_status plc_count(plc_cache *cache, uint64_t *cursor, uint16_t name, uint64_t *count_of) {
    struct call k;
    if (cursor == NULL || count_of == NULL) {
        return PLC_INVALID;
    }
    uint64_t at = *cursor, n = *count_of;
    plc_status s = enter_walk(&k, cache, at, NULL, 0);
    if (s == PLC_OK) {
        s = call_leave(&k, walk_count(&k, &at, name, &n));
        *cursor = at;
        *count_of = n;
    }
    return s;
}

plc_status plc_usage_read(plc_cache *cache, uint64_t *cursor, plc_usage *usage) {
    struct call k;
    if (cursor == NULL || usage == NULL) {
        return PLC_INVALID;
    }
    uint64_t at = *cursor;
    plc_usage sums = *usage;
    plc_status s = enter_walk(&k, cache, at, NULL, 0);
    if (s == PLC_OK) {
        s = call_leave(&k, walk_usage(&k, &at, &sums));
        *cursor = at;
        *usage = sums;
    }
    return s;
}

plc_status plc_check(plc_cache *cache, uint64_t *cursor, plc_finding *findings, size_t capacity, size_t *count_of) {
    struct call k;
    if (cursor == NULL || findings == NULL || count_of == NULL || capacity < 2 * BUCKET_SLOTS ||
        capacity > SIZE_MAX / sizeof *findings) {
        return PLC_INVALID;
    }
    uint64_t at = *cursor;
    size_t n = *count_of;
    plc_status s = enter_walk(&k, cache, at, findings, capacity * sizeof *findings);
    if (s == PLC_OK) {
        s = call_leave(&k, check_slice(&k, &at, findings, capacity, &n));
        *cursor = at;
        *count_of = n;
    }
    return s;
}

plc_status plc_drain(plc_cache *cache, uint64_t *cursor, uint64_t *free_pages, uint64_t *longest) {
    struct call k;
    if (cursor == NULL || free_pages == NULL || longest == NULL) {
        return PLC_INVALID;
    }
    uint64_t at = *cursor, n = *free_pages, most = *longest;
    plc_status s = enter_walk(&k, cache, at, NULL, 0);
    if (s == PLC_OK) {
        s = call_leave(&k, walk_drain(&k, &at, &n, &most));
        *cursor = at;
        *free_pages = n;
        *longest = most;
    }
    return s;
}

static void sum_counters(const plc_cache *c, uint64_t sums[COUNTERS_MAX]) {
    memset(sums, 0, COUNTERS_MAX * sizeof sums[0]);
    for (uint32_t slot = 1; slot <= c->geo.slots; slot++) {
        const struct shm_process *row = process_row(c, slot);
        for (unsigned i = 0; i < COUNTERS_MAX; i++) {
            sums[i] += word_rlx(&row->counters[i]);
        }
        for (unsigned i = 0; i < LANES * LANE_COUNTERS; i++) {
            sums[i % LANE_COUNTERS] += word_rlx(&row->lanes[i / LANE_COUNTERS].counters[i % LANE_COUNTERS]);
        }
    }
}

plc_status plc_stats_read(plc_cache *cache, plc_stats *stats) {
    struct call k;
    if (stats == NULL) {
        return PLC_INVALID;
    }
    plc_status s = enter_walk(&k, cache, 0, NULL, 0); /* what others have taken counts */
    if (s != PLC_OK) {
        return s;
    }
    uint64_t sums[COUNTERS_MAX];
    sum_counters(cache, sums);
    for (unsigned i = 0; i < PLC_COUNTERS; i++) {
        sums[i] -= word_rlx(&cache->super->baseline[i]);
    }
    plc_stats seen;
    gauge_read(&k, &seen);
    memcpy(seen.counters, sums, sizeof seen.counters);
    s = call_leave(&k, PLC_OK);
    *stats = seen;
    return s;
}

plc_status plc_stats_reset(plc_cache *cache) {
    struct call k;
    plc_status s = call_enter(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    uint64_t sums[COUNTERS_MAX];
    sum_counters(cache, sums);
    for (unsigned i = 0; i < COUNTERS_MAX; i++) {
        word_put_rlx(&cache->super->baseline[i], sums[i]);
    }
    return call_leave(&k, PLC_OK);
}

plc_status plc_info_read(plc_cache *cache, plc_info *info) {
    struct call k;
    if (info == NULL) {
        return PLC_INVALID;
    }
    plc_status s = call_enter(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    uint64_t value_max = space_value_max(cache), stopped = word_rlx(&cache->super->growth_stopped);
    uint32_t processes = process_count(cache);
    s = call_leave(&k, PLC_OK);
    const struct geometry *g = &cache->geo;
    memset(info, 0, sizeof *info);
    info->size_bytes = g->size_bytes;
    info->pool_bytes = (uint64_t)(g->end_page - g->first_page) << PAGE_SHIFT;
    info->value_max = value_max;
    info->index_slots = walk_buckets(cache) * BUCKET_SLOTS;
    info->region_id = cache->region_id;
    info->created_ms = cache->created_ms;
    info->layout = region_format();
    info->segment_bytes = g->segment_pages << PAGE_SHIFT;
    info->own_run_bytes = g->own_bytes;
    info->expected_entry = g->expected_entry;
    info->shards = g->shards;
    info->processes_max = g->slots;
    info->protection = cache->keys == PLC_KEYS_USED ? PLC_PROTECT_PKU : PLC_PROTECT_NONE;
    info->keys = cache->keys;
    info->in_place = cache->holding != NULL;
    info->leased_pages_most = cache->held_most;
    info->names = cache->geo.names;
    info->growth_stopped = stopped != 0 ? 1 : 0;
    info->processes = processes;
    info->slot = owner_slot(k.owner);
    region_refresh(cache);
    info->taken_bytes = (uint64_t)pages_limit(cache) << PAGE_SHIFT;
    info->pool_taken_bytes = info->taken_bytes - ((uint64_t)g->first_page << PAGE_SHIFT);
    info->retired = region_retired(cache) ? 1 : 0;
    return s;
}

uint64_t plc_layout(void) {
    return region_format();
}
