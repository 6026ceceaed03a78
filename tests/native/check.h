/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check.h: what the native tests share.  CHECK ends the program with status 1 and says where; CHECK_SOON polls
 * for what must become true, with a limit that only a hang reaches.  Tests run in order; a seed is printed and
 * can be given as SEED.  Folders for regions are made in /dev/shm, or TEST_FOLDER, and removed at the end.
 * A peer is another process that runs a function and talks through two pipes.
 * Regions are opened without protection keys, because tests look into them; with PROTECTION=pku those run that do not,
 * and with PROTECTION=peek all, their looks being let through (peek.c).
 */
#ifndef PLC_CHECK_H
#define PLC_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plc.h"

#define CHECK_HANG_SECONDS check_hang_seconds(30)

static bool check_protection_is(const char *name) {
    const char *asked = getenv("PROTECTION");
    return asked != NULL && strcmp(asked, name) == 0;
}

__attribute__((unused)) static bool check_peeks(void) {
    return check_protection_is("peek");
}

__attribute__((unused)) static uint32_t check_protection(void) {
    return check_peeks() || check_protection_is("pku") ? PLC_PROTECT_PKU : PLC_PROTECT_NONE;
}

/* From now on the tests' own looks into closed memory are let through. */
void check_peek(void);

/* One for all files of a program. */
#define CHECK_SHARED __attribute__((weak))
CHECK_SHARED _Atomic unsigned long checks_passed;
CHECK_SHARED uint64_t check_state;

__attribute__((noreturn, unused)) static void check_failed(const char *file, int line, const char *what) {
    (void)fprintf(stderr, "%s:%d: failed: %s (errno %d, pid %d)\n", file, line, what, errno, (int)getpid());
    _exit(1);
}

#define CHECK(expr) ((expr) ? (void)checks_passed++ : check_failed(__FILE__, __LINE__, #expr))
#define CHECK_STATUS(expr, wanted)                                                  \
    do {                                                                            \
        plc_status check_got = (expr);                                              \
        if (check_got != (wanted)) {                                                \
            (void)fprintf(stderr, "%s is %s\n", #expr, plc_status_text(check_got)); \
        }                                                                           \
        CHECK(check_got == (wanted));                                               \
    } while (0)
#define CHECK_SOON(expr)                                          \
    do {                                                          \
        time_t check_began = time(NULL);                          \
        while (!(expr)) {                                         \
            if (time(NULL) - check_began > CHECK_HANG_SECONDS) {  \
                check_failed(__FILE__, __LINE__, "soon: " #expr); \
            }                                                     \
            check_nap();                                          \
        }                                                         \
        checks_passed++;                                          \
    } while (0)

/* HANG_TIMES=20 has limits for what hangs be that much longer, where everything is slower (an emulated machine). */
__attribute__((unused)) static unsigned check_hang_seconds(unsigned seconds) {
    const char *times = getenv("HANG_TIMES");
    return seconds * (times != NULL ? (unsigned)strtoul(times, NULL, 0) : 1u);
}

__attribute__((unused)) static void check_nap(void) {
    const struct timespec nap = {0, 1000000};
    (void)nanosleep(&nap, NULL);
}

__attribute__((unused)) static uint64_t check_random(void) { /* splitmix64 */
    uint64_t x = check_state += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

/* ---- folders -------------------------------------------------------------------------------- */

CHECK_SHARED char check_folder[200]; /* the current one */

static int check_remove_one(const char *path, const struct stat *s, int kind, struct FTW *walk) {
    (void)s;
    (void)kind;
    (void)walk;
    return remove(path);
}

__attribute__((unused)) static void check_folder_remove(void) {
    if (check_folder[0] != '\0') {
        (void)nftw(check_folder, check_remove_one, 16, FTW_DEPTH | FTW_PHYS);
        check_folder[0] = '\0';
    }
}

__attribute__((unused)) static void check_folder_make(const char *where) {
    const char *given = getenv("TEST_FOLDER");
    check_folder_remove();
    (void)snprintf(check_folder, sizeof check_folder, "%s/plc-test-XXXXXX",
                   where != NULL   ? where
                   : given != NULL ? given
                                   : "/dev/shm");
    CHECK(mkdtemp(check_folder) != NULL);
}

/* A path in the current folder; eight of them can be in use at a time. */
__attribute__((unused)) static const char *check_path(const char *name) {
    static char paths[8][300];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", check_folder, name);
    return path;
}

__attribute__((unused)) static unsigned check_folder_entries(void) {
    struct stat s;
    unsigned n = 0;
    char command[300], line[400];
    (void)snprintf(command, sizeof command, "ls -A %s", check_folder);
    FILE *list = popen(command, "r");
    CHECK(list != NULL);
    while (fgets(line, sizeof line, list) != NULL) {
        n++;
    }
    (void)pclose(list);
    CHECK(stat(check_folder, &s) == 0);
    return n;
}

/* ---- other processes ------------------------------------------------------------------------ */

struct peer {
    pid_t pid;
    int from, to; /* its ends, in the parent */
};

struct peer_ends {
    int in, out; /* the peer's own ends */
};

/* Starts a process that runs act and ends with _exit(0). */
__attribute__((unused)) static struct peer peer_start(void (*act)(struct peer_ends)) {
    int down[2], up[2];
    CHECK(pipe2(down, O_CLOEXEC) == 0 && pipe2(up, O_CLOEXEC) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        /* A peer in a load without end does not outlive a parent that was killed by that much. */
        (void)alarm(check_hang_seconds(300));
        (void)close(down[1]);
        (void)close(up[0]);
        act((struct peer_ends){down[0], up[1]});
        _exit(0);
    }
    (void)close(down[0]);
    (void)close(up[1]);
    return (struct peer){pid, up[0], down[1]};
}

__attribute__((unused)) static void tell(int fd, uint64_t value) {
    CHECK(write(fd, &value, sizeof value) == sizeof value);
}

__attribute__((unused)) static uint64_t hear(int fd) {
    uint64_t value = 0;
    CHECK(read(fd, &value, sizeof value) == sizeof value);
    return value;
}

/* Waits in the peer until the parent tells something; ends the peer when the parent is gone. */
__attribute__((unused)) static uint64_t await(int fd) {
    uint64_t value = 0;
    if (read(fd, &value, sizeof value) != sizeof value) {
        _exit(3);
    }
    return value;
}

/* Waits for the peer's end and returns its wait status. */
__attribute__((unused)) static int peer_end(struct peer *p) {
    int status = -1;
    (void)close(p->to);
    CHECK(waitpid(p->pid, &status, 0) == p->pid);
    (void)close(p->from);
    return status;
}

__attribute__((unused)) static void peer_kill(struct peer *p) {
    CHECK(kill(p->pid, SIGKILL) == 0);
    int status = peer_end(p);
    CHECK(WIFSIGNALED(status));
}

__attribute__((unused)) static void peer_done(struct peer *p) {
    int status = peer_end(p);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- the program ---------------------------------------------------------------------------- */

struct check_test {
    const char *name;
    void (*run)(void);
};

/* What this machine does not allow; noted in the file that UNTESTED names. */
__attribute__((unused)) static void check_skip(const char *why) {
    const char *notes = getenv("UNTESTED");
    (void)printf("  not tested: %s\n", why);
    FILE *file = notes != NULL ? fopen(notes, "ae") : NULL;
    if (file != NULL) {
        (void)fprintf(file, "native: %s\n", why);
        (void)fclose(file);
    }
}

/* The register of protection keys (RDPKRU); 0 where tests are not run at level pku. */
__attribute__((unused)) static uint32_t check_register(void) {
    uint32_t value = 0;
#if defined(__x86_64__)
    if (check_protection() == PLC_PROTECT_PKU) {
        uint32_t zero;
        __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(value), "=d"(zero) : "c"(0));
    }
#endif
    return value;
}

__attribute__((unused)) static int check_run(const struct check_test *tests, size_t n) {
    const char *given = getenv("SEED");
    check_state = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
    if (given != NULL) {
        check_state = strtoull(given, NULL, 0);
    }
    (void)printf("seed %llu\n", (unsigned long long)check_state);
    if (check_peeks()) {
        check_peek();
    }
    for (size_t i = 0; i < n; i++) {
        (void)printf("%s\n", tests[i].name);
        (void)fflush(stdout);
        uint32_t found = check_register();
        tests[i].run();
        CHECK(check_protection() != PLC_PROTECT_PKU || check_peeks() || found == 0 ||
              check_register() == found); /* all windows closed */
        check_folder_remove();
    }
    (void)printf("%lu checks passed\n", checks_passed);
    return 0;
}

#endif
