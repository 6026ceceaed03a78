/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * os_linux.h: everything that is asked of the kernel.  Only the os_*.c files behind it read errno (and explain.c, a
 * signal handler that is no part of an operation); functions give 0 or the errno as a positive int, and leave the
 * caller's errno as found.  None may be called with the window open.
 *   os_linux.c time, threads, waiting   os_file.c files, folders, locks     os_map.c mapping
 *   os_space.c reserving room, what is free      os_proc.c who lives     os_key.c protection keys
 */
#ifndef PLC_OS_LINUX_H
#define PLC_OS_LINUX_H

#include <signal.h>

#include "sync.h"

uint64_t os_now_ms(void);        /* CLOCK_REALTIME_COARSE, ms since 1970 */
uint64_t os_monotonic_ms(void);  /* CLOCK_MONOTONIC_COARSE */
uint32_t os_thread(void);        /* gettid, cached per thread, right after every kind of fork */
/* This thread takes no signals in between, but those of its own faults. */
void os_signals_hold(sigset_t *before);
void os_signals_let(const sigset_t *before);
bool os_thread_there(uint32_t tid); /* false: there is certainly no such thread in this process */
int os_random(void *to, size_t n);
int os_boot_id(uint8_t id[16]);
bool os_cpu_has_crc32c(void); /* the instruction: SSE 4.2, arm64 crc */

/* A folder that is the caller's own and that nobody else may write in.  0 and *fd; EPERM with *owner when
 * it is not safe (a symlink is not); another errno. */
int os_open_folder(const char *path, int *fd, uint32_t *owner);

struct os_file {
    uint64_t device, inode, size, taken; /* taken: bytes that it has on its file system */
    uint32_t owner, links;
    bool regular;
};
int os_stat_at(int folder, const char *name, struct os_file *out); /* follows no symlink; symlink: regular false */
int os_stat(int fd, struct os_file *out);
uint32_t os_user(void); /* effective uid */
int os_open_at(int folder, const char *name, bool write, int *fd); /* O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC */
int os_reopen(int fd, bool write, int *out); /* a second descriptor of the same inode, through /proc/self/fd */
int os_make_unnamed(int folder, int *fd);    /* O_TMPFILE, mode 0600 */
int os_link(int fd, int folder, const char *name); /* EEXIST when somebody was faster */
int os_unlink(int folder, const char *name);
int os_read_at(int fd, uint64_t from, void *to, size_t n); /* ENODATA: the file ends before */
int os_write_at(int fd, uint64_t to, const void *from, size_t n);
void os_close(int fd);
/* flock, on a descriptor of its own; EAGAIN after the limit, or after a second behind a process that is stopped. */
int os_lock_folder(int folder, uint32_t limit_ms, int *fd);
void os_unlock_folder(int fd);
bool os_folder_holder_stopped(int folder); /* is who has that lock stopped?  False where it cannot be told */

/* Reserves bytes [from, from+n) and extends the file (fallocate, signals blocked, EINTR tried again), 16 MiB
 * at a time.  ENOSPC or EDQUOT: pieces that were taken before stay, the one that failed left nothing. */
int os_reserve(int fd, uint64_t from, uint64_t n);
/* Bytes that may still be taken in the folder: min(free on its file system, what every memory cgroup up the
 * path leaves, when the file system is in memory).  in_memory tells the latter. */
int os_free_bytes(int fd, uint64_t *bytes, bool *in_memory);
bool os_holds_regions(int fd); /* false for network and copy-on-write file systems */

/* Maps bytes [from, from + n) of the file, beyond its end too, to an address that is the same modulo 2 MiB: so huge
 * pages of the file are huge pages of the mapping: to nobody (os_key_tag); to be read; to be read and written; or to be
 * read and written by this process alone, which copies each page that it writes to. */
enum os_map { OS_MAP_CLOSED, OS_MAP_READ, OS_MAP_WRITE, OS_MAP_PRIVATE };
int os_map(int fd, uint64_t from, uint64_t n, enum os_map kind, void **base);
void os_unmap(void *base, uint64_t n);
void os_map_filled(void *at, uint64_t n); /* maps all pages at once, if the kernel can (Linux 5.14): see part.c */
int os_map_keep(void *at, uint64_t n, bool in_children); /* do fork children get it? */
int os_map_limit(void *at, uint64_t n, enum os_map kind); /* takes rights away: CLOSED, READ */
int os_map_nothing(void *at, uint64_t n); /* puts other memory there, all zero */
#define OS_HUGE_BYTES (2ull << 20)
#define OS_PAGE_BYTES 4096ull
/* Has one huge page take the place of the small ones there, without any mount option (Linux 6.1 and later).  EINVAL:
 * not to be had here, ever; another errno: not now.  Takes a millisecond or some; EINVAL once it took 50.
 * Before, the kernel waits until a thread of its own has run on each processor, and no signal ends that wait: on a
 * machine with four times as much to do as processors it took half a minute.  So it is not to be asked when crowded. */
int os_collapse(void *at);
bool os_crowded(void); /* more than twice as much to be run as there are processors */
int os_sync(void *base, uint64_t n); /* msync(MS_SYNC) */
int os_sync_file(int fd); /* fsync, also of a folder */
/* A private page that reads 0 in every fork child, however made; its first word holds 1 here. */
int os_fork_mark(word **mark);

/* Protection keys.  A key that is taken is closed for the thread that takes it, as it is for all others. */
enum os_keys { OS_KEYS_OK, OS_KEYS_NO_CPU, OS_KEYS_NO_KERNEL, OS_KEYS_NONE_FREE };
enum os_keys os_key_take(uint32_t *key);
void os_key_give(uint32_t key); /* pre: nothing is tagged with it any more */
int os_key_tag(void *from, uint64_t n, uint32_t key); /* to be read and written by who opens the key; 0: by all */

/* Liveness (POSIX record locks on the region's inode, beyond its end: dropped by the kernel at death).
 * Slots are 1 to 1023; byte 0 is "somebody extends the file". */
int os_byte_take(int fd, uint32_t slot); /* EAGAIN: another process has it */
void os_byte_drop(int fd, uint32_t slot);
int os_byte_held(int fd, uint32_t slot, bool *held); /* by another process */
int os_bytes_held(int fd, uint32_t first, uint32_t n, bool *held); /* any of them, by another process */
uint64_t os_pid(void);
/* The same for a place that a parent takes for its child: a byte of the folder's inode, held by an open file, which
 * fork children inherit, and not by a process.  EAGAIN: somebody holds it. */
int os_folder_byte_take(int folder, uint64_t byte, int *fd); /* by a new descriptor of the folder */
int os_folder_byte_held(int folder, uint64_t byte, bool *held);
void os_yield(void);
/* The namespaces in which pids and start times mean the same (pid and time namespace, mixed into one number).
 * ENOENT: /proc is not there, or shows another pid namespace than this process's own. */
int os_pid_namespace(uint64_t *id);
/* 0 and the start time, ESRCH when there is certainly no such process here; other errno: cannot be told. */
int os_start_time(uint64_t pid, uint64_t *start);
/* Is every thread of pid exiting (PF_EXITING), in two listings, the second without a newcomer? */
int os_all_exiting(uint64_t pid, bool *exiting);
int os_thread_exiting(uint64_t pid, uint32_t tid, bool *exiting); /* or gone */
int os_maps_inode(uint64_t pid, uint64_t device, uint64_t inode, bool *mapped); /* EACCES: cannot be told */
/* After it, what a thread stored before it was seen exiting is visible here. */
void os_settle(void);

/* Waits while *at == value, at most ms, in one go (no retry on EINTR); the page may be mapped read-only. */
void os_wait(word32 *at, uint32_t value, uint32_t ms);
void os_wake(word32 *at);
void os_sleep_ms(uint32_t ms);
bool os_membarrier(void); /* a full barrier in every running thread of this process; false: not to be had */

#endif
