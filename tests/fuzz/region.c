/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region.c: what the fuzzer calls: bytes become a region's file, then every operation is done with it.  Allowed are
 * a refusal to attach, values, misses and refusals; a crash, an access outside of the file (what is around the
 * mapping is not accessible) and a hang are not.  tests/fuzz/run builds it with libFuzzer; tests/native/test_corpus.c
 * runs the stored inputs under gcc's sanitizers.
 *
 *   byte 0   kind of file: even, a good region with changes; odd, the rest of the input is the file's beginning
 *   byte 1   the file's length: 0 to 199, as it should be; else cut, or longer
 *   byte 2   number of changes before it is attached; then those, 12 bytes each
 *   then     operations, 4 bytes each: which one, key, two bytes of argument; some are changes (12 more bytes)
 *   change   section, how, 2 bytes of place, 8 bytes of value
 */
#include "fixture.h"
#include "region.h"

#include <sys/mman.h>

#define SIZE (4 * MIB)
#define EXPECTED 2048u /* bytes of an entry: a small index, which is walked quickly */
#define KEYS 200u
#define VALUE_MOST 200000u
#define PATIENCE 3000u /* times that one call may answer PLC_AGAIN */
#define WALKS_MOST 100000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct input {
    const uint8_t *at;
    size_t left;
};

static plc_cache *c;
static int file = -1;          /* never closed: closing drops the record locks of an attachment */
static uint8_t *image;         /* a good region's file */
static size_t image_bytes;
static uint8_t buffer[2 * MIB], value[VALUE_MOST];

static uint64_t eat(struct input *in, unsigned bytes) {
    uint64_t got = 0;
    for (unsigned i = 0; i < bytes && in->left > 0; i++, in->left--) {
        got |= (uint64_t)*in->at++ << 8 * i;
    }
    return got;
}

#define PATIENTLY(call)                        \
    ({                                         \
        plc_status s_;                         \
        unsigned times_ = 0;                   \
        while ((s_ = (call)) == PLC_AGAIN) {   \
            CHECK(plc_assist(c, 1) == PLC_OK); \
            CHECK(++times_ < PATIENCE);        \
        }                                      \
        s_;                                    \
    })

/* ---- operations ------------------------------------------------------------------------------------ */

static void check_one(plc_status s) {
    CHECK(s == PLC_OK || (s >= PLC_MISS && s <= PLC_WRONG_TYPE));
}

static plc_entry entry_for(char *key, size_t room, uint64_t number, uint64_t argument, plc_part *part) {
    static const size_t most[] = {16, 300, 5000, 12000, 70000, VALUE_MOST};
    plc_entry e = {.key = key, .parts = part, .part_count = 1, .name = argument & 8 ? 2 : 0};
    e.key_length = (size_t)snprintf(key, room, "key-%u", (unsigned)(number % KEYS));
    *part = (plc_part){value, (size_t)(argument * 97) % most[argument % 6]};
    e.tags[0] = argument & 16 ? 3 : 0;
    e.deadline_ms = argument & 32 ? now_ms() + 100000 : 0;
    e.type = argument & 64 ? PLC_TYPE_INT : PLC_TYPE_BYTES;
    e.own_token = argument & 128 ? argument : 0;
    return e;
}

/* By a look and a token that fits. */
static void remake_one(const plc_entry *given, uint64_t argument) {
    plc_found found = {0};
    uint32_t answer = 0;
    plc_entry e = *given;
    check_one(PATIENTLY(plc_was_read(c, e.key, e.key_length, &answer)));
    plc_status s = PATIENTLY(plc_peek(c, e.key, e.key_length, buffer, argument & 1 ? 100 : sizeof buffer, &found));
    check_one(s);
    CHECK(s != PLC_OK || found.length <= sizeof buffer);
    e.token = found.token;
    e.seen_type = found.type;
    e.options = argument & 2 ? PLC_NEW_DEADLINE : 0;
    check_one(PATIENTLY(plc_store(c, PLC_REMAKE, &e, NULL)));
}

static void write_one(uint64_t what, const plc_entry *e, uint64_t argument) {
    uint64_t result = 0;
    uint32_t statuses[2];
    const plc_entry two[2] = {*e, *e};
    switch (what) {
    case 0:
    case 1:
    case 2:
    case 3: check_one(PATIENTLY(plc_store(c, PLC_SET, e, &result))); break;
    case 4:
        check_one(PATIENTLY(plc_store(c, (plc_verb)(argument % 8), e, NULL)));
        remake_one(e, argument);
        break;
    case 5: check_one(PATIENTLY(plc_delete(c, e->key, e->key_length))); break;
    case 6: check_one(PATIENTLY(plc_incr(c, e->key, e->key_length, argument, argument & 1, &result))); break;
    case 7: check_one(PATIENTLY(plc_touch(c, e->key, e->key_length, argument & 1 ? 0 : UINT64_MAX >> 20))); break;
    default: check_one(PATIENTLY(plc_store_many(c, 2, two, statuses)));
    }
}

static void claim_one(plc_entry *e, uint64_t argument) {
    plc_flight flight = {0};
    plc_status s = PATIENTLY(plc_claim(c, e, 1000, &flight));
    check_one(s);
    if (s == PLC_OK && (argument & 1)) {
        e->token = flight.token;
        e->sum = flight.sum;
        check_one(PATIENTLY(plc_store(c, PLC_PUBLISH, e, NULL)));
    } else if (s == PLC_OK) {
        check_one(PATIENTLY(plc_abandon(c, e->key, e->key_length, flight.token)));
    }
}

static void read_one_key(uint64_t what, const plc_entry *e, uint64_t argument) {
    plc_found found[2] = {{0}};
    const void *keys[2] = {e->key, "key-1"};
    const size_t lengths[2] = {e->key_length, 5};
    uint64_t n = 0;
    plc_status s = PLC_OK;
    switch (what) {
    case 0: s = PATIENTLY(plc_get_many(c, 2, keys, lengths, 0, buffer, sizeof buffer, found)); break;
    case 1: s = PATIENTLY(plc_get_touch(c, e->key, e->key_length, 0, buffer, sizeof buffer, found)); break;
    case 2: s = PATIENTLY(plc_delete_many(c, 2, keys, lengths, &n)); break;
    case 3: s = argument % 32 ? PLC_OK : PATIENTLY(plc_wait(c, e->key, e->key_length, 1)); break; /* a millisecond */
    default:
        s = PATIENTLY(plc_get(c, e->key, e->key_length, e->name, buffer, argument & 1 ? 100 : sizeof buffer, found));
        CHECK(s != PLC_OK || found[0].length <= sizeof buffer);
    }
    check_one(s);
}

static void name_one(uint64_t what, const plc_entry *e, uint64_t argument) {
    plc_name_counts counts;
    plc_stats stats;
    uint16_t number = (uint16_t)argument;
    uint64_t sum = 0;
    switch (what) {
    case 0: check_one(plc_name(c, e->key, e->key_length, &number)); break;
    case 1: check_one(plc_name_read(c, number, &counts)); break;
    case 2: check_one(plc_name_invalidate(c, number | 1u)); break;
    case 3: check_one(plc_flush(c, argument & 1 ? 0 : argument << 30)); break;
    case 4: check_one(plc_sum(c, number, e->tags, &sum)); break;
    default:
        check_one(plc_stats_read(c, &stats));
        check_one(argument & 1 ? plc_stats_reset(c) : plc_name_count(c, number, 1, 1, 1));
    }
}

static void walk(unsigned which, uint64_t cursor) {
    plc_finding findings[16];
    plc_usage usage = {0};
    uint64_t n = 0, longest = 0;
    size_t used = 0;
    plc_status s = PLC_OK;
    for (unsigned i = 0; s == PLC_OK; i++) {
        CHECK(i < WALKS_MOST);
        switch (which) {
        case 0: s = PATIENTLY(plc_scan(c, &cursor, 0, buffer, 65536, &used)); break;
        case 1: s = PATIENTLY(plc_count(c, &cursor, 0, &n)); break;
        case 2: s = PATIENTLY(plc_check(c, &cursor, findings, 16, &used)); break;
        case 3: s = PATIENTLY(plc_usage_read(c, &cursor, &usage)); break;
        default: s = PATIENTLY(plc_drain(c, &cursor, &n, &longest)); break;
        }
        CHECK(which != 0 || used <= 65536);
    }
    CHECK(s == PLC_DONE);
}

/* ---- changes --------------------------------------------------------------------------------------- */

struct range {
    uint64_t from, to;
};

/* One section of a region of SIZE, or all of the file. */
static struct range section_of(const struct geometry *g, uint64_t which, uint64_t file_bytes) {
    const uint64_t at[] = {
        0,          g->wait_at,   g->locks_at, g->names_at,  g->processes_at, g->ring_at,
        g->free_at, g->ghosts_at, g->pages_at, g->side_b_at, g->index_at,     (uint64_t)g->first_page << PAGE_SHIFT,
        file_bytes};
    unsigned i = (unsigned)(which % (sizeof at / sizeof at[0] - 1));
    return at[i + 1] <= file_bytes ? (struct range){at[i], at[i + 1]} : (struct range){0, 0};
}

/* spared: this process's incarnation; whoever writes that says that this process is dead. */
static void change(struct input *in, uint8_t *base, uint64_t file_bytes, const struct geometry *g, const word *spared) {
    uint64_t section = eat(in, 1), how = eat(in, 1), place = eat(in, 2), v = eat(in, 8);
    struct range r = section_of(g, section, file_bytes);
    if (r.to - r.from < 16) {
        return;
    }
    uint64_t n = (r.to - r.from) / 8, step = how & 0x10 ? 1 : n / 65536 + 1;
    word *words = (word *)(void *)(base + r.from), *at = &words[place * step % n];
    if (section & 0x20) { /* beside what an early slot names: where something is */
        at = &words[place % (n < 64 ? n : 64)];
    }
    if (at == spared) {
        return;
    }
    switch (how % 6) {
    case 0: word_put_rlx(at, v); break;
    case 1: word_put_rlx(at, word_rlx(at) ^ v); break;
    case 2: word_put_rlx(at, word_rlx(at) + v); break;
    case 3: word_put_rlx(at, word_rlx(&words[v % n])); break;
    case 4: ((_Atomic uint8_t *)(void *)at)[v & 7] = (uint8_t)(v >> 8); break;
    default: word_put_rlx(at, v % 3 == 0 ? UINT64_MAX : v % 3 == 1 ? 0 : 1ull << v % 64);
    }
}

/* ---- one input ------------------------------------------------------------------------------------- */

static void use(struct input *in) {
    char key[32];
    plc_part part;
    while (in->left > 0) {
        uint64_t op = eat(in, 1), number = eat(in, 1), argument = eat(in, 2);
        plc_entry e = entry_for(key, sizeof key, number, argument, &part);
        switch (op % 8) {
        case 0:
        case 1: write_one(op / 8 % 9, &e, argument); break;
        case 2: claim_one(&e, argument); break;
        case 3:
        case 4: read_one_key(op / 8 % 8, &e, argument); break;
        case 5: name_one(op / 8 % 6, &e, argument); break;
        case 6: walk((unsigned)(op / 8 % 5), argument & 1 ? argument << 32 : 0); break;
        default: change(in, c->base, region_file_pages(c) << PAGE_SHIFT, &c->geo, &process_row(c, my_slot(c))->inc);
        }
    }
    walk(2, 0);
    walk(4, 0);
}

static bool fence(uint8_t *at) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    return mmap(at, PAGE_BYTES, PROT_NONE, flags, -1, 0) != MAP_FAILED;
}

static plc_status attach(void) {
    plc_report report;
    const plc_options options = {.path = check_path("r"), .protection = check_protection()};
    c = NULL;
    return plc_open(&options, &c, &report);
}

/* A good region, with something of everything in it. */
static void image_make(void) {
    char key[32];
    plc_part part;
    struct stat s;
    check_folder_make(access("/dev/shm", W_OK) == 0 ? NULL : "/tmp");
    c = region_named("r", SIZE, EXPECTED);
    for (unsigned i = 0; i < sizeof value; i++) {
        value[i] = (uint8_t)('0' + i % 10);
    }
    for (uint64_t i = 0; i < 3000; i++) {
        plc_entry e = entry_for(key, sizeof key, i, i * 131 % 65536, &part);
        if (i % 9 < 8) {
            write_one(i % 9, &e, i);
        } else {
            claim_one(&e, i);
        }
        read_one_key(4, &e, 0);
    }
    plc_close(c);
    file = open(check_path("r"), O_RDWR | O_CLOEXEC);
    CHECK(file >= 0 && fstat(file, &s) == 0);
    image_bytes = (size_t)s.st_size;
    image = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(image != MAP_FAILED && pread(file, image, image_bytes, 0) == (ssize_t)image_bytes);
    CHECK(atexit(check_folder_remove) == 0);
}

/* Only what differs from the last input's file is written. */
static void file_write(const uint8_t *from, size_t n, uint64_t cut) {
    static uint8_t *seen;
    size_t bytes = cut < 200 ? image_bytes : cut < 228 ? image_bytes / 28 * (cut - 199) : (cut - 226) * (SIZE / 8);
    if (seen == NULL) {
        seen = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        CHECK(seen != MAP_FAILED);
    }
    CHECK(ftruncate(file, (off_t)bytes) == 0);
    n = n < bytes ? n : bytes;
    for (size_t at = 0; at < n; at += PAGE_BYTES) {
        size_t piece = n - at < PAGE_BYTES ? n - at : PAGE_BYTES;
        if (memcmp(seen + at, from + at, piece) != 0) {
            memcpy(seen + at, from + at, piece);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static uint8_t *changed;
    struct geometry g;
    struct input in = {data, n};
    if (image == NULL) {
        image_make();
        changed = malloc(image_bytes);
        CHECK(changed != NULL);
    }
    CHECK(region_geometry(SIZE, EXPECTED, &g));
    uint64_t kind = eat(&in, 1), cut = eat(&in, 1), changes = eat(&in, 1);
    memcpy(changed, image, image_bytes);
    if (kind & 1) {
        memcpy(changed, in.at, in.left < image_bytes ? in.left : image_bytes);
    } else {
        for (; changes > 0 && in.left > 0; changes--) {
            change(&in, changed, image_bytes, &g, NULL);
        }
    }
    file_write(changed, image_bytes, cut);
    plc_status s = attach();
    CHECK(s == PLC_OK || s >= PLC_NO_SLOT);
    if (s != PLC_OK) {
        return 0;
    }
    uint8_t *base = c->base;
    uint64_t size = c->geo.size_bytes;
    bool before = fence(base - PAGE_BYTES), behind = fence(base + size);
    use(&in);
    plc_close(c);
    if (before) {
        (void)munmap(base - PAGE_BYTES, PAGE_BYTES);
    }
    if (behind) {
        (void)munmap(base + size, PAGE_BYTES);
    }
    return 0;
}
