/* SPDX-License-Identifier: BSD-3-Clause */
/* os_errno.h: for the os_*.c files only: how they turn errno into a result without disturbing the caller's. */
#ifndef PLC_OS_ERRNO_H
#define PLC_OS_ERRNO_H

#include <errno.h>

/* 0 or the errno of a call that answered `result`; puts back the errno that was there before the call. */
static inline int os_outcome(int saved, long result) {
    int error = result < 0 ? errno : 0;
    errno = saved;
    return error;
}

#endif
