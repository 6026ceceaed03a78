/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plc.h: the whole public interface of the plib_cache core.
 *
 * A region is one file that many processes map and use as a cache, without a server.  Caveats first:
 *
 *  - No function but plc_open, plc_close, plc_assist, plc_wait, plc_remove and those that map or unmap values
 *    (plc_view_private, plc_release, plc_reserve, plc_seal, plc_abort, plc_reservation_end) waits or makes a system
 *    call while it works on the region.  An operation that would have to returns PLC_AGAIN, has changed
 *    nothing, and wants plc_assist() called (which may take up to its time limit) and then itself again:
 *        while ((s = plc_delete(c, key, n)) == PLC_AGAIN) plc_assist(c, 50);
 *    The loop is bounded: after 250 ms behind one lock holder the operation answers PLC_BUSY.
 *  - A process may be killed at any instruction of any function; the others go on.
 *  - After fork the child may go on using the handle: it takes a place of its own at its first call.
 *    A child made by vfork must not use it, and one made in a signal handler must not return into a call that the
 *    signal interrupted: that call is the parent's.
 *  - A handle may be used by any number of threads; 64 calls at once work, more get PLC_AGAIN.
 *  - A signal handler may call the operations on keys that hold nothing beyond the call, whichever function it has
 *    interrupted.  It does not repeat what answers PLC_AGAIN: it may be its own thread that is in the way.  Amid the
 *    first call of a fork child the answer is PLC_NO_SLOT.
 *  - Results come through out-parameters, which are untouched unless the function says otherwise.  Those of plc_get and
 *    plc_get_many are filled as it is read: what they say counts if the status does.
 *  - Times are milliseconds since 1970 (UTC); a deadline of 0 is "never".
 *  - Network and copy-on-write file systems cannot hold a region (PLC_UNSUPPORTED).
 */
#ifndef PLC_H
#define PLC_H

#include <stddef.h>
#include <stdint.h>

#include "plc_status.h"

#if defined(__GNUC__)
#define PLC_API __attribute__((visibility("default"), warn_unused_result))
#define PLC_API_VOID __attribute__((visibility("default")))
#else
#define PLC_API
#define PLC_API_VOID
#endif

#define PLC_KEY_MAX 4096u /* longest key, bytes */
#define PLC_TAGS_MAX 4u   /* most tags of one entry */
#define PLC_COUNTERS 48u  /* length of plc_stats.counters */
#define PLC_NOTES 0xffffu /* namespace number of what callers note for themselves: plc_scan, plc_count pass it over */

typedef struct plc_cache plc_cache;

/* ---- opening and closing ------------------------------------------------------------------- */

/* AUTO: protection keys where there are some; NONE; PKU: PLC_NO_PROTECTION where there are none.  All handles of one
 * region in one process have what the first one got. */
enum { PLC_PROTECT_AUTO = 0, PLC_PROTECT_NONE = 1, PLC_PROTECT_PKU = 2 };

/* Why a region is not protected by keys: the processor has none, the kernel does not offer them (or a sandbox does not
 * let them through), others in this process have all of them, none was asked for, or the region was open in this
 * process without them. */
enum {
    PLC_KEYS_USED = 0,
    PLC_KEYS_NO_CPU = 1,
    PLC_KEYS_NO_KERNEL = 2,
    PLC_KEYS_NONE_FREE = 3,
    PLC_KEYS_NOT_ASKED = 4,
    PLC_KEYS_OPEN_WITHOUT = 5
};

typedef struct plc_options {
    const char *path;            /* absolute path of the region's file; its folder must exist */
    uint64_t size_bytes;         /* whole file; 0: any when attaching, PLC_INVALID when creating */
    uint32_t expected_entry;     /* bytes of a typical entry, 0: 192; only used at creation */
    uint32_t create;             /* 0: attach only */
    uint32_t protection;         /* PLC_PROTECT_* */
    uint32_t reserved;
    uint32_t leased_share; /* percent of the pool that may be leased or reserved at once; 0: 50; PLC_COPIES_ONLY */
    uint32_t spare;
} plc_options;

/* Nothing can be leased: what is read is a copy.  Else leases are views through a mapping of the region that is open to
 * loads, and closed to stores, at every level of protection. */
#define PLC_COPIES_ONLY UINT32_MAX

/* What went wrong, for a message.  Filled when plc_open or plc_remove fails. */
typedef struct plc_report {
    int32_t system_error; /* errno, or 0 */
    uint32_t owner; /* uid of the folder or file for PLC_UNSAFE_* */
    uint64_t a; /* LAYOUT_MISMATCH, SIZE_MISMATCH: theirs;  NO_SPACE: bytes needed;  NO_PROTECTION: PLC_KEYS_* */
    uint64_t b; /* LAYOUT_MISMATCH, SIZE_MISMATCH: ours;    NO_SPACE: bytes free */
} plc_report;

/* Opens, or creates, the region at options->path.  A second open of one region in one process gives the
 * same handle, counted.  PLC_OK or any of the environment, integrity and misuse statuses. */
PLC_API plc_status plc_open(const plc_options *options, plc_cache **out, plc_report *report);

/* Makes the content-addressed entries (PLC_IMMUTABLE) of a region on a disk that were written before it safe from a
 * loss of power: writes everything to the disk and waits for it.  An entry that an eviction or a cleaning moves
 * meanwhile or later is as unsafe as a new one until the next plc_sync.  In memory (tmpfs) nothing survives a loss of
 * power, and it does nothing.  PLC_OK; PLC_AGAIN; PLC_SYSTEM: the disk has failed. */
PLC_API plc_status plc_sync(plc_cache *cache);

/* Takes the region's whole memory from the system, or as much of it as there is room for, and maps it in this process,
 * in slices from *cursor (0 at first) on: so nobody waits for the kernel later.  PLC_OK: go on; PLC_DONE; PLC_AGAIN. */
PLC_API plc_status plc_prefault(plc_cache *cache, uint64_t *cursor);

/* Gives one reference back; the last one detaches.  Calls in other threads end with PLC_CLOSED, and so do later ones
 * with that handle, until this process opens the region again, which gives the same one. */
PLC_API_VOID void plc_close(plc_cache *cache);

/* Removes the region's file.  Those attached keep what they have mapped and are told `retired`. */
PLC_API plc_status plc_remove(const char *path, plc_report *report);

/* Has the file still a name?  PLC_OK; PLC_MISS: it was removed or replaced, by whatever means, and who opens its path
 * now gets another region; PLC_CLOSED.  One system call. */
PLC_API plc_status plc_linked(plc_cache *cache);

/* A debugging aid for level PLC_PROTECT_PKU: from now on a load or a store that a region's protection key stops says in
 * one line on standard error which region it touched, and then the SIGSEGV goes to the handler that was there when this
 * was called (the process dies as it would have, if there was none).  So install other handlers first.  Once for each
 * process; a second call does nothing.  PLC_OK; PLC_SYSTEM. */
PLC_API plc_status plc_explain_faults(void);

/* Does what the last PLC_AGAIN of this thread wanted: waits for a lock or a wait word, takes over what a
 * dead process left, takes the next step of memory, notices that the region has grown.
 * pre: no other use of the region in this call chain.  Returns PLC_OK, or PLC_CLOSED. */
PLC_API plc_status plc_assist(plc_cache *cache, uint32_t limit_ms);

/* Smallest and largest size of a region, bytes. */
#define PLC_SIZE_MIN (4ull << 20)
#define PLC_SIZE_MAX (1ull << 40)

/* ---- reading ------------------------------------------------------------------------------- */

typedef struct plc_found {
    uint64_t length; /* bytes of the value */
    uint64_t token; /* unique to this write (cas), unless its writer gave a token of his own */
    uint64_t deadline_ms; /* 0: never */
    uint64_t created_ms; /* to a tenth of a second */
    uint64_t offset; /* get_many: where in the buffer the value begins */
    uint32_t client_flags;
    uint32_t status; /* get_many: plc_status of this key */
    uint16_t name; /* namespace number */
    uint8_t type; /* the caller's type code */
    uint8_t cost; /* the caller's cost code */
    uint8_t key_is_text; /* 1: the last writer gave the key as text */
    uint8_t immutable; /* 1: content-addressed */
    uint16_t reserved;
    uint16_t tags[4]; /* of plc_peek only: namespace numbers of its tags, 0: none */
} plc_found;

/* Copies the value of key into buffer.  name: namespace whose hit and miss counts this call raises (0:
 * none).  PLC_OK; PLC_MISS; PLC_TOO_SMALL (nothing is copied, *found is filled); PLC_AGAIN. */
PLC_API plc_status plc_get(plc_cache *cache, const void *key, size_t key_length, uint16_t name, void *buffer,
                           size_t capacity, plc_found *found);

/* Has the value of key been read since it was stored, by a get of any kind or a lease?  *answer: 1 or 0.  A hint: while
 * others read or store the key, and after a death, it may be that of a moment ago.  What is built from an entry (touch,
 * append, prepend, incr, decr, remake) has been read when that one has.  This is no reading, and counts no hit or miss.
 * When it was read last is not known: to keep that would cost every get a store and a look at the clock.
 * PLC_OK; PLC_MISS; PLC_AGAIN. */
PLC_API plc_status plc_was_read(plc_cache *cache, const void *key, size_t key_length, uint32_t *answer);

/* As plc_get, but unnoticed: the entry has not been read for it, nor is it kept for it, and nothing is counted. */
PLC_API plc_status plc_peek(plc_cache *cache, const void *key, size_t key_length, void *buffer, size_t capacity,
                            plc_found *found);

/* plc_touch and plc_get of the result, in one window (memcached's gat). */
PLC_API plc_status plc_get_touch(plc_cache *cache, const void *key, size_t key_length, uint64_t deadline_ms,
                                 void *buffer, size_t capacity, plc_found *found);

/* As plc_get for count keys in one window, values packed at multiples of 16.  found[i].status is PLC_OK,
 * PLC_MISS or PLC_TOO_SMALL (did not fit in what was left; found[i].length is right). */
PLC_API plc_status plc_get_many(plc_cache *cache, size_t count, const void *const *keys, const size_t *key_lengths,
                                uint16_t name, void *buffer, size_t capacity, plc_found *found);

/* ---- writing ------------------------------------------------------------------------------- */

typedef struct plc_part {
    const void *bytes;
    size_t length;
} plc_part;

enum { PLC_KEY_IS_TEXT = 1u, PLC_IMMUTABLE = 2u, PLC_NEW_DEADLINE = 4u /* of REMAKE */ };

/* Type codes are the caller's, but for these: append and prepend want bytes; incr and decr want a decimal
 * number in one of the three, and leave alone what merely looks like one (a float, say). */
enum { PLC_TYPE_BYTES = 0, PLC_TYPE_TEXT = 1, PLC_TYPE_INT = 2 };

typedef struct plc_entry {
    const void *key;
    size_t key_length; /* 1 to PLC_KEY_MAX */
    const plc_part *parts; /* the value is their concatenation */
    size_t part_count;
    uint64_t deadline_ms; /* 0: never; past: gone at once */
    uint64_t token; /* CAS, REMAKE: the token that must still be there; PUBLISH: the claim's */
    uint64_t sum; /* generation sum captured by plc_sum or plc_claim; 0: captured now */
    uint32_t client_flags;
    uint32_t options; /* PLC_KEY_IS_TEXT | PLC_IMMUTABLE | PLC_NEW_DEADLINE */
    uint16_t name; /* namespace number, 0: none */
    uint16_t tags[4]; /* namespace numbers of its tags, 0: none */
    uint8_t type; /* the caller's type code; 0 is plain bytes */
    uint8_t cost; /* what it took to compute: 8 log2(us + 1); what is dearer than others stays longer; 0: not told */
    uint8_t seen_type; /* REMAKE: the type that must still be there */
    uint8_t reserved[3];
    /* The new entry's token; 0: a unique one.  The caller answers for its being another one than its key had before:
     * whoever compares tokens (CAS, REMAKE) takes two entries of one token for one.  A claim, and an entry that is
     * content-addressed, has always a unique one; plc_store says which it became. */
    uint64_t own_token;
} plc_entry;

typedef enum plc_verb {
    PLC_SET = 0, /* always */
    PLC_ADD = 1, /* only if absent, else PLC_EXISTS */
    PLC_REPLACE = 2, /* only if present, else PLC_MISS */
    PLC_CAS = 3, /* only if present with that token: else PLC_MISS or PLC_EXISTS */
    PLC_APPEND = 4, /* behind a present value of type 0, else PLC_MISS or PLC_WRONG_TYPE */
    PLC_PREPEND = 5, /* before it */
    PLC_PUBLISH = 6, /* only in the place of the claim with that token, else PLC_MISS */
    /* As CAS, only if present with that token and of seen_type.  It keeps what it had: form of the key, namespace,
     * tags, cost, generation sum, moment of creation, and deadline (with PLC_NEW_DEADLINE: deadline_ms).  Value, type
     * and client_flags are the caller's.  What was invalidated meanwhile stays so.  PLC_WRONG_TYPE: it is
     * content-addressed. */
    PLC_REMAKE = 7
} plc_verb;

/* Stores an entry.  PLC_OK or as the verb says; PLC_TOO_LARGE, PLC_FULL, PLC_BUSY, PLC_AGAIN: nothing
 * was changed.  token (may be NULL) gets the new entry's token. */
PLC_API plc_status plc_store(plc_cache *cache, plc_verb verb, const plc_entry *entry, uint64_t *token);

/* plc_store(PLC_SET) of count entries in one window.  statuses[i] is that of entry i.  PLC_AGAIN: those
 * with statuses[i] == PLC_AGAIN are to be tried again. */
PLC_API plc_status plc_store_many(plc_cache *cache, size_t count, const plc_entry *entries, uint32_t *statuses);

/* Removes key.  PLC_OK, PLC_MISS, PLC_BUSY, PLC_AGAIN. */
PLC_API plc_status plc_delete(plc_cache *cache, const void *key, size_t key_length);

/* plc_delete of count keys in one window; *removed, which the caller sets to 0, is raised by how many were there,
 * whatever the status: a call that is repeated counts on. */
PLC_API plc_status plc_delete_many(plc_cache *cache, size_t count, const void *const *keys, const size_t *key_lengths,
                                   uint64_t *removed);

/* Adds delta to (or, with down, takes it from) a decimal number: up wraps at 2^64, down stops at 0.
 * PLC_OK and *result; PLC_MISS, PLC_NOT_A_NUMBER, PLC_BUSY, PLC_AGAIN. */
PLC_API plc_status plc_incr(plc_cache *cache, const void *key, size_t key_length, uint64_t delta, uint32_t down,
                            uint64_t *result);

/* Gives key another deadline (0: never).  PLC_OK, PLC_MISS, PLC_BUSY, PLC_AGAIN. */
PLC_API plc_status plc_touch(plc_cache *cache, const void *key, size_t key_length, uint64_t deadline_ms);

/* ---- in place ------------------------------------------------------------------------------ */

#include "plc_inplace.h"

/* ---- invalidation -------------------------------------------------------------------------- */

/* On a disk, what these invalidate stays invalid after a loss of power: they wait for the disk.
 *
 * Invalidates every entry: now (at_ms 0), or those written before the moment at_ms, from that moment on (to a
 * tenth of a second: what was written in the moment's own tenth stays).  PLC_BUSY: four such moments are pending. */
PLC_API plc_status plc_flush(plc_cache *cache, uint64_t at_ms);

/* The number of a namespace (a function, a tag, a user), made at first use. */
PLC_API plc_status plc_name(plc_cache *cache, const void *name, size_t length, uint16_t *number);

/* Invalidates, in one store, everything that was written or begun under this namespace before. */
PLC_API plc_status plc_name_invalidate(plc_cache *cache, uint16_t number);

typedef struct plc_name_counts {
    uint64_t generation;
    uint64_t hits;
    uint64_t misses;
    uint64_t saved_us; /* microseconds of computation that hits saved */
} plc_name_counts;

/* Counts since the last reset of this namespace. */
PLC_API plc_status plc_name_read(plc_cache *cache, uint16_t number, plc_name_counts *counts);
PLC_API plc_status plc_name_reset(plc_cache *cache, uint16_t number);
/* Raises counts (the decorator's own accounting). */
PLC_API plc_status plc_name_count(plc_cache *cache, uint16_t number, uint64_t hits, uint64_t misses, uint64_t saved_us);

/* The generation sum of a namespace and tags, to be captured before the truth is read. */
PLC_API plc_status plc_sum(plc_cache *cache, uint16_t name, const uint16_t tags[4], uint64_t *sum);

/* ---- single flight ------------------------------------------------------------------------- */

typedef struct plc_flight {
    uint64_t token; /* PLC_OK: mine, for PUBLISH and abandon;  PLC_CLAIMED: the other's */
    uint64_t sum; /* PLC_OK: captured generation sum, for PUBLISH */
} plc_flight;

/* Claims the computation of entry->key (key, name, tags and options are used) for limit_ms.
 * PLC_OK: compute, then PUBLISH or abandon.  PLC_EXISTS: a value is there.  PLC_CLAIMED: somebody else
 * computes; plc_wait.  PLC_FULL, PLC_BUSY: compute without a claim.  PLC_AGAIN. */
PLC_API plc_status plc_claim(plc_cache *cache, const plc_entry *entry, uint64_t limit_ms, plc_flight *flight);

/* Gives a claim back.  PLC_OK, PLC_MISS (it is gone already), PLC_BUSY, PLC_AGAIN. */
PLC_API plc_status plc_abandon(plc_cache *cache, const void *key, size_t key_length, uint64_t token);

/* Waits until something may have happened to key, at most limit_ms, and looks whether the one who claimed
 * it is alive.  Always PLC_OK (look again), or PLC_CLOSED. */
PLC_API plc_status plc_wait(plc_cache *cache, const void *key, size_t key_length, uint32_t limit_ms);

/* ---- walking and looking after ------------------------------------------------------------- */

/* Copies keys of valid entries into buffer, as records { u16 length, u8 is_text, u8 0, key bytes }, from
 * *cursor (0 at first) on; *used bytes are filled.  PLC_OK: go on; PLC_DONE: that was the rest.
 * capacity: at least 65536.  name: only entries of that namespace (0: all but PLC_NOTES). */
PLC_API plc_status plc_scan(plc_cache *cache, uint64_t *cursor, uint16_t name, void *buffer, size_t capacity,
                            size_t *used);

/* Adds the valid entries (of a namespace, 0: all but PLC_NOTES) of the next slice to *count.  PLC_OK, PLC_DONE. */
PLC_API plc_status plc_count(plc_cache *cache, uint64_t *cursor, uint16_t name, uint64_t *count);

typedef struct plc_finding {
    uint32_t invariant; /* number in layout.h */
    uint32_t reserved;
    uint64_t where; /* page, or index of the slot */
    uint64_t value; /* the word found there */
} plc_finding;

/* Checks the next slice of the region against the invariants of layout.h; at most capacity findings.
 * Sound only what nobody changes meanwhile: a finding that a second look does not repeat is dropped. */
PLC_API plc_status plc_check(plc_cache *cache, uint64_t *cursor, plc_finding *findings, size_t capacity, size_t *count);

/* Evicts everything in slices.  PLC_OK: go on; PLC_DONE; PLC_AGAIN.  *free_pages counts pages that are free
 * after it, *longest the longest stretch of them. */
PLC_API plc_status plc_drain(plc_cache *cache, uint64_t *cursor, uint64_t *free_pages, uint64_t *longest);

typedef struct plc_stats {
    uint64_t counters[PLC_COUNTERS]; /* since the last reset, all processes; plc_counter_name(i) */
    uint64_t used_bytes; /* of the pool, as it is now: what holds something, also if it is out of date; */
    uint64_t free_bytes; /* the rest, also what was not taken from the system yet; */
    uint64_t largest_free_bytes; /* of it, in one piece: in a pool of more than 256 MiB, at least.  There the other
                                    two are what one page of several says: no call looks at the whole region. */
    uint64_t leased_bytes; /* what leases of living processes keep in its place, */
    uint64_t reserved_bytes; /* and what they have reserved and not sealed */
} plc_stats;

PLC_API plc_status plc_stats_read(plc_cache *cache, plc_stats *stats);
PLC_API plc_status plc_stats_reset(plc_cache *cache);
/* NULL beyond the last counter. */
PLC_API_VOID const char *plc_counter_name(uint32_t index);

typedef struct plc_usage {
    uint64_t free_pages; /* 4 KiB each */
    uint64_t small_pages; /* of segments, which small entries share */
    uint64_t large_pages; /* of values with pages of their own */
    uint64_t limbo_pages; /* unlinked, but still read by somebody */
    uint64_t entry_bytes; /* headers, keys and values in use, without what is dead */
    uint64_t dead_bytes; /* of replaced and deleted entries, not yet taken back */
    uint64_t parked_runs;
} plc_usage;

/* Adds the next slice of the pool to *usage.  PLC_OK: go on; PLC_DONE. */
PLC_API plc_status plc_usage_read(plc_cache *cache, uint64_t *cursor, plc_usage *usage);

typedef struct plc_info {
    uint64_t size_bytes; /* the whole region at its largest */
    uint64_t taken_bytes; /* what the file has now */
    uint64_t pool_bytes; /* for entries, at its largest */
    uint64_t pool_taken_bytes;
    uint64_t value_max; /* longest value that can ever be stored, bytes */
    uint64_t index_slots;
    uint64_t region_id;
    uint64_t created_ms;
    uint64_t layout; /* format signature */
    uint32_t segment_bytes;
    uint32_t own_run_bytes; /* values from here on have pages of their own */
    uint32_t expected_entry;
    uint32_t shards;
    uint32_t processes; /* attached now */
    uint32_t processes_max;
    uint32_t protection; /* PLC_PROTECT_NONE or PLC_PROTECT_PKU */
    uint32_t retired; /* 1: the file was removed; attach anew */
    uint32_t growth_stopped; /* 1: the folder is full; the region stays as large as it is */
    uint32_t slot; /* this process's place */
    uint32_t keys; /* PLC_KEYS_* */
    uint32_t in_place; /* 1: values can be leased; 0: copies only */
    uint64_t leased_pages_most; /* that may be leased or reserved at once, 4 KiB each */
    uint64_t names; /* numbers of namespaces are below it */
} plc_info;

PLC_API plc_status plc_info_read(plc_cache *cache, plc_info *info);

/* The format signature of this library (version and sizes of the shared structures). */
PLC_API_VOID uint64_t plc_layout(void);

/* One line of text for a status, beginning with its name. */
PLC_API_VOID const char *plc_status_text(plc_status status);

#endif
