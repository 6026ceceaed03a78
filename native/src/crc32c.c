/* SPDX-License-Identifier: BSD-3-Clause */
/* crc32c.c: see crc32c.h.  The functions here work on the register, which is the complement of the CRC. */
#include "crc32c.h"

#include "os_linux.h"

#define POLYNOMIAL 0x82f63b78u /* of Castagnoli, its bits reversed */
#define LONG_BYTES 1536u       /* values from here on are taken in thirds */

struct thirds {
    uint32_t a, b, c;
};

/* ---- by table -------------------------------------------------------------------------------- */

static uint32_t table[256]; /* filled when the library is loaded */

static uint32_t table_bytes(uint32_t r, const uint8_t *at, size_t n) {
    for (size_t i = 0; i < n; i++) {
        r = table[(r ^ at[i]) & 0xffu] ^ r >> 8;
    }
    return r;
}

static struct thirds table_thirds(const uint8_t *at, size_t n) {
    return (struct thirds){table_bytes(~0u, at, n), table_bytes(~0u, at + n, n), table_bytes(~0u, at + 2 * n, n)};
}

/* ---- by instruction -------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define TARGET __attribute__((target("sse4.2")))
TARGET static inline uint32_t step8(uint32_t r, uint64_t x) {
    return (uint32_t)__builtin_ia32_crc32di(r, x);
}
TARGET static inline uint32_t step1(uint32_t r, uint8_t x) {
    return __builtin_ia32_crc32qi(r, x);
}
#elif defined(__aarch64__)
#define TARGET __attribute__((target("arch=armv8-a+crc")))
TARGET static inline uint32_t step8(uint32_t r, uint64_t x) {
    return __builtin_aarch64_crc32cx(r, x);
}
TARGET static inline uint32_t step1(uint32_t r, uint8_t x) {
    return __builtin_aarch64_crc32cb(r, x);
}
#endif

#if defined(TARGET)
TARGET static uint32_t fast_bytes(uint32_t r, const uint8_t *at, size_t n) {
    for (; n >= 8; n -= 8, at += 8) {
        r = step8(r, bytes_load(at));
    }
    for (; n > 0; n--, at++) {
        r = step1(r, *at);
    }
    return r;
}

/* n: a multiple of 8 */
TARGET static struct thirds fast_thirds(const uint8_t *at, size_t n) {
    uint32_t a = ~0u, b = ~0u, c = ~0u;
    for (size_t i = 0; i < n; i += 8) {
        a = step8(a, bytes_load(at + i));
        b = step8(b, bytes_load(at + n + i));
        c = step8(c, bytes_load(at + 2 * n + i));
    }
    return (struct thirds){a, b, c};
}
#else
#define fast_bytes table_bytes
#define fast_thirds table_thirds
#endif

/* ---- which ----------------------------------------------------------------------------------- */

static bool fast;

__attribute__((constructor)) static void choose(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t r = i;
        for (int bit = 0; bit < 8; bit++) {
            r = r >> 1 ^ (r & 1u ? POLYNOMIAL : 0);
        }
        table[i] = r;
    }
    fast = os_cpu_has_crc32c();
}

#if defined(__SANITIZE_THREAD__)
/* What a reader sums up may be written by the next owner of its pages meanwhile; then it is not believed. */
static uint32_t extend(uint32_t r, const uint8_t *at, size_t n) {
    uint8_t copy[256];
    for (size_t done = 0; done < n; done += sizeof copy) {
        size_t part = n - done < sizeof copy ? n - done : sizeof copy;
        copy_racing(copy, at + done, part);
        r = fast ? fast_bytes(r, copy, part) : table_bytes(r, copy, part);
    }
    return r;
}
static struct thirds extend_thirds(const uint8_t *at, size_t n) {
    return (struct thirds){extend(~0u, at, n), extend(~0u, at + n, n), extend(~0u, at + 2 * n, n)};
}
#else
static uint32_t extend(uint32_t r, const uint8_t *at, size_t n) {
    return fast ? fast_bytes(r, at, n) : table_bytes(r, at, n);
}
static struct thirds extend_thirds(const uint8_t *at, size_t n) {
    return fast ? fast_thirds(at, n) : table_thirds(at, n);
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t n) {
    return ~extend(~crc, bytes, n);
}

uint32_t crc32c_by_table(uint32_t crc, const void *bytes, size_t n) {
    return ~table_bytes(~crc, bytes, n);
}

uint32_t crc32c_value(const void *bytes, size_t n) {
    const uint8_t *at = bytes;
    if (n < LONG_BYTES) {
        return ~extend(~0u, at, n);
    }
    size_t third = n / 24 * 8; /* what is left over, up to 23 bytes, is the last third's */
    struct thirds t = extend_thirds(at, third);
    t.c = extend(t.c, at + 3 * third, n - 3 * third);
    const uint32_t sums[3] = {~t.a, ~t.b, ~t.c};
    return crc32c(0, sums, sizeof sums);
}
