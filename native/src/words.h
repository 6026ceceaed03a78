/* SPDX-License-Identifier: BSD-3-Clause */
/* words.h: the words drawn in layout.h, put together and taken apart.  What they say is believed by nobody before it is
 * checked. */
#ifndef PLC_WORDS_H
#define PLC_WORDS_H

#include "layout.h"

#define BITS(value, shift, width) (((value) >> (shift)) & ((1ull << (width)) - 1))

/* owner: (slot, incarnation) in the place that it has in a page word */
static inline uint64_t owner_make(uint32_t slot, uint32_t inc) {
    return (uint64_t)slot << 50 | (uint64_t)inc << 32;
}
static inline uint32_t owner_slot(uint64_t page_word) {
    return (uint32_t)BITS(page_word, 50, 10);
}
static inline uint32_t owner_inc(uint64_t page_word) {
    return (uint32_t)BITS(page_word, 32, 18);
}

static inline uint64_t page_make(enum page_state state, uint64_t owner, uint32_t gen) {
    return (uint64_t)state << 60 | owner | gen;
}
static inline uint64_t page_cont(uint32_t head, uint32_t gen) {
    return (uint64_t)PAGE_CONT << 60 | (uint64_t)head << 32 | gen;
}
static inline enum page_state page_state(uint64_t page_word) {
    return (enum page_state)(page_word >> 60);
}
static inline uint32_t page_gen(uint64_t page_word) {
    return (uint32_t)page_word;
}
static inline uint32_t page_cont_head(uint64_t page_word) {
    return (uint32_t)BITS(page_word, 32, 28);
}
/* May a slot name the run whose head has this word?  (I1) */
static inline bool page_readable(uint64_t page_word) {
    const unsigned set = 1u << PAGE_OPEN | 1u << PAGE_PARKED | 1u << PAGE_SEALED | 1u << PAGE_EVICT | 1u << PAGE_LIMBO;
    return set << (31 - (page_word >> 60)) >> 31;
}
static inline bool page_owned(uint64_t page_word) {
    const unsigned set = 1u << PAGE_CLAIM | 1u << PAGE_OPEN | 1u << PAGE_EVICT | 1u << PAGE_FREEING;
    return set >> (page_word >> 60) & 1u;
}

static inline uint64_t slot_make(uint32_t tag, uint32_t head, uint32_t offset) {
    return (uint64_t)tag << 42 | (uint64_t)head << 14 | offset / ALIGN;
}
static inline uint32_t slot_tag(uint64_t slot) {
    return (uint32_t)(slot >> 42);
}
static inline uint32_t slot_head(uint64_t slot) {
    return (uint32_t)BITS(slot, 14, 28);
}
static inline uint32_t slot_offset(uint64_t slot) {
    return (uint32_t)BITS(slot, 0, 14) * ALIGN;
}

static inline uint64_t side_a_make(uint32_t pages, uint32_t mark, bool own) {
    return (uint64_t)pages << 36 | (uint64_t)(mark / ALIGN) << 21 | (uint64_t)own << 20;
}
static inline uint32_t side_a_pages(uint64_t a) {
    return (uint32_t)(a >> 36);
}
static inline uint32_t side_a_mark(uint64_t a) {
    return (uint32_t)BITS(a, 21, 15) * ALIGN;
}
static inline bool side_a_own(uint64_t a) {
    return BITS(a, 20, 1) != 0;
}

#define RING_NONE ((1u << 25) - 1u)

static inline uint64_t side_b_make(uint32_t gen, uint32_t dead_units, uint32_t ring) {
    return (uint64_t)(gen & 0x3fffffu) << 42 | (uint64_t)dead_units << 26 | ring;
}
static inline uint32_t side_b_gen(uint64_t b) {
    return (uint32_t)(b >> 42);
}
static inline uint32_t side_b_dead(uint64_t b) { /* in units of ALIGN bytes; of an own run 0 or 1 */
    return (uint32_t)BITS(b, 26, 16);
}
static inline uint32_t side_b_ring(uint64_t b) {
    return (uint32_t)BITS(b, 0, 26);
}

#define LOCK_WAITERS (1ull << 63)
static inline uint64_t lock_make(uint32_t slot, uint32_t inc, uint32_t tid, uint32_t seq) {
    return (uint64_t)slot << 53 | (uint64_t)inc << 35 | (uint64_t)(tid & 0x3fffffu) << 13 | (seq & 0x1fffu);
}
static inline uint32_t lock_slot(uint64_t w) {
    return (uint32_t)BITS(w, 53, 10);
}
static inline uint32_t lock_inc(uint64_t w) {
    return (uint32_t)BITS(w, 35, 18);
}
static inline uint32_t lock_tid(uint64_t w) {
    return (uint32_t)BITS(w, 13, 22);
}

static inline uint64_t pin_make(uint32_t head, uint32_t count) {
    return (uint64_t)head << 36 | (uint64_t)count << 16;
}
static inline uint32_t pin_head(uint64_t cell) {
    return (uint32_t)(cell >> 36);
}

#endif
