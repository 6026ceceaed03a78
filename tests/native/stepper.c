/* SPDX-License-Identifier: BSD-3-Clause */
/* stepper.c: see stepper.h. */
#include "check.h"
#include "stepper.h"
#include "trace.h"

#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#define TRAP_STEPS 4 /* to come to a trap once takes as long as so many steps */
#define VDSO_BYTES 0x4000u
#define STEPS_MOST 2000000u /* an act with more of them has no end */

static uint64_t diverged;

uint64_t stepper_diverged(void) {
    return diverged;
}

#if defined(__x86_64__)

/* What the victim tells: in memory that both have, so that asking costs nothing. */
static struct stage {
    volatile uint64_t done;
    volatile uint64_t status, slot;
} *stage;

static inline void halt(void) {
    __asm__ volatile("int3" ::: "memory");
}

static uint64_t place_of(const struct victim *v) {
    errno = 0;
    long pc = ptrace(PTRACE_PEEKUSER, v->pid, (void *)offsetof(struct user_regs_struct, rip), NULL);
    CHECK(errno == 0);
    return (uint64_t)pc;
}

bool stepper_allowed(void) {
    return trace_allowed();
}

__attribute__((noreturn)) static void live(uint32_t (*ready)(void), plc_status (*act)(void)) {
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    stage->slot = ready();
    trace_me();
    halt();
    stage->status = (uint64_t)act();
    stage->done = 1;
    for (;;) {
        halt();
    }
}

struct victim stepper_start(uint32_t (*ready)(void), plc_status (*act)(void)) {
    if (stage == NULL) {
        stage = mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(stage != MAP_FAILED);
    }
    stage->done = 0;
    struct victim v = {.pid = fork()};
    CHECK(v.pid >= 0);
    if (v.pid == 0) {
        live(ready, act);
    }
    trace_wait(v.pid);
    v.slot = (uint32_t)stage->slot;
    return v;
}

bool stepper_step(struct victim *v) {
    trace_step(v->pid);
    return stage->done == 0;
}

static void note_place(struct path *p, const struct victim *v) {
    if (p->n + 1 >= p->room) {
        p->room = p->room * 2 + 1024;
        p->pc = realloc(p->pc, p->room * sizeof *p->pc);
        p->passed = realloc(p->passed, p->room * sizeof *p->passed);
        p->landmark = realloc(p->landmark, p->room * sizeof *p->landmark);
        CHECK(p->pc != NULL && p->passed != NULL && p->landmark != NULL);
    }
    p->pc[p->n] = place_of(v);
}

/* How often a place was passed; places of a path are few. */
struct passed {
    uint64_t pc;
    uint32_t times;
};

static uint32_t pass(struct passed *table, uint64_t mask, uint64_t pc) {
    uint64_t at = pc * 0x9e3779b97f4a7c15ull >> 32 & mask;
    while (table[at].pc != 0 && table[at].pc != pc) {
        at = (at + 1) & mask;
    }
    table[at].pc = pc;
    return ++table[at].times;
}

/* A trap is set at the landmark, and met as often as it was passed by then; not in the kernel's page, though. */
static void note_landmarks(struct path *p) {
    uint64_t kernels = getauxval(AT_SYSINFO_EHDR), places = 1024;
    int64_t least = 0;
    while (places < 2ull * p->n) {
        places *= 2;
    }
    struct passed *table = calloc(places, sizeof *table);
    CHECK(table != NULL);
    p->landmark[0] = 0;
    for (uint32_t i = 1; i <= p->n; i++) {
        p->passed[i] = pass(table, places - 1, p->pc[i]);
        int64_t cost = (int64_t)p->passed[i] * TRAP_STEPS - i; /* and one for each instruction from there on */
        bool better = p->pc[i] - kernels >= VDSO_BYTES && i < p->n && cost < least;
        least = better ? cost : least;
        p->landmark[i] = better ? i : p->landmark[i - 1];
    }
    free(table);
}

void stepper_walk(struct victim *v, struct path *p, void (*each)(uint32_t i)) {
    p->n = 0;
    note_place(p, v);
    bool more = true;
    while (more) {
        more = stepper_step(v);
        p->n++;
        CHECK(p->n < STEPS_MOST);
        note_place(p, v);
        each(p->n);
    }
    note_landmarks(p);
}

static void put_text(const struct victim *v, uint64_t place, long text) {
    CHECK(ptrace(PTRACE_POKETEXT, v->pid, (void *)(uintptr_t)place, (void *)text) == 0);
}

/* Runs until it comes to the place for so many times.  False: the act has returned before. */
static bool run_to(struct victim *v, uint64_t place, uint32_t times) {
    void *rip = (void *)offsetof(struct user_regs_struct, rip), *at = (void *)(uintptr_t)place;
    errno = 0;
    long was = ptrace(PTRACE_PEEKTEXT, v->pid, at, NULL);
    CHECK(errno == 0);
    for (uint32_t i = 0; i < times; i++) {
        if (i > 0 && !stepper_step(v)) {
            return false;
        }
        put_text(v, place, (was & ~0xffL) | 0xcc);
        trace_run(v->pid);
        put_text(v, place, was);
        if (stage->done != 0) {
            return false;
        }
        CHECK(place_of(v) == place + 1);
        CHECK(ptrace(PTRACE_POKEUSER, v->pid, rip, at) == 0);
    }
    return true;
}

bool stepper_go(struct victim *v, const struct path *p, uint32_t n) {
    uint32_t i = p->landmark[n];
    if (i > 0 && !run_to(v, p->pc[i], p->passed[i])) {
        diverged++;
        return false;
    }
    for (; i < n; i++) {
        if (!stepper_step(v)) {
            diverged += i + 1 < n ? 1 : 0;
            return false;
        }
    }
    diverged += place_of(v) != p->pc[n] ? 1 : 0;
    return true;
}

plc_status stepper_finish(struct victim *v) {
    if (stage->done == 0) {
        trace_run(v->pid);
    }
    CHECK(stage->done == 1);
    return (plc_status)stage->status;
}

void stepper_kill(struct victim *v) {
    int status = 0;
    CHECK(kill(v->pid, SIGKILL) == 0);
    CHECK(waitpid(v->pid, &status, 0) == v->pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

#else /* elsewhere a trap's place and a breakpoint are other things: nobody is stepped */

bool stepper_allowed(void) {
    return false;
}

struct victim stepper_start(uint32_t (*ready)(void), plc_status (*act)(void)) {
    (void)ready;
    (void)act;
    CHECK(!"stepper_allowed");
    return (struct victim){0, 0};
}

bool stepper_step(struct victim *v) {
    (void)v;
    return false;
}

void stepper_walk(struct victim *v, struct path *p, void (*each)(uint32_t i)) {
    (void)v;
    (void)p;
    (void)each;
}

bool stepper_go(struct victim *v, const struct path *p, uint32_t n) {
    (void)v;
    (void)p;
    (void)n;
    return false;
}

plc_status stepper_finish(struct victim *v) {
    (void)v;
    return PLC_INVALID;
}

void stepper_kill(struct victim *v) {
    (void)v;
}

#endif
