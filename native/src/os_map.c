/* SPDX-License-Identifier: BSD-3-Clause */
/* os_map.c: mapping a region, and single values of it; see os_linux.h. */
#include "os_errno.h"
#include "os_linux.h"

#include <sys/mman.h>

static const int protections[] = {[OS_MAP_CLOSED] = PROT_NONE,
                                  [OS_MAP_READ] = PROT_READ,
                                  [OS_MAP_WRITE] = PROT_READ | PROT_WRITE,
                                  [OS_MAP_PRIVATE] = PROT_READ | PROT_WRITE};

/* Kernels before 6.7 do not align file mappings for huge pages by themselves: so more is reserved, and what
 * sticks out on both sides is given back. */
int os_map(int fd, uint64_t from, uint64_t n, enum os_map kind, void **base) {
    int saved = errno;
    n = (n + OS_PAGE_BYTES - 1) & ~(OS_PAGE_BYTES - 1); /* else what is behind it is not given back */
    uint64_t room = n + OS_HUGE_BYTES;
    uint8_t *all = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) {
        return os_outcome(saved, -1);
    }
    uint64_t before = (OS_HUGE_BYTES + from - (uintptr_t)all % OS_HUGE_BYTES) % OS_HUGE_BYTES;
    uint8_t *at = all + before;
    int flags = (kind == OS_MAP_PRIVATE ? MAP_PRIVATE : MAP_SHARED) | MAP_FIXED | MAP_NORESERVE;
    if (mmap(at, n, protections[kind], flags, fd, (off_t)from) == MAP_FAILED) {
        int error = os_outcome(saved, -1);
        (void)munmap(all, room);
        errno = saved;
        return error;
    }
    if (before > 0) {
        (void)munmap(all, before);
    }
    if (room - before > n) {
        (void)munmap(at + n, room - before - n);
    }
    (void)madvise(at, n, MADV_DONTDUMP); /* others' values have no place in this process's core */
    errno = saved;
    *base = at;
    return 0;
}

void os_unmap(void *base, uint64_t n) {
    int saved = errno;
    (void)os_outcome(saved, munmap(base, n));
}

void os_map_filled(void *at, uint64_t n) {
    int saved = errno;
    (void)madvise(at, n, MADV_POPULATE_READ);
    errno = saved;
}

int os_map_keep(void *at, uint64_t n, bool in_children) {
    int saved = errno;
    return os_outcome(saved, madvise(at, n, in_children ? MADV_DOFORK : MADV_DONTFORK));
}

int os_map_limit(void *at, uint64_t n, enum os_map kind) {
    int saved = errno;
    return os_outcome(saved, mprotect(at, n, protections[kind]));
}

int os_map_nothing(void *at, uint64_t n) {
    int saved = errno;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    void *got = mmap(at, n, PROT_READ | PROT_WRITE, flags, -1, 0);
    return os_outcome(saved, got == MAP_FAILED ? -1 : 0);
}
