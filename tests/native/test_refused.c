/* SPDX-License-Identifier: BSD-3-Clause */
/* test_refused.c: what is not a region, is damaged, or is not safe (links, other users' files, folders that others may
 * write to) is refused with what it is, and left alone; so are options that make no sense. */
#include "attach.h"

static void bad_options(void) {
    plc_cache *c = NULL;
    plc_report report;
    check_folder_make(NULL);
    CHECK_STATUS(try_open("relative", REGION_BYTES, 1, &c, &report), PLC_INVALID);
    CHECK_STATUS(try_open("", REGION_BYTES, 1, &c, &report), PLC_INVALID);
    CHECK_STATUS(try_open("/", REGION_BYTES, 1, &c, &report), PLC_INVALID);
    CHECK_STATUS(try_open(check_path(""), REGION_BYTES, 1, &c, &report), PLC_INVALID);
    CHECK_STATUS(try_open(check_path(".."), REGION_BYTES, 1, &c, &report), PLC_INVALID);
    CHECK_STATUS(try_open(check_path("no/r"), REGION_BYTES, 1, &c, &report), PLC_NOT_FOUND);
    char *long_path = calloc(1, 9000);
    CHECK(long_path != NULL);
    memset(long_path, '/', 8000);
    CHECK_STATUS(try_open(long_path, REGION_BYTES, 1, &c, &report), PLC_INVALID);
    free(long_path);
    plc_options options = {.path = check_path("r"), .size_bytes = REGION_BYTES, .create = 1};
    options.protection = 9;
    CHECK_STATUS(region_open(&options, rebuild_region, &c, &report), PLC_INVALID);
    CHECK(c == NULL && check_folder_entries() == 0);
}

static void put(const char *name, uint64_t at, const void *bytes, size_t n) {
    int fd = open(check_path(name), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && pwrite(fd, bytes, n, (off_t)at) == (ssize_t)n && close(fd) == 0);
}

static void check_refused(const char *name, plc_status wanted) {
    plc_report report;
    struct stat before, after;
    CHECK(lstat(check_path(name), &before) == 0);
    for (uint32_t create = 0; create < 2; create++) {
        CHECK_STATUS(status_of(name, create != 0 ? REGION_BYTES : 0, create, &report), wanted);
    }
    CHECK(lstat(check_path(name), &after) == 0 && before.st_ino == after.st_ino && before.st_size == after.st_size);
    CHECK(memcmp(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim) == 0);
}

static void foreign_files(void) {
    plc_report report;
    check_folder_make(NULL);
    put("empty", 0, "", 0);
    put("short", 0, "PLCACHE", 8);
    put("foreign", 8191, "x", 1);
    check_refused("empty", PLC_NOT_A_REGION);
    check_refused("short", PLC_NOT_A_REGION);
    check_refused("foreign", PLC_NOT_A_REGION);
    CHECK_STATUS(region_remove(check_path("foreign"), &report), PLC_NOT_A_REGION);
    CHECK_STATUS(region_remove(check_path("short"), &report), PLC_NOT_A_REGION);
    CHECK_STATUS(region_remove(check_path("none"), &report), PLC_NOT_FOUND);
    CHECK(check_folder_entries() == 3);
}

static void damaged_files(void) {
    plc_report report;
    check_folder_make(NULL);
    plc_cache *c = open_region("r");
    uint64_t first = c->geo.first_page, format = region_format();
    region_close(c);
    uint64_t other = format + 1, large = REGION_BYTES * 4, wrong = 47;
    put("r", offsetof(struct shm_superblock, format), &other, 8);
    CHECK_STATUS(status_of("r", 0, 0, &report), PLC_LAYOUT_MISMATCH);
    CHECK(report.a == other && report.b == format);
    check_refused("r", PLC_LAYOUT_MISMATCH);
    put("r", offsetof(struct shm_superblock, format), &format, 8);
    put("r", offsetof(struct shm_superblock, size_bytes), &large, 8);
    check_refused("r", PLC_CORRUPT);
    large = REGION_BYTES;
    put("r", offsetof(struct shm_superblock, size_bytes), &large, 8);
    put("r", offsetof(struct shm_superblock, expected_entry), &wrong, 4);
    check_refused("r", PLC_CORRUPT);
    wrong = 192;
    put("r", offsetof(struct shm_superblock, expected_entry), &wrong, 4);
    CHECK_STATUS(status_of("r", 0, 0, &report), PLC_OK);
    CHECK(truncate(check_path("r"), (off_t)((first - 1) << PAGE_SHIFT)) == 0);
    check_refused("r", PLC_CORRUPT);
    CHECK(truncate(check_path("r"), 4096) == 0);
    check_refused("r", PLC_CORRUPT);
    CHECK(truncate(check_path("r"), (off_t)REGION_BYTES + 4096) == 0);
    check_refused("r", PLC_CORRUPT);
    CHECK_STATUS(region_remove(check_path("r"), &report), PLC_OK); /* it has the magic */
}

/* Every byte of the fixed part may be anything: an answer, and no crash. */
static void random_superblocks(void) {
    plc_report report;
    check_folder_make(NULL);
    region_close(open_region("r"));
    for (int round = 0; round < 300; round++) {
        uint8_t saved[128], byte = (uint8_t)check_random();
        uint64_t at = check_random() % 48;
        int fd = open(check_path("r"), O_RDWR | O_CLOEXEC);
        CHECK(fd >= 0 && pread(fd, saved, sizeof saved, 0) == sizeof saved);
        CHECK(pwrite(fd, &byte, 1, (off_t)at) == 1);
        plc_status s = status_of("r", 0, 0, &report);
        CHECK(s == PLC_OK || s == PLC_NOT_A_REGION || s == PLC_LAYOUT_MISMATCH || s == PLC_CORRUPT);
        CHECK(pwrite(fd, saved, sizeof saved, 0) == sizeof saved && close(fd) == 0);
    }
    CHECK_STATUS(status_of("r", 0, 0, &report), PLC_OK);
}

static void unsafe_files(void) {
    check_folder_make(NULL);
    region_close(open_region("r"));
    CHECK(symlink(check_path("r"), check_path("symlink")) == 0);
    CHECK(symlink(check_path("nowhere"), check_path("dangling")) == 0);
    CHECK(mkdir(check_path("folder"), 0700) == 0);
    CHECK(mkfifo(check_path("fifo"), 0600) == 0);
    check_refused("symlink", PLC_UNSAFE_FILE);
    check_refused("dangling", PLC_UNSAFE_FILE);
    check_refused("folder", PLC_UNSAFE_FILE);
    check_refused("fifo", PLC_UNSAFE_FILE);
    CHECK(link(check_path("r"), check_path("hard")) == 0);
    check_refused("r", PLC_UNSAFE_FILE);
    check_refused("hard", PLC_UNSAFE_FILE);
    plc_report report;
    CHECK_STATUS(region_remove(check_path("symlink"), &report), PLC_UNSAFE_FILE);
    CHECK_STATUS(region_remove(check_path("hard"), &report), PLC_UNSAFE_FILE);
    CHECK(unlink(check_path("hard")) == 0);
    CHECK_STATUS(status_of("r", 0, 0, &report), PLC_OK);
    if (geteuid() != 0) {
        check_skip("files of other users (not root)");
        return;
    }
    CHECK(chown(check_path("r"), 65534, 65534) == 0);
    check_refused("r", PLC_UNSAFE_FILE);
    CHECK_STATUS(status_of("r", 0, 0, &report), PLC_UNSAFE_FILE);
    CHECK(report.owner == 65534);
}

static void unsafe_folders(void) {
    plc_report report;
    check_folder_make(NULL);
    CHECK(mkdir(check_path("f"), 0700) == 0);
    CHECK_STATUS(status_of("f/r", REGION_BYTES, 1, &report), PLC_OK);
    const mode_t modes[] = {0777, 01777, 0720, 0702};
    for (unsigned i = 0; i < 4; i++) {
        CHECK(chmod(check_path("f"), modes[i]) == 0);
        CHECK_STATUS(status_of("f/r", REGION_BYTES, 1, &report), PLC_UNSAFE_FOLDER);
        CHECK(report.owner == geteuid());
        CHECK_STATUS(region_remove(check_path("f/r"), &report), PLC_UNSAFE_FOLDER);
    }
    CHECK(chmod(check_path("f"), 0755) == 0);
    CHECK_STATUS(status_of("f/r", 0, 0, &report), PLC_OK);
    CHECK(symlink(check_path("f"), check_path("link")) == 0);
    CHECK_STATUS(status_of("link/r", 0, 0, &report), PLC_UNSAFE_FOLDER);
    CHECK_STATUS(status_of("f/r/r", 0, 0, &report), PLC_UNSAFE_FOLDER);
    if (geteuid() == 0) {
        CHECK(chown(check_path("f"), 65534, 65534) == 0);
        CHECK_STATUS(status_of("f/r", 0, 0, &report), PLC_UNSAFE_FOLDER);
        CHECK(report.owner == 65534);
    }
}

int main(void) {
    static const struct check_test tests[] = {
        {"bad options", bad_options},     {"foreign files", foreign_files},
        {"damaged files", damaged_files}, {"random superblocks", random_superblocks},
        {"unsafe files", unsafe_files},   {"unsafe folders", unsafe_folders},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
