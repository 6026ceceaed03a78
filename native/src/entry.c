/* SPDX-License-Identifier: BSD-3-Clause */
/* entry.c: see entry.h; the bytes are drawn in layout.h. */
#include "entry.h"

#include "crc32c.h"
#include "hash.h"

/* Milliseconds with 16 bits of check: a torn or foreign word reads as a past deadline. */
uint64_t entry_deadline_word(uint64_t deadline_ms) {
    deadline_ms = deadline_ms < 1ull << 48 ? deadline_ms : (1ull << 48) - 1;
    return deadline_ms << 16 | (hash_mix(deadline_ms + 0x5bd1e995u) & 0xffffu);
}

uint64_t entry_deadline_of(uint64_t w) {
    return entry_deadline_word(w >> 16) == w ? w >> 16 : 1;
}

uint8_t *entry_write(const plc_cache *c, const struct spec *s, uint8_t *at, uint32_t head, uint32_t gen,
                     uint32_t offset) {
    uint8_t options = entry_options(s);
    uint8_t *value = at + entry_value_at(options, s->key_length); /* before the stores, behind which the compiler
                                                                     would work it all out again */
    uint64_t key = s->key_length | (uint64_t)s->kind << 13;
    word *header = (word *)(void *)at; /* word by word: as a struct it would be put together on the stack */
    word_put_rlx(&header[0],
                 entry_self(c, head, gen, offset) | key << 32 | (uint64_t)s->type << 48 | (uint64_t)options << 56);
    word_put_rlx(&header[1], s->length | (uint64_t)s->name << ENTRY_LENGTH_BITS | (uint64_t)s->cost << 56);
    word_put_rlx(&header[2], s->sum);
    word_put_rlx(&header[3], s->token);
    word_put_rlx(&header[4], s->created | (uint64_t)s->client_flags << 32);
    uint8_t *field = at + sizeof(struct shm_entry);
    if (options & ENTRY_DEADLINE) {
        word_put_rlx((word *)(void *)field, entry_deadline_word(s->deadline_ms));
        field += 8;
    }
    if (options & ENTRY_TAGS) {
        fill_racing(field, s->tags, 8);
        field += 8;
    }
    field += options & ENTRY_CHECKSUM ? sizeof(struct entry_checks) : 0; /* entry_sign fills them */
    fill_racing(field, s->key, s->key_length);
    return value;
}

/* ---- checksums ------------------------------------------------------------------------------- */

static const uint8_t *fields_at(const uint8_t *at, uint8_t options) { /* behind the deadline, which has its own check */
    return at + sizeof(struct shm_entry) + (options & ENTRY_DEADLINE ? 8 : 0);
}

static uint32_t head_sum(const plc_cache *c, const uint64_t words[5], uint64_t tags, uint32_t value,
                         struct entry_place place, const uint8_t *key) {
    const uint64_t bound[9] = {c->region_id,
                               (uint64_t)place.head << 32 | place.gen,
                               (uint64_t)place.offset << 32 | value,
                               tags,
                               words[0],
                               words[1],
                               words[2],
                               words[3],
                               words[4]};
    return crc32c(crc32c(0, bound, sizeof bound), key, BITS(words[0], 32, 13));
}

bool entry_head_holds(const plc_cache *c, const uint64_t words[5], const uint8_t *at, struct entry_place place,
                      const uint8_t *key, uint32_t *value) {
    uint8_t options = (uint8_t)(words[0] >> 56);
    const uint8_t *field = fields_at(at, options);
    uint64_t tags = 0;
    struct entry_checks checks;
    if (!(options & ENTRY_CHECKSUM)) {
        return false;
    }
    if (options & ENTRY_TAGS) {
        copy_racing(&tags, field, 8);
        field += 8;
    }
    copy_racing(&checks, field, sizeof checks);
    *value = checks.value;
    return checks.gen == place.gen && checks.zero == 0 &&
           checks.head == head_sum(c, words, tags, checks.value, place, key);
}

void entry_sign(const plc_cache *c, uint8_t *at, struct entry_place place) {
    if (!c->persistent) {
        return;
    }
    uint64_t words[5], tags = 0;
    copy_racing(words, at, sizeof words);
    uint8_t options = (uint8_t)(words[0] >> 56);
    uint32_t key_length = (uint32_t)BITS(words[0], 32, 13);
    uint8_t *field = at + (fields_at(at, options) - at);
    if (options & ENTRY_TAGS) {
        copy_racing(&tags, field, 8);
        field += 8;
    }
    uint64_t length = words[1] & ((1ull << ENTRY_LENGTH_BITS) - 1);
    struct entry_checks checks = {.gen = place.gen, .zero = 0};
    checks.value = crc32c_value(at + entry_value_at(options, key_length), length);
    checks.head = head_sum(c, words, tags, checks.value, place, field + sizeof checks);
    fill_racing(field, &checks, sizeof checks);
}

/* A process's memory of what it has verified: one place for each, found by the head's number. */
static word *remembered(const plc_cache *c, uint32_t head) {
    return &c->verified[hash_mix(head) % VERIFIED_PLACES];
}

bool entry_value_holds(const plc_cache *c, struct entry_place place, bool own, const void *bytes, uint64_t n,
                       uint32_t check) {
    uint64_t this = (uint64_t)place.head << 32 | place.gen;
    if (own && word_rlx(remembered(c, place.head)) == this) {
        return true;
    }
    bool holds = crc32c_value(bytes, n) == check;
    if (own && holds) {
        word_put_rlx(remembered(c, place.head), this);
    }
    return holds;
}

bool entry_whole(const plc_cache *c, const struct entry *e) {
    struct entry_place place = {e->head, page_gen(e->head_word), e->offset};
    return !c->persistent || (e->intact && entry_value_holds(c, place, e->spec.options & ENTRY_OWN, e->value,
                                                             e->spec.length, e->value_check));
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Optional fields, key and value of a header that was copied; room: bytes from `at` to the run's end. */
static bool unfold(const struct shm_entry *h, uint8_t *at, uint64_t room, struct entry *out) {
    struct spec *s = &out->spec;
    s->key_length = h->key & 0x1fffu;
    s->kind = (enum entry_kind)(h->key >> 13);
    s->length = h->size & ((1ull << ENTRY_LENGTH_BITS) - 1);
    uint64_t value_at = entry_value_at(h->options, s->key_length);
    out->bytes = (value_at + s->length + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
    if (s->key_length == 0 || s->key_length > PLC_KEY_MAX || out->bytes > room) {
        return false;
    }
    if ((h->options & ENTRY_OWN) && !(h->options & ENTRY_DEADLINE)) {
        return false; /* never written so: a copy of it would be longer than it is */
    }
    uint8_t *field = at + sizeof *h;
    out->deadline_at = NULL;
    s->deadline_ms = 0;
    if (h->options & ENTRY_DEADLINE) {
        out->deadline_at = (word *)(void *)field;
        s->deadline_ms = entry_deadline_of(word_rlx(out->deadline_at));
        field += 8;
    }
    memset(s->tags, 0, sizeof s->tags);
    if (h->options & ENTRY_TAGS) {
        copy_racing(s->tags, field, 8);
        field += 8;
    }
    field += h->options & ENTRY_CHECKSUM ? sizeof(struct entry_checks) : 0;
    s->key = field;
    out->value = at + value_at;
    return true;
}

/* run_bytes: of the run from its head on. */
static bool read_in(const plc_cache *c, uint32_t head, uint64_t w, uint32_t offset, uint64_t run_bytes,
                    struct entry *out) {
    if (offset + sizeof(struct shm_entry) > run_bytes) {
        return false;
    }
    uint8_t *at = page_bytes(c, head) + offset;
    struct shm_entry h;
    copy_racing(&h, at, sizeof h);
    if (h.self != entry_self(c, head, page_gen(w), offset) || !unfold(&h, at, run_bytes - offset, out)) {
        return false;
    }
    struct spec *s = &out->spec;
    s->type = h.type;
    s->options = h.options;
    s->cost = (uint8_t)(h.size >> 56);
    s->name = (uint16_t)(h.size >> ENTRY_LENGTH_BITS);
    s->sum = h.sum;
    s->token = h.token;
    s->created = h.created;
    s->client_flags = h.client_flags;
    out->head = head;
    out->offset = offset;
    out->head_word = w;
    out->intact = true;
    if (c->persistent) {
        uint64_t words[5];
        memcpy(words, &h, sizeof words);
        out->intact =
            entry_head_holds(c, words, at, (struct entry_place){head, page_gen(w), offset}, s->key, &out->value_check);
    }
    return true;
}

bool entry_read_at(const plc_cache *c, uint32_t head, uint64_t w, uint32_t offset, struct entry *out) {
    uint64_t run_bytes = (uint64_t)pages_of_run(c, head, word_rlx(page_side_a(c, head))) << PAGE_SHIFT;
    return read_in(c, head, w, offset, run_bytes, out);
}

bool entry_prove(const plc_cache *c, uint64_t v, uint64_t room, struct entry *out) {
    uint32_t head = slot_head(v), offset = slot_offset(v), gen = 0;
    const uint8_t *at = page_bytes(c, head) + offset;
    if (offset + sizeof(struct shm_entry) + entry_fields_bytes(ENTRY_DEADLINE | ENTRY_TAGS | ENTRY_CHECKSUM) > room) {
        return false;
    }
    uint8_t options = at[offsetof(struct shm_entry, options)];
    copy_racing(&gen, fields_at(at, options) + (options & ENTRY_TAGS ? 8 : 0), sizeof gen);
    out->slot = v;
    return (options & ENTRY_CHECKSUM) && read_in(c, head, page_make(PAGE_SEALED, 0, gen), offset, room, out) &&
           out->intact;
}

bool entry_read(const plc_cache *c, uint64_t v, uint64_t w, struct entry *out) {
    out->slot = v;
    return entry_read_at(c, slot_head(v), w, slot_offset(v), out);
}

bool entry_current(const struct call *k, const struct entry *e) {
    const struct spec *s = &e->spec;
    if (!e->intact || (s->deadline_ms != 0 && s->deadline_ms <= k->now_ms)) {
        return false;
    }
    return s->sum == name_sum(k->c, s->name, s->tags) && !name_flushed(k->c, entry_created_ms(k->c, e), k->now_ms);
}

bool entry_valid(const struct call *k, const struct entry *e) {
    return e->spec.kind == ENTRY_VALUE && entry_current(k, e);
}

uint64_t entry_claim_owner(const struct entry *e) {
    uint64_t owner = 0;
    if (e->spec.length == sizeof owner) {
        copy_racing(&owner, e->value, sizeof owner);
    }
    return owner;
}

bool entry_live_claim(const struct call *k, const struct entry *e) {
    return e->spec.kind == ENTRY_CLAIM && entry_current(k, e) && owner_alive(k->c, entry_claim_owner(e));
}

uint64_t entry_created_ms(const plc_cache *c, const struct entry *e) {
    return c->created_ms + (uint64_t)e->spec.created * 100;
}

uint32_t entry_created_now(const struct call *k) {
    return k->now_ms <= k->c->created_ms ? 0 : (uint32_t)((k->now_ms - k->c->created_ms) / 100);
}
