/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crc32c.h: the checksum of entries in regions that outlive a boot: CRC-32C (Castagnoli), by the CPU's own instruction
 * where it has one (SSE 4.2, arm64 crc), else by a table.  Which one is chosen when the library is loaded.  Nothing is
 * called, so it may run inside the window.  It promises to find what the disk or a torn write did, not what an enemy
 * does.
 */
#ifndef PLC_CRC32C_H
#define PLC_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC-32C of n bytes behind those whose CRC-32C is `crc` (0: of none). */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t n);

/* The checksum of a value: of a long one the CRC-32C of the CRC-32Cs of three thirds, which the CPU works out side by
 * side, because its instruction takes three cycles and one can be begun in each. */
uint32_t crc32c_value(const void *bytes, size_t n);

/* By the table alone, for tests. */
uint32_t crc32c_by_table(uint32_t crc, const void *bytes, size_t n);

#endif
