/* SPDX-License-Identifier: BSD-3-Clause */
/* os_file.c: files, folders, and the two kinds of locks on them; see os_linux.h. */
#define _GNU_SOURCE
#include "os_linux.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os_errno.h"

#define BYTES_AT (1ll << 62) /* lock bytes: far beyond the end of every region */

static void describe(const struct stat *s, struct os_file *out) {
    *out = (struct os_file){.device = s->st_dev,
                            .inode = s->st_ino,
                            .size = (uint64_t)s->st_size,
                            .taken = (uint64_t)s->st_blocks * 512,
                            .owner = s->st_uid,
                            .links = (uint32_t)s->st_nlink,
                            .regular = S_ISREG(s->st_mode)};
}

static int open_at(int folder, const char *name, int flags, int *fd) {
    int saved = errno, got;
    do {
        got = openat(folder, name, flags | O_CLOEXEC, 0600);
    } while (got < 0 && errno == EINTR);
    if (got >= 0) {
        *fd = got;
    }
    return os_outcome(saved, got);
}

uint32_t os_user(void) {
    return geteuid();
}

/* Why the folder could not be opened: a symlink or a file in its place is not safe, whoever owns it. */
static int folder_error(const char *path, int error, uint32_t *owner) {
    struct stat s;
    int saved = errno;
    if ((error == ENOTDIR || error == ELOOP) && os_outcome(saved, lstat(path, &s)) == 0) {
        *owner = s.st_uid;
        return EPERM;
    }
    return error;
}

int os_open_folder(const char *path, int *fd, uint32_t *owner) {
    int opened = -1, saved = errno;
    int error = open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, &opened);
    if (error != 0) {
        return folder_error(path, error, owner);
    }
    struct stat s;
    error = os_outcome(saved, fstat(opened, &s));
    if (error == 0 && (s.st_uid != geteuid() || (s.st_mode & (S_IWGRP | S_IWOTH)) != 0)) {
        *owner = s.st_uid;
        error = EPERM;
    }
    if (error != 0) {
        os_close(opened);
        return error;
    }
    *fd = opened;
    return 0;
}

int os_stat_at(int folder, const char *name, struct os_file *out) {
    struct stat s;
    int saved = errno;
    int error = os_outcome(saved, fstatat(folder, name, &s, AT_SYMLINK_NOFOLLOW));
    if (error == 0) {
        describe(&s, out);
    }
    return error;
}

int os_stat(int fd, struct os_file *out) {
    struct stat s;
    int saved = errno;
    int error = os_outcome(saved, fstat(fd, &s));
    if (error == 0) {
        describe(&s, out);
    }
    return error;
}

int os_open_at(int folder, const char *name, bool write, int *fd) {
    return open_at(folder, name, (write ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, fd);
}

/* "/proc/self/fd/N" */
static const char *descriptor_path(int fd, char text[32]) {
    (void)snprintf(text, 32, "/proc/self/fd/%d", fd);
    return text;
}

int os_reopen(int fd, bool write, int *out) {
    char text[32];
    return open_at(AT_FDCWD, descriptor_path(fd, text), write ? O_RDWR : O_RDONLY, out);
}

int os_make_unnamed(int folder, int *fd) {
    int made = -1, saved = errno;
    int error = open_at(folder, ".", O_TMPFILE | O_RDWR, &made);
    if (error != 0) {
        return error;
    }
    error = os_outcome(saved, fchmod(made, 0600)); /* whatever the umask */
    if (error != 0) {
        os_close(made);
        return error;
    }
    *fd = made;
    return 0;
}

int os_link(int fd, int folder, const char *name) {
    char text[32];
    int saved = errno;
    return os_outcome(saved, linkat(AT_FDCWD, descriptor_path(fd, text), folder, name, AT_SYMLINK_FOLLOW));
}

int os_unlink(int folder, const char *name) {
    int saved = errno;
    return os_outcome(saved, unlinkat(folder, name, 0));
}

int os_read_at(int fd, uint64_t from, void *to, size_t n) {
    uint8_t *at = to;
    int saved = errno;
    while (n > 0) {
        ssize_t got = pread(fd, at, n, (off_t)from);
        if (got == 0) {
            errno = saved;
            return ENODATA;
        }
        if (got < 0 && errno != EINTR) {
            return os_outcome(saved, got);
        }
        if (got > 0) {
            at += got;
            from += (uint64_t)got;
            n -= (size_t)got;
        }
    }
    errno = saved;
    return 0;
}

int os_write_at(int fd, uint64_t to, const void *from, size_t n) {
    const uint8_t *at = from;
    int saved = errno;
    while (n > 0) {
        ssize_t put = pwrite(fd, at, n, (off_t)to);
        if (put == 0) {
            errno = saved;
            return EIO;
        }
        if (put < 0 && errno != EINTR) {
            return os_outcome(saved, put);
        }
        if (put > 0) {
            at += put;
            to += (uint64_t)put;
            n -= (size_t)put;
        }
    }
    errno = saved;
    return 0;
}

/* ---- locks ---------------------------------------------------------------------------------- */

#define STOPPED_MS 1000u /* so long a holder may have been stopped, at least, before nobody waits for it any more */

/* A descriptor of its own, because an flock belongs to the open file: two threads that lock through one
 * descriptor would both succeed.  Polled, so that a holder who never ends costs the limit and no more, and a stopped
 * one less: who works behind the lock may have a disk to write. */
int os_lock_folder(int folder, uint32_t limit_ms, int *fd) {
    int opened = -1, saved = errno;
    int error = open_at(folder, ".", O_RDONLY | O_DIRECTORY, &opened);
    if (error != 0) {
        return error;
    }
    uint64_t now = os_monotonic_ms(), until = now + limit_ms, ask = now + STOPPED_MS;
    for (;;) {
        error = os_outcome(saved, flock(opened, LOCK_EX | LOCK_NB));
        if (error == 0) {
            *fd = opened;
            return 0;
        }
        now = os_monotonic_ms();
        if ((error != EWOULDBLOCK && error != EINTR) || now >= until) {
            break;
        }
        if (now >= ask) {
            if (os_folder_holder_stopped(opened)) {
                break;
            }
            ask = now + STOPPED_MS;
        }
        os_sleep_ms(1);
    }
    os_close(opened);
    return error == EINTR ? EAGAIN : error;
}

/* Unlocked by name: a child forked meanwhile has the same open file and would hold the lock on. */
void os_unlock_folder(int fd) {
    int saved = errno;
    (void)os_outcome(saved, flock(fd, LOCK_UN));
    os_close(fd);
}

static struct flock bytes_lock(short type, uint32_t first, uint32_t n) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = BYTES_AT + first, .l_len = n};
}

int os_byte_take(int fd, uint32_t slot) {
    struct flock lock = bytes_lock(F_WRLCK, slot, 1);
    int saved = errno;
    int error = os_outcome(saved, fcntl(fd, F_SETLK, &lock));
    return error == EACCES ? EAGAIN : error;
}

void os_byte_drop(int fd, uint32_t slot) {
    struct flock lock = bytes_lock(F_UNLCK, slot, 1);
    int saved = errno;
    (void)os_outcome(saved, fcntl(fd, F_SETLK, &lock));
}

int os_bytes_held(int fd, uint32_t first, uint32_t n, bool *held) {
    struct flock lock = bytes_lock(F_WRLCK, first, n);
    int saved = errno;
    int error = os_outcome(saved, fcntl(fd, F_GETLK, &lock));
    if (error == 0) {
        *held = lock.l_type != F_UNLCK; /* l_pid is 0 or -1 for holders in other pid namespaces */
    }
    return error;
}

int os_byte_held(int fd, uint32_t slot, bool *held) {
    return os_bytes_held(fd, slot, 1, held);
}

static struct flock folder_lock(short type, uint64_t byte) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
}

/* A folder can be opened for reading only, so the lock is a shared one; asking is as for an exclusive one. */
int os_folder_byte_held(int folder, uint64_t byte, bool *held) {
    struct flock lock = folder_lock(F_WRLCK, byte);
    int saved = errno;
    int error = os_outcome(saved, fcntl(folder, F_OFD_GETLK, &lock));
    if (error == 0) {
        *held = lock.l_type != F_UNLCK;
    }
    return error;
}

int os_folder_byte_take(int folder, uint64_t byte, int *fd) {
    struct flock lock = folder_lock(F_RDLCK, byte);
    bool held = false;
    int opened = -1, saved = errno;
    int error = open_at(folder, ".", O_RDONLY | O_DIRECTORY, &opened);
    if (error != 0) {
        return error;
    }
    error = os_folder_byte_held(opened, byte, &held);
    error = error == 0 && held ? EAGAIN : error;
    error = error != 0 ? error : os_outcome(saved, fcntl(opened, F_OFD_SETLK, &lock));
    if (error != 0) {
        os_close(opened);
        return error;
    }
    *fd = opened;
    return 0;
}
