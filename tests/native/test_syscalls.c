/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_syscalls.c: an operation makes no system call.  A child warms a region up, gives up its right to call the
 * kernel but for writing and ending, and goes on working.  A call that the filter stops is told by its number.
 * PLC_AGAIN is an answer like others here: plc_assist, which may call the kernel, is not called any more.  The end
 * of a single flight is not among the operations: with its window closed it wakes those who may wait for it.
 */
#include "fixture.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define ROUNDS_OF_EACH 10000u
#define KEYS 500u
#define STOPPED 3 /* exit status of a child that called the kernel */
#define NO_FILTER 4

static plc_cache *c;
static char names[KEYS][16];
static char value[2000], large[20000], buffer[16 * sizeof value];
static uint64_t answers[4]; /* done, missed, AGAIN, refused */

static void answered(plc_status s) {
    unsigned kind = s == PLC_OK || s == PLC_EXISTS ? 0 : s == PLC_MISS ? 1 : s == PLC_AGAIN ? 2 : 3;
    CHECK(kind != 3 || s == PLC_FULL || s == PLC_BUSY);
    answers[kind]++;
}

static uint64_t leases;

/* Taken and given back, the last of one that is not there any more too: what frees its run asks the kernel for nothing. */
static void read_in_place(uint64_t i) {
    const plc_part part = {large, sizeof large};
    const plc_entry e = {.key = "large", .key_length = 5, .parts = &part, .part_count = 1};
    plc_view views[2] = {{0}};
    plc_found found;
    answered(plc_store(c, PLC_SET, &e, NULL));
    for (unsigned n = 0; n < 2; n++) {
        plc_status s = plc_lease(c, "large", 5, 0, &views[n], &found);
        answered(s);
        leases += s == PLC_OK ? 1 : 0;
    }
    if (i % 32 == 0) {
        answered(plc_delete(c, "large", 5));
    }
    plc_release(c, &views[0]);
    plc_release(c, &views[1]);
}

/* ---- the operations ----------------------------------------------------------------------------- */

static void store_some(plc_verb verb, const char *name, size_t n) {
    const plc_part part = {value, n};
    const plc_entry e = {.key = name, .key_length = strlen(name), .parts = &part, .part_count = 1};
    uint64_t token;
    answered(plc_store(c, verb, &e, &token));
}

/* With the token of another key, or of its own: it is answered. */
static void remake_some(const char *name, uint64_t token) {
    const plc_part part = {value, 200};
    const plc_entry e = {
        .key = name, .key_length = strlen(name), .parts = &part, .part_count = 1, .token = token, .own_token = 5};
    answered(plc_store(c, PLC_REMAKE, &e, NULL));
}

static void one_of_each(uint64_t i) {
    const char *name = names[i * 7 % KEYS], *other = names[i * 11 % KEYS];
    const void *batch[2] = {name, other};
    const size_t lengths[2] = {strlen(name), strlen(other)};
    plc_found found[2];
    uint64_t n;
    uint32_t read;
    store_some(PLC_SET, name, i * 13 % sizeof value);
    answered(plc_get(c, name, lengths[0], 0, buffer, sizeof buffer, found));
    answered(plc_get(c, "absent", 6, 0, buffer, sizeof buffer, found));
    answered(plc_get_many(c, 2, batch, lengths, 0, buffer, sizeof buffer, found));
    answered(plc_peek(c, other, lengths[1], buffer, sizeof buffer, found));
    answered(plc_was_read(c, other, lengths[1], &read));
    remake_some(name, found[0].token);
    answered(plc_get_touch(c, other, lengths[1], UINT64_MAX >> 20, buffer, sizeof buffer, found));
    store_some(PLC_ADD, other, 100);
    store_some(PLC_REPLACE, other, 300);
    store_some(PLC_APPEND, other, 10);
    answered(plc_touch(c, name, lengths[0], 0));
    answered(plc_incr(c, "number", 6, 1, 0, &n));
    answered(plc_incr(c, "number", 6, 1, 1, &n));
    if (i % 3 == 0) {
        answered(plc_delete(c, name, lengths[0]));
    }
    if (i % 16 == 0) {
        read_in_place(i);
    }
}

static void work(uint64_t from, uint64_t n) {
    for (uint64_t i = from; i < from + n; i++) {
        one_of_each(i);
    }
}

/* ---- the child ---------------------------------------------------------------------------------- */

/* Ends the child without what a sanitizer does at the end. */
static void leave(int status) {
    (void)syscall(SYS_exit_group, status);
}

static void stopped(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)context;
    char text[] = "system call    0\n";
    int number = info->si_syscall;
    for (size_t at = sizeof text - 3; number > 0 && at > 11; at--, number /= 10) {
        text[at] = (char)('0' + number % 10);
    }
    (void)!write(2, text, sizeof text - 1);
    leave(STOPPED);
}

/* From now on only write, exit and the return from a signal pass. */
static bool filter(void) {
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog whole = {sizeof program / sizeof program[0], program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) == 0;
}

static int in_child(void (*act)(void)) {
    int status = 0;
    (void)fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        act();
        leave(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void filter_or_exit(void) {
    struct sigaction action = {.sa_sigaction = stopped, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSYS, &action, NULL) == 0);
    if (!filter()) {
        _exit(NO_FILTER);
    }
}

static void operate(void) {
    work(0, 3000); /* attached, its memory there */
    filter_or_exit();
    memset(answers, 0, sizeof answers);
    leases = 0;
    work(0, rounds(ROUNDS_OF_EACH, ROUNDS_OF_EACH / 5));
    char text[120];
    int n =
        snprintf(text, sizeof text, "  %" PRIu64 " done, %" PRIu64 " missed, %" PRIu64 " again, %" PRIu64 " refused\n",
                 answers[0], answers[1], answers[2], answers[3]);
    CHECK(write(1, text, (size_t)n) == n);
    CHECK(leases > 0);
    CHECK(answers[0] > answers[1] && answers[2] + answers[3] <= answers[0] / 100);
}

static void call_the_kernel(void) {
    filter_or_exit();
    (void)getppid();
}

/* ---- the tests ---------------------------------------------------------------------------------- */

static void test_filter_stops(void) {
    int status = in_child(call_the_kernel);
    if (status == NO_FILTER) {
        (void)printf("this machine does not let a process filter its system calls (seccomp)\n");
        exit(77);
    }
    CHECK(status == STOPPED);
}

static void test_no_system_call(void) {
    memset(value, 'v', sizeof value);
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(names[i], sizeof names[i], "key-%u", i);
    }
    c = region_new(4 * MIB);
    CHECK_STATUS(store(c, PLC_SET, "number", "7", 1), PLC_OK);
    for (uint64_t i = 0; i < 8000; i++) { /* all memory taken: what follows evicts */
        char name[32];
        (void)snprintf(name, sizeof name, "fill %u", (unsigned)i);
        CHECK_STATUS(store(c, PLC_SET, name, value, 1000), PLC_OK);
    }
    CHECK_STATUS(store(c, PLC_SET, "number", "7", 1), PLC_OK);
    CHECK(in_child(operate) == 0);
    CHECK_STATUS(store(c, PLC_SET, "number", "7", 1), PLC_OK);
    region_end(c, true);
}

static const struct check_test tests[] = {
    {"the_filter_stops_a_system_call", test_filter_stops},
    {"operations_make_no_system_call", test_no_system_call},
};

int main(void) {
    return RUN_TESTS(tests);
}
