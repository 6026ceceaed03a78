/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worth.c: see worth.h.  Worths are logarithms of cost by bytes, eight steps for each doubling, as cost codes are.
 *
 * An unused entry that is worth x times the going rate stays with probability 1 - 1/x: for x turns, in the mean.  That
 * is what GreedyDual-Size does with a clock, and a priority in each entry, without either.  The rate is the mean worth
 * of what was unused when its turn came, also of what stayed: so about half of that goes, however dear it is.  A used
 * entry goes only if it is cheap: being used counts for a doubling.
 */
#include "worth.h"

#define STEPS 8            /* for each doubling */
#define RATE_PLACES 16     /* binary places of the rate; below them is how many entries have made it */
#define RATE_ENTRIES 1024u /* so many at most: then it follows by a thousandth of each difference */

static int worth_of(const struct entry *e) {
    int whole = 63 - __builtin_clzll(e->bytes | ALIGN);
    int eighths = (int)(e->bytes >> (whole - 3)) - STEPS; /* of the doubling that it is in, nearly */
    return (int)e->spec.cost - (whole * STEPS + eighths);
}

/* True with probability 2^-(steps/8), nearly. */
static bool chance(struct call *k, const struct entry *e, int steps) {
    uint64_t random = hash_mix(word_add_rlx(&k->c->samples, 1) * 0x9e3779b97f4a7c15ull ^ e->slot) >> 32;
    unsigned halvings = (unsigned)steps / STEPS, rest = (unsigned)steps % STEPS;
    return halvings < 32 && random < (uint64_t)(2 * STEPS - rest) << 28 >> halvings;
}

/* The going rate, to which this entry is added if it counts.  It is this process's own: what it has judged itself. */
static int rate_with(struct call *k, int worth, bool counts) {
    uint64_t known = word_rlx(&k->c->rate);
    uint32_t entries = (uint32_t)known & 0xffffu;
    int64_t rate = (int64_t)known >> RATE_PLACES, now = (int64_t)worth * (1 << RATE_PLACES);
    if (entries == 0) {
        rate = now;
    }
    if (counts || entries == 0) {
        entries += entries < RATE_ENTRIES ? 1 : 0;
        rate += (now - rate) / (int64_t)entries;
        word_put_rlx(&k->c->rate, (uint64_t)rate << RATE_PLACES | entries);
    }
    return (int)(rate >> RATE_PLACES);
}

bool worth_keeping(struct call *k, const struct entry *e, bool used) {
    if (e->spec.cost == 0) {
        return used;
    }
    int worth = worth_of(e), above = worth - rate_with(k, worth, !used);
    if (used) {
        return above >= -STEPS || chance(k, e, -STEPS - above);
    }
    return above > 0 && !chance(k, e, above);
}
