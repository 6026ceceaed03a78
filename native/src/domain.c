/* SPDX-License-Identifier: BSD-3-Clause */
/* domain.c: see domain.h.  The only two writes of the register are here, and each is looked at again behind it: who
 * jumps to one of them from elsewhere, with a value of his own in the register, does not get past it. */
#include "domain.h"

#include "os_linux.h"

static_assert((int)OS_KEYS_OK == PLC_KEYS_USED && (int)OS_KEYS_NO_CPU == PLC_KEYS_NO_CPU &&
                  (int)OS_KEYS_NO_KERNEL == PLC_KEYS_NO_KERNEL && (int)OS_KEYS_NONE_FREE == PLC_KEYS_NONE_FREE,
              "what the kernel says is what the caller is told");

#define KEY_BITS(key) (3u << 2 * (key))        /* no loads and stores; no stores */
#define CLOSED_OF(bits) ((bits) & 0x55555555u) /* no loads and stores, as a program begins with */

static struct {
    uint32_t key, users;            /* under the process mutex */
    _Atomic(struct plc_cache *) first; /* attachments that the key opens; changed under it, read without */
} shared;

uint32_t domain_key_take(uint32_t *key) {
    enum os_keys keys = shared.users != 0 ? OS_KEYS_OK : os_key_take(&shared.key);
    if (keys == OS_KEYS_OK) {
        shared.users++;
        *key = shared.key;
    }
    return (uint32_t)keys;
}

void domain_key_give(void) {
    if (--shared.users == 0) {
        os_key_give(shared.key);
    }
}

/* ---- what the key opens ---------------------------------------------------------------------- */

/* One key opens all of them, so an argument of a call on one may lie in none.  Each has the bounds of all; what lies
 * within is looked for one by one. */
static void set_guards(void) {
    uintptr_t from = UINTPTR_MAX, end = 0;
    for (const struct plc_cache *c = atomic_load(&shared.first); c != NULL; c = atomic_load(&c->next_open)) {
        uintptr_t base = (uintptr_t)c->base;
        from = base < from ? base : from;
        end = base + c->geo.size_bytes > end ? base + c->geo.size_bytes : end;
    }
    for (struct plc_cache *c = atomic_load(&shared.first); c != NULL; c = atomic_load(&c->next_open)) {
        word_put_rlx(&c->guard, from);
        word_put_rlx(&c->guard_end, end);
    }
}

void domain_join(struct plc_cache *c) {
    word_put_rlx(&c->guard, (uintptr_t)c->base);
    word_put_rlx(&c->guard_end, (uintptr_t)c->base + c->geo.size_bytes);
    if (c->key_bits != 0) {
        shared.users++;
        atomic_store(&c->next_open, atomic_load(&shared.first));
        atomic_store(&shared.first, c);
        set_guards();
    }
}

/* Handles are never freed: whoever stands at this one finds its way on, also if it joins again meanwhile. */
void domain_leave(struct plc_cache *c) {
    if (c->key_bits == 0) {
        return;
    }
    _Atomic(struct plc_cache *) *at = &shared.first;
    while (atomic_load(at) != c) {
        at = &atomic_load(at)->next_open;
    }
    atomic_store(at, atomic_load(&c->next_open));
    set_guards();
    c->key_bits = 0; /* whoever still comes with this handle is told that it is closed */
    domain_key_give();
}

static bool touches(const struct plc_cache *c, uintptr_t at, size_t n) {
    uintptr_t base = (uintptr_t)c->base;
    return base != 0 && at < base + c->geo.size_bytes && (at >= base || base - at < n);
}

bool domain_touches(const struct plc_cache *c, uintptr_t at, size_t n) {
    bool hit = touches(c, at, n);
    const struct plc_cache *o = c->key_bits != 0 ? atomic_load(&shared.first) : NULL;
    for (; o != NULL && !hit; o = atomic_load(&o->next_open)) {
        hit = touches(o, at, n);
    }
    return hit;
}

/* ---- the key's mapping and register ---------------------------------------------------------- */

int domain_protect(struct plc_cache *c, uint32_t key) {
    uint64_t outside = c->geo.locks_at - c->geo.wait_at;
    int error = os_key_tag(c->base, c->geo.wait_at, key);
    error = error != 0 ? error : os_key_tag(c->base + c->geo.wait_at, outside, 0);
    error = error != 0 ? error : os_key_tag(c->base + c->geo.locks_at, c->geo.size_bytes - c->geo.locks_at, key);
    c->key_bits = error == 0 ? KEY_BITS(key) : 0;
    return error;
}

#if defined(__x86_64__)

/* RDPKRU and WRPKRU, which want 0 in ecx, and the latter in edx: as bytes, so that no compiler needs to know them. */
static inline uint32_t pkru_read(void) {
    uint32_t value, zero;
    __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(value), "=d"(zero) : "c"(0));
    return value;
}

static inline void pkru_write(uint32_t value) {
    __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(value), "c"(0), "d"(0) : "memory");
}

__attribute__((noinline)) void domain_key_open(const struct plc_cache *c) {
    uint32_t wanted = pkru_read() & ~c->key_bits;
    pkru_write(wanted);
    if (pkru_read() != wanted) {
        __builtin_trap();
    }
}

__attribute__((noinline)) void domain_key_close(const struct plc_cache *c) {
    pkru_write((pkru_read() & ~c->key_bits) | CLOSED_OF(c->key_bits));
    if ((pkru_read() & c->key_bits) != CLOSED_OF(c->key_bits)) {
        __builtin_trap();
    }
}

#else

void domain_key_open(const struct plc_cache *c) {
    (void)c;
}

void domain_key_close(const struct plc_cache *c) {
    (void)c;
}

#endif
