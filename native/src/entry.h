/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * entry.h: the entry codec: how an entry is written behind a run's mark, and how one is read without
 * believing a byte of it before its bounds, its self-identification and its lengths have been checked.
 */
#ifndef PLC_ENTRY_H
#define PLC_ENTRY_H

#include "hash.h"
#include "names.h"

/* What an entry is to be; of a found entry, what it is. */
struct spec {
    const uint8_t *key;
    uint32_t key_length;
    enum entry_kind kind;
    uint8_t type, options, cost; /* options: ENTRY_TEXT | ENTRY_IMMUTABLE | ENTRY_OWN | ENTRY_PAGED | ENTRY_CHECKSUM;
                                    the rest is derived */
    uint16_t name;
    uint16_t tags[4];
    uint64_t length; /* of the value */
    uint64_t sum, token, deadline_ms;
    uint32_t created, client_flags;
};

/* An entry seen in the region: its header as copied, and where its parts lie (checked bounds). */
struct entry {
    struct spec spec; /* spec.key points into the region */
    uint64_t slot;    /* the slot value that names it */
    uint64_t head_word;
    const uint8_t *value;
    word *deadline_at; /* NULL: it has no such field */
    uint32_t head, offset;
    uint64_t bytes; /* all of it, a multiple of ALIGN */
    uint32_t value_check; /* what the value's checksum must be; persistent regions only */
    bool intact; /* the head's checksum holds; in regions whose entries have none always */
};

#define ENTRY_VALUE_ALIGN 64u /* of a value in a run of its own, so that arrays can be read in place */
#define ENTRY_LENGTH_BITS 40

/* The pieces of the codec that a hot read spells out (find.h); everybody else reads through entry_read. */
static inline uint32_t entry_self(const plc_cache *c, uint32_t head, uint32_t gen, uint32_t offset) {
    uint64_t place = (uint64_t)head << 32 | gen;
    return (uint32_t)hash_mix((c->region_id ^ place) + (uint64_t)offset * 0x9e3779b97f4a7c15ull);
}
static_assert((ENTRY_DEADLINE | ENTRY_TAGS | ENTRY_CHECKSUM) == 7, "the optional fields are the lowest bits");
static inline uint32_t entry_fields_bytes(uint8_t options) { /* 8, 8 and 16; a table of 8 half bytes */
    return __builtin_expect((options & 7u) == 0, 1) ? 0 : (0x43322110u >> 4 * (options & 7u) & 7u) * 8;
}
static inline uint32_t entry_value_at(uint8_t options, uint32_t key_length) { /* from the header's begin */
    uint32_t at = (uint32_t)sizeof(struct shm_entry) + entry_fields_bytes(options) + key_length;
    if (__builtin_expect((options & (ENTRY_OWN | ENTRY_PAGED)) == 0, 1)) {
        return at;
    }
    uint32_t align = options & ENTRY_PAGED ? PAGE_BYTES : ENTRY_VALUE_ALIGN;
    return (at + align - 1) & ~(align - 1);
}

/* The options that a header shall have. */
static inline uint8_t entry_options(const struct spec *s) {
    uint64_t tags = (uint64_t)s->tags[0] | s->tags[1] | s->tags[2] | s->tags[3];
    bool deadline = s->deadline_ms != 0 || (s->options & ENTRY_OWN); /* own runs are touched in place */
    return (uint8_t)((s->options & (ENTRY_TEXT | ENTRY_IMMUTABLE | ENTRY_OWN | ENTRY_PAGED | ENTRY_CHECKSUM)) |
                     (deadline ? ENTRY_DEADLINE : 0u) | (tags != 0 ? ENTRY_TAGS : 0u));
}

/* Where its value is to lie, by its length: among others, or in a run of its own; filled in place: that, paged. */
static inline void entry_choose(const plc_cache *c, struct spec *s, bool filled) {
    bool own = filled || s->length >= c->geo.own_bytes;
    bool paged = filled || s->length >= PAGED_BYTES;
    s->options = (uint8_t)((s->options & ~(unsigned)(ENTRY_OWN | ENTRY_PAGED)) | (own ? ENTRY_OWN : 0u) |
                           (paged ? ENTRY_PAGED : 0u));
}

/* Bytes that an entry takes in a run, a multiple of ALIGN. */
static inline uint64_t entry_bytes(const struct spec *s) {
    return (entry_value_at(entry_options(s), s->key_length) + s->length + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

/* Writes header, optional fields and key at `at`, as of a run (head, gen) and offset.  Returns where the
 * value goes.  pre: entry_bytes(s) are there, and no slot names them. */
uint8_t *entry_write(const plc_cache *c, const struct spec *s, uint8_t *at, uint32_t head, uint32_t gen,
                     uint32_t offset);

/* The checksums of an entry in a persistent region: that of its head (place, generation, header but for the deadline,
 * tags, key, and the value's checksum), and that of its value. */
struct entry_checks {
    uint32_t gen, head;
    uint32_t value, zero;
};
static_assert(sizeof(struct entry_checks) == 16, "as long as entry_fields_bytes says");

/* Where an entry lies: what its head's checksum is bound to. */
struct entry_place {
    uint32_t head, gen, offset;
};

/* Writes the checksums of an entry whose header, fields, key and value lie complete at `at`; in a region whose entries
 * have none, nothing.  pre: no slot names it. */
void entry_sign(const plc_cache *c, uint8_t *at, struct entry_place place);

/* Does the head's checksum hold?  words: the header's five as they were loaded; at: where the entry lies, for its
 * fields; key: as it was read or compared.  *value: what the value's checksum must be. */
bool entry_head_holds(const plc_cache *c, const uint64_t words[5], const uint8_t *at, struct entry_place place,
                      const uint8_t *key, uint32_t *value);

/* Is the value what it was when it was written?  bytes: the value, or the copy that is to be given out.  A value with
 * a run of its own (own) is verified once by each process, which remembers some thousands of them. */
bool entry_value_holds(const plc_cache *c, struct entry_place place, bool own, const void *bytes, uint64_t n,
                       uint32_t check);
/* The same of an entry that was found; in regions whose entries have no checksums true. */
bool entry_whole(const plc_cache *c, const struct entry *e);

/* Parses what slot value v names, given its head's word w.  False: nothing that can be an entry of that run
 * and generation.  What it gives is to be believed only if the generation is still the same afterwards. */
bool entry_read(const plc_cache *c, uint64_t v, uint64_t w, struct entry *out);

/* The same without the page words: the generation is what the entry itself says, and room bytes from the run's head on
 * are looked at.  True: its head's checksum holds.  Persistent regions only, by whoever is alone. */
bool entry_prove(const plc_cache *c, uint64_t v, uint64_t room, struct entry *out);

/* Parses the entry at an offset of a run of whose words the caller is the owner. */
bool entry_read_at(const plc_cache *c, uint32_t head, uint64_t w, uint32_t offset, struct entry *out);

/* What its unlinking adds to the dead bytes of its run.  A damaged head may say any length: then (next to) nothing, or
 * the run would be freed while something lives in it. */
static inline uint64_t entry_dead_bytes(const struct entry *e) {
    return e->intact ? e->bytes : 1;
}

static inline bool entry_has_key(const struct entry *e, const struct call *k) {
    return e->spec.key_length == k->key_length && same_racing(e->spec.key, k->key, k->key_length);
}

/* Not expired, not invalidated, its head undamaged. */
bool entry_current(const struct call *k, const struct entry *e);
/* current and a value */
bool entry_valid(const struct call *k, const struct entry *e);
/* A claim whose owner lives, in time, not invalidated. */
bool entry_live_claim(const struct call *k, const struct entry *e);
/* Who claimed: its process, as in a page word. */
uint64_t entry_claim_owner(const struct entry *e);

uint64_t entry_deadline_word(uint64_t deadline_ms);
uint64_t entry_deadline_of(uint64_t deadline_word); /* 1, long ago, for a torn or foreign word */
uint64_t entry_created_ms(const plc_cache *c, const struct entry *e);
uint32_t entry_created_now(const struct call *k);

#endif
