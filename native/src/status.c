/* SPDX-License-Identifier: BSD-3-Clause */
/* status.c: statuses and counters in words.  A status text begins with the constant's name without PLC_, so
 * that it can be found in plc.h, where its full meaning is. */
#include "counters.h"

struct status_text {
    plc_status status;
    const char *text;
};

static const struct status_text texts[] = {
    {PLC_OK, "OK: done"},
    {PLC_MISS, "MISS: no such entry"},
    {PLC_EXISTS, "EXISTS: another value is there"},
    {PLC_CLAIMED, "CLAIMED: another computation of this key is under way"},
    {PLC_TOO_SMALL, "TOO_SMALL: the buffer is smaller than the value"},
    {PLC_AGAIN, "AGAIN: call plc_assist, then the same function again"},
    {PLC_DONE, "DONE: the walk is at its end"},
    {PLC_COPY, "COPY: not to be had in place, read it"},
    {PLC_FULL, "FULL: no room could be made"},
    {PLC_TOO_LARGE, "TOO_LARGE: the value is larger than this region can ever hold"},
    {PLC_BUSY, "BUSY: others were in the way for too long; nothing was changed"},
    {PLC_NOT_A_NUMBER, "NOT_A_NUMBER: the value is not a decimal number of 64 bits"},
    {PLC_WRONG_TYPE, "WRONG_TYPE: the value is not plain bytes, or is content-addressed"},
    {PLC_NO_SLOT, "NO_SLOT: as many processes are attached as the region has places for"},
    {PLC_NO_MEMORY, "NO_MEMORY: no memory for this process's own records"},
    {PLC_NO_PERMISSION, "NO_PERMISSION: the folder or the file may not be used"},
    {PLC_UNSUPPORTED, "UNSUPPORTED: the file system or the kernel cannot do what a region needs"},
    {PLC_SYSTEM, "SYSTEM: a system call failed; system_error has its errno"},
    {PLC_NO_SPACE, "NO_SPACE: the folder has less room than the region wants"},
    {PLC_NOT_FOUND, "NOT_FOUND: no such file or folder"},
    {PLC_UNSAFE_FOLDER, "UNSAFE_FOLDER: the folder is not the caller's own, or others may write in it"},
    {PLC_UNSAFE_FILE, "UNSAFE_FILE: not a regular file of the caller's own with one link"},
    {PLC_NO_PROTECTION, "NO_PROTECTION: protection keys were demanded and are not there"},
    {PLC_NOT_A_REGION, "NOT_A_REGION: the file is something else"},
    {PLC_LAYOUT_MISMATCH, "LAYOUT_MISMATCH: written by another version of this library"},
    {PLC_CORRUPT, "CORRUPT: the file is truncated, or its fixed part contradicts itself"},
    {PLC_SIZE_MISMATCH, "SIZE_MISMATCH: the region has another size than the one asked for"},
    {PLC_INVALID, "INVALID: an argument is outside its documented range"},
    {PLC_CLOSED, "CLOSED: the handle was closed"},
};

const char *plc_status_text(plc_status status) {
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].status == status) {
            return texts[i].text;
        }
    }
    return "UNKNOWN: no status of this library";
}

static const char *const counter_names[] = {
    "hits",
    "misses",
    "sets",
    "deletes",
    "incrs",
    "bytes_written",
    "published",
    "get_many_keys",
    "contended",
    "adds",
    "replaces",
    "cas",
    "appends",
    "touches",
    "stores_refused_busy",
    "stores_refused_full",
    "evictions",
    "evicted_visited_dropped",
    "reinserted",
    "displaced",
    "expired_unlinked",
    "invalidated_unlinked",
    "runs_evicted",
    "runs_freed_dead",
    "bytes_reinserted",
    "claims",
    "claims_taken_over",
    "publish_void",
    "abandoned",
    "waits",
    "lock_takeovers",
    "reaps",
    "growths",
    "corrupt_seen",
    "again",
    "allocs_small",
    "allocs_large",
    "large_conflicts",
    "evicted_small",
    "evicted_main",
    "evicted_hand",
    "bytes_visited_dropped",
    "ghosts_known",
    "runs_cleaned",
    "bytes_cleaned",
    "limbo",
    "leases",
    "leases_copied",
};
static_assert(sizeof counter_names / sizeof counter_names[0] == COUNT_END, "one name for each counter");

const char *plc_counter_name(uint32_t index) {
    return index < COUNT_END ? counter_names[index] : NULL;
}
