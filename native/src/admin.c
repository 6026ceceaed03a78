/* SPDX-License-Identifier: BSD-3-Clause */
/* admin.c: the exported functions of plc.h that look after a region: names, walks, statistics, information. */
#include "check.h"
#include "counters.h"
#include "hash.h"

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
    plc_status s = call_enter(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    memcpy(k.key, name, length);
    *number = name_find(&k, hash_key(cache->hash_key, k.key, length));
    s = call_leave(&k, PLC_OK);
    if (s != PLC_OK || !cache->persistent) {
        return s;
    }
    if (!call_stay(cache)) {
        return PLC_CLOSED;
    }
    /* before an entry has the number: else another name may be given it after a power loss */
    int error = region_sync_name(cache, *number);
    call_go(cache);
    return error == 0 ? PLC_OK : PLC_SYSTEM;
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
    counts->generation = word_acq(&row->generation);
    counts->hits = word_rlx(&row->hits) - word_rlx(&row->base_hits);
    counts->misses = word_rlx(&row->misses) - word_rlx(&row->base_misses);
    counts->saved_us = word_rlx(&row->saved_us) - word_rlx(&row->base_saved_us);
    return call_leave(&k, PLC_OK);
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
    plc_status s = call_enter(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    *sum = name_sum(cache, name, tags);
    return call_leave(&k, PLC_OK);
}

/* A walk begins with what the file is now: others may have made it larger. */
static plc_status enter_walk(struct call *k, plc_cache *cache, uint64_t cursor) {
    if (cache != NULL && cursor == 0) {
        region_refresh(cache);
    }
    return call_enter(k, cache);
}

plc_status plc_scan(plc_cache *cache, uint64_t *cursor, uint16_t name, void *buffer, size_t capacity, size_t *used) {
    struct call k;
    if (cursor == NULL || buffer == NULL || used == NULL || capacity < 65536) {
        return PLC_INVALID;
    }
    plc_status s = enter_walk(&k, cache, *cursor);
    if (s != PLC_OK) {
        return s;
    }
    s = domain_overlaps(cache, buffer, capacity) ? PLC_INVALID : walk_scan(&k, cursor, name, buffer, capacity, used);
    return call_leave(&k, s);
}

plc_status plc_count(plc_cache *cache, uint64_t *cursor, uint16_t name, uint64_t *count_of) {
    struct call k;
    if (cursor == NULL || count_of == NULL) {
        return PLC_INVALID;
    }
    plc_status s = enter_walk(&k, cache, *cursor);
    return s == PLC_OK ? call_leave(&k, walk_count(&k, cursor, name, count_of)) : s;
}

plc_status plc_usage_read(plc_cache *cache, uint64_t *cursor, plc_usage *usage) {
    struct call k;
    if (cursor == NULL || usage == NULL) {
        return PLC_INVALID;
    }
    plc_status s = enter_walk(&k, cache, *cursor);
    return s == PLC_OK ? call_leave(&k, walk_usage(&k, cursor, usage)) : s;
}

plc_status plc_check(plc_cache *cache, uint64_t *cursor, plc_finding *findings, size_t capacity, size_t *count_of) {
    struct call k;
    if (cursor == NULL || findings == NULL || count_of == NULL || capacity < 2 * BUCKET_SLOTS) {
        return PLC_INVALID;
    }
    plc_status s = enter_walk(&k, cache, *cursor);
    return s == PLC_OK ? call_leave(&k, check_slice(&k, cursor, findings, capacity, count_of)) : s;
}

plc_status plc_drain(plc_cache *cache, uint64_t *cursor, uint64_t *free_pages, uint64_t *longest) {
    struct call k;
    if (cursor == NULL || free_pages == NULL || longest == NULL) {
        return PLC_INVALID;
    }
    plc_status s = enter_walk(&k, cache, *cursor);
    return s == PLC_OK ? call_leave(&k, walk_drain(&k, cursor, free_pages, longest)) : s;
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
    plc_status s = call_enter(&k, cache);
    if (s != PLC_OK) {
        return s;
    }
    uint64_t sums[COUNTERS_MAX];
    sum_counters(cache, sums);
    for (unsigned i = 0; i < PLC_COUNTERS; i++) {
        stats->counters[i] = sums[i] - word_rlx(&cache->super->baseline[i]);
    }
    return call_leave(&k, PLC_OK);
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
    const struct geometry *g = &cache->geo;
    memset(info, 0, sizeof *info);
    info->size_bytes = g->size_bytes;
    info->pool_bytes = (uint64_t)(g->end_page - g->first_page) << PAGE_SHIFT;
    info->value_max = space_value_max(cache);
    info->index_slots = walk_buckets(cache) * BUCKET_SLOTS;
    info->region_id = cache->region_id;
    info->created_ms = cache->created_ms;
    info->layout = region_format();
    info->segment_bytes = g->segment_pages << PAGE_SHIFT;
    info->own_run_bytes = g->own_bytes;
    info->expected_entry = g->expected_entry;
    info->shards = g->shards;
    info->processes_max = g->slots;
    info->protection = cache->protection;
    info->growth_stopped = word_rlx(&cache->super->growth_stopped) != 0 ? 1 : 0;
    info->processes = process_count(cache);
    info->slot = owner_slot(k.owner);
    s = call_leave(&k, PLC_OK);
    region_refresh(cache); /* asks the kernel: outside the window */
    info->taken_bytes = (uint64_t)pages_limit(cache) << PAGE_SHIFT;
    info->pool_taken_bytes = info->taken_bytes - ((uint64_t)g->first_page << PAGE_SHIFT);
    info->retired = region_retired(cache) ? 1 : 0;
    return s;
}

uint64_t plc_layout(void) {
    return region_format();
}
