/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_explain.c: plc_explain_faults: one line for a touch that the region's key stops, none for any other fault, and
 * the handler that was there before gets both, as if there were nothing before it.
 */
#include "keys.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BYTES (8ull << 20)

static char said[4096];

/* What the act writes to standard error; each runs in a child, where handlers are new.  Returns how the child ended. */
static int ended(void (*act)(void)) {
    int ends[2], status = 0;
    size_t n = 0;
    ssize_t got;
    CHECK(pipe(ends) == 0);
    const pid_t child = fork();
    if (child == 0) {
        CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
        CHECK_STATUS(plc_explain_faults(), PLC_OK);
        act();
        _exit(0);
    }
    CHECK(child > 0 && close(ends[1]) == 0);
    while ((got = read(ends[0], said + n, sizeof said - 1 - n)) > 0) {
        n += (size_t)got;
    }
    said[n] = '\0';
    CHECK(close(ends[0]) == 0 && waitpid(child, &status, 0) == child);
    return status;
}

static bool by_segv(int status) {
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static plc_cache *region;

static void load_byte(void) {
    (void)*(volatile uint8_t *)(region->base + 77);
}

static void store_byte(void) {
    *(volatile uint8_t *)(region->base + region->geo.locks_at) = 1;
}

static void load_last(void) {
    (void)*(volatile uint8_t *)(region->base + region->geo.size_bytes - 1);
}

static void load_nothing(void) {
    volatile uintptr_t nowhere = 8; /* as gcc must not know */
    (void)*(volatile uint8_t *)nowhere;
}

static void load_other_key(void) {
    const long key = syscall(SYS_pkey_alloc, 0, 1);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(key > 0 && page != MAP_FAILED);
    CHECK(syscall(SYS_pkey_mprotect, page, 4096, PROT_READ | PROT_WRITE, key) == 0);
    (void)*(volatile uint8_t *)page;
}

/* A fault in the region that is not its key's. */
static void store_read_only(void) {
    CHECK(syscall(SYS_pkey_mprotect, region->base, 4096, PROT_READ, 0) == 0);
    *(volatile uint8_t *)region->base = 1;
}

static void send_itself(void) {
    CHECK(kill(getpid(), SIGSEGV) == 0);
}

static void lines(void) {
    char line[512];
    check_folder_make(NULL);
    region = region_protected(BYTES);
    CHECK(by_segv(ended(load_byte)));
    (void)snprintf(line, sizeof line,
                   "plib_cache: a load from 0x%" PRIxPTR ", which belongs to region r (%s, byte 77): it was touched "
                   "outside the library, where a protection key closes it\n",
                   (uintptr_t)region->base + 77, region->path);
    CHECK(strcmp(said, line) == 0);
    CHECK(by_segv(ended(store_byte)));
    CHECK(strstr(said, "plib_cache: a store to 0x") == said && strchr(said, '\n')[1] == '\0');
    CHECK(by_segv(ended(load_last)));
    (void)snprintf(line, sizeof line, "byte %llu): ", (unsigned long long)region->geo.size_bytes - 1);
    CHECK(strstr(said, line) != NULL);
    CHECK(by_segv(ended(load_nothing)) && said[0] == '\0');
    CHECK(by_segv(ended(load_other_key)) && said[0] == '\0');
    CHECK(by_segv(ended(store_read_only)) && said[0] == '\0');
    CHECK(by_segv(ended(send_itself)) && said[0] == '\0');
    plc_close(region);
}

/* ---- handlers that were there before ------------------------------------------------------------------- */

static volatile sig_atomic_t came;

/* Opens the memory to whoever faulted, and the instruction runs again. */
static void mend(int number, siginfo_t *info, void *context) {
    (void)context;
    came += number == SIGSEGV && info->si_code == 4;
    CHECK(syscall(SYS_pkey_mprotect, region->base, 4096, PROT_READ, 0) == 0);
}

static void mend_plainly(int number) {
    came += number == SIGSEGV;
    CHECK(syscall(SYS_pkey_mprotect, region->base, 4096, PROT_READ, 0) == 0);
}

static void load_twice(void) {
    load_byte();
    load_byte();
    _exit(came == 1 ? 0 : 1);
}

static void handlers(void) {
    check_folder_make(NULL);
    region = region_protected(BYTES);
    struct sigaction before = {.sa_sigaction = mend, .sa_flags = SA_SIGINFO}, none = {.sa_handler = SIG_DFL};
    CHECK(sigaction(SIGSEGV, &before, NULL) == 0);
    CHECK(ended(load_twice) == 0 && strstr(said, "a load from") != NULL);
    before = (struct sigaction){.sa_handler = mend_plainly};
    CHECK(sigaction(SIGSEGV, &before, NULL) == 0);
    CHECK(ended(load_twice) == 0 && strstr(said, "a load from") != NULL);
    before.sa_handler = SIG_IGN; /* nobody can ignore a fault; one that was sent, yes */
    CHECK(sigaction(SIGSEGV, &before, NULL) == 0);
    CHECK(by_segv(ended(load_byte)) && said[0] != '\0');
    CHECK(ended(send_itself) == 0);
    CHECK(sigaction(SIGSEGV, &none, NULL) == 0);
    plc_close(region);
}

int main(void) {
    static const struct check_test all[] = {{"lines", lines}, {"handlers", handlers}};
    CHECK(!check_peeks() || setenv("PROTECTION", "pku", 1) == 0); /* a look must be a fault here */
    return check_run(all, keys_there() ? sizeof all / sizeof all[0] : 0);
}
