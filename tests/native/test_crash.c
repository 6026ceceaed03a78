/* SPDX-License-Identifier: BSD-3-Clause */
/* test_crash.c: what a rebuild after a machine crash must not believe (G10), one thing at a time: runs that claim the
 * same pages, a key in two slots, an entry in a foreign place, sums of generations that are lost, a name whose number
 * is
 * lost, damage in each table.  A crash is played: the process exits without closing, and the file gets another boot
 * id.  That a clear or a sync is on the disk when it returns, and in which order the words of opening and closing are,
 * is
 * seen in msync, which this program defines. */
#include "fixture.h"

#include "call.h"

#include <sys/syscall.h>
#include <sys/wait.h>

static plc_cache *c;

struct synced {
    uint64_t from, to, clean;
};
static struct synced syncs[64];
static unsigned sync_count;

/* In the place of libc's. */
int msync(void *at, size_t n, int flags) {
    if (sync_count < 64 && c != NULL && c->base != NULL) {
        uint64_t from = (uint64_t)((uint8_t *)at - c->base);
        syncs[sync_count++] = (struct synced){from, from + n, word_acq(&c->super->clean)};
    }
    return (int)syscall(SYS_msync, at, n, flags);
}

static bool was_synced(uint64_t at) {
    for (unsigned i = 0; i < sync_count; i++) {
        if (syncs[i].from <= at && at < syncs[i].to) {
            return true;
        }
    }
    return false;
}

/* ---- playing a crash ------------------------------------------------------------------------- */

/* A new region in which another process did this, and then the machine crashed. */
static void crashed(void (*act)(void)) {
    region_always_persistent = true;
    check_folder_make(access("/dev/shm", W_OK) == 0 ? NULL : "/tmp");
    (void)fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        c = region_named("r", 4 * MIB, 0);
        act();
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    uint8_t other[16];
    memset(other, 0xee, sizeof other);
    int fd = open(check_path("r"), O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0 && pwrite(fd, other, 16, offsetof(struct shm_superblock, boot_id)) == 16 && close(fd) == 0);
    c = NULL;
    sync_count = 0;
    c = region_named("r", 4 * MIB, 0);
}

static void put_named(const char *key, const char *text, uint16_t name, uint16_t tag) {
    const plc_part part = {text, strlen(text)};
    plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1, .options = PLC_IMMUTABLE};
    e.name = name;
    e.tags[2] = tag;
    MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK);
}

static void put(const char *key, const char *text) {
    put_named(key, text, 0, 0);
}

static uint16_t name_of(const char *name) {
    uint16_t number = 0;
    CHECK_STATUS(AGAIN(c, plc_name(c, name, strlen(name), &number)), PLC_OK);
    return number;
}

/* The way of the key's slot; k is placed. */
static unsigned way_of(struct call *k, const char *key, struct hit *hit) {
    CHECK_STATUS(call_enter(k, c), PLC_OK);
    CHECK_STATUS(index_key(k, key, strlen(key)), PLC_OK);
    fence_full();
    CHECK_STATUS(index_look(k, hit), PLC_OK);
    index_unpin(k);
    CHECK_STATUS(call_leave(k, PLC_OK), PLC_OK);
    return hit->way;
}

/* ---- what claims what is another's ----------------------------------------------------------- */

enum { PAIRS = 16 };

static char forged_key[16];

/* An entry that proves itself, in a run of its own making, with its slot. */
static void forge(const char *text, unsigned i, uint32_t head, uint32_t gen, uint64_t length) {
    struct call k;
    (void)snprintf(forged_key, sizeof forged_key, "%s-%u", text, i);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, forged_key, strlen(forged_key)), PLC_OK);
    struct spec s = {.key = k.key,
                     .key_length = k.key_length,
                     .kind = ENTRY_VALUE,
                     .options = ENTRY_IMMUTABLE | ENTRY_CHECKSUM | (length >= c->geo.own_bytes ? ENTRY_OWN : 0),
                     .length = length,
                     .sum = name_sum(c, 0, NULL)};
    uint8_t *at = page_bytes(c, head);
    memset(entry_write(c, &s, at, head, gen, 0), 7, length);
    entry_sign(c, at, (struct entry_place){head, gen, 0});
    int way = index_empty(&k);
    CHECK(way >= 0);
    word_put_rel(index_slot(&k, (unsigned)way), slot_make(k.tag, head, 0));
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
}

static void forge_pairs(void) {
    put("innocent", "yes");
    uint32_t page = pages_limit(c) - 8 * PAIRS;
    for (unsigned i = 0; i < PAIRS; i++, page += 8) {
        forge("large", i, page, 7, 5 * 4096);
        forge("small", i, page + 2, 9, 100); /* as if the large one's pages were others' by then */
    }
}

static void overlapping_claims(void) {
    plc_found found;
    crashed(forge_pairs);
    for (unsigned i = 0; i < PAIRS; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "large-%u", i);
        CHECK(get(c, key, NULL, 0, &found) == PLC_MISS);
        (void)snprintf(key, sizeof key, "small-%u", i);
        CHECK(get(c, key, NULL, 0, &found) == PLC_MISS);
    }
    CHECK(holds(c, "innocent", "yes"));
    region_end(c, false);
}

static void forge_generations(void) {
    put("innocent", "yes"); /* the file has grown */
    uint32_t page = pages_limit(c) - 8;
    forge("one", 0, page, 7, 3 * 4096);
    forge("two", 0, page, 8, 3 * 4096); /* written over it: the first one's header is gone */
}

static void two_generations(void) {
    plc_found found;
    crashed(forge_generations);
    CHECK(get(c, "one-0", NULL, 0, &found) == PLC_MISS);
    CHECK_STATUS(get(c, "two-0", NULL, 0, &found), PLC_TOO_SMALL);
    CHECK((page_gen(word_acq(page_word(c, pages_limit(c) - 1)))) == 9); /* free pages begin behind all of them */
    region_end(c, false);
}

static void write_doubled(void) {
    struct call k;
    struct hit hit;
    put("doubled", "once");
    put("single", "one");
    uint64_t first = (way_of(&k, "doubled", &hit), hit.e.slot);
    put("doubled", "once"); /* elsewhere; the older slot is put beside it again */
    (void)way_of(&k, "doubled", &hit);
    CHECK(hit.e.slot != first && index_empty(&k) >= 0);
    word_put_rel(index_slot(&k, (unsigned)index_empty(&k)), first);
    (void)way_of(&k, "single", &hit); /* and one in a bucket where it does not belong */
    CHECK_STATUS(index_key(&k, "somewhere else", 14), PLC_OK);
    word_put_rel(index_slot(&k, (unsigned)index_empty(&k)), hit.e.slot);
}

static void doubled_keys(void) {
    struct call k;
    struct hit hit;
    crashed(write_doubled);
    CHECK(holds(c, "doubled", "once") && holds(c, "single", "one") && count_of(c, 0) == 2);
    (void)way_of(&k, "doubled", &hit);
    CHECK_STATUS(AGAIN(c, plc_delete(c, "doubled", 7)), PLC_OK);
    CHECK(absent(c, "doubled"));
    region_end(c, false);
}

/* ---- invalidation ---------------------------------------------------------------------------- */

static void write_ahead(void) {
    uint16_t name = name_of("f");
    put_named("old", "1", name, 0);
    name_invalidate(c, name); /* in memory: the power is lost before it is on the disk */
    put_named("new", "2", name, 0);
    word *generation = &name_row(c, name)->generation;
    word_put_rel(generation, word_acq(generation) - 1);
}

/* What was written under a generation that is lost would be valid again when that number is reached again. */
static void lost_generation(void) {
    crashed(write_ahead);
    CHECK(holds(c, "old", "1") && absent(c, "new"));
    CHECK_STATUS(AGAIN(c, plc_name_invalidate(c, name_of("f"))), PLC_OK);
    CHECK(absent(c, "old") && absent(c, "new"));
    region_end(c, false);
}

static void write_named(void) {
    uint16_t f = name_of("f"), g = name_of("g");
    put_named("of f", "1", f, 0);
    put_named("of g", "2", g, 0);
    put_named("tagged", "3", g, f);
    put("nobody's", "4");
    memset((void *)name_row(c, f), 0, sizeof(struct shm_name)); /* its row did not come to the disk */
}

static void lost_name(void) {
    crashed(write_named);
    CHECK(absent(c, "of f") && holds(c, "of g", "2") && absent(c, "tagged") && holds(c, "nobody's", "4"));
    region_end(c, false);
}

static void lose_names(void) {
    uint16_t f = name_of("f");
    put("nobody's", "4");
    put_named("of f", "1", f, 0);
    memset((void *)name_row(c, NAME_WHOLE), 0, sizeof(struct shm_name));
}

/* Without the generation of the whole nothing can be told to be valid. */
static void lost_names(void) {
    crashed(lose_names);
    CHECK(count_of(c, 0) == 0 && word_acq(&name_row(c, NAME_WHOLE)->generation) != 0);
    put("new", "5");
    CHECK(holds(c, "new", "5"));
    region_end(c, false);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void write_some(void) {
    char key[16];
    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof key, "key-%u", i);
        put(key, key);
    }
    const plc_part part = {"x", 1};
    const plc_entry e = {.key = "mutable", .key_length = 7, .parts = &part, .part_count = 1};
    MUST(c, plc_store(c, PLC_SET, &e, NULL), PLC_OK);
    word_put_rlx(&c->super->tokens, 5000);
}

/* All that a rebuild throws away is garbage. */
static void write_garbage(void) {
    const struct geometry *g = &c->geo;
    write_some();
    for (uint64_t at = g->wait_at; at < g->index_at; at += 8) {
        if (at < g->names_at || at >= g->processes_at) {
            uint64_t x = check_random();
            memcpy(c->base + at, &x, 8);
        }
    }
    for (uint64_t at = offsetof(struct shm_superblock, frontier); at < sizeof(struct shm_superblock); at += 8) {
        uint64_t x = check_random();
        bool flush =
            at >= offsetof(struct shm_superblock, flush_at_ms) && at < offsetof(struct shm_superblock, reserve);
        memcpy(c->base + at, &x, flush ? 0 : 8);
    }
    c->super->taken_pages = check_random();
}

static uint64_t token_of(const char *key, uint64_t own, uint32_t options) {
    const plc_part part = {"x", 1};
    const plc_entry e = {
        .key = key, .key_length = strlen(key), .parts = &part, .part_count = 1, .options = options, .own_token = own};
    uint64_t token = 0;
    MUST(c, plc_store(c, PLC_SET, &e, &token), PLC_OK);
    return token;
}

static void write_own_tokens(void) {
    CHECK(token_of("own", 1ull << 62, 0) == 1ull << 62);
    word_put_rel(&c->super->tokens, 1000);
    CHECK(token_of("kept", 0, PLC_IMMUTABLE) > 1000ull << 24);
    word_put_rel(&c->super->tokens, 0); /* what this page said is lost */
}

/* Tokens go on behind those that the core has made, and not behind those of callers: those would be used up. */
static void own_tokens(void) {
    plc_found found;
    char value[8];
    crashed(write_own_tokens);
    CHECK_STATUS(get(c, "kept", value, sizeof value, &found), PLC_OK);
    uint64_t next = token_of("new", 0, 0);
    CHECK(next > found.token && next > 1000ull << 24 && next < 1ull << 60);
    region_end(c, false);
}

static void garbage_in_the_tables(void) {
    char key[16];
    crashed(write_garbage);
    CHECK(findings_of(c) == 0 && absent(c, "mutable"));
    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof key, "key-%u", i);
        CHECK(holds(c, key, key));
    }
    CHECK(word_acq(&c->super->tokens) >= 5000 + TOKENS_PER_BOOT && process_count(c) == 1);
    CHECK(counter_of(c, "sets") == 0 && info_of(c).processes == 1);
    region_end(c, false);
}

static void write_and_invent(void) {
    write_some();
    for (uint64_t i = 0; i < (uint64_t)c->geo.shards * c->geo.shard_buckets; i++) {
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
            if (word_rlx(&c->buckets[i].slots[slot]) == 0) {
                word_put_rlx(&c->buckets[i].slots[slot], check_random());
            }
        }
    }
}

static void garbage_in_the_index(void) {
    crashed(write_and_invent);
    CHECK(count_of(c, 0) == 200 && findings_of(c) == 0);
    region_end(c, false);
}

/* ---- what is on the disk when ---------------------------------------------------------------- */

static void lasting_calls(void) {
    region_always_persistent = true;
    c = NULL;
    c = region_new(4 * MIB);
    uint16_t name = name_of("f");
    CHECK(was_synced(c->geo.names_at + name * NAME_BYTES)); /* before an entry has its number */
    sync_count = 0;
    CHECK(name_of("f") == name && sync_count == 0);         /* once */
    CHECK_STATUS(AGAIN(c, plc_name_invalidate(c, name)), PLC_OK);
    CHECK(was_synced(c->geo.names_at + name * NAME_BYTES));
    sync_count = 0;
    CHECK_STATUS(AGAIN(c, plc_flush(c, 0)), PLC_OK);
    CHECK(was_synced(c->geo.names_at));
    sync_count = 0;
    CHECK_STATUS(AGAIN(c, plc_flush(c, now_ms() + 100000)), PLC_OK);
    CHECK(was_synced(offsetof(struct shm_superblock, flush_at_ms)));
    sync_count = 0;
    CHECK_STATUS(AGAIN(c, plc_sync(c)), PLC_OK);
    CHECK(sync_count == 2 && syncs[0].from == (uint64_t)c->geo.first_page * 4096 && syncs[1].from == 0);
    CHECK(syncs[0].to == c->geo.size_bytes && syncs[1].to == syncs[0].from); /* entries, then what names them */
    plc_close(c);
    c = region_new(4 * MIB);
    region_always_persistent = false;
    plc_close(c);
    c = NULL;
    check_folder_make(access("/dev/shm", W_OK) == 0 ? NULL : "/tmp");
    c = region_named("r", 4 * MIB, 0);
    sync_count = 0;
    CHECK_STATUS(AGAIN(c, plc_sync(c)), PLC_OK);
    CHECK_STATUS(AGAIN(c, plc_flush(c, 0)), PLC_OK);
    CHECK(c->persistent || sync_count == 0); /* in memory nothing survives, and nothing is waited for */
    plc_close(c);
}

/* Closing: everything, then the mark, then that.  Opening: the mark goes, and that is on the disk before it is used. */
static void the_clean_mark(void) {
    region_always_persistent = true;
    c = NULL;
    c = region_new(4 * MIB);
    put("key", "value");
    sync_count = 0;
    plc_close(c);
    CHECK(sync_count == 2 && syncs[0].from == 0 && syncs[0].to == 4 * MIB && syncs[0].clean == 0);
    CHECK(syncs[1].from == 0 && syncs[1].clean == 1);
    int fd = open(check_path("r"), O_RDONLY | O_CLOEXEC);
    struct shm_superblock super;
    CHECK(fd >= 0 && pread(fd, &super, sizeof super, 0) == sizeof super && close(fd) == 0);
    CHECK(word_rlx(&super.clean) == 1);
    c = NULL;
    sync_count = 0;
    c = region_named("r", 4 * MIB, 0);
    CHECK(word_acq(&c->super->clean) == 0 && holds(c, "key", "value"));
    plc_close(c);
}

int main(void) {
    static const struct check_test tests[] = {
        {"overlapping claims", overlapping_claims},
        {"two generations", two_generations},
        {"doubled keys", doubled_keys},
        {"lost generation", lost_generation},
        {"lost name", lost_name},
        {"lost names", lost_names},
        {"own tokens", own_tokens},
        {"garbage in the tables", garbage_in_the_tables},
        {"garbage in the index", garbage_in_the_index},
        {"lasting calls", lasting_calls},
        {"the clean mark", the_clean_mark},
    };
    return run_tests(tests, sizeof tests / sizeof tests[0]);
}
