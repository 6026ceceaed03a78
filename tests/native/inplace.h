/* SPDX-License-Identifier: BSD-3-Clause */
/* inplace.h: values in place, for the tests: leasing them, looking whether they are what they were, filling them. */
#ifndef PLC_TEST_INPLACE_H
#define PLC_TEST_INPLACE_H

#include "fixture.h"
#include "holding.h"
#include "pages.h"

__attribute__((unused)) static plc_status lease(plc_cache *c, const char *key, plc_view *view) {
    plc_found found;
    return AGAIN(c, plc_lease(c, key, strlen(key), 0, view, &found));
}

/* Is it the value of that key and serial, whole? */
__attribute__((unused)) static bool shows(const plc_view *view, uint64_t key, uint64_t serial) {
    return value_serial(view->bytes, view->length, key) == serial;
}

/* Stores value_make(key, serial) of n bytes under the key's name, "k" and its number. */
__attribute__((unused)) static void put_value(plc_cache *c, uint64_t key, uint64_t serial, size_t n) {
    char name[32];
    uint8_t *bytes = malloc(n);
    CHECK(bytes != NULL);
    (void)snprintf(name, sizeof name, "k%" PRIu64, key);
    value_make(bytes, n, key, serial);
    CHECK_STATUS(store(c, PLC_SET, name, bytes, n), PLC_OK);
    free(bytes);
}

__attribute__((unused)) static plc_status lease_value(plc_cache *c, uint64_t key, plc_view *view) {
    char name[32];
    (void)snprintf(name, sizeof name, "k%" PRIu64, key);
    return lease(c, name, view);
}

/* What may become of k1: */
__attribute__((unused)) static void replace_k1(plc_cache *c, size_t n) {
    put_value(c, 1, 2, n);
}
__attribute__((unused)) static void delete_k1(plc_cache *c, size_t n) {
    (void)n;
    MUST(c, plc_delete(c, "k1", 2), PLC_OK);
}
__attribute__((unused)) static void flush_k1(plc_cache *c, size_t n) {
    (void)n;
    MUST(c, plc_flush(c, 0), PLC_OK);
}
__attribute__((unused)) static void expire_k1(plc_cache *c, size_t n) {
    (void)n;
    MUST(c, plc_touch(c, "k1", 2, 1), PLC_OK);
}
__attribute__((unused)) static void drain_k1(plc_cache *c, size_t n) {
    (void)n;
    (void)drain(c);
}

/* The page word of the run in which what the view shows lies (the pages before it belong to no other run). */
__attribute__((unused)) static uint64_t run_of(const plc_cache *c, const plc_view *view) {
    uint32_t page = (uint32_t)((uint64_t)((const uint8_t *)view->bytes - c->view) >> PAGE_SHIFT);
    uint64_t w = word_acq(page_word(c, page));
    return page_state(w) == PAGE_CONT ? word_acq(page_word(c, page_cont_head(w))) : w;
}

/* Fills the region several times over, so that whatever may be evicted is. */
__attribute__((unused)) static void overwrite_all(plc_cache *c, unsigned times) {
    uint64_t bytes = info_of(c).pool_bytes * times, n = 0;
    static uint8_t value[100000];
    while (n < bytes) {
        char name[32];
        (void)snprintf(name, sizeof name, "f%" PRIu64, below(1u << 30));
        (void)store(c, PLC_SET, name, value, sizeof value);
        n += sizeof value;
    }
}

__attribute__((unused)) static plc_status reserve(plc_cache *c, const char *key, uint64_t n, plc_reservation **r,
                                                  uint8_t **bytes) {
    const plc_entry e = {.key = key, .key_length = strlen(key)};
    void *at = NULL;
    plc_status s = AGAIN(c, plc_reserve(c, &e, n, r, &at));
    *bytes = at;
    return s;
}

__attribute__((unused)) static plc_status seal(plc_cache *c, plc_reservation *r) {
    uint64_t token = 0;
    return AGAIN(c, plc_seal(c, r, 0, &token));
}

/* Does a store to that byte fault? */
__attribute__((unused)) static bool store_faults(const void *at) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        *(volatile uint8_t *)(uintptr_t)at = 1;
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

#endif
