/* SPDX-License-Identifier: BSD-3-Clause */
/* trace.c: see trace.h. */
#include "check.h"
#include "trace.h"

#include <sys/ptrace.h>

bool trace_allowed(void) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 && raise(SIGTRAP) == 0 ? 0 : 3);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    bool can = WIFSTOPPED(status);
    if (can) {
        can = ptrace(PTRACE_CONT, pid, NULL, NULL) == 0;
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
    }
    return can;
}

bool trace_needed(void) {
    bool can = trace_allowed();
    if (!can) {
        (void)printf("this machine does not let a process be stepped (ptrace)\n");
    }
    return can;
}

void trace_me(void) {
    CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
}

void trace_wait(pid_t pid) {
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
        (void)fprintf(stderr, "the traced one's wait status: %x\n", (unsigned)status);
    }
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
}

void trace_step(pid_t pid) {
    CHECK(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
    trace_wait(pid);
}

void trace_run(pid_t pid) {
    CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
    trace_wait(pid);
}

void trace_leave_stopped(pid_t pid) {
    int status = 0;
    CHECK(kill(pid, SIGSTOP) == 0); /* pending until it is let go */
    CHECK(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}
