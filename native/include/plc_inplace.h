/* SPDX-License-Identifier: BSD-3-Clause */
/* plc_inplace.h: values in place: read where they lie, and filled there; a part of plc.h, and not to be included by
 * itself. */
#ifndef PLC_INPLACE_H
#define PLC_INPLACE_H

/* A value that is read where it lies.  It stays there, unchanged, until the lease of the last process that reads it
 * ends, whatever happens to its key meanwhile; a process that dies gives its leases back. */
typedef struct plc_view {
    const void *bytes; /* to be read only: a store faults */
    uint64_t length;
    uint64_t ticket; /* the lease */
    void *part; /* of a private view: its mapping */
} plc_view;

/* Leases the value of key.  PLC_OK: *view and *found are filled; the view holds until plc_release, also beyond
 * plc_close, and in a fork child as well as in its parent (each gives back its own).  PLC_COPY: the value is small
 * (less than own_run_bytes), or a limit is reached (100,000 leases, or 1,024 different values, 128 in regions below
 * 256 MiB, in this process; leased_pages_most of all), or this attachment has copies only.  PLC_MISS; PLC_AGAIN.
 * Takes a lock of the process's own, which a fork in another thread holds as long as it lasts. */
PLC_API plc_status plc_lease(plc_cache *cache, const void *key, size_t key_length, uint16_t name, plc_view *view,
                             plc_found *found);

/* Which run a lease keeps: with the value's token all that another process needs to lease the value as well, for as
 * long as somebody keeps it.  PLC_INVALID: the view is private, or its lease was lost at a fork. */
PLC_API plc_status plc_view_run(plc_cache *cache, const plc_view *view, uint64_t *run);

/* As plc_lease, of such a run, whatever became of its key; no hit or miss is counted.  PLC_MISS: nobody has kept it;
 * PLC_BUSY: it is being evicted at this moment: try again; PLC_COPY: read it by the next one. */
PLC_API plc_status plc_lease_at(plc_cache *cache, uint64_t run, uint64_t token, plc_view *view, plc_found *found);

/* Copies its bytes.  PLC_OK; PLC_TOO_SMALL, with *found; PLC_MISS; PLC_AGAIN. */
PLC_API plc_status plc_get_at(plc_cache *cache, uint64_t run, uint64_t token, void *buffer, size_t capacity,
                              plc_found *found);

/* Makes a view writable by this process alone: the pages that it writes to are copied then.  The region is not changed.
 * PLC_OK: view->bytes is another address now.  PLC_NO_MEMORY, PLC_SYSTEM: it is as it was. */
PLC_API plc_status plc_view_private(plc_cache *cache, plc_view *view);

/* Ends a lease, also of a cache that is closed: the last one detaches then, which may write to a disk. */
PLC_API_VOID void plc_release(plc_cache *cache, plc_view *view);

/* A value that is filled in place before anybody can see it. */
typedef struct plc_reservation plc_reservation;

/* Makes room for a value of length bytes; of the entry all but parts, part_count, deadline_ms and tokens counts, and
 * sum is captured now if it is 0.  PLC_OK: *bytes are to be filled (they begin at a page, and are whatever lay there
 * before); PLC_TOO_LARGE, PLC_FULL (also: leased_pages_most are reached), PLC_NO_MEMORY, PLC_SYSTEM, PLC_AGAIN.
 * A process that dies gives it back.  In a fork child the bytes are other memory, all zero, and seal is PLC_INVALID. */
PLC_API plc_status plc_reserve(plc_cache *cache, const plc_entry *entry, uint64_t length, plc_reservation **out,
                               void **bytes);

/* Publishes it under its key, as plc_store(PLC_SET).  From its first call on the bytes can only be read, by this
 * process too: a later store faults.  (Only stores that the processor makes are stopped: what the kernel was asked to
 * write there, by asynchronous input and output, must have ended.)  PLC_OK; PLC_BUSY, PLC_AGAIN: seal it again;
 * PLC_FULL: no pin cell is free; PLC_INVALID: it was sealed or aborted already. */
PLC_API plc_status plc_seal(plc_cache *cache, plc_reservation *reservation, uint64_t deadline_ms, uint64_t *token);

/* Gives it back unpublished: its bytes are other memory from now on.  Nothing, if it was sealed. */
PLC_API_VOID void plc_abort(plc_cache *cache, plc_reservation *reservation);

/* Nobody looks at its bytes any more: they are unmapped.  One that was not sealed is aborted. */
PLC_API_VOID void plc_reservation_end(plc_cache *cache, plc_reservation *reservation);

#endif
