/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * instants.h: what happens between any two instructions of this thread: the processor traps behind each of them, and a
 * function is called that says what others do at that instant.  It must wait for nothing that the thread holds.
 */
#ifndef PLC_TEST_INSTANTS_H
#define PLC_TEST_INSTANTS_H

#include "check.h"

#include <ucontext.h>

/* ThreadSanitizer runs signal handlers at moments of its own. */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define INSTANTS 1
#define INSTANTS_TRAP_FLAG 0x100

/* Behind the i-th instruction; at: the next one.  False: no more of them. */
static bool (*instants_each)(unsigned i, uintptr_t at);
static volatile sig_atomic_t instants_on;
static unsigned instants_passed;

__attribute__((unused)) static void instants_trap(int signal, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    int error = errno;
    (void)signal;
    (void)info;
    if (instants_on && instants_each(instants_passed++, (uintptr_t)u->uc_mcontext.gregs[REG_RIP])) {
        u->uc_mcontext.gregs[REG_EFL] |= INSTANTS_TRAP_FLAG;
    } else {
        u->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)INSTANTS_TRAP_FLAG;
    }
    errno = error;
}

/* Of what the thread does from here until instants_end. */
__attribute__((unused)) static void instants_begin(bool (*each)(unsigned i, uintptr_t at)) {
    struct sigaction action = {.sa_sigaction = instants_trap, .sa_flags = SA_RESTART | SA_SIGINFO};
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
    instants_each = each;
    instants_passed = 0;
    instants_on = 1;
    __asm__ volatile("int3" ::: "memory");
}

__attribute__((unused)) static void instants_end(void) {
    instants_on = 0;
}
#else
#define INSTANTS 0
#endif

#endif
