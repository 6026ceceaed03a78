/* SPDX-License-Identifier: BSD-3-Clause */
/* test_steps.c: a step of growth in memory, at each of its calls of the kernel: whoever dies there, stands still there
 * or is refused leaves a region that is as large as it was; the next one takes the step, and who goes on much later
 * does no harm.  Huge pages are made of what nobody has reserved yet.  Counted, not timed. */
#include "fixture.h"

#include <sys/syscall.h>
#include <sys/vfs.h>

#include "os_linux.h"

#define REGION (64 * MIB)

/* Where this process is while it grows: `point` counts moments before and behind calls of the kernel; at one of them it
 * sends itself a signal, and from one of them on no room is had. */
static unsigned point, signal_at, refuse_from;
static int signal_sent;

static void pass(void) {
    if (signal_at != 0 && ++point == signal_at) {
        CHECK(kill(getpid(), signal_sent) == 0);
    }
}

static unsigned reserves;

int fallocate(int fd, int mode, off_t from, off_t n) {
    if (refuse_from != 0 && ++reserves >= refuse_from) {
        errno = ENOSPC;
        return -1;
    }
    pass();
    int result = (int)syscall(SYS_fallocate, fd, mode, from, n);
    pass();
    return result;
}

/* Bytes of the region's file that are reserved. */
static uint64_t reserved(void) {
    struct stat s;
    CHECK(stat(check_path("r"), &s) == 0);
    return (uint64_t)s.st_blocks * 512;
}

static bool counting;
static unsigned asked, had;
static uint64_t gained; /* reserved by what the kernel was asked for */

int madvise(void *at, size_t n, int advice) {
    uint64_t before = counting ? reserved() : 0;
    bool collapse = advice == 25; /* MADV_COLLAPSE */
    if (collapse) {
        pass();
    }
    int result = (int)syscall(SYS_madvise, at, n, advice);
    if (collapse) {
        pass();
        asked++;
        had += result == 0 ? 1 : 0;
        gained += counting ? reserved() - before : 0;
    }
    return result;
}

/* A crowded or slow machine would not be asked: this one is neither. And one that was slow once is not asked again, nor
 * are its children: so the clock by which that is told stands still for all of them. */
int getloadavg(double *load, int n) {
    (void)n;
    *load = 0;
    return 1;
}

int clock_gettime(clockid_t clock, struct timespec *t) {
    if (clock != CLOCK_MONOTONIC_COARSE && !counting && signal_at == 0) {
        return (int)syscall(SYS_clock_gettime, clock, t);
    }
    *t = (struct timespec){1000, 0};
    return 0;
}

static uint64_t room = UINT64_MAX; /* bytes that are said to be free */

int fstatfs(int fd, struct statfs *s) {
    int result = (int)syscall(SYS_fstatfs, fd, s);
    if (result == 0 && room != UINT64_MAX) {
        s->f_bavail = (fsblkcnt_t)(room / (uint64_t)s->f_bsize);
    }
    return result;
}

/* ---- huge pages of holes --------------------------------------------------------------------- */

static void test_holes(void) {
    plc_cache *c = region_new(REGION);
    asked = had = 0;
    counting = true;
    region_grow(c, c->geo.end_page);
    counting = false;
    uint64_t end = (uint64_t)c->geo.end_page << PAGE_SHIFT, pool = end - ((uint64_t)c->geo.first_page << PAGE_SHIFT);
    CHECK(c->limit_page == c->geo.end_page && reserved() >= end);
    if (c->in_memory) {
        (void)fprintf(stderr, "  %u of %u huge pages had; they are %" PRIu64 " of %" PRIu64 " KiB\n", had, asked,
                      gained >> 10, pool >> 10);
        CHECK(asked >= pool / OS_HUGE_BYTES && (had < asked || gained >= pool / 2));
    }
    region_end(c, true);
}

/* ---- at every point --------------------------------------------------------------------------- */

static void grows_a_step(struct peer_ends ends) {
    (void)ends;
    unsigned at = signal_at;
    signal_at = 0;
    plc_cache *c = region_named("r", REGION, 0);
    signal_at = at;
    region_grow(c, c->geo.first_page + 1);
    signal_at = 0;
    CHECK(c->limit_page >= c->geo.first_page + c->geo.step_pages);
    plc_close(c);
}

/* Starts a process that grows a new region by a step and is sent the signal at that point.  False: it had no such. */
static bool peer_at(struct peer *p, unsigned at, int sent) {
    int status = 0;
    check_folder_make(NULL);
    signal_at = at;
    signal_sent = sent;
    *p = peer_start(grows_a_step);
    signal_at = 0;
    CHECK(waitpid(p->pid, &status, WUNTRACED) == p->pid);
    bool there = WIFSTOPPED(status) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(there || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    if (!WIFSTOPPED(status)) {
        (void)close(p->to);
        (void)close(p->from);
    }
    return there;
}

/* What somebody sees who comes now: the steps that are wholly reserved. */
static plc_cache *opened_beside(void) {
    plc_cache *c = region_named("r", REGION, 0);
    uint32_t first = c->geo.first_page, limit = c->limit_page;
    CHECK(limit == first || limit == first + c->geo.step_pages);
    CHECK(reserved() >= (uint64_t)limit << PAGE_SHIFT && region_file_pages(c) == limit);
    CHECK(word_acq(&c->super->taken_pages) <= limit);
    return c;
}

static void mark_pages(plc_cache *c, uint32_t end) {
    for (uint32_t page = c->geo.first_page; page < end; page++) {
        memset(c->base + ((size_t)page << PAGE_SHIFT), (int)(page % 251) + 1, PAGE_BYTES);
    }
}

static void check_marks(const plc_cache *c, uint32_t end) {
    for (uint32_t page = c->geo.first_page; page < end; page++) {
        const uint8_t *at = c->base + ((size_t)page << PAGE_SHIFT);
        CHECK(at[0] == page % 251 + 1 && memcmp(at, at + 1, PAGE_BYTES - 1) == 0);
    }
}

static void test_death(void) {
    struct peer p;
    unsigned at = 1, before = 0;
    for (; peer_at(&p, at, SIGKILL); at++) {
        plc_cache *c = opened_beside();
        uint32_t to = c->geo.first_page + c->geo.step_pages;
        before += c->limit_page < to ? 1 : 0;
        region_grow(c, to);
        CHECK(c->limit_page == to && region_file_pages(c) == to && reserved() >= (uint64_t)to << PAGE_SHIFT);
        mark_pages(c, to);
        check_marks(c, to);
        plc_close(c);
    }
    (void)fprintf(stderr, "  %u deaths, %u with the step not taken\n", at - 1, before);
    CHECK(before >= 1 && before < at - 1);
}

/* The others go on without who stands still; who goes on much later takes nothing from them. */
static void test_stopped(void) {
    struct peer p;
    unsigned at = 1;
    for (; peer_at(&p, at, SIGSTOP); at++) {
        plc_cache *c = opened_beside();
        uint32_t to = c->geo.first_page + 2 * c->geo.step_pages;
        region_grow(c, to);
        CHECK(c->limit_page == to && region_file_pages(c) == to);
        mark_pages(c, to);
        CHECK(kill(p.pid, SIGCONT) == 0);
        peer_done(&p);
        CHECK(region_file_pages(c) == to && reserved() >= (uint64_t)to << PAGE_SHIFT);
        check_marks(c, to);
        plc_close(c);
    }
    CHECK(at > 2);
}

/* ---- no room ---------------------------------------------------------------------------------- */

/* From the first, the second, ... call on there is none: the region stays as it is and grows when there is some. */
static void test_refused(void) {
    bool refused = true;
    for (unsigned from = 1; refused; from++) {
        plc_cache *c = region_new(REGION);
        uint32_t first = c->geo.first_page, to = first + c->geo.step_pages;
        reserves = 0;
        refuse_from = from;
        region_grow(c, to);
        refuse_from = 0;
        refused = c->limit_page == first;
        CHECK(refused == (word_acq(&c->super->growth_stopped) != 0));
        region_grow(c, to);
        CHECK(c->limit_page == to && word_acq(&c->super->growth_stopped) == 0);
        region_end(c, false);
        CHECK(refused || from > 1);
    }
}

/* A step that was begun needs only the room that it has not taken yet. */
static void test_room_for_the_rest(void) {
    struct peer p;
    uint64_t least = UINT64_MAX;
    for (unsigned at = 1; peer_at(&p, at, SIGKILL); at++) {
        plc_cache *c = opened_beside();
        uint32_t first = c->geo.first_page, to = first + c->geo.step_pages;
        if (c->in_memory && c->limit_page == first) {
            uint64_t missing = ((uint64_t)to << PAGE_SHIFT) - reserved();
            least = missing < least ? missing : least;
            room = missing - PAGE_BYTES;
            region_grow(c, to);
            CHECK(c->limit_page == first);
            room = missing;
            refuse_from = 0;
            region_grow(c, to);
            room = UINT64_MAX;
            CHECK(c->limit_page == to);
        }
        plc_close(c);
    }
    (void)fprintf(stderr, "  %" PRIu64 " KiB were missing in the end\n", least >> 10);
}

int main(void) {
    static const struct check_test tests[] = {
        {"huge pages of holes", test_holes},
        {"death at every point", test_death},
        {"stopped at every point", test_stopped},
        {"refused at every call", test_refused},
        {"room for the rest of a step", test_room_for_the_rest},
    };
    return RUN_TESTS(tests);
}
