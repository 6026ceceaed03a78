/* SPDX-License-Identifier: BSD-3-Clause */
/* domain.c: the window at level none: the region's memory is always open to this process. */
#include "domain.h"

void domain_open(struct plc_cache *c) {
    (void)c;
}

void domain_close(struct plc_cache *c) {
    (void)c;
}
