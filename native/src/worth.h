/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worth.h: is an entry whose turn it is worth its bytes?  What it took to compute, for each of them, beside the going
 * rate: what the entries whose turn came lately were worth.  Hints: WHAT STAYS in policy.h.
 */
#ifndef PLC_WORTH_H
#define PLC_WORTH_H

#include "index.h"

/* Does the entry stay, whose turn it is?  used: since it came into its run.  One whose cost was not told (0) stays if
 * it was used.  Of another, chance decides where its worth does not: two calls may differ. */
bool worth_keeping(struct call *k, const struct entry *e, bool used);

#endif
