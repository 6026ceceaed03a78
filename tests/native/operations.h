/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * operations.h: everything that a process may be at when it dies, each in the smallest setting that shows it: what is
 * there before (made by the survivor), and the act (done by the victim).  For a takeover the setting is what an
 * earlier victim left that was killed while it held something.
 */
#ifndef PLC_TEST_OPERATIONS_H
#define PLC_TEST_OPERATIONS_H

#include "scene.h"

struct operation {
    const char *name;
    void (*prepare)(void);   /* behind scene_new; NULL: nothing */
    uint32_t (*ready)(void); /* in the victim, before it is stepped; returns its slot */
    plc_status (*act)(void);
    struct allowance may;
};

extern const struct operation operations[];
extern const unsigned operations_there;

/* For deaths one behind another: operations that leave the subject absent or with a value of one of two serials, in
 * any setting. */
extern const struct operation chained[];
extern const unsigned chained_there;
void operations_fill_pool(void);

#endif
