/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * probe.c: says what there is of protection keys, and is content (exit status 0) only if all is as the other tests
 * rely on it: the CPU has them (pku) and the kernel gives them out (ospke), every key but 0 is closed at the start
 * of a program, and a load from and a store to a page whose key is closed is SIGSEGV with SEGV_PKUERR and the key,
 * which the process survives.  Needs nothing of the core.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALL_CLOSED_BUT_0 0x55555554u

static sigjmp_buf back;
static volatile int seen_code;
static volatile unsigned seen_key;

static unsigned read_register(void) {
    unsigned eax, edx;
    __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(eax), "=d"(edx) : "c"(0)); /* RDPKRU */
    return eax;
}

static int expect(int right, const char *what) {
    (void)printf("%-6s %s\n", right ? "ok" : "FAILED", what);
    return right ? 0 : 1;
}

static void note(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)context;
    seen_code = info->si_code;
    seen_key = info->si_pkey;
    siglongjmp(back, 1);
}

/* Is a load, or a store, refused because of this key? */
static int refused(volatile char *page, int store, int key) {
    seen_code = 0;
    if (sigsetjmp(back, 1) == 0) {
        if (store) {
            *page = 1;
        } else {
            (void)*page;
        }
        return 0;
    }
    return seen_code == SEGV_PKUERR && seen_key == (unsigned)key;
}

static int probe_page(int key) {
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || pkey_mprotect(page, 4096, PROT_READ | PROT_WRITE, key) != 0) {
        return expect(0, "a page can be given a key");
    }
    int wrong =
        expect(pkey_set(key, 0) == 0 && !refused(page, 1, key) && !refused(page, 0, key), "open: read, written");
    (void)pkey_set(key, PKEY_DISABLE_WRITE);
    wrong |= expect(!refused(page, 0, key) && refused(page, 1, key), "closed to stores: read, not written");
    (void)pkey_set(key, PKEY_DISABLE_ACCESS);
    wrong |= expect(refused(page, 0, key) && refused(page, 1, key), "closed: SEGV_PKUERR with the key, and survived");
    (void)munmap(page, 4096);
    return wrong;
}

int main(void) {
    unsigned eax, ebx, ecx = 0, edx;
    (void)__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
    int wrong = expect((ecx >> 3 & 1) != 0, "the CPU has protection keys (pku)");
    wrong |= expect((ecx >> 4 & 1) != 0, "the kernel uses them (ospke)");
    if (wrong != 0) {
        return wrong;
    }
    unsigned at_start = read_register();
    (void)printf("PKRU at the start: %08x\n", at_start);
    wrong |= expect(at_start == ALL_CLOSED_BUT_0, "every key but 0 is closed at the start");

    int first = -1, key, keys = 0;
    while ((key = pkey_alloc(0, PKEY_DISABLE_ACCESS)) >= 0) {
        first = keys++ == 0 ? key : first;
    }
    (void)printf("keys to be had: %d, the first is %d\n", keys, first);
    wrong |= expect(keys == 15, "15 keys can be had");

    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = note;
    action.sa_flags = SA_SIGINFO;
    (void)sigaction(SIGSEGV, &action, NULL);
    return keys > 0 ? wrong | probe_page(first) : 1;
}
