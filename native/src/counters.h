/* SPDX-License-Identifier: BSD-3-Clause */
/* counters.h: what is counted, as places in a process row's counters.  Each process raises its own row only;
 * a reader adds all rows up.  The names that users see are in status.c, in this order. */
#ifndef PLC_COUNTERS_H
#define PLC_COUNTERS_H

#include <assert.h>

#include "../include/plc.h"

enum counter {
    COUNT_HITS, /* the first LANE_COUNTERS are the ones that every operation raises */
    COUNT_MISSES,
    COUNT_SETS,
    COUNT_DELETES,
    COUNT_INCRS, /* and decrs */
    COUNT_BYTES_WRITTEN,
    COUNT_PUBLISHED,
    COUNT_GET_MANY_KEYS,
    COUNT_CONTENDED, /* reads that gave up: counted as misses too */
    COUNT_ADDS,
    COUNT_REPLACES,
    COUNT_CAS,
    COUNT_APPENDS, /* and prepends */
    COUNT_TOUCHES,
    COUNT_STORES_REFUSED_BUSY,
    COUNT_STORES_REFUSED_FULL,
    COUNT_EVICTIONS,               /* live entries that were let go to make room */
    COUNT_EVICTED_VISITED_DROPPED, /* of them, read since they were stored, but no room for a copy */
    COUNT_REINSERTED,              /* kept by copying them into another run */
    COUNT_DISPLACED,               /* replaced because both buckets of a new key were full */
    COUNT_EXPIRED_UNLINKED,
    COUNT_INVALIDATED_UNLINKED,
    COUNT_RUNS_EVICTED,
    COUNT_RUNS_FREED_DEAD, /* runs freed because nothing in them was live any more */
    COUNT_BYTES_REINSERTED,
    COUNT_CLAIMS,
    COUNT_CLAIMS_TAKEN_OVER, /* from the dead, the overdue and the invalidated */
    COUNT_PUBLISH_VOID, /* the claim was gone: the value was not stored */
    COUNT_ABANDONED,
    COUNT_WAITS,
    COUNT_LOCK_TAKEOVERS,
    COUNT_REAPS, /* deaths of others that this process established */
    COUNT_GROWTHS,
    COUNT_CORRUPT_SEEN, /* entries that did not validate */
    COUNT_AGAIN,
    COUNT_ALLOCS_SMALL,
    COUNT_ALLOCS_LARGE,
    COUNT_LARGE_CONFLICTS,
    COUNT_EVICTED_SMALL,         /* live entries let go: unread in the small queue, */
    COUNT_EVICTED_MAIN,          /* in the main queue, */
    COUNT_EVICTED_HAND,          /* where a large value wanted the place */
    COUNT_BYTES_VISITED_DROPPED, /* of EVICTED_VISITED_DROPPED */
    COUNT_GHOSTS_KNOWN,          /* stored into the main queue at once: evicted unread not long ago */
    COUNT_RUNS_CLEANED,          /* emptied for their dead bytes */
    COUNT_BYTES_CLEANED,         /* of BYTES_REINSERTED: copied out of them */
    COUNT_LIMBO, /* runs whose freeing waits for a reader in place */
    COUNT_LEASES, /* values given out in place; also what was filled in place, once it is sealed */
    COUNT_LEASES_COPIED, /* asked for in place, but a limit was reached */
    COUNT_END
};
static_assert(COUNT_END <= PLC_COUNTERS, "counters fit into plc_stats");

#endif
