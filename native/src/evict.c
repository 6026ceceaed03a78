/* SPDX-License-Identifier: BSD-3-Clause */
/* evict.c: see evict.h. */
#include "evict.h"

#include "counters.h"
#include "pinned.h"
#include "worth.h"

#define AHEAD 8u   /* entries whose index lines are asked for before they are looked at */
#define SAMPLE 32u /* entries of a segment that say whether it goes round once more */

/* A run being evicted: what its words said after it was won. */
struct victim {
    struct call *k;   /* an own call: its key and buckets are those of the entry at hand */
    struct fill copy; /* where kept entries go */
    uint64_t word;    /* EVICT(me), generation */
    uint32_t head, pages, mark;
    bool own, from_limbo;
    uint64_t gone;    /* bytes of entries that I took out of the index */
    bool no_room;     /* for a copy that had to be made */
    enum evict_mode mode;
    enum queue_of queue; /* that it belongs to, and after its eviction, if it stays */
};

/* Wins the run; *freeing: its former owner had already begun to free it. */
static bool win(struct call *k, uint32_t head, struct victim *v, bool *freeing) {
    plc_cache *c = k->c;
    word *at = page_word(c, head);
    uint64_t w = word_acq(at);
    enum page_state state = page_state(w);
    bool dead = page_owned(w) && !owner_alive(c, w);
    if (page_owned(w) && !dead) {
        k->suspect = owner_slot(w) != owner_slot(k->owner) ? owner_slot(w) : k->suspect;
        return false;
    }
    *freeing = state == PAGE_FREEING;
    bool takes = state == PAGE_SEALED || state == PAGE_PARKED || state == PAGE_LIMBO ||
                 (dead && (state == PAGE_OPEN || state == PAGE_EVICT || state == PAGE_FREEING));
    enum page_state to = *freeing ? PAGE_FREEING : PAGE_EVICT;
    bool only_sealed = v->mode == EVICT_DEAD || v->mode == EVICT_CLEAN;
    if (!takes || pages_unseen_run(k, head) || (only_sealed && state != PAGE_SEALED) ||
        !word_swap(at, w, page_make(to, k->owner, page_gen(w)))) {
        return false;
    }
    uint64_t a = word_acq(page_side_a(c, head)); /* only now: the former owner may have raised its mark */
    v->word = page_make(to, k->owner, page_gen(w));
    v->head = head;
    v->pages = pages_of_run(c, head, a);
    v->mark = side_a_mark(a);
    v->own = side_a_own(a);
    v->from_limbo = state == PAGE_LIMBO;
    v->queue = queue_of(k, head);
    return true;
}

/* Does the run stay when there is no room for the copy of something that should? */
static bool stays_whole(const struct victim *v) {
    return v->mode == EVICT_VISITED || v->mode == EVICT_HAND || v->mode == EVICT_ASIDE || v->mode == EVICT_CLEAN;
}

static bool moves(const struct victim *v) {
    return v->mode != EVICT_ALL && v->mode != EVICT_FIRM;
}

/* Is what is worth keeping to be kept, and the rest to go? */
static bool judges(const struct victim *v) {
    return v->mode == EVICT_VISITED || v->mode == EVICT_MOVE_VISITED || v->mode == EVICT_HAND;
}

/* Will a whole segment be free afterwards?  Then the last one of the reserve may be taken for the copies; whoever
 * clears the way of a large run leaves one, for the evictions that make room for it. */
static bool gives_back(const struct victim *v) {
    bool turn = v->mode == EVICT_VISITED || v->mode == EVICT_MOVE_VISITED;
    return turn || (v->mode == EVICT_CLEAN && v->pages >= v->k->c->geo.segment_pages);
}

/* A run for copies: the one that evictions filled last, else the reserve, else free pages.  It never evicts:
 * an eviction inside an eviction has no end. */
static bool open_copy(struct victim *v, uint64_t need) {
    struct call *k = v->k;
    plc_cache *c = k->c;
    if (v->copy.head != 0 && run_room(&v->copy) >= need) {
        return true;
    }
    run_finish(k, &v->copy);
    enum queue_of to = judges(v) ? QUEUE_MAIN : v->queue;
    if (run_again(k, &c->copy_run[to], to, need, &v->copy)) {
        return true;
    }
    uint32_t min = (uint32_t)((need + PAGE_BYTES - 1) >> PAGE_SHIFT);
    bool leaves_one = gives_back(v) || spare_more_than(k, 1);
    uint32_t head = leaves_one ? spare_form_reserve(k) : 0;
    head = head != 0 ? head : spare_form(k, min, c->geo.segment_pages, false);
    if (head == 0) {
        return false;
    }
    run_begin(k, head, false, &v->copy);
    queue_choose(k, head, v->copy.gen, to);
    v->copy.last = &c->copy_run[to];
    return run_room(&v->copy) >= need;
}

/* Moves one entry: a swap of the same slot from its old place to the copy, never a plain store: it may have
 * been deleted meanwhile. */
static bool move(struct victim *v, const struct entry *e, unsigned way) {
    struct call *k = v->k;
    if (!open_copy(v, e->bytes)) {
        return false;
    }
    uint8_t *to = run_write(k, &v->copy, &e->spec);
    fill_racing(to, e->value, e->spec.length);
    run_sign(k, &v->copy);
    run_commit(k, &v->copy);
    v->copy.published = word_swap(index_slot(k, way), e->slot, run_place(k, &v->copy));
    if (v->copy.published) {
        v->gone += e->bytes;
        if (judges(v)) {
            index_spare(k, way);
        }
        count(k, COUNT_REINSERTED, 1);
        count(k, COUNT_BYTES_REINSERTED, e->bytes);
        count(k, COUNT_BYTES_CLEANED, v->mode == EVICT_CLEAN ? e->bytes : 0);
    } else {
        run_dead(k, v->copy.head, v->copy.gen, v->copy.bytes);
    }
    run_next(&v->copy);
    return true;
}

/* Entries evicted, by what wanted their room; a drain wants none. */
static void count_cause(struct call *k, const struct victim *v) {
    if (v->mode == EVICT_HAND) {
        count(k, COUNT_EVICTED_HAND, 1);
    } else if (judges(v)) {
        count(k, v->queue == QUEUE_SMALL ? COUNT_EVICTED_SMALL : COUNT_EVICTED_MAIN, 1);
    }
}

static void count_unlinked(struct victim *v, const struct entry *e, bool visited) {
    struct call *k = v->k;
    if (e->spec.deadline_ms != 0 && e->spec.deadline_ms <= k->now_ms) {
        count(k, COUNT_EXPIRED_UNLINKED, 1);
    } else if (!entry_current(k, e)) {
        count(k, COUNT_INVALIDATED_UNLINKED, 1);
    } else {
        count(k, COUNT_EVICTIONS, 1);
        count(k, COUNT_EVICTED_VISITED_DROPPED, visited ? 1 : 0);
        count(k, COUNT_BYTES_VISITED_DROPPED, visited ? e->bytes : 0);
        count_cause(k, v);
        if (judges(v) && v->queue == QUEUE_SMALL && e->spec.kind == ENTRY_VALUE) {
            ghost_remember(k);
        }
    }
}

/* Takes the entry out of the index, or moves it.  False: the run stays once more. */
static bool unlink_entry(struct victim *v, struct entry *e) {
    struct call *k = v->k;
    index_of_entry(k, e);
    e->slot = slot_make(k->tag, e->head, e->offset);
    int way = index_where(k, e->slot);
    if (way < 0) {
        return true;
    }
    bool visited = index_marks(k, (unsigned)way) & VISITED_USED;
    bool claim = entry_live_claim(k, e);
    bool keep = claim || (judges(v) ? entry_valid(k, e) && worth_keeping(k, e, visited) : entry_current(k, e));
    if (keep && !v->own && moves(v) && !entry_whole(k->c, e)) { /* a copy would get a checksum that holds */
        count(k, COUNT_CORRUPT_SEEN, 1);
        keep = false;
    }
    if (keep && moves(v)) {
        if (v->own) {
            if (judges(v)) {
                index_spare(k, (unsigned)way);
                v->queue = QUEUE_MAIN;
            }
            return false;
        }
        if (move(v, e, (unsigned)way)) {
            return true;
        }
        if (claim || stays_whole(v)) {
            v->no_room = true; /* somebody computes: the run waits until there is room for a copy */
            return false;
        }
    }
    if (word_swap(index_slot(k, (unsigned)way), e->slot, 0)) {
        v->gone += entry_dead_bytes(e);
        count_unlinked(v, e, visited && keep);
    }
    return true;
}

/* Asks for the index lines of the next entries, so that their misses overlap.  Where to ask again. */
static uint64_t ask_ahead(struct victim *v, uint64_t offset, uint64_t end) {
    for (unsigned i = 0; i < AHEAD && offset < end; i++) {
        struct entry e;
        if (!entry_read_at(v->k->c, v->head, v->word, (uint32_t)offset, &e)) {
            return end;
        }
        index_of_entry(v->k, &e);
        index_ask(v->k);
        if (v->queue == QUEUE_SMALL) {
            ghost_ask(v->k);
        }
        offset += e.bytes;
    }
    return offset;
}

/* Walks the entries below the mark.  True: all are out of the index.  Behind a damaged one the next is looked for at
 * every place, so that no slot goes on naming a run that is freed. */
static bool unlink_all(struct victim *v) {
    uint32_t end = v->own ? (v->mark != 0 ? 1 : 0) : v->mark;
    for (uint64_t offset = 0, asked = 0; offset < end;) {
        struct entry e;
        asked = offset >= asked ? ask_ahead(v, offset, end) : asked;
        if (!entry_read_at(v->k->c, v->head, v->word, (uint32_t)offset, &e)) {
            offset += ALIGN;
            continue;
        }
        if (!unlink_entry(v, &e)) {
            return false;
        }
        offset += e.intact ? e.bytes : ALIGN;
    }
    return true;
}

/* How many of the first entries were read since they came, and are still good; *looked: of how many. */
static unsigned sample_visited(struct victim *v, unsigned *looked) {
    unsigned visited = 0;
    *looked = 0;
    for (uint64_t offset = 0; offset < v->mark && *looked < SAMPLE;) {
        struct entry e;
        if (!entry_read_at(v->k->c, v->head, v->word, (uint32_t)offset, &e)) {
            break;
        }
        index_of_entry(v->k, &e);
        int way = index_where(v->k, slot_make(v->k->tag, e.head, e.offset));
        bool seen = way >= 0 && (index_marks(v->k, (unsigned)way) & VISITED_USED);
        visited += seen && entry_valid(v->k, &e) ? 1 : 0;
        *looked += 1;
        offset += e.bytes;
    }
    return visited;
}

/* A segment of which nearly everything was read goes round once more as it is: moving all of it would gain no
 * page.  Its marks are cleared, so that the next time it must have been read again. */
static bool goes_round(struct victim *v) {
    unsigned looked = 0;
    if (v->mode != EVICT_VISITED || v->own || sample_visited(v, &looked) * 8u < looked * 7u || looked == 0) {
        return false;
    }
    for (uint64_t offset = 0; offset < v->mark;) {
        struct entry e;
        if (!entry_read_at(v->k->c, v->head, v->word, (uint32_t)offset, &e)) {
            break;
        }
        index_of_entry(v->k, &e);
        int way = index_where(v->k, slot_make(v->k->tag, e.head, e.offset));
        if (way >= 0) {
            index_spare(v->k, (unsigned)way);
        }
        offset += e.bytes;
    }
    v->queue = QUEUE_MAIN;
    return true;
}

static void seal_again(struct victim *v) {
    uint32_t gen = page_gen(v->word);
    if (v->gone != 0 && !v->own) {
        run_dead(v->k, v->head, gen, v->gone);
    }
    queue_choose(v->k, v->head, gen, v->queue);
    word_put_rel(page_word(v->k->c, v->head), page_make(PAGE_SEALED, 0, gen));
    queue_put(v->k, v->head, gen);
}

/* Nothing in the run is named by a slot, by its dead bytes alone: whoever unlinks an entry adds its bytes once,
 * after it has won the swap of the slot, so the sum never exceeds the truth (a death only leaves it short). */
static bool is_empty(const struct victim *v) {
    const plc_cache *c = v->k->c;
    return run_empty(word_acq(page_side_a(c, v->head)), word_acq(page_side_b(c, v->head)));
}

/* Every slot is out: who still reads in place?  The swaps, the fence, the pins; limbo, the fence, the pins
 * again: then the last one to leave either is seen here or sees the limbo. */
static bool in_limbo(struct victim *v) {
    plc_cache *c = v->k->c;
    uint32_t gen = page_gen(v->word);
    uint64_t limbo = page_make(PAGE_LIMBO, 0, gen);
    for (unsigned i = 0; i < 3; i++) {
        fence_full();
        if (!pinned(v->k, v->head)) {
            return false;
        }
        word_put_rel(page_word(c, v->head), limbo);
        fence_full();
        if (pinned(v->k, v->head) || !word_swap(page_word(c, v->head), limbo, v->word)) {
            return true;
        }
    }
    word_put_rel(page_word(c, v->head), limbo);
    return true;
}

static void free_run(struct victim *v) {
    plc_cache *c = v->k->c;
    uint32_t gen = page_gen(v->word), pages = v->pages == 0 ? 1 : v->pages;
    word_put_rel(page_word(c, v->head), page_make(PAGE_FREEING, v->k->owner, gen));
    fence_release(); /* the generation is gone before any of its pages is */
    pages_release(v->k, v->head, gen, pages);
    spare_give(v->k, v->head, pages);
    count(v->k, v->mode == EVICT_DEAD ? COUNT_RUNS_FREED_DEAD : COUNT_RUNS_EVICTED, 1);
    count(v->k, COUNT_RUNS_CLEANED, v->mode == EVICT_CLEAN ? 1 : 0);
}

/* To make room, a value that somebody reads in place is no victim: without its key it would take as much. */
static bool in_use(struct victim *v) {
    return v->own && (judges(v) || v->mode == EVICT_FIRM) && !v->from_limbo && pinned(v->k, v->head);
}

static enum evicted take(struct victim *v, bool freeing) {
    if (!freeing) {
        bool out = v->mode == EVICT_DEAD ? is_empty(v) : !goes_round(v) && !in_use(v) && unlink_all(v);
        run_finish(v->k, &v->copy);
        if (!out) {
            seal_again(v);
            return v->no_room ? EVICT_NO_ROOM : EVICT_KEPT;
        }
        if (in_limbo(v)) {
            count(v->k, COUNT_LIMBO, 1);
            queue_put(v->k, v->head, page_gen(v->word));
            return EVICT_PINNED;
        }
    }
    free_run(v);
    return EVICT_FREED;
}

enum evicted evict_run(struct call *k, uint32_t head, enum evict_mode mode) {
    struct call sub; /* the key at hand of k must stay */
    sub.c = k->c;
    sub.row = k->row;
    sub.seat = k->seat;
    sub.lane = k->lane;
    sub.pin = k->pin;
    sub.owner = k->owner;
    sub.now_ms = k->now_ms;
    sub.ticket = k->ticket;
    sub.tid = k->tid;
    sub.dead_count = 0;
    sub.suspect = k->suspect;
    sub.want_refresh = false;
    struct victim v = {.k = &sub, .mode = mode};
    bool freeing = false;
    enum evicted result = win(&sub, head, &v, &freeing) ? take(&v, freeing) : EVICT_LOST;
    k->suspect = sub.suspect;
    k->want_refresh = k->want_refresh || sub.want_refresh;
    return result;
}

void evict_emptied(struct call *k) {
    while (k->dead_count > 0) {
        (void)evict_run(k, k->dead[--k->dead_count], EVICT_DEAD);
    }
}
