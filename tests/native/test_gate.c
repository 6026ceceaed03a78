/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_gate.c: level pku: the two writes of the register, seen from outside by a tracer.  With the window open nobody
 * calls the kernel; as many windows are closed as were opened; who jumps into the midst of the gate does not get past
 * it; who leaves a call by longjmp, or is killed in one, leaves nothing open and harms nobody.
 */
#include "keys.h"

#if defined(__x86_64__)

#include "trace.h"

#include <elf.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <ucontext.h>

#define BYTES (4ull << 20)
#define GROWING_BYTES (64ull << 20)
#define XSAVE_MOST 16384u
#define GATE_BYTES 128u /* a gate is not longer */

static plc_cache *c;

static void ignore(const char *function, plc_status s) {
    (void)function;
    (void)s;
}

/* ---- looking at who is halted ------------------------------------------------------------------------ */

static uint32_t register_of(pid_t pid) {
    static uint8_t area[XSAVE_MOST];
    struct iovec at = {area, sizeof area};
    CHECK(ptrace(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, &at) == 0);
    return register_in(area);
}

/* Where a gate writes the register; there is one such place in each. */
static uintptr_t write_in(void (*gate)(const struct plc_cache *)) {
    static const uint8_t wrpkru[] = {0x0f, 0x01, 0xef};
    const uint8_t *from = (const uint8_t *)(uintptr_t)gate;
    const uint8_t *at = memmem(from, GATE_BYTES, wrpkru, sizeof wrpkru);
    CHECK(at != NULL);
    return (uintptr_t)at;
}

/* ---- no system call ---------------------------------------------------------------------------------- */

/* A life with everything that calls the kernel: opening, growth, waits, names, walks, closing. */
static void live(struct peer_ends ends) {
    static char value[200000];
    plc_report report;
    (void)await(ends.in);
    trace_me();
    (void)raise(SIGTRAP);
    plc_cache *mine = region_protected(GROWING_BYTES);
    for (unsigned i = 0; i < 100; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key-%u", i);
        CHECK_STATUS(store(mine, PLC_SET, key, value, sizeof value), PLC_OK);
    }
    CHECK(counter_of(mine, "growths") > 1);
    call_every(mine, ignore);
    call_every(mine, ignore);
    CHECK_STATUS(plc_remove(check_path("r"), &report), PLC_OK);
    plc_close(mine);
    check_folder_remove();
}

static void no_system_call(void) {
    struct peer p = peer_start(live);
    unsigned stops = 0, status = 0;
    if (!trace_needed()) {
        peer_kill(&p);
        return;
    }
    tell(p.to, 0);
    trace_wait(p.pid);
    uint32_t closed = register_of(p.pid);
    CHECK(ptrace(PTRACE_SETOPTIONS, p.pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) == 0);
    for (int wait_status = 0;; stops++) {
        CHECK(ptrace(PTRACE_SYSCALL, p.pid, NULL, (void *)(uintptr_t)status) == 0);
        CHECK(waitpid(p.pid, &wait_status, 0) == p.pid);
        if (!WIFSTOPPED(wait_status)) {
            CHECK(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0);
            break;
        }
        bool call = WSTOPSIG(wait_status) == (SIGTRAP | 0x80);
        status = call ? 0 : (unsigned)WSTOPSIG(wait_status);
        CHECK(!call || register_of(p.pid) == closed);
    }
    CHECK(stops > 100);
    (void)printf("  %u stops at system calls, the window closed at each\n", stops);
    (void)close(p.from);
    (void)close(p.to);
}

/* ---- opened and closed ------------------------------------------------------------------------------- */

static void call_all(struct peer_ends ends) {
    (void)await(ends.in);
    call_every(c, ignore); /* it has a place of its own now, and its names */
    trace_me();
    (void)raise(SIGTRAP);
    call_every(c, ignore);
    (void)raise(SIGTRAP);
}

static struct peer start_stepped(void (*act)(struct peer_ends)) {
    struct peer p = peer_start(act);
    tell(p.to, 0);
    trace_wait(p.pid);
    return p;
}

/* The text of who is halted is its own copy. */
static void put_byte(pid_t pid, uintptr_t at, uint8_t byte) {
    errno = 0;
    long word_there = ptrace(PTRACE_PEEKTEXT, pid, (void *)at, NULL);
    CHECK(errno == 0);
    CHECK(ptrace(PTRACE_POKETEXT, pid, (void *)at, (void *)((word_there & ~0xffl) | byte)) == 0);
}

/* Goes on to the next of the two writes, and behind it.  Which it was; 2: it has come to its end. */
static unsigned next_write(pid_t pid, const uintptr_t writes[2]) {
    enum { TRAP = 0xcc, FIRST = 0x0f };
    struct user_regs_struct registers;
    trace_run(pid);
    CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &registers) == 0);
    registers.rip--;
    unsigned which = registers.rip == writes[0] ? 0 : registers.rip == writes[1] ? 1 : 2;
    if (which < 2) {
        CHECK(ptrace(PTRACE_SETREGS, pid, NULL, &registers) == 0);
        put_byte(pid, registers.rip, FIRST);
        trace_step(pid);
        put_byte(pid, registers.rip, TRAP);
    }
    return which;
}

static void as_many_closed(void) {
    unsigned done[3] = {0, 0, 0};
    if (!trace_needed()) {
        return;
    }
    c = region_protected(BYTES);
    const uintptr_t writes[2] = {write_in(domain_key_open), write_in(domain_key_close)};
    struct peer p = start_stepped(call_all);
    uint32_t closed = register_of(p.pid);
    put_byte(p.pid, writes[0], 0xcc);
    put_byte(p.pid, writes[1], 0xcc);
    while (done[2] == 0) {
        unsigned which = next_write(p.pid, writes);
        done[which]++;
        CHECK(done[0] == done[1] + (which == 0 ? 1 : 0)); /* by turns: they do not nest */
        CHECK((register_of(p.pid) == closed) == (which != 0));
    }
    CHECK(done[0] == done[1] && done[0] > 30);
    (void)printf("  %u windows opened, as many closed\n", done[0]);
    peer_kill(&p);
    region_end(c, true);
}

/* ---- into the midst of it ---------------------------------------------------------------------------- */

/* As a wild jump would: everything open in the value that is written, c where the gate has it. */
__attribute__((noreturn)) static void jump_to(uintptr_t at) {
    __asm__ volatile("xor %%eax, %%eax\n\txor %%ecx, %%ecx\n\txor %%edx, %%edx\n\tjmp *%0"
                     :
                     : "r"(at), "D"(c), "S"(1ul)
                     : "rax", "rcx", "rdx", "memory");
    __builtin_unreachable();
}

static void jumps_into_open(struct peer_ends ends) {
    (void)ends;
    jump_to(write_in(domain_key_open));
}

static void jumps_into_close(struct peer_ends ends) {
    (void)ends;
    jump_to(write_in(domain_key_close));
}

static void into_the_midst(void) {
    c = region_protected(BYTES);
    void (*const jumps[])(struct peer_ends) = {jumps_into_open, jumps_into_close};
    for (unsigned i = 0; i < 2; i++) {
        struct peer p = peer_start(jumps[i]);
        int status = peer_end(&p);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGILL);
    }
    region_end(c, false);
}

/* ---- out of it by longjmp ---------------------------------------------------------------------------- */

#define LEAVES 20u

static sigjmp_buf outside;
static volatile sig_atomic_t left;

static void leaves(int signal, siginfo_t *info, void *context) {
    const ucontext_t *at = context;
    (void)signal;
    (void)info;
    if ((register_in(at->uc_mcontext.fpregs) & c->key_bits) == 0) {
        left++;
        siglongjmp(outside, 1);
    }
}

static void is_left(struct peer_ends ends) {
    const struct sigaction action = {.sa_sigaction = leaves, .sa_flags = SA_SIGINFO};
    const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    char buffer[16];
    plc_found found;
    (void)ends;
    CHECK_STATUS(store(c, PLC_SET, "mine", "value", 5), PLC_OK);
    uint32_t closed = register_now();
    CHECK(sigaction(SIGVTALRM, &action, NULL) == 0);
    (void)sigsetjmp(outside, 1);
    CHECK(register_now() == closed && touch(c, c->base, false) == TOUCH_CLOSED);
    CHECK(setitimer(ITIMER_VIRTUAL, left < (sig_atomic_t)LEAVES ? &often : &never, NULL) == 0);
    while (left < (sig_atomic_t)LEAVES) {
        CHECK_STATUS(get(c, "mine", buffer, sizeof buffer, &found), PLC_OK);
    }
    CHECK(all_closed(c));
    CHECK_STATUS(get(c, "mine", buffer, sizeof buffer, &found), PLC_OK);
    CHECK_STATUS(store(c, PLC_SET, "more", "value", 5), PLC_OK);
}

static void by_longjmp(void) {
    c = region_protected(BYTES);
    struct peer p = peer_start(is_left);
    peer_done(&p);
    CHECK(findings_of(c) == 0);
    region_end(c, true);
}

/* ---- killed in it ------------------------------------------------------------------------------------ */

static void stores(struct peer_ends ends) {
    (void)await(ends.in);
    CHECK_STATUS(store(c, PLC_SET, "its", "first", 5), PLC_OK);
    trace_me();
    (void)raise(SIGTRAP);
    CHECK_STATUS(store(c, PLC_SET, "its", "other", 5), PLC_OK);
    (void)raise(SIGTRAP);
}

#define PLACES 6u
#define APART 190u /* instructions; a set has some 1,800 */

static void killed_inside(void) {
    char buffer[16];
    plc_found found;
    if (!trace_needed()) {
        return;
    }
    c = region_protected(BYTES);
    uint32_t closed = register_now();
    for (unsigned places = 0; places < PLACES; places++) {
        struct peer p = start_stepped(stores);
        while (register_of(p.pid) == closed) {
            trace_step(p.pid);
        }
        for (unsigned i = 0; i < APART * places; i++) {
            trace_step(p.pid);
        }
        CHECK(register_of(p.pid) != closed);
        peer_kill(&p);
        CHECK(register_now() == closed && all_closed(c));
        CHECK_STATUS(get(c, "its", buffer, sizeof buffer, &found), PLC_OK);
        CHECK(memcmp(buffer, "first", 5) == 0 || memcmp(buffer, "other", 5) == 0);
        CHECK(findings_of(c) == 0);
    }
    region_end(c, true);
}

int main(void) {
    static const struct check_test all[] = {
        {"no system call", no_system_call}, {"as many closed", as_many_closed}, {"into the midst", into_the_midst},
        {"by longjmp", by_longjmp},         {"killed inside", killed_inside},
    };
    return keys_there() ? check_run(all, sizeof all / sizeof all[0]) : 0;
}

#else

int main(void) {
    return keys_there() ? 1 : 0;
}

#endif
