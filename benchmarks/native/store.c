/* SPDX-License-Identifier: BSD-3-Clause */
/* store.c: what all programs around a store share; see store.h. */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void fail(const char *what, const char *why) {
    (void)fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

void key_make(char *key, const char *family, uint32_t number) {
    static const char digits[] = "0123456789abcdef";
    memcpy(key, family, 8);
    for (unsigned i = 0; i < 8; i++) {
        key[8 + i] = digits[number >> (28 - 4 * i) & 15];
    }
}
