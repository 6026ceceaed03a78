/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * layout.h: THE format of a region: what lies where, what each word means, in which order words are
 * stored, and what is left when a process dies behind any of those stores.
 *
 *   page 0      1          2 ...                                            first_page                 size
 *   +-----------+----------+-------+-------+-----------+-------+-------+----+-------------------------+
 *   | superblock| wait     | shard | names | processes | rings | page  |in- | pool: pages of 4 KiB,   |
 *   |           | words    | locks |       | and pins  | ghosts| words |dex | in runs                 |
 *   +-----------+----------+-------+-------+-----------+-------+-------+----+-------------------------+
 *                                                                            ^ the file ends anywhere here and
 *   Only page 1 is read by the kernel (futex); what it says is a hint.         grows in steps; whole ones count
 *
 * A RUN is one or more consecutive pages of the pool.  A SEGMENT is a run that many small entries share; a
 * value of own_bytes or more has a run of its own.  The page word of a run's first page, its HEAD, says
 * everything about it; the words of the other pages say CONT.  An INDEX SLOT names an entry by the head of
 * its run and the offset in it.  Entries never change once a slot names them (but for the deadline of an
 * own-run value, behind the shard lock).
 *
 *   slot (64)       63      42 41         14 13          0     0 = empty.  head counts pages from the
 *                   | tag 22  | head 28     | offset/16 14|     region's start, so it is never 0.
 *   page word       63  60 59  50 49   32 31            0
 *                   |state 4|slot 10|inc 18| generation 32|    owner = (slot, incarnation)
 *   ... of a CONT   63  60 59         32 31             0
 *                   |state 4| head 28    | generation 32  |
 *   side A          63       36 35      21 20   19      0      stored by the run's owner only
 *                   | pages 28 | mark/16 15|own 1| 0     |     mark: end of the committed bytes
 *   side B          63       42 41     26 25     24     0      compare-and-swap by anybody
 *                   | gen 22   | dead/16 16| main 1| place 25| queue it belongs to and its place in that ring
 *                   page word and side A of a page lie side by side (struct shm_page), side B in a table of its own
 *   ring place      63               28 27              0      0 = empty
 *                   | clock 36         | head 28        |      when it was queued
 *   lock word       63      62   53 52  35 34    13 12  0      0 = free
 *                   |waiters|slot 10|inc 18| tid 22| seq 13|
 *   pin cell        63       36 35                      0      0 = free
 *                   | head 28  | (transient: 1)          |     how often its process holds it in place is known to
 *                                                              that process alone (holding.h)
 *
 * SUPERBLOCK
 *   OFFSET SIZE FIELD          WRITTEN
 *        0    8 magic          at creation, before the file has a name
 *        8    8 format         "
 *       16    8 size_bytes     "   (the rest of the geometry follows from it and expected_entry)
 *       24    4 expected_entry "
 *       28    4 persistent     at creation: 1 on a disk, entries carry checksums; later only by a rebuild
 *       32   16 hash_key       "
 *       48    8 region_id      "
 *       56    8 created_ms     "
 *       64   16 boot_id        at creation; by the first to attach after a boot, under the folder's lock, last of all
 *       80    8 check          CRC-32C of the first 64 bytes; looked at where persistent
 *      128    8 retired        once, by plc_remove: 1
 *      136    8 clean          0 from the first attach on; 1 by the last to close
 *      144    8 taken_pages    hint: pages of the file; its size, in whole steps, is the truth (region_grow.c)
 *      152    8 tokens         next block of 2^24 tokens, fetch_add
 *      160    8 flushed_ms     entries created before it are invalid; only grows
 *      168    8 growth_stopped hint: when growth last failed, ms
 *      176    8 any_flush      1 from before the first flush for a moment on: until then none is looked for
 *      184    8 handovers      how often pins were copied to a child's place: whoever looks at all rows looks again
 *      192... cursors          hints: frontier, rings, hand, sweep (a cache line each)
 *
 * ENTRY HEADER, 40 bytes at a multiple of 16; then optional fields (deadline 8, tags 8, checksums 16), key, value.
 * The value of a run of its own begins at a multiple of 64; from 1 MiB on, and where it was filled in place, at one of
 * 4096, so that pages of the value hold nothing else.
 *   OFFSET SIZE FIELD
 *        0    4 self           hash of region id, place and generation: the entry names itself
 *        4    2 key            length 13 bits, kind 3 bits (VALUE, CLAIM)
 *        6    1 type           the caller's
 *        7    1 options        which optional fields follow; text key; immutable; where the value begins
 *        8    8 size           value length 40, name 16, cost 8
 *       16    8 sum            of the generations of flush, name and tags when the operation began
 *       24    8 token          unique to this write, over restarts; or the caller's own
 *       32    4 created        tenths of a second since the region's creation
 *       36    4 client_flags   the caller's
 *   deadline   ms since 1970, 48 bits, and 16 bits of its own check, because it may change in place; a word whose
 *              check fails is a past deadline
 *   checksums  generation 32, CRC-32C of the head 32 (region id, place, generation, header, tags, key, and the next
 *              word) | CRC-32C of the value 32 (crc32c.h), 0: in persistent regions, where every entry has them.  So
 *              an entry can be told to be one of that place without the page words; a reader believes neither head
 *              nor value before their checksums hold.  The generation is what a rebuild has from nowhere else.
 *
 * STATES OF A PAGE, and who may store it from where
 *   FREE      -> CLAIM(me)      by CAS, anybody
 *   CLAIM     -> OPEN | CONT    by its owner, plain release stores; CLAIM(dead) -> FREE by CAS, anybody
 *   OPEN      -> PARKED|SEALED  by its owner; OPEN(dead) -> OPEN(me) (small runs) | EVICT(me) by CAS
 *   PARKED    -> OPEN(me)       by CAS, anybody; -> EVICT(me) by CAS
 *   SEALED    -> EVICT(me)      by CAS, anybody
 *   EVICT     -> FREEING | LIMBO | SEALED   by its owner; EVICT(dead) -> EVICT(me) by CAS
 *   LIMBO     -> EVICT(me)      by CAS, anybody (unlinked, but somebody reads it in place)
 *   FREEING   -> FREE           by its owner, tails first; FREEING(dead) -> FREEING(me) by CAS
 *   CONT      -> FREE           by exact CAS, with head and generation
 *   RETIRED                     for good: its generation is at the end
 *
 * ORDER OF SHARED STORES, and what a death behind each leaves
 *   allocate   1 CLAIM pages, ascending      dead claims: freed page by page by whoever meets them
 *              2 side A, side B              "
 *              3 head OPEN (release)         an OPEN run of a dead owner: continued or evicted
 *              4 tails CONT, ascending       tails still CLAIM are freed alone; the run ends before them
 *   form       5 side B names the queue     a run of the small queue: its entries are judged earlier
 *   store      1 entry's bytes               not committed: overwritten by the next who continues the run
 *              2 mark (release)              dead bytes nobody counted: a victim that looks a bit fuller
 *              3 slot CAS (release)          the operation has happened
 *              4 dead bytes of the replaced  (uncounted: as 2)
 *              5 unpin, then OPEN -> PARKED | SEALED
 *   queue      1 clock, tail; 2 place; 3 side B      a run that no ring names, or a place that its side word
 *   take       1 ring head CAS; 2 place to 0         denies: stepped over, and queued again by the sweep
 *   clean      as evict, every slot CAS to a copy; no room left: head SEALED again, with fewer live bytes
 *   lock       1 word CAS; 2 one slot CAS; 3 word CAS to 0.   A dead holder's word is taken over as it is:
 *              nothing behind it needs repair.
 *   evict      1 head EVICT(me); 2 slots CAS to 0 or to a copy; 3 full fence; 4 pins looked at;
 *              5 head LIMBO, or FREEING (release); 6 tails FREE, descending; 7 head FREE
 *              behind any of them: the run says EVICT(dead) or FREEING(dead), and is evicted or freed again
 *   lease      1 pins_high; 2 cell (release); 3 full fence; 4 the slot again: changed, cell 0 and all anew.  All
 *              under the transient pin of the look.  Behind any: the cell of a dead incarnation, which counts for
 *              nobody
 *   told       1, 2, 3 as lease; 4 the head's word: of that generation, and not EVICT, or cell 0 as unlease
 *   unlease    1 cell 0 (release); 2 full fence; 3 head word: LIMBO is evicted by whoever leaves last.  Behind 1: the
 *              run stays in limbo until an eviction or the sweep meets it
 *   reserve    as allocate, and no more: the run stays OPEN(me), nothing names it.  A dead owner's is evicted
 *   seal       1 (kernel) the filler's mapping loses its stores; 2 cell, for that mapping; 3 header; 4 as store from
 *              its mark on
 *   abort      1 (kernel) the filler's mapping becomes other memory; 2 head SEALED with mark 0: empty, so freed
 *   fork       (of who holds anything in place) 1 lock byte of a free place; 2 its byte on the folder; 3 pins copied,
 *              child 1; 4 incarnation odd (release); 5 lock byte given back.  The byte on the folder belongs to a
 *              descriptor that the child inherits and the parent then closes: it falls with the last of the two, so
 *              behind 4 the place is alive until the child is dead, or until the parent is, if there is no child.
 *              In the child, at its first call: 6 lock byte; 7 identity; 8 child 0 (release): as any process's
 *   attach     1 lock byte (kernel); 2 pins cleared; 3 identity; 4 incarnation even -> odd (release)
 *   open       (persistent) 1 clean := 0; 2 msync: a crash from here on is one of a region in use
 *   close      1 msync of all; 2 clean := 1; 3 msync: before it, as in use
 *   rebuild    1 tables wiped; 2 slots emptied, words formed; 3 msync of all; 4 boot_id by pwrite: behind any of the
 *              first three the boot id is another's still, and all is done again, from the slots that are left
 *   grow       (kernel, in memory) 1 the step's last page but a byte; 2 holes filled; 3 all of the step: behind 1 and 2
 *              the file's size is within the step, so the limit is where it was, and the next grower begins at 1
 *   clear      1 generation; 2 msync, and the call returns: before it, either has happened
 *   death      1 incarnation odd -> even: from then on all that the dead one owned is nobody's
 *
 * INVARIANTS (check.c has a function for each that can be seen in a resting region)
 *   I1  A slot names a head whose state is OPEN, PARKED, SEALED, EVICT or LIMBO.
 *   I2  The entry at a slot's place names itself: self matches region, place and the head's generation.
 *   I3  The entry's key hashes to the slot's tag and to the bucket that the slot is in.
 *   I4  No key is in two slots.
 *   I5  Every CONT page names a head in whose run it lies, or one that is gone (then it is freed).
 *   I6  No page's generation ever falls; a run's is larger than any its pages had before.
 *   I7  mark and dead bytes of a run stay within its pages; entries lie below mark.
 *   I8  A parked run is in the parked list, or in a ring, or will be met by the sweep.
 *   I9  The superblock's fixed part agrees with the geometry computed from it.
 *   I10 A pin cell of a live process names a page of the pool or is 0.
 *   I11 In a persistent region the checksums of head and value of an entry that a slot names hold.
 */
#ifndef PLC_LAYOUT_H
#define PLC_LAYOUT_H

#include <assert.h>

#include "sync.h"

#define LAYOUT_VERSION 5u
#define LAYOUT_MAGIC 0x0045484341434c50ull /* "PLCACHE\0" */

#define PAGE_BYTES 4096u
#define PAGE_SHIFT 12
#define PAGED_BYTES (1u << 20) /* values from here on begin at a page */
#define BUCKET_SLOTS 7u
#define SHARDS_MAX 256u
#define SHARD_BUCKETS_MIN 128u
#define TICKETS 64u          /* calls at once in one process; one transient pin each */
#define LANES 8u             /* threads of a process that count in a cache line of their own */
#define LANE_COUNTERS 8u     /* what they count there: the first of all counters */
#define COUNTED_PINS_MAX 1024u
#define COUNTED_PINS_SMALL 128u
#define SLOTS_MAX 1023u      /* processes at once; slot 0 is nobody */
#define SLOTS_SMALL 127u
#define SMALL_REGION (256ull << 20) /* below it: small segments, few pins, few processes */
#define COUNTERS_MAX 48u
#define RESERVE_PLACES 8u
#define FLUSHES_MOST 4u      /* flushes for later moments that may be pending at once */
#define PARKED_PLACES 64u
#define GHOST_WAYS 4u      /* places that a key's ghost may have */
#define WAIT_WORDS 1024u
#define NAME_BYTES 64u
#define INC_BITS 18
#define INC_LAST ((1u << INC_BITS) - 2u) /* the largest even one: such a slot is used no more */
#define ALIGN 16u

enum page_state {
    PAGE_FREE = 0, /* an all-zero word is a free page of generation 0 */
    PAGE_CLAIM = 1,
    PAGE_OPEN = 2,
    PAGE_PARKED = 3,
    PAGE_SEALED = 4,
    PAGE_EVICT = 5,
    PAGE_FREEING = 6,
    PAGE_LIMBO = 7,
    PAGE_RETIRED = 8,
    PAGE_CONT = 9
};

enum queue_of { QUEUE_SMALL = 0, QUEUE_MAIN = 1 };

enum entry_kind { ENTRY_VALUE = 1, ENTRY_CLAIM = 2 };

enum entry_options {
    ENTRY_DEADLINE = 1u,
    ENTRY_TAGS = 2u,
    ENTRY_CHECKSUM = 4u,
    ENTRY_TEXT = 8u,
    ENTRY_IMMUTABLE = 16u,
    ENTRY_OWN = 32u,   /* the value begins at the next multiple of 64: it has a run of its own */
    ENTRY_PAGED = 64u, /* ... of 4096 */
};

struct shm_line { /* one word alone in its cache line */
    word value;
    uint64_t pad[7];
};

struct shm_superblock {
    uint64_t magic;
    uint64_t format;
    uint64_t size_bytes;
    uint32_t expected_entry;
    uint32_t persistent;
    uint8_t hash_key[16];
    uint64_t region_id;
    uint64_t created_ms;
    uint8_t boot_id[16];
    uint64_t check;
    uint64_t pad0[5];
    word retired;        /* 128 */
    word clean;
    word taken_pages;
    word tokens;
    word flushed_ms;
    word growth_stopped;
    word any_flush;
    word handovers;
    struct shm_line frontier;    /* first page that nobody has ever claimed (hint) */
    struct shm_line ring_head[2]; /* next place to take from: [0] small queue, [1] main queue */
    struct shm_line ring_tail[2]; /* next place to put to */
    struct shm_line clock;       /* pages ever sealed into the small queue */
    struct shm_line free_head;
    struct shm_line free_tail;
    struct shm_line hand;        /* page where the next large run is looked for */
    struct shm_line sweep;       /* page that the sweep looks at next */
    struct shm_line slots_used;  /* one beyond the highest process slot ever used */
    word flush_at_ms[FLUSHES_MOST]; /* moments from which entries created before them are invalid; 0 none */
    word reserve[RESERVE_PLACES]; /* heads of whole free segments, believed if their words say FREE */
    word parked[PARKED_PLACES];   /* heads of parked runs, believed if their words say PARKED */
    word baseline[COUNTERS_MAX];  /* counters when the statistics were last reset */
};
static_assert(offsetof(struct shm_superblock, retired) == 128, "superblock: table above");
static_assert(offsetof(struct shm_superblock, frontier) == 192, "superblock: table above");
static_assert(sizeof(struct shm_superblock) <= PAGE_BYTES, "the superblock is one page");

/* What is known of the use of a slot's entry.  The policy asks for USED alone, and takes it back when it has spared or
 * moved the entry; READ stays as long as the value, wherever it is moved to. */
enum visited {
    VISITED_USED = 1u, /* read, or stored again, since it came into its run */
    VISITED_READ = 2u, /* read since it was stored */
};

/* What the owner of a run stores at each entry lies side by side: one line that readers in other processes take away
 * from it, and not two.  Side B is apart, because whoever replaces an entry changes it: those who read others of the
 * same run would lose the page word each time. */
struct shm_page {
    word state; /* the page word */
    word side_a;
};
static_assert(sizeof(struct shm_page) == 16, "both in one line");

struct shm_bucket {
    word slots[BUCKET_SLOTS];
    _Atomic uint8_t visited[8]; /* enum visited of slot i; hints, stored relaxed; [7] spare */
};
static_assert(sizeof(struct shm_bucket) == 64, "a bucket is a cache line");

struct shm_name { /* a namespace, tag or user; found by the hash of its name; row 0 is the whole region */
    word hash;       /* 0 = free; CAS once, never freed */
    word generation; /* starts at 1; fetch_add (release) invalidates */
    word hits;
    word misses;
    word saved_us;
    word base_hits; /* what the last reset found */
    word base_misses;
    word base_saved_us;
};
static_assert(sizeof(struct shm_name) == NAME_BYTES, "a name is a cache line");

struct shm_lane { /* counters that one thread alone raises: plain stores, no line shared with other threads */
    word counters[LANE_COUNTERS];
};
static_assert(sizeof(struct shm_lane) == 64, "a lane is a cache line");

struct shm_process {
    word inc;         /* odd: alive; +1 is death.  The only word that says so */
    word pid;         /* of its own pid namespace */
    word start_time;  /* field 22 of /proc/PID/stat */
    word ns_inode;    /* of /proc/self/ns/pid */
    word child; /* 1: made by a parent for its child, which has not called yet; proved by a byte on the folder */
    word pins_high; /* cells that leases may use: those before it are scanned */
    word leased; /* bytes of the runs that its cells name */
    word reserved; /* bytes of the runs that it fills in place */
    word counters[COUNTERS_MAX]; /* cumulative over all tenants; the lanes are to be added */
    struct shm_lane lanes[LANES];
    word transient[TICKETS]; /* pin cells: one per call under way */
    word counted[]; /* pin cells: leases, one for each run that the process holds in place */
};
static_assert(sizeof(struct shm_process) == 64 + 8 * (COUNTERS_MAX + LANES * LANE_COUNTERS + TICKETS), "process row");
static_assert(offsetof(struct shm_process, lanes) % 64 == 0 && offsetof(struct shm_process, transient) % 64 == 0,
              "threads share no line");

struct shm_entry {
    uint32_t self;
    uint16_t key;
    uint8_t type;
    uint8_t options;
    uint64_t size;
    uint64_t sum;
    uint64_t token;
    uint32_t created;
    uint32_t client_flags;
};
static_assert(sizeof(struct shm_entry) == 40, "entry header: table above");

/* Where everything lies, computed from size and expected entry alone (geometry.c), so that nothing of it is
 * read from shared memory.  Offsets are bytes from the region's start. */
struct geometry {
    uint64_t size_bytes;
    uint32_t expected_entry;
    uint32_t shards;
    uint32_t shard_buckets;
    uint32_t names; /* power of two */
    uint32_t slots; /* process rows */
    uint32_t counted_pins; /* per process */
    uint32_t process_bytes; /* one row */
    uint32_t ring_places; /* power of two */
    uint32_t free_places; /* power of two */
    uint32_t ghosts;
    uint32_t segment_pages;
    uint32_t own_bytes; /* values from here on have a run of their own */
    uint32_t first_page; /* of the pool */
    uint32_t end_page; /* of the region at its largest */
    uint32_t step_pages; /* growth */
    uint64_t wait_at, locks_at, names_at, processes_at, ring_at, free_at, ghosts_at, pages_at, side_b_at, index_at;
};

#endif
