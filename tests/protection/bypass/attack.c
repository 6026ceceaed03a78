/* SPDX-License-Identifier: BSD-3-Clause */
/* attack.c: see attack.h. */
#include "attack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef SEGV_PKUERR
#define SEGV_PKUERR 4
#endif

struct report *report;
uint8_t value_buffer[1u << 16];

void note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(report->note, sizeof report->note, format, arguments);
    va_end(arguments);
}

enum claim missing(const char *why) {
    note("%s", why);
    return ABSENT;
}

enum claim broken(const char *what) {
    note("%s: %s", what, strerror(errno));
    return BROKEN;
}

enum claim answered(long got, int refusal) {
    if (got >= 0) {
        return DONE;
    }
    note("%s", strerror(errno));
    return errno == refusal ? REFUSED : errno == ENOSYS ? ABSENT : BROKEN;
}

/* ---- loads and stores --------------------------------------------------------------------------------- */

static _Thread_local sigjmp_buf back;
static _Thread_local volatile int code;

static void faulted(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)context;
    code = info->si_code;
    siglongjmp(back, 1);
}

static enum claim copy_guarded(uint8_t *to, const uint8_t *from, size_t n) {
    struct sigaction mine = {.sa_sigaction = faulted, .sa_flags = SA_SIGINFO | SA_NODEFER}, other;
    volatile enum claim result = DONE; /* set behind a longjmp */
    CHECK(sigaction(SIGSEGV, &mine, &other) == 0);
    if (sigsetjmp(back, 1) != 0) {
        note("SIGSEGV, %s", code == SEGV_PKUERR ? "the key is closed" : "but not because of the key");
        result = code == SEGV_PKUERR ? REFUSED : BROKEN;
    } else {
        memcpy(to, from, n);
    }
    CHECK(sigaction(SIGSEGV, &other, NULL) == 0);
    return result;
}

enum claim loot_from(const void *at) {
    return copy_guarded(report->loot, at, LOOT_BYTES);
}

enum claim deface(const struct target *t) {
    uint8_t fakes[LOOT_BYTES];
    memset(fakes, FAKE_BYTE, sizeof fakes);
    return copy_guarded(t->page, fakes, sizeof fakes);
}

enum claim loot_in_file(int fd) {
    return pread(fd, report->loot, LOOT_BYTES, 0) == LOOT_BYTES ? DONE : broken("the file that has the loot");
}

__attribute__((noinline)) void register_write(uint32_t value) {
    __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(value), "c"(0), "d"(0) : "memory");
}

/* ---- fakes ---------------------------------------------------------------------------------------------- */

uint8_t *fake_page(void *at) {
    int how = MAP_PRIVATE | MAP_ANONYMOUS | (at != NULL ? MAP_FIXED : 0);
    uint8_t *page = mmap(at, ATTACK_PAGE, PROT_READ | PROT_WRITE, how, -1, 0);
    CHECK(page != MAP_FAILED);
    memset(page, FAKE_BYTE, ATTACK_PAGE);
    return page;
}

enum claim library_reads_fakes(const struct target *t) {
    plc_found found;
    plc_status s = AGAIN(t->c, plc_get(t->c, "large", 5, 0, value_buffer, sizeof value_buffer, &found));
    if (s != PLC_OK || found.length != sizeof value_buffer) {
        return broken(plc_status_text(s));
    }
    const uint8_t *copied = value_buffer + t->in_value;
    note("the library reads the %s", copied[0] == FAKE_BYTE ? "fake" : "region");
    return copied[0] == FAKE_BYTE && memcmp(copied, copied + 1, ATTACK_PAGE - 1) == 0 ? DECEIVED : REFUSED;
}

void warm_up(const struct target *t) {
    plc_found found;
    uint8_t small[sizeof t->small];
    MUST(t->c, plc_get(t->c, "small", 5, 0, small, sizeof small, &found), PLC_OK);
    MUST(t->c, plc_get(t->c, "small", 5, 0, small, sizeof small, &found), PLC_OK);
}

/* ---- files and children ------------------------------------------------------------------------------- */

int region_file(const struct target *t) {
    int fd = open(t->c->path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

void prepare(const struct target *t, size_t offset, const void *bytes, size_t n) {
    int fd = region_file(t);
    CHECK(pwrite(fd, bytes, n, (off_t)(t->offset + offset)) == (ssize_t)n);
    memcpy(report->content + offset, bytes, n);
}

int memory_file(void) {
    int fd = (int)syscall(SYS_memfd_create, "attack", 0);
    CHECK(fd >= 0);
    return fd;
}

int code_file(void) {
    static const char *const folders[] = {"/tmp", "/var/tmp", "/dev/shm"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "%s/plc-code-XXXXXX", folders[i]);
        int fd = mkstemp(path);
        if (fd < 0) {
            continue;
        }
        (void)unlink(path);
        CHECK(ftruncate(fd, ATTACK_PAGE) == 0);
        void *at = mmap(NULL, ATTACK_PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
        if (at != MAP_FAILED) { /* not mounted noexec */
            CHECK(munmap(at, ATTACK_PAGE) == 0);
            return fd;
        }
        (void)close(fd);
    }
    int fd = memory_file();
    CHECK(ftruncate(fd, ATTACK_PAGE) == 0);
    return fd;
}

long number_in(const char *path, long none) {
    long number = none;
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        number = fscanf(file, "%ld", &number) == 1 ? number : none;
        (void)fclose(file);
    }
    return number;
}

void in_child(void (*act)(const struct target *t), const struct target *t) {
    int status = 0;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        act(t);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
}
