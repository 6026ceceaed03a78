/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * os_key.c: protection keys (pkeys(7)): does this machine have them, one of them, and memory that is tagged with it.
 * The system calls go by number, so that no libc needs to know them.
 */
#define _GNU_SOURCE
#include "os_linux.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os_errno.h"

#if defined(__x86_64__)

#include <cpuid.h>

#define ACCESS_DISABLE 1u /* PKEY_DISABLE_ACCESS */

/* CPUID leaf 7: PKU says that the processor can, OSPKE that the kernel lets it. */
static enum os_keys offered(void) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (c & 1u << 3) == 0) {
        return OS_KEYS_NO_CPU;
    }
    return (c & 1u << 4) != 0 ? OS_KEYS_OK : OS_KEYS_NO_KERNEL;
}

/* May memory be tagged?  A sandbox may let only one of the two calls through. */
static bool tags(uint32_t key) {
    int saved = errno;
    void *page = mmap(NULL, OS_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool can = page != MAP_FAILED && os_key_tag(page, OS_PAGE_BYTES, key) == 0;
    if (page != MAP_FAILED) {
        (void)munmap(page, OS_PAGE_BYTES);
    }
    errno = saved;
    return can;
}

enum os_keys os_key_take(uint32_t *key) {
    enum os_keys there = offered();
    if (there != OS_KEYS_OK) {
        return there;
    }
    int saved = errno;
    long got = syscall(SYS_pkey_alloc, 0, ACCESS_DISABLE);
    int error = got < 0 ? errno : 0;
    errno = saved;
    if (error != 0) {
        return error == ENOSPC ? OS_KEYS_NONE_FREE : OS_KEYS_NO_KERNEL;
    }
    *key = (uint32_t)got;
    if (!tags(*key)) {
        os_key_give(*key);
        there = OS_KEYS_NO_KERNEL;
    }
    return there;
}

void os_key_give(uint32_t key) {
    int saved = errno;
    (void)os_outcome(saved, (int)syscall(SYS_pkey_free, key));
}

int os_key_tag(void *from, uint64_t n, uint32_t key) {
    int saved = errno;
    return os_outcome(saved, (int)syscall(SYS_pkey_mprotect, from, n, PROT_READ | PROT_WRITE, key));
}

#else

enum os_keys os_key_take(uint32_t *key) {
    *key = 0;
    return OS_KEYS_NO_CPU;
}

void os_key_give(uint32_t key) {
    (void)key;
}

int os_key_tag(void *from, uint64_t n, uint32_t key) {
    (void)from;
    (void)n;
    (void)key;
    return ENOSYS;
}

#endif
