/* SPDX-License-Identifier: BSD-3-Clause */
/* plc_status.h: what the functions of plc.h answer; a part of it, and not to be included by itself. */
#ifndef PLC_STATUS_H
#define PLC_STATUS_H

/* Every function that can fail returns one of these.  Values are stable. */
typedef enum plc_status {
    /* outcomes */
    PLC_OK = 0,
    PLC_MISS = 1,       /* no such entry (absent, expired or invalidated) */
    PLC_EXISTS = 2,     /* add: a value is there; cas: the token is another one; claim: a value appeared */
    PLC_CLAIMED = 3,    /* claim: another computation of this key is under way */
    PLC_TOO_SMALL = 4,  /* get: the buffer is smaller than the value; found->length says what is needed */
    PLC_AGAIN = 5,      /* call plc_assist and then the same function again */
    PLC_DONE = 6,       /* scan, count, check: the walk is at its end */
    PLC_COPY = 7,       /* lease: not to be had in place: read it with plc_get */
    /* refusals */
    PLC_FULL = 100,      /* no room could be made */
    PLC_TOO_LARGE = 101, /* the value is larger than this region can ever hold */
    PLC_BUSY = 102,      /* 250 ms behind a lock, or 64 lost swaps; nothing was changed */
    PLC_NOT_A_NUMBER = 103, /* incr, decr: the value is not a decimal number of 64 bits */
    PLC_WRONG_TYPE = 104,   /* append, prepend: the value is not plain bytes; remake: it is content-addressed */
    PLC_NO_SLOT = 105,   /* as many processes are attached as the region has places for */
    /* environment */
    PLC_NO_MEMORY = 200,
    PLC_NO_PERMISSION = 201,
    PLC_UNSUPPORTED = 202, /* the file system or the kernel cannot do what a region needs */
    PLC_SYSTEM = 203,      /* another system error; report->system_error has errno */
    PLC_NO_SPACE = 204,    /* the folder has not even room for the region's index */
    PLC_NOT_FOUND = 205,   /* no such file, and create was not asked for */
    PLC_UNSAFE_FOLDER = 206, /* folder not the caller's own, or others may write in it */
    PLC_UNSAFE_FILE = 207,   /* not a regular file of the caller's own with one link (symlink, folder, ...) */
    PLC_NO_PROTECTION = 208, /* protection keys were demanded and are not there */
    /* integrity */
    PLC_NOT_A_REGION = 300,
    PLC_LAYOUT_MISMATCH = 301, /* written by another version of this library; report->a theirs, b ours */
    PLC_CORRUPT = 302,         /* truncated, or its fixed part contradicts itself */
    PLC_SIZE_MISMATCH = 303,   /* report->a has the region's size, b the one asked for */
    /* misuse */
    PLC_INVALID = 400, /* an argument is outside its documented range */
    PLC_CLOSED = 401
} plc_status;

#endif
