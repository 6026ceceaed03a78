/* SPDX-License-Identifier: BSD-3-Clause */
/* test_disk.c: a region in a file on disk over a boot of the machine, which is played by changing the boot id in
 * the file.  What was closed cleanly is kept and all owners are dead; what was not is replaced by an empty
 * region; and where anybody lives, nobody takes it for a boot. */
#include "attach.h"

#include <sys/vfs.h>

static bool on_disk(void) {
    struct statfs s;
    const char *where = getenv("TEST_DISK_FOLDER");
    check_folder_make(where != NULL ? where : "/var/tmp");
    CHECK(statfs(check_folder, &s) == 0);
    int fd = open(check_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool usable = fd >= 0 && (uint32_t)s.f_type != 0x01021994u && os_holds_regions(fd);
    (void)close(fd);
    if (!usable) {
        check_skip("regions on disk (set TEST_DISK_FOLDER to a folder on ext4 or xfs)");
    }
    return usable;
}

static struct shm_superblock superblock(void) {
    struct shm_superblock super;
    int fd = open(check_path("r"), O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && pread(fd, &super, sizeof super, 0) == sizeof super && close(fd) == 0);
    return super;
}

static void play_boot(void) {
    uint8_t other[16];
    memset(other, 0xee, sizeof other);
    int fd = open(check_path("r"), O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0 && pwrite(fd, other, 16, offsetof(struct shm_superblock, boot_id)) == 16 && close(fd) == 0);
}

/* Whoever the word named, it is nobody's after a boot. */
static void leave_traces(plc_cache *c) {
    word_put_rel(&c->names[7].generation, 4711);
    word_put_rel(&c->locks[2], lock_make(9, 3, 12345, 1));
    word_put_rel(&process_row(c, 9)->inc, 3); /* as if it had been killed, and the machine had stopped then */
    word_put_rel(&process_row(c, 9)->ns_inode, 1);
    word_put_rel(&c->super->tokens, 1000);
}

static void clean_end_is_kept(void) {
    if (!on_disk()) {
        return;
    }
    plc_cache *c = open_region("r");
    uint64_t id = c->region_id;
    CHECK(!c->in_memory && word_acq(&c->super->clean) == 0);
    leave_traces(c);
    region_close(c);
    struct shm_superblock super = superblock();
    CHECK(word_rlx(&super.clean) == 1);
    play_boot();
    c = open_region("r");
    CHECK(c->region_id == id && word_acq(&c->names[7].generation) == 4711);
    CHECK(word_acq(&c->super->clean) == 0 && word_acq(&c->locks[2]) == 0 && inc_of(c, 9) % 2 == 0);
    CHECK(word_acq(&c->super->tokens) == 1000 + (1u << 16));
    super = superblock();
    uint8_t boot[16];
    CHECK(os_boot_id(boot) == 0 && memcmp(boot, super.boot_id, 16) == 0 && word_rlx(&super.clean) == 0);
    region_close(c);
    c = open_region("r"); /* no boot: nothing is changed */
    CHECK(c->region_id == id && word_acq(&c->super->tokens) == 1000 + (1u << 16));
    region_close(c);
}

static void killed_is_emptied_only_after_a_boot(void) {
    if (!on_disk()) {
        return;
    }
    plc_report report;
    plc_cache *c = NULL;
    struct peer p = peer_start(sit);
    (void)hear(p.from);
    peer_kill(&p);
    uint64_t id = superblock().region_id;
    CHECK_STATUS(try_open(check_path("r"), 0, 0, &c, &report), PLC_OK);
    CHECK(c->region_id == id);
    region_close(c); /* the last one: clean, though another was killed */
    struct shm_superblock super = superblock();
    CHECK(word_rlx(&super.clean) == 1);

    p = peer_start(sit);
    (void)hear(p.from);
    peer_kill(&p);
    play_boot();
    CHECK_STATUS(try_open(check_path("r"), 0, 0, &c, &report), PLC_OK); /* though create was not asked for */
    CHECK(c->region_id != id && c->geo.size_bytes == REGION_BYTES && check_folder_entries() == 1);
    CHECK(process_count(c) == 1);
    region_close(c);
}

static void opens_after_boot(struct peer_ends ends) {
    plc_cache *c = NULL;
    plc_report report;
    (void)await(ends.in);
    CHECK_STATUS(try_open(check_path("r"), 0, 0, &c, &report), PLC_OK);
    tell(ends.out, c->region_id);
    (void)await(ends.in);
    region_close(c);
}

/* Many at once after a boot: one replaces it, all get the same. */
static void one_replaces(void) {
    for (int round = 0; round < 5; round++) {
        if (!on_disk()) {
            return;
        }
        enum { PEERS = 6 };
        struct peer peers[PEERS], p = peer_start(sit);
        (void)hear(p.from);
        peer_kill(&p);
        play_boot();
        uint64_t old = superblock().region_id, ids[PEERS];
        for (int i = 0; i < PEERS; i++) {
            peers[i] = peer_start(opens_after_boot);
        }
        for (int i = 0; i < PEERS; i++) {
            tell(peers[i].to, 1);
        }
        for (int i = 0; i < PEERS; i++) {
            ids[i] = hear(peers[i].from);
            CHECK(ids[i] == ids[0] && ids[i] != old);
        }
        for (int i = 0; i < PEERS; i++) {
            tell(peers[i].to, 1);
            peer_done(&peers[i]);
        }
        struct shm_superblock super = superblock();
        CHECK(word_rlx(&super.clean) == 1);
    }
}

/* A container may show another boot id.  Somebody lives, so it was no boot. */
static void the_living_are_spared(void) {
    if (!on_disk()) {
        return;
    }
    struct peer p = peer_start(sit);
    uint32_t slot = (uint32_t)hear(p.from);
    struct shm_superblock before = superblock();
    plc_cache *c = NULL;
    plc_report report;
    play_boot();
    CHECK_STATUS(try_open(check_path("r"), 0, 0, &c, &report), PLC_OK);
    CHECK(c->region_id == before.region_id && (inc_of(c, slot) & 1u) == 1 && process_count(c) == 2);
    region_close(c);
    struct shm_superblock after = superblock();
    CHECK(word_rlx(&after.clean) == 0); /* not the last one */
    peer_kill(&p);
}

int main(void) {
    static const struct check_test tests[] = {
        {"a clean end is kept", clean_end_is_kept},
        {"killed: emptied only after a boot", killed_is_emptied_only_after_a_boot},
        {"one replaces it for all", one_replaces},
        {"the living are spared", the_living_are_spared},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
