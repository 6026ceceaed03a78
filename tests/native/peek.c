/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peek.c: tests that look into a region run at level pku too.  With PROTECTION=peek a look of the test's own at closed
 * memory is let through, as if the test had opened the key first: the handler of the fault opens it in the register
 * that the interrupted code gets back.  The next call of the library closes it again.  That nobody else can look is
 * what other tests show (test_keys, test_gate); here everything that the core promises is held against the core as it
 * is at level pku, with its windows.
 */
#include "check.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <ucontext.h>

#define KEY_FAULT 4 /* SEGV_PKUERR */
#define PKRU_FEATURE 9u

/* Where the register lies in what the kernel saves (Intel SDM volume 1, 13.4: the standard format). */
static unsigned offset;

static void let_through(int number, siginfo_t *info, void *context) {
    ucontext_t *interrupted = context;
    if (info->si_code != KEY_FAULT) {
        (void)signal(number, SIG_DFL); /* comes again, and ends the program */
        return;
    }
    *(uint32_t *)(void *)((char *)interrupted->uc_mcontext.fpregs + offset) = 0;
}

void check_peek(void) {
    unsigned size = 0, c = 0, d = 0;
    const struct sigaction looks = {.sa_sigaction = let_through, .sa_flags = SA_SIGINFO | SA_NODEFER};
    CHECK(__get_cpuid_count(0xd, PKRU_FEATURE, &size, &offset, &c, &d) == 1 && size == 8);
    CHECK(sigaction(SIGSEGV, &looks, NULL) == 0);
}

#else

void check_peek(void) {
    CHECK(!"protection keys");
}

#endif
