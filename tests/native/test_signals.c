/* SPDX-License-Identifier: BSD-3-Clause */
/* test_signals.c: a signal handler calls the cache where the call that it interrupts is at something that calls do only
 * now and then: taking a place in a fork child, forgetting the parent, asking the kernel.  It is answered, and does not
 * wait for what only its own thread could end.  (test_anywhere: amid the work on the region.) */
#include "fixture.h"
#include "inplace.h"
#include "call.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define LARGE 200000u

static plc_cache *c;
static plc_view view;

/* A signal comes when the thread is there for the first time. */
static volatile sig_atomic_t comes_at; /* 0: nowhere */
enum { AT_GETPID = 1, AT_MPROTECT = 2 };
static volatile sig_atomic_t came;
static volatile plc_status answer;
static void (*volatile handler_does)(void);

static void come(int place) {
    if (comes_at == place) {
        comes_at = 0;
        CHECK(syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), SIGUSR1) == 0);
    }
}

pid_t getpid(void) {
    come(AT_GETPID);
    return (pid_t)syscall(SYS_getpid);
}

int mprotect(void *at, size_t n, int rights) {
    come(AT_MPROTECT);
    return (int)syscall(SYS_mprotect, at, n, rights);
}

static void handler(int signal) {
    (void)signal;
    came++;
    handler_does();
}

static plc_status get_it(void) {
    static uint8_t buffer[LARGE];
    plc_found found;
    return plc_get(c, "k1", 2, 0, buffer, sizeof buffer, &found);
}

static void gets(void) {
    answer = get_it();
}

static void assists(void) {
    answer = plc_assist(c, 50);
}

static void begin(void) {
    struct sigaction action = {.sa_handler = handler};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    c = region_new(16 * MIB);
    put_value(c, 1, 1, LARGE);
    CHECK_STATUS(lease(c, "k1", &view), PLC_OK);
    came = 0;
}

static void end(pid_t child) {
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    plc_release(c, &view);
    region_end(c, true);
}

/* The place is taken by the call that the signal interrupts: the handler's has none yet. */
static void amid_a_childs_first_call(void) {
    begin();
    handler_does = gets;
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(HANG_SECONDS);
        comes_at = AT_GETPID;
        MUST(c, get_it(), PLC_OK);
        CHECK(came == 1 && answer == PLC_NO_SLOT);
        MUST(c, get_it(), PLC_OK);
        _exit(0);
    }
    end(child);
}

/* No handler runs in the child of a raw clone, so its first call forgets what was its parent's. */
static void amid_forgetting(void) {
    begin();
    handler_does = gets;
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        (void)alarm(HANG_SECONDS);
        comes_at = AT_MPROTECT;
        MUST(c, get_it(), PLC_OK);
        CHECK(came == 1 && answer == PLC_OK);
        _exit(0);
    }
    end(child);
}

/* Who assists asks the kernel with the process's mutex held. */
static void assists_amid_a_childs_first_call(void) {
    begin();
    struct call k;
    CHECK_STATUS(call_enter(&k, c), PLC_OK);
    CHECK_STATUS(call_leave(&k, PLC_AGAIN), PLC_AGAIN); /* there is something to be done, as far as the thread knows */
    handler_does = assists;
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(HANG_SECONDS);
        comes_at = AT_GETPID;
        MUST(c, get_it(), PLC_OK);
        CHECK(came == 1 && answer == PLC_OK);
        _exit(0);
    }
    end(child);
}

int main(void) {
    static const struct check_test tests[] = {
        {"amid_a_childs_first_call", amid_a_childs_first_call},
        {"amid_forgetting", amid_forgetting},
        {"assists_amid_a_childs_first_call", assists_amid_a_childs_first_call},
    };
    return RUN_TESTS(tests);
}
