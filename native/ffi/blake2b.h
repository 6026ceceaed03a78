/* SPDX-License-Identifier: BSD-3-Clause */
/* blake2b.h: BLAKE2b of RFC 7693, without a key, in one call. */
#ifndef PLC_BLAKE2B_H
#define PLC_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>

/* digest_length: 1 to 64 bytes. */
void blake2b(const void *data, size_t length, uint8_t *digest, size_t digest_length);

#endif
