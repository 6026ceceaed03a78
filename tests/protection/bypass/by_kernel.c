/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * by_kernel.c: other doors of the kernel: the file behind the mapping, a core, what /proc shows, perf, BPF, and those
 * that have the library see another kernel or another thread-local memory than it believes.
 */
#include "attack.h"

#include <glob.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <asm/perf_regs.h>
#include <asm/prctl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* Has this process the capability?  Root may be without. */
static bool capable(unsigned capability) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    CHECK(syscall(SYS_capget, &head, sets) == 0);
    return (sets[capability / 32].effective >> capability % 32 & 1u) != 0;
}

/* ---- the file -------------------------------------------------------------------------------------------- */

ATTACK(attack_reopen_file) {
    int fd = open(t->c->path, O_RDONLY | O_CLOEXEC);
    long got = fd < 0 ? -1 : pread(fd, report->loot, LOOT_BYTES, (off_t)t->offset);
    return answered(got, EACCES);
}

/* The mapping that has the page, as /proc spells it, and the page's place in the file. */
static bool find_mapping(const struct target *t, char *name, size_t bytes, off_t *offset) {
    char line[512];
    unsigned long from, to, at;
    FILE *maps = fopen("/proc/self/maps", "re");
    bool found = false;
    CHECK(maps != NULL);
    while (!found && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t page = (uintptr_t)t->page;
        found = sscanf(line, "%lx-%lx %*s %lx", &from, &to, &at) == 3 && from <= page && page < to;
    }
    (void)fclose(maps);
    (void)snprintf(name, bytes, "/proc/self/map_files/%lx-%lx", from, to);
    *offset = (off_t)(at + ((uintptr_t)t->page - from));
    return found;
}

ATTACK(attack_map_files) {
    char name[80];
    off_t offset = 0;
    CHECK(find_mapping(t, name, sizeof name, &offset));
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && t->root && !capable(CAP_SYS_ADMIN)) {
        return missing("this root has not CAP_SYS_ADMIN");
    }
    if (fd < 0) {
        return errno == ENOENT ? missing("/proc has no map_files here") : answered(-1, EPERM);
    }
    return answered(pread(fd, report->loot, LOOT_BYTES, offset), EPERM);
}

#define CORE_BYTES (64u << 20) /* more than one has */

/* ---- a core ------------------------------------------------------------------------------------------------ */

/* Dies with a core of what is shared and in files, also what the library has left out.  The kernel copies the
 * pages with the register of the thread that dies. */
static void die_with_core(const struct target *t) {
    struct rlimit limit;
    int filter = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
    CHECK(getrlimit(RLIMIT_CORE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_CORE, &limit) == 0 && chdir(check_folder) == 0);
    CHECK(filter >= 0 && write(filter, "0x08", 4) == 4);
    CHECK(madvise(t->page, ATTACK_PAGE, MADV_DODUMP) == 0);
    abort();
}

/* The core, in the folder of the region, whatever else its name has. */
static int open_core(void) {
    char pattern[300];
    glob_t found;
    (void)snprintf(pattern, sizeof pattern, "%s/*core*", check_folder);
    if (glob(pattern, 0, NULL, &found) != 0) {
        return -1;
    }
    int fd = open(found.gl_pathv[0], O_RDONLY | O_CLOEXEC);
    (void)unlink(found.gl_pathv[0]); /* the next one is another row's */
    globfree(&found);
    return fd;
}

static enum claim search_core(int fd) {
    struct stat s;
    CHECK(fstat(fd, &s) == 0);
    const uint8_t *core = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(core != MAP_FAILED);
    const uint8_t *at = memmem(core, (size_t)s.st_size, report->content, LOOT_BYTES);
    note("a core of %lld KiB", (long long)s.st_size / 1024);
    if (at == NULL) {
        return REFUSED;
    }
    memcpy(report->loot, at, LOOT_BYTES);
    return DONE;
}

/* Has the child die in that way, and looks into its core. */
static enum claim core_of(void (*dies)(const struct target *t), const struct target *t) {
    char pattern[128] = "";
    struct rlimit limit;
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
    CHECK(file != NULL && fgets(pattern, sizeof pattern, file) != NULL && fclose(file) == 0);
    CHECK(getrlimit(RLIMIT_CORE, &limit) == 0);
    if (limit.rlim_max < CORE_BYTES) {
        return missing("the hard limit for cores is too small");
    }
    if (strchr("|/@", pattern[0]) != NULL || strstr(pattern, "core") == NULL) {
        return missing("kernel.core_pattern takes cores elsewhere");
    }
    in_child(dies, t);
    int fd = open_core();
    return fd >= 0 ? search_core(fd) : broken("no core");
}

ATTACK(attack_core_dump) {
    return core_of(die_with_core, t);
}

/* As a thread that a signal ends in the middle of a call. */
static void die_with_core_open(const struct target *t) {
    register_write(0);
    die_with_core(t);
}

ATTACK(attack_core_dump_open) {
    return core_of(die_with_core_open, t);
}

/* ---- what the kernel shows ----------------------------------------------------------------------------------- */

/* The heap is said to end behind the page: brk() gives it back, and nobody has called munmap(). */
ATTACK(attack_prctl_set_mm) {
    if (prctl(PR_SET_MM, PR_SET_MM_BRK, t->page + ATTACK_PAGE, 0, 0) != 0) {
        bool lame = t->root && !capable(CAP_SYS_RESOURCE);
        return lame ? missing("this root has not CAP_SYS_RESOURCE") : answered(-1, EPERM);
    }
    if (prctl(PR_SET_MM, PR_SET_MM_START_BRK, t->page, 0, 0) != 0 || syscall(SYS_brk, t->page) != (long)t->page) {
        return broken("brk");
    }
    (void)fake_page(t->page);
    return library_reads_fakes(t);
}

/* Halts at each access to the page, with the registers that the library has then. */
static int watch(const struct target *t) {
    struct perf_event_attr attr = {.type = PERF_TYPE_BREAKPOINT,
                                   .size = sizeof attr,
                                   .bp_type = HW_BREAKPOINT_RW,
                                   .bp_addr = (uint64_t)(uintptr_t)t->page,
                                   .bp_len = HW_BREAKPOINT_LEN_8,
                                   .sample_period = 1,
                                   .sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_REGS_USER,
                                   .sample_regs_user = 1u << PERF_REG_X86_SP,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

ATTACK(attack_perf_event) {
    long page = sysconf(_SC_PAGESIZE), forbidden = number_in("/proc/sys/kernel/perf_event_paranoid", 0);
    report->expected = !t->root && forbidden <= 2 ? BYPASSED : report->expected;
    int fd = watch(t);
    if (fd < 0) {
        bool none = errno == ENOENT || errno == ENODEV || errno == EOPNOTSUPP || errno == ENOSPC;
        bool refused = (errno == EACCES || errno == EPERM) && report->expected == BYPASSED;
        return none      ? missing("no breakpoints to watch memory with")
               : refused ? missing("a sandbox forbids perf_event_open")
                         : answered(-1, EACCES);
    }
    const struct perf_event_mmap_page *head = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK((const void *)head != MAP_FAILED);
    (void)library_reads_fakes(t);
    struct {
        struct perf_event_header header;
        uint64_t ip, abi, stack;
    } sample;
    if (head->data_head < sizeof sample) {
        return broken("no sample of the library's access");
    }
    memcpy(&sample, (const uint8_t *)head + page, sizeof sample);
    note("a register of the library at its access to the page (perf_event_paranoid %ld)", forbidden);
    return sample.header.type == PERF_RECORD_SAMPLE && sample.abi != 0 && sample.stack != 0 ? DECEIVED : REFUSED;
}

/* ---- BPF --------------------------------------------------------------------------------------------------- */

static long bpf(int command, union bpf_attr *attr) {
    return syscall(SYS_bpf, command, attr, sizeof *attr);
}

#define LOAD_64(reg, kind, value)                                                                    \
    {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = (reg), .src_reg = (kind), .imm = (int)(value)}, { \
        .imm = (int)((uint64_t)(value) >> 32)                                                        \
    }
#define MOVE(reg, value) {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (reg), .imm = (value)}

/* A program that has the kernel read user memory into an array, in the thread that runs it. */
static long load_reader(const struct target *t, int array) {
    static char log[4096];
    const struct bpf_insn code[] = {LOAD_64(BPF_REG_1, BPF_PSEUDO_MAP_VALUE, array),
                                    MOVE(BPF_REG_2, LOOT_BYTES),
                                    LOAD_64(BPF_REG_3, 0, (uint64_t)(uintptr_t)t->page),
                                    {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_user},
                                    {.code = BPF_JMP | BPF_EXIT}};
    union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
                           .insn_cnt = sizeof code / sizeof code[0],
                           .insns = (uint64_t)(uintptr_t)code,
                           .license = (uint64_t)(uintptr_t)"GPL",
                           .log_buf = (uint64_t)(uintptr_t)log,
                           .log_size = sizeof log,
                           .log_level = 1};
    return bpf(BPF_PROG_LOAD, &attr);
}

ATTACK(attack_bpf) {
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = LOOT_BYTES, .max_entries = 1};
    (void)library_reads_fakes(t); /* so that the page is there: such a read waits for none */
    int array = (int)bpf(BPF_MAP_CREATE, &map);
    long program = array < 0 ? -1 : load_reader(t, array);
    if (program < 0) {
        return errno == EPERM && t->root ? missing("a sandbox or lockdown forbids BPF") : answered(-1, EPERM);
    }
    union bpf_attr run = {.test.prog_fd = (uint32_t)program};
    if (bpf(BPF_PROG_TEST_RUN, &run) != 0) {
        return broken("BPF_PROG_TEST_RUN");
    }
    uint32_t first = 0;
    union bpf_attr look = {
        .map_fd = (uint32_t)array, .key = (uint64_t)(uintptr_t)&first, .value = (uint64_t)(uintptr_t)report->loot};
    CHECK(bpf(BPF_MAP_LOOKUP_ELEM, &look) == 0);
    errno = -(int)run.test.retval;
    note("%s", "");
    return answered((int)run.test.retval, EFAULT);
}

/* ---- another kernel, other memory of the thread ------------------------------------------------------------- */

/* From now on the kernel says that it has removed a file, and does nothing. */
static bool fake_removing(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unlink, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unlinkat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {sizeof code / sizeof code[0], code};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
}

ATTACK(attack_seccomp_fake) {
    plc_cache *other = region_named("other", PLC_SIZE_MIN, 0);
    plc_report why;
    (void)t;
    plc_close(other);
    if (!fake_removing()) {
        return errno == ENOSYS || errno == EINVAL ? missing("the kernel has no seccomp filters") : broken("seccomp");
    }
    plc_status s = plc_remove(check_path("other"), &why);
    bool there = access(check_path("other"), F_OK) == 0;
    note("plc_remove of a file that is %s: %s", there ? "still there" : "gone", plc_status_text(s));
    return s == PLC_OK && there ? DECEIVED : REFUSED;
}

/* Calls go by instruction here, since libc's would use what is exchanged. */
static inline long set_thread_memory(uint64_t at) {
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"((long)SYS_arch_prctl), "D"(ARCH_SET_FS), "S"(at)
                     : "rcx", "r11", "memory");
    return result;
}

ATTACK(attack_arch_prctl_fs) {
    static uint64_t others[512];
    uint64_t mine, seen;
    (void)t;
    __asm__ volatile("movq %%fs:0, %0" : "=r"(mine)); /* its own address */
    others[0] = 0x5eaf00d;
    long result = set_thread_memory((uint64_t)(uintptr_t)others);
    __asm__ volatile("movq %%fs:0, %0" : "=r"(seen));
    CHECK(result != 0 || set_thread_memory(mine) == 0);
    note("thread-local memory is exchanged under whoever uses it");
    return result == 0 && seen == others[0] ? DECEIVED : broken("arch_prctl");
}

/* ---- the calls of 32-bit programs ---------------------------------------------------------------------------- */

#define I386_PKEY_ALLOC 381
#define I386_PKEY_FREE 382

static inline long call_i386(long number, long first, long second) {
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "0"(number), "b"(first), "c"(second)
                     : "memory", "r8", "r9", "r10", "r11");
    return (int)result;
}

static void ends_absent(int signal) {
    (void)signal;
    note("the kernel has no calls of 32-bit programs");
    atomic_store(&report->claim, ABSENT);
    _exit(0);
}

/* They have other numbers, which a filter for 64-bit programs does not know. */
ATTACK(attack_int80) {
    void (*before)(int) = signal(SIGSEGV, ends_absent);
    long freed = call_i386(I386_PKEY_FREE, (long)t->key, 0);
    CHECK(signal(SIGSEGV, before) != SIG_ERR);
    if (freed != 0) {
        bool none = freed == -ENOSYS || freed == -EPERM;
        return none ? missing("the kernel or a sandbox has no calls of 32-bit programs") : broken("pkey_free");
    }
    CHECK(call_i386(I386_PKEY_ALLOC, 0, 0) == (long)t->key);
    return loot_from(t->page);
}
