/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_images.c: loss of power (G10).  While entries are written, replaced, evicted, moved, deleted and invalidated,
 * the file is copied several times; then images are put together of its pages, each of any of these ages (some of
 * sectors of several ages, some damaged besides), and opened as after another boot.  An age is never older than the
 * last msync of that page, which this program sees because it defines msync.
 *
 * Held: what is returned is right, and of the last epoch of what was invalidated; no mutable entry is there; entries
 * that were synced and stayed where they were are served; check() is clean; the region is whole: written, read,
 * drained.
 * A loss of power, or a kill, during the rebuild itself: the same again.
 *
 * SOAK=1: 10,000 images.
 */
#include "soak.h"

#include "call.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#define SIZE (4 * MIB)
#define PAGES (SIZE / 4096)
#define AGES 14u /* copies of the file at most */
#define KEYS 260u
#define SPACES 4u
#define OPERATIONS 2500u
#define IMAGES 30u /* of one history */
#define VALUE_MOST 40000u

enum kind { CONTENT, NAMED, MUTABLE, KINDS };

static plc_cache *c;
static uint8_t (*ages)[SIZE];      /* copies of the file */
static unsigned age_count, floors[PAGES];
static bool recording, kill_in_sync;
static uint8_t *captured;          /* what the first msync finds is copied to here */
static uint64_t file_bytes;
static uint8_t value[VALUE_MOST], copy[VALUE_MOST], image[SIZE], rebuilt[SIZE];

static uint16_t spaces[SPACES], tag;
static uint64_t epoch_whole, epoch_space[SPACES], epoch_tag;
static struct geometry geo;
static uint64_t images, kept, torn, synced_served;

/* ---- copies of the file ---------------------------------------------------------------------- */

static void copy_file(const char *name, uint8_t *to) {
    int fd = open(check_path(name), O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    file_bytes = (uint64_t)lseek(fd, 0, SEEK_END);
    CHECK(file_bytes <= SIZE && pread(fd, to, file_bytes, 0) == (ssize_t)file_bytes);
    /* the process may be attached: its lock byte is of no use here, where nobody else is */
    (void)close(fd);
}

/* A copy by the mapping: opening the file of an attached region, and closing it, would drop the lock byte. */
static void take_age(void) {
    CHECK(age_count < AGES);
    file_bytes = (uint64_t)pages_limit(c) * 4096;
    memset(ages[age_count], 0, SIZE);
    memcpy(ages[age_count++], c->base, file_bytes);
}

/* In the place of libc's. */
int msync(void *at, size_t n, int flags) {
    if (kill_in_sync) {
        (void)kill(getpid(), SIGKILL);
    }
    if (captured != NULL) {
        copy_file("i", captured);
        captured = NULL;
    }
    if (recording && age_count < AGES) {
        uint64_t from = (uint64_t)((uint8_t *)at - c->base) / 4096;
        take_age();
        for (uint64_t page = from; page < PAGES && page < from + (n + 4095) / 4096; page++) {
            floors[page] = age_count - 1;
        }
    }
    return (int)syscall(SYS_msync, at, n, flags);
}

/* ---- a history ------------------------------------------------------------------------------- */

static size_t length_of(enum kind kind, unsigned number) {
    uint64_t h = value_mix(number * 3u + (unsigned)kind);
    return h % 10 < 6 ? 60 + h / 16 % 400 : h % 10 < 8 ? 1000 + h / 16 % 6000 : 8200 + h / 16 % 30000;
}

static const char *key_of(enum kind kind, unsigned number) {
    static char key[32];
    (void)snprintf(key, sizeof key, "%c-%u", "cnm"[kind], number);
    return key;
}

static bool tagged(unsigned number) {
    return number % 3 == 0;
}

/* What a value of now says. */
static uint64_t serial_of(enum kind kind, unsigned number) {
    uint64_t serial = epoch_whole << 40;
    if (kind == NAMED) {
        serial |= epoch_space[number % SPACES] << 20 | (tagged(number) ? epoch_tag : 0);
    }
    return serial;
}

static void write_key(enum kind kind, unsigned number, uint64_t serial) {
    size_t n = length_of(kind, number);
    value_make(value, n, number * KINDS + (unsigned)kind, serial);
    const plc_part part = {value, n};
    const char *key = key_of(kind, number);
    plc_entry e = {.key = key, .key_length = strlen(key), .parts = &part, .part_count = 1};
    e.options = kind == MUTABLE ? 0 : PLC_IMMUTABLE;
    e.deadline_ms = number % 5 == 0 ? now_ms() + 10000000 : 0;
    if (kind == NAMED) {
        e.name = spaces[number % SPACES];
        e.tags[1] = tagged(number) ? tag : 0;
    }
    plc_status s = AGAIN(c, plc_store(c, PLC_SET, &e, NULL));
    CHECK(s == PLC_OK || s == PLC_FULL);
}

static void change_key(const char *key) {
    uint64_t number;
    plc_status s = AGAIN(c, plc_incr(c, "m-number", 8, 1, 0, &number));
    if (s == PLC_MISS) {
        CHECK_STATUS(store(c, PLC_SET, "m-number", "0", 1), PLC_OK);
    }
    s = store(c, PLC_APPEND, "m-text", "more", 4);
    if (s != PLC_OK || below(200) == 0) {
        CHECK_STATUS(store(c, PLC_SET, "m-text", "begin", 5), PLC_OK);
    }
    (void)AGAIN(c, plc_touch(c, key, strlen(key), below(2) == 0 ? 0 : now_ms() + 10000000));
}

static void invalidate(void) {
    unsigned i = (unsigned)below(SPACES + 2);
    if (age_count + 3 > AGES) {
        return;
    }
    if (i == SPACES + 1 && below(3) == 0) {
        CHECK_STATUS(AGAIN(c, plc_flush(c, 0)), PLC_OK);
        epoch_whole++;
    } else if (i < SPACES) {
        CHECK_STATUS(AGAIN(c, plc_name_invalidate(c, spaces[i])), PLC_OK);
        epoch_space[i]++;
    } else {
        CHECK_STATUS(AGAIN(c, plc_name_invalidate(c, tag)), PLC_OK);
        epoch_tag++;
    }
}

static void operate(uint64_t serial) {
    enum kind kind = (enum kind)below(KINDS);
    unsigned number = (unsigned)below(KEYS), what = (unsigned)below(1000);
    plc_found found;
    const char *key = key_of(kind, number);
    if (what < 550) {
        write_key(kind, number, kind == MUTABLE ? serial : serial_of(kind, number));
    } else if (what < 800) {
        (void)get(c, key, copy, sizeof copy, &found);
    } else if (what < 900) {
        (void)AGAIN(c, plc_delete(c, key, strlen(key)));
    } else if (what < 997) {
        change_key(key);
    } else {
        invalidate();
    }
}

/* ---- what was synced, and stayed ------------------------------------------------------------- */

static struct stay {
    uint64_t slot;
    uint32_t gen;
} stays[KINDS][KEYS];

/* Where the entry of the key lies; slot 0: it has none that is valid. */
static struct stay place_of(enum kind kind, unsigned number) {
    struct call k;
    struct hit hit;
    struct stay place = {0, 0};
    const char *key = key_of(kind, number);
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(index_key(&k, key, strlen(key)), PLC_OK);
    fence_full();
    if (index_look(&k, &hit) == PLC_OK && entry_valid(&k, &hit.e)) {
        place = (struct stay){hit.e.slot, page_gen(hit.e.head_word)};
    }
    index_unpin(&k);
    CHECK_STATUS(call_leave(&k, PLC_OK), PLC_OK);
    return place;
}

static void over_keys(void (*each)(enum kind kind, unsigned number)) {
    for (unsigned i = 0; i < KINDS * KEYS; i++) {
        each((enum kind)(i / KEYS), i % KEYS);
    }
}

static void note_place(enum kind kind, unsigned number) {
    stays[kind][number] = place_of(kind, number);
}

static void note_gone(enum kind kind, unsigned number) {
    struct stay now = place_of(kind, number), *then = &stays[kind][number];
    if (now.slot != then->slot || now.gen != then->gen) {
        then->slot = 0;
    }
}

static void write_history(void) {
    region_always_persistent = true;
    age_count = 0;
    recording = false;
    memset(floors, 0, sizeof floors);
    memset(epoch_space, 0, sizeof epoch_space);
    epoch_whole = epoch_tag = 0;
    c = region_new(SIZE);
    geo = c->geo;
    for (unsigned i = 0; i < SPACES; i++) {
        char name[8];
        int n = snprintf(name, sizeof name, "f%u", i);
        CHECK_STATUS(AGAIN(c, plc_name(c, name, (size_t)n, &spaces[i])), PLC_OK);
    }
    CHECK_STATUS(AGAIN(c, plc_name(c, "tag", 3, &tag)), PLC_OK);
    for (uint64_t i = 0, n = below(OPERATIONS); i < n; i++) { /* perhaps too few to fill it */
        operate(i);
    }
    take_age();
    recording = true;
    CHECK_STATUS(AGAIN(c, plc_sync(c)), PLC_OK);
    over_keys(note_place);
    uint64_t n = 1 + below(OPERATIONS);
    for (uint64_t i = 0; i < n; i++) {
        operate(OPERATIONS + i);
        if (below(n) < 5 && age_count + 5 < AGES) {
            take_age();
        }
        if (below(n) == 0 && age_count + 5 < AGES) {
            CHECK_STATUS(AGAIN(c, plc_sync(c)), PLC_OK);
            over_keys(note_place);
        }
    }
    recording = false;
    take_age();
    over_keys(note_gone);
    plc_close(c);
}

/* ---- an image -------------------------------------------------------------------------------- */

struct damage {
    bool any, names; /* names: in their pages, which have no checksums */
};

static unsigned some_age(uint64_t page, unsigned youngest) {
    unsigned n = age_count - floors[page];
    return youngest != 0 && below(youngest) != 0 ? age_count - 1 : floors[page] + (unsigned)below(n);
}

static void damage_page(uint64_t page, struct damage *d) {
    uint8_t *at = image + page * 4096;
    switch (below(3)) {
    case 0: memset(at, 0, 4096); break;
    case 1: memset(at + below(8) * 512, 0, 512); break;
    default: at[below(4096)] ^= (uint8_t)(1u << below(8));
    }
    d->any = true;
    d->names = d->names || (page * 4096 >= geo.names_at && page * 4096 < geo.processes_at);
}

static void put_image(void) {
    (void)unlink(check_path("i"));
    int fd = open(check_path("i"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, image, file_bytes) == (ssize_t)file_bytes && close(fd) == 0);
}

static struct damage make_image(void) {
    struct damage d = {false, false};
    unsigned youngest = (unsigned)below(3) * 8; /* all ages alike, or most pages of the last */
    for (uint64_t page = 0; page < file_bytes / 4096; page++) {
        unsigned age = some_age(page, youngest);
        memcpy(image + page * 4096, ages[age] + page * 4096, 4096);
        for (unsigned sector = 0; sector < 8 && page % 16 == images % 16; sector++) {
            memcpy(image + page * 4096 + sector * 512, ages[some_age(page, youngest)] + page * 4096 + sector * 512,
                   512);
        }
    }
    for (uint64_t i = 0, n = below(3) == 0 ? 1 + below(20) : 0; i < n; i++) {
        damage_page(below(file_bytes / 4096), &d);
    }
    memset(image + offsetof(struct shm_superblock, boot_id), 0xee, 16);
    return d;
}

/* ---- what is found in it --------------------------------------------------------------------- */

static plc_status open_image(void) {
    plc_report report;
    plc_cache *opened = NULL;
    const plc_options options = {.path = check_path("i"), .protection = check_protection()};
    plc_status s = plc_open(&options, &opened, &report);
    c = s == PLC_OK ? opened : c;
    return s;
}

static void right_value(const plc_found *found, enum kind kind, unsigned number, const struct damage *d) {
    CHECK(kind != MUTABLE && found->immutable == 1 && found->length == length_of(kind, number));
    uint64_t serial = value_serial(copy, found->length, number * KINDS + (unsigned)kind);
    CHECK(serial == serial_of(kind, number) || (d->names && serial != UINT64_MAX));
}

static void read_all(const struct damage *d) {
    plc_found found;
    for (unsigned i = 0; i < KINDS * KEYS; i++) {
        enum kind kind = (enum kind)(i / KEYS);
        unsigned number = i % KEYS;
        plc_status s = get(c, key_of(kind, number), copy, sizeof copy, &found);
        CHECK(s == PLC_OK || s == PLC_MISS);
        CHECK(s == PLC_OK || d->any || kind == MUTABLE || stays[kind][number].slot == 0);
        if (s == PLC_OK) {
            right_value(&found, kind, number, d);
            kept++;
            synced_served += stays[kind][number].slot != 0 ? 1 : 0;
        }
    }
    CHECK(absent(c, "m-number") && absent(c, "m-text"));
    torn += counter_of(c, "corrupt_seen");
}

static void goes_on(void) {
    plc_found found;
    CHECK(findings_of(c) == 0 && runs_overcounted(c) == 0);
    for (unsigned i = 0; i < 40; i++) {
        enum kind kind = (enum kind)below(KINDS);
        unsigned number = (unsigned)below(KEYS);
        write_key(kind, number, serial_of(kind, number));
        CHECK_STATUS(get(c, key_of(kind, number), copy, sizeof copy, &found), PLC_OK);
        CHECK(value_serial(copy, found.length, number * KINDS + (unsigned)kind) == serial_of(kind, number));
    }
    region_end(c, false);
}

static void killed_in_rebuild(void) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        kill_in_sync = true;
        (void)open_image();
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
}

/* PLC_OK, or what a damaged superblock is refused with. */
static bool opened(const struct damage *d) {
    plc_status s = open_image();
    bool refused = s == PLC_NOT_A_REGION || s == PLC_LAYOUT_MISMATCH || s == PLC_CORRUPT;
    CHECK(s == PLC_OK || (d->any && refused));
    return s == PLC_OK;
}

/* The rebuild is written to the disk, and the power is lost once more: by then the superblock does not say yet that the
 * region is ready. */
static void lost_again(const struct damage *d) {
    for (uint64_t page = 0; page < file_bytes / 4096; page++) {
        for (unsigned sector = 0; sector < 8; sector++) {
            uint64_t at = page * 4096 + (page % 8 == 0 ? sector * 512 : 0), n = page % 8 == 0 ? 512 : 4096;
            if (below(2) == 0) {
                memcpy(image + at, rebuilt + at, n);
            }
        }
    }
    put_image();
    if (opened(d)) {
        read_all(d);
        goes_on();
    }
}

static void one_image(void) {
    struct damage d = make_image();
    put_image();
    images++;
    unsigned how = (unsigned)below(4);
    if (how == 0 && !d.any) {
        killed_in_rebuild();
    }
    captured = how == 1 ? rebuilt : NULL;
    bool there = opened(&d);
    bool again = how == 1 && captured == NULL && there;
    captured = NULL;
    if (there) {
        read_all(&d);
        goes_on();
    }
    if (again) {
        lost_again(&d);
    }
}

static void loss_of_power(void) {
    uint64_t wanted = soak_rounds(10000, 300, 40);
    ages = malloc(AGES * sizeof *ages);
    CHECK(ages != NULL);
    /* Few of them may have met none of a kind: then some more. */
    while (images < wanted || (images < 20 * wanted && (kept == 0 || torn == 0 || synced_served == 0))) {
        write_history();
        (void)alarm(HANG_SECONDS);
        for (unsigned i = 0; i < IMAGES; i++) {
            one_image();
        }
    }
    free(ages);
    CHECK(kept > 0 && torn > 0 && synced_served > 0);
    soak_line("loss of power",
              "%" PRIu64 " images of pages of any age: %" PRIu64 " entries served, %" PRIu64 " of them synced, %" PRIu64
              " torn or damaged ones met and dropped",
              images, kept, synced_served, torn);
}

int main(void) {
    static const struct check_test tests[] = {
        {"loss of power", loss_of_power},
    };
    return run_tests(tests, sizeof tests / sizeof tests[0]);
}
