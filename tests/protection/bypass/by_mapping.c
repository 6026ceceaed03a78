/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * by_mapping.c: the attacker changes what is mapped: takes the key off the page, or the page away and puts one of his
 * own there, or destroys its content.  The kernel takes such calls from whoever is in the process.
 */
#include "attack.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define READ_WRITE (PROT_READ | PROT_WRITE)

/* A call that was to succeed, and what then can be read. */
static enum claim then_loot(long got, const void *at) {
    return got != 0 ? answered(-1, 0) : loot_from(at);
}

ATTACK(attack_pkey_mprotect) {
    return then_loot(syscall(SYS_pkey_mprotect, t->page, ATTACK_PAGE, READ_WRITE, 0), t->page);
}

ATTACK(attack_mprotect_rw) {
    return then_loot(mprotect(t->page, ATTACK_PAGE, READ_WRITE), t->page);
}

/* What may only be executed has a key of the kernel's own, which it takes off again. */
ATTACK(attack_mprotect_exec_then_rw) {
    if (mprotect(t->page, ATTACK_PAGE, PROT_EXEC) != 0) {
        return errno == EACCES ? missing("the region's file system is mounted noexec") : broken("mprotect");
    }
    return then_loot(mprotect(t->page, ATTACK_PAGE, READ_WRITE), t->page);
}

ATTACK(attack_pkey_free_alloc) {
    CHECK(syscall(SYS_pkey_free, t->key) == 0);
    CHECK(syscall(SYS_pkey_alloc, 0, 0) == (long)t->key); /* the lowest; its rights are those asked for */
    return loot_from(t->page);
}

ATTACK(attack_remap_file_pages) {
    return then_loot(syscall(SYS_remap_file_pages, t->page, ATTACK_PAGE, 0, t->offset / ATTACK_PAGE, 0), t->page);
}

/* ---- moved ------------------------------------------------------------------------------------------------- */

ATTACK(attack_mremap_dup) {
    void *copy = mremap(t->page, 0, ATTACK_PAGE, MREMAP_MAYMOVE);
    return copy == MAP_FAILED ? broken("mremap") : loot_from(copy);
}

ATTACK(attack_mremap_move_away) {
    void *elsewhere = fake_page(NULL);
    CHECK(mremap(t->page, ATTACK_PAGE, ATTACK_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere) == elsewhere);
    (void)fake_page(t->page);
    return library_reads_fakes(t);
}

ATTACK(attack_mremap_over) {
    void *fake = fake_page(NULL);
    CHECK(mremap(fake, ATTACK_PAGE, ATTACK_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, t->page) == t->page);
    return library_reads_fakes(t);
}

ATTACK(attack_munmap_fake) {
    CHECK(munmap(t->page, ATTACK_PAGE) == 0);
    (void)fake_page(t->page);
    return library_reads_fakes(t);
}

ATTACK(attack_mmap_fixed_fake) {
    (void)fake_page(t->page);
    return library_reads_fakes(t);
}

/* A range that begins outside: whoever looks at the first address only lets it pass.  With the page goes all that
 * is mapped before it, so that the library cannot be called any more. */
ATTACK(attack_munmap_from_below) {
    uint8_t *below = t->c->base - ATTACK_PAGE;
    (void)mmap(below, ATTACK_PAGE, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (munmap(below, (size_t)(t->page + ATTACK_PAGE - below)) != 0) {
        return broken("munmap");
    }
    const uint8_t *fake = fake_page(t->page);
    note("a page of the attacker's is there");
    return fake[0] == FAKE_BYTE ? DECEIVED : REFUSED;
}

/* ---- content ----------------------------------------------------------------------------------------------- */

ATTACK(attack_madv_remove) {
    return answered(madvise(t->page, ATTACK_PAGE, MADV_REMOVE), 0); /* for all that share it */
}

ATTACK(attack_madv_dontneed_shared) {
    return then_loot(madvise(t->page, ATTACK_PAGE, MADV_DONTNEED), t->page); /* the file keeps it */
}

/* Nothing of a region is private memory; what a library might have besides, under the same key, would be lost. */
ATTACK(attack_madv_dontneed_private) {
    uint8_t *mine = fake_page(NULL);
    CHECK(syscall(SYS_pkey_mprotect, mine, ATTACK_PAGE, READ_WRITE, t->key) == 0);
    if (loot_from(mine) != REFUSED) {
        return broken("the page is not closed");
    }
    if (madvise(mine, ATTACK_PAGE, MADV_DONTNEED) != 0) {
        return answered(-1, EPERM);
    }
    register_write(0);
    note("a page of the same key is empty");
    return mine[0] == 0 ? DECEIVED : REFUSED;
}

static int faults_to_user(void) {
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    struct uffdio_api api = {.api = UFFD_API};
    CHECK(fd < 0 || ioctl(fd, UFFDIO_API, &api) == 0);
    return fd;
}

/* A page that is in no memory yet: whoever serves its fault says what is in it. */
ATTACK(attack_uffd_inject) {
    static const uint8_t zeros[ATTACK_PAGE];
    uint64_t page = (uint64_t)(uintptr_t)t->page;
    int uffd = faults_to_user();
    if (uffd < 0) {
        return errno == ENOSYS || errno == EPERM ? missing("the kernel or a sandbox has no userfaultfd")
                                                 : broken("uffd");
    }
    prepare(t, 0, zeros, sizeof zeros);
    CHECK(fallocate(region_file(t), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)t->offset, ATTACK_PAGE) == 0);
    struct uffdio_register asked = {.range = {page, ATTACK_PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (ioctl(uffd, UFFDIO_REGISTER, &asked) != 0) {
        return errno == EINVAL ? missing("the region is not on tmpfs") : broken("UFFDIO_REGISTER");
    }
    struct uffdio_copy copy = {.dst = page, .src = (uint64_t)(uintptr_t)fake_page(NULL), .len = ATTACK_PAGE};
    return answered(ioctl(uffd, UFFDIO_COPY, &copy), EFAULT);
}
