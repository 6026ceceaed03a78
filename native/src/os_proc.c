/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * os_proc.c: what /proc tells about processes and threads; see os_linux.h.  A thread with PF_EXITING set never
 * runs user code again; that is known at once, while record locks fall only when the memory of the dead has
 * been torn down, which takes a second for a large one.
 * Nothing is allocated; folders are listed by getdents64 into the stack.
 */
#define _GNU_SOURCE
#include "os_linux.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "os_errno.h"

#define EXITING 4u       /* PF_EXITING in the flags of /proc/PID/stat */
#define THREADS_MAX 1024 /* a process with more threads is not judged by them */
#define PATH_ROOM 96

uint64_t os_pid(void) {
    return (uint64_t)getpid();
}

static int open_proc(const char *path, int flags, int *fd) {
    int saved = errno;
    *fd = open(path, flags | O_CLOEXEC);
    return os_outcome(saved, *fd);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Text like 1b4e28ba-2fa1-11d2-883f-0016d3cca427. */
int os_boot_id(uint8_t id[16]) {
    char text[64];
    unsigned digits = 0;
    int fd, saved = errno;
    int error = open_proc("/proc/sys/kernel/random/boot_id", O_RDONLY, &fd);
    if (error != 0) {
        return error;
    }
    ssize_t n = read(fd, text, sizeof text);
    error = os_outcome(saved, n);
    os_close(fd);
    memset(id, 0, 16);
    for (ssize_t i = 0; i < n && digits < 32; i++) {
        int digit = hex_digit(text[i]);
        if (digit >= 0) {
            id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | digit);
            digits++;
        }
    }
    return error != 0 ? error : digits == 32 ? 0 : ENODATA;
}

/* The number of the namespace that link names ("pid:[4026531836]"); 0 when it cannot be told. */
static uint64_t namespace_inode(const char *link) {
    struct stat s;
    int saved = errno;
    return os_outcome(saved, stat(link, &s)) == 0 ? (uint64_t)s.st_ino & 0xffffffffu : 0;
}

int os_pid_namespace(uint64_t *id) {
    char text[32];
    int saved = errno;
    ssize_t n = readlink("/proc/self", text, sizeof text - 1);
    int error = os_outcome(saved, n);
    if (error != 0) {
        return error;
    }
    text[n] = '\0';
    uint64_t pids = namespace_inode("/proc/self/ns/pid");
    if (strtoull(text, NULL, 10) != os_pid() || pids == 0) {
        return ENOENT;
    }
    *id = namespace_inode("/proc/self/ns/time") << 32 | pids;
    return 0;
}

/* ---- /proc/PID/stat ------------------------------------------------------------------------- */

struct stat_line {
    uint64_t flags, threads, start;
    char state; /* of its first thread: T and t are stopped, by a signal or by who traces it */
};

/* Fields are counted from the last ')': the name before it may contain anything. */
static bool stat_parse(char *text, struct stat_line *out) {
    char *at = strrchr(text, ')');
    if (at == NULL) {
        return false;
    }
    at++;
    int field = 2;
    while (*at == ' ' && field < 22) {
        char *value = at + 1;
        field++;
        at = strchr(value, ' ');
        if (at == NULL) {
            return false;
        }
        if (field == 3) {
            out->state = *value;
        } else if (field == 9) {
            out->flags = strtoull(value, NULL, 10);
        } else if (field == 20) {
            out->threads = strtoull(value, NULL, 10);
        } else if (field == 22) {
            out->start = strtoull(value, NULL, 10);
        }
    }
    return field == 22;
}

static int stat_read(const char *path, struct stat_line *out) {
    char text[1024];
    int fd, saved = errno;
    int error = open_proc(path, O_RDONLY, &fd);
    if (error != 0) {
        return error;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    error = os_outcome(saved, n);
    os_close(fd);
    if (n <= 0) { /* nothing: it ended after the file was opened */
        return error != 0 ? error : ESRCH;
    }
    text[n] = '\0';
    return stat_parse(text, out) ? 0 : ESRCH;
}

/* A file of /proc was not there: is the process, or only the right to see it? */
static int missing(uint64_t pid, uint32_t tid) {
    int saved = errno;
    long got = tid != 0 ? syscall(SYS_tgkill, (pid_t)pid, (pid_t)tid, 0) : kill((pid_t)pid, 0);
    return os_outcome(saved, got) == ESRCH ? ESRCH : EACCES;
}

static bool pid_possible(uint64_t pid) {
    return pid > 0 && pid <= INT32_MAX; /* the word it is from may be garbage */
}

static int process_stat(uint64_t pid, struct stat_line *out) {
    char path[PATH_ROOM];
    if (!pid_possible(pid)) {
        return ESRCH;
    }
    (void)snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
    return stat_read(path, out) == 0 ? 0 : missing(pid, 0);
}

int os_start_time(uint64_t pid, uint64_t *start) {
    struct stat_line line;
    int error = process_stat(pid, &line);
    if (error == 0) {
        *start = line.start;
    }
    return error;
}

int os_thread_exiting(uint64_t pid, uint32_t tid, bool *exiting) {
    char path[PATH_ROOM];
    struct stat_line line;
    if (!pid_possible(pid) || !pid_possible(tid)) {
        *exiting = true;
        return 0;
    }
    (void)snprintf(path, sizeof path, "/proc/%llu/task/%u/stat", (unsigned long long)pid, tid);
    if (stat_read(path, &line) == 0) {
        *exiting = (line.flags & EXITING) != 0;
        return 0;
    }
    int error = missing(pid, tid);
    *exiting = error == ESRCH;
    return error == ESRCH ? 0 : error;
}

/* ---- who holds a folder's lock --------------------------------------------------------------- */

#define LOCKS_ROOM 8192 /* of /proc/locks that is read at a time */

/* A line of /proc/locks: "12: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF".  0: not the lock on that folder, or its
 * holder is in a namespace that cannot be seen from here. */
static uint64_t flock_holder(const char *line, const char *where) {
    int pid = 0;
    char place[64];
    if (sscanf(line, "%*s FLOCK ADVISORY WRITE %d %63s", &pid, place) != 2 || strcmp(place, where) != 0) {
        return 0;
    }
    return pid > 0 ? (uint64_t)pid : 0;
}

/* The holder that one of the whole lines in text names; the rest of the last line is moved to the beginning. */
static uint64_t holder_in(char *text, size_t *length, const char *where) {
    uint64_t found = 0;
    char *line = text;
    text[*length] = '\0';
    for (char *end; found == 0 && (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        found = flock_holder(line, where);
    }
    *length = strlen(line);
    memmove(text, line, *length);
    return found;
}

bool os_folder_holder_stopped(int folder) {
    char text[LOCKS_ROOM + 1], where[64];
    struct stat s;
    struct stat_line line;
    size_t have = 0;
    uint64_t holder = 0;
    int fd, saved = errno;
    if (os_outcome(saved, fstat(folder, &s)) != 0 || open_proc("/proc/locks", O_RDONLY, &fd) != 0) {
        return false;
    }
    (void)snprintf(where, sizeof where, "%02x:%02x:%llu", major(s.st_dev), minor(s.st_dev),
                   (unsigned long long)s.st_ino);
    for (ssize_t n = 1; n > 0 && holder == 0 && have < LOCKS_ROOM;) {
        n = read(fd, text + have, LOCKS_ROOM - have);
        have += n > 0 ? (size_t)n : 0;
        holder = holder_in(text, &have, where);
    }
    errno = saved;
    os_close(fd);
    return holder != 0 && process_stat(holder, &line) == 0 && (line.state == 'T' || line.state == 't');
}

/* ---- all threads of a process --------------------------------------------------------------- */

struct listing {
    uint32_t n;
    uint32_t tids[THREADS_MAX];
};

static int list_add(struct listing *list, const char *buffer, long n) {
    for (long at = 0; at < n;) {
        const struct dirent64 *entry = (const void *)(buffer + at);
        at += entry->d_reclen;
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') {
            continue;
        }
        if (list->n == THREADS_MAX) {
            return E2BIG;
        }
        list->tids[list->n++] = (uint32_t)strtoul(entry->d_name, NULL, 10);
    }
    return 0;
}

static int list_threads(uint64_t pid, struct listing *list) {
    _Alignas(8) char buffer[4096];
    char path[PATH_ROOM];
    int fd, saved = errno;
    (void)snprintf(path, sizeof path, "/proc/%llu/task", (unsigned long long)pid);
    int error = open_proc(path, O_RDONLY | O_DIRECTORY, &fd);
    if (error != 0) {
        return missing(pid, 0);
    }
    list->n = 0;
    long n = 1;
    while (n > 0 && error == 0) {
        n = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
        error = os_outcome(saved, n);
        error = error != 0 ? error : list_add(list, buffer, n);
    }
    os_close(fd);
    return error;
}

static bool list_has(const struct listing *list, uint32_t tid) {
    for (uint32_t i = 0; i < list->n; i++) {
        if (list->tids[i] == tid) {
            return true;
        }
    }
    return false;
}

/* A thread that is not exiting may start another and exit: so none may be in the second listing that was not in the
 * first.  Listings can miss threads while others vanish: so the kernel's own count must agree.  It is asked for
 * between the two: whoever is in both was there then, so these were all of them, and nobody was left to start more. */
int os_all_exiting(uint64_t pid, bool *exiting) {
    struct listing first, second;
    struct stat_line line;
    int error = pid_possible(pid) ? list_threads(pid, &first) : ESRCH;
    *exiting = false;
    for (uint32_t i = 0; error == 0 && i < first.n; i++) {
        bool gone = false;
        error = os_thread_exiting(pid, first.tids[i], &gone);
        if (error != 0 || !gone) {
            return error;
        }
    }
    if (error == 0) {
        error = process_stat(pid, &line);
    }
    if (error == 0) {
        error = list_threads(pid, &second);
    }
    for (uint32_t i = 0; error == 0 && i < second.n; i++) {
        if (!list_has(&first, second.tids[i])) {
            return 0;
        }
    }
    if (error == 0) {
        *exiting = second.n > 0 && second.n == line.threads;
    }
    return error;
}

/* ---- /proc/PID/maps ------------------------------------------------------------------------- */

/* "from-to rights offset major:minor inode path" */
static bool line_maps(const char *line, uint64_t device, uint64_t inode) {
    unsigned major = 0, minor = 0;
    unsigned long long number = 0;
    if (sscanf(line, "%*s %*s %*s %x:%x %llu", &major, &minor, &number) != 3) {
        return false;
    }
    return number == inode && makedev(major, minor) == device;
}

struct maps_scan {
    uint64_t device, inode;
    bool any, mapped; /* any: the process has memory at all */
};

/* Only the beginning of a line matters; the path behind it may be of any length. */
static int scan_maps(int fd, struct maps_scan *scan) {
    char buffer[4096], line[128];
    size_t have = 0;
    ssize_t n = 1;
    int saved = errno;
    while (n > 0) {
        n = read(fd, buffer, sizeof buffer);
        int error = os_outcome(saved, n);
        if (error != 0) {
            return error;
        }
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] != '\n') {
                line[have] = buffer[i];
                have += have < sizeof line - 1;
                continue;
            }
            line[have] = '\0';
            have = 0;
            scan->any = true;
            scan->mapped = scan->mapped || line_maps(line, scan->device, scan->inode);
        }
    }
    return 0;
}

/* The memory is asked of every thread, because a first thread that ended alone shows none. */
int os_maps_inode(uint64_t pid, uint64_t device, uint64_t inode, bool *mapped) {
    struct listing list;
    struct maps_scan scan = {device, inode, false, false};
    int error = pid_possible(pid) ? list_threads(pid, &list) : ESRCH;
    for (uint32_t i = 0; error == 0 && i < list.n && !scan.any; i++) {
        char path[PATH_ROOM];
        int fd;
        (void)snprintf(path, sizeof path, "/proc/%llu/task/%u/maps", (unsigned long long)pid, list.tids[i]);
        if (open_proc(path, O_RDONLY, &fd) != 0) {
            continue;
        }
        if (scan_maps(fd, &scan) != 0) {
            error = EACCES;
        }
        os_close(fd);
    }
    if (error == 0 && !scan.any) {
        error = EACCES;
    }
    if (error == 0) {
        *mapped = scan.mapped;
    }
    return error;
}
