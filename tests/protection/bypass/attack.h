/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * attack.h: what the attacks on a region share.  Each plays native code in a process that has the region open, runs in
 * a child of its own and goes for one page: it tries to read it, to change it, or to have the library work on something
 * else instead.  It says how that went; whether the page's content came out, or was changed, is judged by the parent,
 * who has put that content there and looks at the file.  Relies on nothing but Linux on x86-64.
 */
#ifndef BYPASS_ATTACK_H
#define BYPASS_ATTACK_H

#include "keys.h"

#define ATTACK_PAGE 4096u
#define LOOT_BYTES 32u

struct target {
    plc_cache *c;
    uint8_t *page;     /* in the region; the middle of the value "large" */
    uint64_t offset;   /* of it in the file */
    size_t in_value;   /* of it in the value */
    uint32_t key;      /* the region's; 0: at level none */
    bool root;
    uint8_t small[16]; /* the value "small" */
};

enum claim {
    PENDING,  /* died before it said anything */
    REFUSED,  /* was kept from it, in the way in which that is to happen */
    DONE,     /* went through: the parent finds the content in `loot`, or the page changed */
    DECEIVED, /* went through, by what it saw itself: the library was deceived */
    ABSENT,   /* this machine has no such mechanism; the note says why */
    BROKEN    /* none of these: the test is wrong */
};

enum outcome { HELD, BYPASSED, NOT_HERE, WRONG };

/* Shared by the parent and all that an attack starts. */
struct report {
    _Atomic int claim;
    enum outcome expected; /* may be changed by an attack that depends on a setting */
    char note[96];
    uint8_t loot[LOOT_BYTES];
    uint8_t content[ATTACK_PAGE]; /* what the page is to have */
};
extern struct report *report;

/* What the library and the attacks are told apart by. */
#define FAKE_BYTE 0xfa

__attribute__((format(printf, 1, 2))) void note(const char *format, ...);
/* With a note. */
enum claim missing(const char *why);
enum claim broken(const char *what);
/* A system call's answer: DONE; REFUSED with this errno; ABSENT: the kernel does not have it. */
enum claim answered(long got, int refusal);

/* Takes the loot.  DONE; REFUSED: the key is closed. */
enum claim loot_from(const void *at);
/* Stores to the page.  The same. */
enum claim deface(const struct target *t);
/* The same through the file, where an attack has got the bytes into one: the first ones. */
enum claim loot_in_file(int fd);
/* Writes the register, whatever the key. */
void register_write(uint32_t value);

/* A page of fakes, at a place of its own or at the target's. */
uint8_t *fake_page(void *at);
/* Does the library take the fakes for the region's?  DECEIVED, or REFUSED. */
enum claim library_reads_fakes(const struct target *t);
/* Calls the library so that the next call needs no plc_assist. */
void warm_up(const struct target *t);
/* What it copies out, or is to copy. */
extern uint8_t value_buffer[1u << 16];

/* The region's file, opened by its owner: to prepare what an attack needs, or as one. */
int region_file(const struct target *t);
/* Changes the page's content before an attack, at that offset: it is what the parent expects then. */
void prepare(const struct target *t, size_t offset, const void *bytes, size_t n);
/* An empty file of memory, an unlinked one from which code may be mapped, and the first number in a file, or `none`. */
int memory_file(void);
int code_file(void);
long number_in(const char *path, long none);

/* Runs act in a child of the attack and waits for it. */
void in_child(void (*act)(const struct target *t), const struct target *t);

/* The attacks, by file. */
#define ATTACK(name) enum claim name(const struct target *t)
ATTACK(attack_load);
ATTACK(attack_store);
ATTACK(attack_write_syscall);
ATTACK(attack_read_syscall);
ATTACK(attack_fork_child_read);
ATTACK(attack_vmsplice);
ATTACK(attack_o_direct);
ATTACK(attack_aio);
ATTACK(attack_clear_child_tid);
ATTACK(attack_robust_list);
ATTACK(attack_futex_wake_op);

ATTACK(attack_iouring_inline);
ATTACK(attack_iouring_async);
ATTACK(attack_iouring_sqpoll);
ATTACK(attack_iouring_fixedbuf);
ATTACK(attack_iouring_open_worker);

ATTACK(attack_wrpkru);
ATTACK(attack_libc_pkey_set);
ATTACK(attack_xrstor);
ATTACK(attack_new_exec_page);
ATTACK(attack_mprotect_new_exec);
ATTACK(attack_memfd_exec);
ATTACK(attack_personality_rie);
ATTACK(attack_rewrite_mapped_lib);

ATTACK(attack_procmem_read);
ATTACK(attack_procmem_write);
ATTACK(attack_procmem_dumpable1);
ATTACK(attack_procmem_other);
ATTACK(attack_pvm_readv_self);
ATTACK(attack_pvm_writev_self);
ATTACK(attack_pvm_readv_other);
ATTACK(attack_ptrace_attach);
ATTACK(attack_ptrace_traceme);

ATTACK(attack_pkey_mprotect);
ATTACK(attack_mprotect_rw);
ATTACK(attack_mprotect_exec_then_rw);
ATTACK(attack_pkey_free_alloc);
ATTACK(attack_remap_file_pages);
ATTACK(attack_mremap_dup);
ATTACK(attack_mremap_move_away);
ATTACK(attack_mremap_over);
ATTACK(attack_munmap_fake);
ATTACK(attack_mmap_fixed_fake);
ATTACK(attack_munmap_from_below);
ATTACK(attack_madv_remove);
ATTACK(attack_madv_dontneed_shared);
ATTACK(attack_madv_dontneed_private);
ATTACK(attack_uffd_inject);

ATTACK(attack_mremap_text_outside);
ATTACK(attack_mremap_text_in_slot);
ATTACK(attack_sigreturn_forge);
ATTACK(attack_sigctx_redirect);
ATTACK(attack_single_step_regs);
ATTACK(attack_rseq_abort);
ATTACK(attack_stack_smash_thread);

ATTACK(attack_map_files);
ATTACK(attack_reopen_file);
ATTACK(attack_core_dump);
ATTACK(attack_core_dump_open);
ATTACK(attack_prctl_set_mm);
ATTACK(attack_perf_event);
ATTACK(attack_bpf);
ATTACK(attack_seccomp_fake);
ATTACK(attack_arch_prctl_fs);
ATTACK(attack_int80);

#endif
