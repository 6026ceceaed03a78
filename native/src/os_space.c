/* SPDX-License-Identifier: BSD-3-Clause */
/* os_space.c: reserving room for a file, and what room there is.  Room in memory is also bounded by memory
 * cgroups: beyond their limit the kernel does not refuse, it kills.  See os_linux.h. */
#define _GNU_SOURCE
#include "os_linux.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "os_errno.h"

#define PIECE_BYTES (16ull << 20)
#define TRIES_MAX 1000 /* of one piece; with all signals blocked only a stop or a kill interrupts it */
#define MAGIC_TMPFS 0x01021994u

/* fallocate(2) itself: the C library's posix_fallocate writes zeros where it is not supported, and leaves
 * holes when it fails.  Signals are blocked, because an interrupted fallocate undoes its work: under a
 * profiler's timer a large one would never end. */
static int reserve_piece(int fd, uint64_t from, uint64_t n) {
    sigset_t before;
    int error = EINTR, saved = errno;
    os_signals_hold(&before);
    for (int tries = 0; tries < TRIES_MAX && error == EINTR; tries++) {
        error = os_outcome(saved, fallocate(fd, 0, (off_t)from, (off_t)n));
    }
    os_signals_let(&before);
    errno = saved;
    return error;
}

int os_reserve(int fd, uint64_t from, uint64_t n) {
    int error = 0;
    while (n > 0 && error == 0) {
        uint64_t piece = n < PIECE_BYTES ? n : PIECE_BYTES;
        error = reserve_piece(fd, from, piece);
        from += piece;
        n -= piece;
    }
    return error;
}

/* ---- what is free --------------------------------------------------------------------------- */

/* Reads a whole small file as text; false when it cannot be. */
static bool slurp(const char *path, char *text, size_t room) {
    int saved = errno;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t have = 0;
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && have < room - 1) {
        got = read(fd, text + have, room - 1 - have);
        have += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    text[have] = '\0';
    errno = saved;
    return fd >= 0 && got >= 0;
}

static bool number_in(const char *folder, const char *file, uint64_t *value) {
    char path[4300], text[64];
    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    if (!slurp(path, text, sizeof text) || text[0] < '0' || text[0] > '9') {
        return false; /* absent, or "max" */
    }
    *value = strtoull(text, NULL, 10);
    return true;
}

/* Pages of files that were not used lately: counted as usage, given up before anything is killed. */
static uint64_t reclaimable(const char *folder, const char *field) {
    char path[4300], text[8192];
    (void)snprintf(path, sizeof path, "%s/memory.stat", folder);
    if (!slurp(path, text, sizeof text)) {
        return 0;
    }
    const char *at = text;
    size_t n = strlen(field);
    while (at != NULL && *at != '\0') {
        if (strncmp(at, field, n) == 0 && at[n] == ' ') {
            return strtoull(at + n + 1, NULL, 10);
        }
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    return 0;
}

struct cgroup_kind {
    const char *root, *limit, *usage, *reclaimable;
};
static const struct cgroup_kind cgroup_one = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                              "total_inactive_file"};
static const struct cgroup_kind cgroup_two = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};

/* What the cgroup at `path`, and every one above it, leaves.  In a container the path may be one that is not
 * mounted there; then the levels above it, down to the mounted root, are what counts. */
static uint64_t cgroup_leaves(const struct cgroup_kind *kind, const char *path) {
    char folder[4200];
    uint64_t least = UINT64_MAX, limit = 0, usage = 0;
    size_t root = strlen(kind->root);
    int n = snprintf(folder, sizeof folder, "%s%s", kind->root, path);
    if (n < 0 || (size_t)n >= sizeof folder) {
        return least;
    }
    for (char *end = folder + n; end != NULL; end = strrchr(folder, '/')) {
        *end = '\0';
        if (strlen(folder) < root) {
            break;
        }
        if (number_in(folder, kind->limit, &limit) && limit < 1ull << 60 && number_in(folder, kind->usage, &usage)) {
            uint64_t spare = reclaimable(folder, kind->reclaimable);
            usage -= spare < usage ? spare : usage;
            uint64_t left = limit > usage ? limit - usage : 0;
            least = left < least ? left : least;
        }
    }
    return least;
}

/* Lines of /proc/self/cgroup are "number:controllers:/path"; version 2 has "0::/path". */
static uint64_t cgroups_leave(void) {
    char text[8192];
    uint64_t least = UINT64_MAX;
    if (!slurp("/proc/self/cgroup", text, sizeof text)) {
        return least;
    }
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL) {
            continue;
        }
        *path++ = '\0';
        controllers++;
        bool two = controllers[0] == '\0';
        if (two || strstr(controllers, "memory") != NULL) {
            uint64_t left = cgroup_leaves(two ? &cgroup_two : &cgroup_one, path);
            least = left < least ? left : least;
        }
    }
    return least;
}

static uint64_t memory_total(void) {
    struct sysinfo info;
    int saved = errno;
    return os_outcome(saved, sysinfo(&info)) == 0 ? (uint64_t)info.totalram * info.mem_unit : UINT64_MAX;
}

int os_free_bytes(int fd, uint64_t *bytes, bool *in_memory) {
    struct statfs s;
    int saved = errno;
    int error = os_outcome(saved, fstatfs(fd, &s));
    if (error != 0) {
        return error;
    }
    uint64_t left = (uint64_t)s.f_bavail * (uint64_t)s.f_bsize;
    *in_memory = (uint32_t)s.f_type == MAGIC_TMPFS;
    if (*in_memory) {
        left = s.f_blocks == 0 ? memory_total() : left; /* mounted without a limit */
        uint64_t cgroup = cgroups_leave();
        left = cgroup < left ? cgroup : left;
    }
    *bytes = left;
    return 0;
}

/* Where a region cannot live.  Network file systems: other machines would map it, and locks do not tell of
 * their processes.  Copy-on-write: overwriting reserved bytes needs new ones, and none left is SIGBUS.  FUSE
 * and 9p: neither shared mappings nor locks can be relied on.  hugetlbfs, ramfs: no room can be reserved.
 * overlayfs is let through: what is written lies in its upper folder's file system.  */
bool os_holds_regions(int fd) {
    /* nfs, smb, smb2, cifs, 9p, fuse; ceph, afs, coda, gpfs, lustre, ocfs2; gfs2, vboxsf, btrfs, zfs, bcachefs,
     * nilfs2; hugetlbfs, ramfs */
    static const uint32_t refused[] = {
        0x00006969u, 0x0000517bu, 0xfe534d42u, 0xff534d42u, 0x01021997u, 0x65735546u, 0x00c36400u,
        0x5346414fu, 0x73757245u, 0x47504653u, 0x0bd00bd0u, 0x7461636fu, 0x01161970u, 0x786f4256u,
        0x9123683eu, 0x2fc12fc1u, 0xca451a4eu, 0x00003434u, 0x958458f6u, 0x858458f6u,
    };
    struct statfs s;
    int saved = errno;
    if (os_outcome(saved, fstatfs(fd, &s)) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if ((uint32_t)s.f_type == refused[i]) {
            return false;
        }
    }
    return true;
}
