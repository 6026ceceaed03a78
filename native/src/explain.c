/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * explain.c: a debugging aid for level pku.  Whoever touches a region outside the library gets SIGSEGV; the handler
 * here says in one line which region that was, and hands over to the handler that was there before (Python's
 * faulthandler, say) or lets the process die as it would have.  It mends nothing.
 *
 * It may run at any instruction of any thread, so it takes no lock, calls nothing but writev(2), sigaction(2) and
 * raise(3), and walks the registry's list as it stands: that list only grows.  A region that another thread closes at
 * this very moment may be named wrongly or not at all.
 */
#define _GNU_SOURCE
#include "registry.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__x86_64__)

#define FAULT_CODE_KEY 4 /* SEGV_PKUERR; older headers have no name for it */
#define FAULT_WAS_STORE 2 /* bit of the page fault's error code */
#define NUMBER_CHARS 20

static struct {
    struct sigaction before;
    atomic_bool there;
} handler; /* before: written once, ahead of the kernel's knowing the handler */

static size_t number_text(char text[NUMBER_CHARS], uint64_t number, unsigned base) {
    size_t n = NUMBER_CHARS;
    do {
        text[--n] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    memmove(text, text + n, NUMBER_CHARS - n);
    return NUMBER_CHARS - n;
}

static struct iovec piece(const char *text, size_t n) {
    return (struct iovec){.iov_base = (void *)(uintptr_t)text, .iov_len = n};
}

static struct iovec words_of(const char *text) {
    return piece(text, strlen(text));
}

/* In one write, so that lines of several threads do not mix. */
static void say(const char *path, uint64_t offset, uintptr_t at, bool store) {
    char address[NUMBER_CHARS], byte[NUMBER_CHARS];
    const size_t address_length = number_text(address, at, 16), byte_length = number_text(byte, offset, 10);
    const char *slash = strrchr(path, '/');
    const struct iovec line[] = {
        words_of(store ? "plib_cache: a store to 0x" : "plib_cache: a load from 0x"),
        piece(address, address_length),
        words_of(", which belongs to region "),
        words_of(slash != NULL ? slash + 1 : path),
        words_of(" ("),
        words_of(path),
        words_of(", byte "),
        piece(byte, byte_length),
        words_of("): it was touched outside the library, where a protection key closes it\n"),
    };
    (void)!writev(STDERR_FILENO, line, (int)(sizeof line / sizeof line[0]));
}

static void explain(const siginfo_t *info, const ucontext_t *context) {
    const uintptr_t at = (uintptr_t)info->si_addr;
    const plc_cache *c = registry_holding(at);
    const char *path = c != NULL ? c->path : NULL; /* NULL: it is being closed */
    const uintptr_t base = c != NULL ? (uintptr_t)c->base : 0;
    if (path != NULL && base != 0) {
        say(path, at - base, at, (context->uc_mcontext.gregs[REG_ERR] & FAULT_WAS_STORE) != 0);
    }
}

/* What was there before takes its turn, as if this handler were not.  The default action is put back: the instruction
 * that faulted runs again and ends the process; a signal that somebody sent is sent once more. */
static void hand_over(int number, siginfo_t *info, void *context) {
    const struct sigaction *before = &handler.before;
    if ((before->sa_flags & SA_SIGINFO) != 0) {
        before->sa_sigaction(number, info, context);
    } else if (before->sa_handler == SIG_IGN && info->si_code <= 0) {
        return;
    } else if (before->sa_handler == SIG_DFL || before->sa_handler == SIG_IGN) {
        (void)signal(number, SIG_DFL);
        if (info->si_code <= 0) {
            (void)raise(number);
        }
    } else {
        before->sa_handler(number);
    }
}

static void on_fault(int number, siginfo_t *info, void *context) {
    const int saved = errno;
    if (info->si_code == FAULT_CODE_KEY) {
        explain(info, context);
    }
    errno = saved;
    hand_over(number, info, context);
}

/* The mask is that of the handler before, and so is whether the signal may come again meanwhile. */
static int install(void) {
    struct sigaction own;
    if (sigaction(SIGSEGV, NULL, &handler.before) != 0) {
        return errno;
    }
    own = handler.before;
    own.sa_sigaction = on_fault;
    own.sa_flags = SA_SIGINFO | SA_ONSTACK | (own.sa_flags & SA_NODEFER);
    return sigaction(SIGSEGV, &own, NULL) == 0 ? 0 : errno;
}

plc_status plc_explain_faults(void) {
    const int saved = errno;
    int error = 0;
    if (!atomic_exchange(&handler.there, true)) {
        error = install();
        if (error != 0) {
            atomic_store(&handler.there, false);
        }
    }
    errno = saved;
    return error == 0 ? PLC_OK : PLC_SYSTEM;
}

#else

plc_status plc_explain_faults(void) {
    return PLC_OK;
}

#endif
