/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scene.h: the region in which somebody dies, as its survivor sees it: a process that was attached before.  It makes
 * the start state of an operation once and puts it back for the next death; it looks at every key; and when somebody
 * has died, it asks everything that a death must leave as it was.
 *
 * The start state is put back by writing the region's bytes as they were.  That is sound because nobody else is
 * attached then: the dead are gone, their lock bytes with them, and what the survivor knows of the region itself are
 * hints, its own place, which the bytes have as it is, and the file's size: a region that has grown is made anew.
 */
#ifndef PLC_TEST_SCENE_H
#define PLC_TEST_SCENE_H

#include "fixture.h"
#include "call.h"

#define SUBJECT "subject" /* the key that the victim is at work on */
#define OTHERS_MOST 40u
#define SMALL_BYTES 300u
#define LARGE_BYTES 8300u /* has a run of its own */
#define SERIAL_OLD 1u     /* of the subject's value before */
#define SERIAL_NEW 2u
#define LOSES_ANY UINT32_MAX

extern plc_cache *scene;           /* the survivor's handle; in a victim, which is forked from it, its own */
extern uint64_t scene_deadline_ms; /* some time after this test, the same for all of it */

/* What there is under a key; of claims nothing is seen. */
struct look {
    plc_status status;
    uint64_t length, deadline_ms, digest, serial; /* serial: if it is a value of the subject's */
};
struct looks {
    struct look subject, others[OTHERS_MOST];
    uint32_t others_there;
};

/* What an operation may do to the scene, and where that is. */
struct allowance {
    uint32_t loses;   /* so many other entries may be gone, which is the operation's work */
    bool together;    /* the others change when the subject does, or not at all */
    bool inserts;     /* it stores the subject though somebody has deleted it meanwhile */
    bool created;     /* it makes a region "new" */
    bool on_disk;     /* attaching and closing hold the folder's lock; the last to close says so in the file */
    bool holds; /* it holds something in place when it has returned, or fills it: whole is what is left by its death */
    bool inherits; /* what the survivor holds in place is the victim's alone while that is halted */
};

/* A region whose file does not grow any more, with the others in it; in memory, or on disk. */
void scene_new(bool on_disk);
/* Is there a disk that holds regions?  (TEST_DISK_FOLDER, or /var/tmp) */
bool scene_has_disk(void);
/* Opens or makes another region beside it.  NULL: somebody holds the folder's lock, who is halted. */
plc_cache *scene_open(const char *name);
/* Another key that is to be as it was.  Its value is of its own making. */
void scene_other(const char *key, size_t length);
void scene_subject(size_t length, uint64_t serial, uint64_t deadline_ms);

/* The survivor holds the subject in place from now on, as part of the start state; and then: it is what it was, and is
 * given back.  A victim, which is forked from here, finds in scene_held what it has inherited. */
extern plc_view scene_held;
void scene_hold(void);
void scene_let_go(void);

/* Whatever the hints say: a run that is parked is found first by everybody; or none is. */
void scene_everybody_finds_parked(void);
void scene_nobody_finds_parked(void);
/* From here on k says which buckets and which shard are the key's. */
void scene_find(const char *key, struct call *k);
uint32_t scene_shard_of(const char *key);

/* From now on this is the start state; and there it is again.  False: it has to be made anew (the file has grown). */
void scene_keep(void);
bool scene_put_back(void);

void scene_look(struct looks *at);
/* Is what is there one of the two, whole?  With missing_too, what others have evicted meanwhile may be gone. */
void scene_compare(const struct looks *now, const struct looks *before, const struct looks *after,
                   const struct allowance *may, bool missing_too);

/* The counters as they are at the start state, and then: none has fallen, none has counted more than was done, by the
 * survivor and by those that have died since. */
void scene_counters_begin(void);
void scene_counters_check(unsigned victims);

/* Every operation goes on, nothing is lost, and the places of those that have died are free again. */
void scene_goes_on(unsigned victims);
void scene_alone(void);
bool scene_subject_is(const struct looks *at, uint64_t serial);
/* Who was asked after a moment ago may be asked after again. */
void scene_forget_when(void);

/* Somebody has died. */
void scene_survives(const struct looks *before, const struct looks *after, const struct allowance *may);

/* Nothing is found, nothing is lost; everything can be had again as one piece. */
void scene_is_whole(void);

#endif
