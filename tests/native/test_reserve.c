/* SPDX-License-Identifier: BSD-3-Clause */
/* test_reserve.c: values that are filled in place: nobody sees them before they are sealed, nobody changes them after,
 * and what is not sealed is given back, whatever becomes of its filler. */
#include "inplace.h"
#include "part.h"

#include <sys/syscall.h>

#define LARGE 300000u

static plc_cache *c;

static uint64_t reserved_of(uint32_t slot) {
    return word_rlx(&process_row(c, slot)->reserved);
}

static void fill_and_seal(void) {
    plc_reservation *r;
    plc_view view;
    plc_found found;
    uint8_t *bytes, *copy = malloc(LARGE);
    uint64_t token = 0;
    CHECK(copy != NULL);
    c = region_new(32 * MIB);
    CHECK_STATUS(reserve(c, "k1", LARGE, &r, &bytes), PLC_OK);
    CHECK((uintptr_t)bytes % PAGE_BYTES == 0 && reserved_of(my_slot(c)) >= LARGE);
    CHECK(absent(c, "k1") && count_of(c, 0) == 0);
    value_make(bytes, LARGE, 1, 9);
    MUST(c, plc_seal(c, r, 0, &token), PLC_OK);
    CHECK_STATUS(plc_get(c, "k1", 2, 0, copy, LARGE, &found), PLC_OK);
    CHECK(found.token == token && value_serial(copy, LARGE, 1) == 9);
    CHECK(value_serial(bytes, LARGE, 1) == 9 && store_faults(bytes)); /* the filler may go on reading */
    CHECK(reserved_of(my_slot(c)) == 0 && counter_of(c, "sets") == 1);
    CHECK_STATUS(plc_seal(c, r, 0, &token), PLC_INVALID);
    plc_abort(c, r); /* of what is sealed: nothing */
    CHECK_STATUS(lease(c, "k1", &view), PLC_OK);
    CHECK((uintptr_t)view.bytes % PAGE_BYTES == 0 && shows(&view, 1, 9));
    plc_release(c, &view);
    MUST(c, plc_delete(c, "k1", 2), PLC_OK);
    overwrite_all(c, 3);
    CHECK(value_serial(bytes, LARGE, 1) == 9); /* as long as it looks */
    plc_reservation_end(c, r);
    free(copy);
    region_end(c, true);
}

static const uint64_t lengths[] = {0, 1, 100, PAGE_BYTES - 1, PAGE_BYTES, PAGE_BYTES + 1, 100000, 3 * MIB};

static void every_length(void) {
    static uint8_t copy[3 * MIB];
    char long_key[PLC_KEY_MAX + 1] = {0};
    memset(long_key, 'l', PLC_KEY_MAX);
    c = region_new(32 * MIB);
    for (size_t i = 0; i < 2 * sizeof lengths / sizeof lengths[0]; i++) {
        uint64_t n = lengths[i / 2];
        const char *key = i % 2 != 0 ? long_key : "short";
        plc_reservation *r;
        plc_found found;
        uint8_t *bytes;
        CHECK_STATUS(reserve(c, key, n, &r, &bytes), PLC_OK);
        memset(bytes, (int)i + 1, n);
        CHECK_STATUS(seal(c, r), PLC_OK);
        plc_reservation_end(c, r);
        CHECK_STATUS(plc_get(c, key, strlen(key), 0, copy, sizeof copy, &found), PLC_OK);
        CHECK(found.length == n && (n == 0 || (copy[0] == i + 1 && copy[n - 1] == i + 1)));
        CHECK_STATUS(store(c, PLC_APPEND, key, "+", 1), PLC_OK); /* it is a value as any */
        MUST(c, plc_touch(c, key, strlen(key), 0), PLC_OK);
    }
    region_end(c, false);
}

static void abort_gives_back(void) {
    plc_reservation *r;
    uint8_t *bytes;
    uint64_t token;
    c = region_new(16 * MIB);
    (void)drain(c);
    for (unsigned i = 0; i < 100; i++) {
        CHECK_STATUS(reserve(c, "k", 5 * MIB, &r, &bytes), PLC_OK);
        memset(bytes, 1, 1000);
        if (i % 2 == 0) {
            plc_abort(c, r);
            CHECK_STATUS(plc_seal(c, r, 0, &token), PLC_INVALID);
            memset(bytes, 2, 5 * MIB); /* memory still, of no meaning */
        }
        plc_reservation_end(c, r);
        CHECK(reserved_of(my_slot(c)) == 0 && absent(c, "k"));
    }
    CHECK(c->holding->parts == NULL && word_rlx(&c->holding->alive) == 0);
    region_end(c, false);
}

/* Bytes of addresses that this process has. */
static uint64_t address_space(void) {
    FILE *statm = fopen("/proc/self/statm", "re");
    char line[128] = "";
    CHECK(statm != NULL && fgets(line, sizeof line, statm) != NULL && fclose(statm) == 0);
    return strtoull(line, NULL, 10) * PAGE_BYTES;
}

/* Of what a value of any length is mapped into nothing stays behind, nor of a private copy: a process has 65,530
 * mappings at most. */
static void leaves_no_mapping(void) {
    plc_reservation *r;
    plc_view view;
    uint8_t *bytes;
    c = region_new(32 * MIB);
    put_value(c, 1, 1, LARGE);
    CHECK(part_view(c) != NULL);
    uint64_t before = address_space();
    for (uint64_t i = 0; i < 200; i++) {
        CHECK_STATUS(reserve(c, "k2", LARGE + i, &r, &bytes), PLC_OK);
        CHECK_STATUS(i % 2 == 0 ? seal(c, r) : PLC_OK, PLC_OK);
        plc_reservation_end(c, r);
        CHECK_STATUS(lease(c, "k1", &view), PLC_OK);
        CHECK_STATUS(plc_view_private(c, &view), PLC_OK);
        plc_release(c, &view);
    }
    CHECK(address_space() < before + 32 * MIB); /* what malloc took */
    region_end(c, false);
}

/* What was written to an aborted one goes nowhere. */
static void late_stores_go_nowhere(void) {
    plc_reservation *r;
    plc_view view;
    uint8_t *bytes;
    c = region_new(16 * MIB);
    CHECK_STATUS(reserve(c, "k", LARGE, &r, &bytes), PLC_OK);
    plc_abort(c, r);
    for (uint64_t i = 0; i < 120; i++) { /* more than there is room for: so also where it lay */
        put_value(c, i, 1, LARGE);
    }
    memset(bytes, 0xee, LARGE);
    for (uint64_t i = 0; i < 120; i++) {
        view = (plc_view){0};
        plc_status s = lease_value(c, i, &view);
        CHECK(s == PLC_MISS || (s == PLC_OK && shows(&view, i, 1)));
        plc_release(c, &view);
    }
    plc_reservation_end(c, r);
    region_end(c, false);
}

static void limits(void) {
    plc_reservation *r, *other;
    uint8_t *bytes;
    const plc_entry none = {.key = "", .key_length = 0};
    c = region_new(16 * MIB);
    plc_info info = info_of(c);
    CHECK_STATUS(reserve(c, "k", info.value_max + 1, &r, &bytes), PLC_TOO_LARGE);
    CHECK_STATUS(reserve(c, "k", UINT64_MAX, &r, &bytes), PLC_TOO_LARGE);
    CHECK_STATUS(plc_reserve(c, &none, 10, &r, (void **)&bytes), PLC_INVALID);
    CHECK_STATUS(plc_reserve(c, NULL, 10, &r, (void **)&bytes), PLC_INVALID);
    CHECK_STATUS(reserve(c, "k", info.value_max, &r, &bytes), PLC_OK);
    CHECK_STATUS(reserve(c, "k", 100, &other, &bytes), PLC_FULL); /* half of the pool is reserved */
    CHECK_STATUS(store(c, PLC_SET, "v", "1", 1), PLC_OK);
    CHECK_STATUS(seal(c, r), PLC_OK);
    CHECK_STATUS(reserve(c, "k", 100, &other, &bytes), PLC_FULL); /* and still held by its filler */
    plc_reservation_end(c, r);
    CHECK_STATUS(reserve(c, "k", 100, &other, &bytes), PLC_OK);
    plc_reservation_end(c, other);
    region_end(c, false);
}

/* The generations count from when it was reserved: what was invalidated meanwhile is not published as valid. */
static void invalidated_meanwhile(void) {
    plc_reservation *r;
    uint8_t *bytes;
    c = region_new(16 * MIB);
    CHECK_STATUS(reserve(c, "k", 100, &r, &bytes), PLC_OK);
    MUST(c, plc_flush(c, 0), PLC_OK);
    CHECK_STATUS(seal(c, r), PLC_OK);
    CHECK(absent(c, "k"));
    plc_reservation_end(c, r);
    region_end(c, false);
}

/* The handle is closed: nothing is published, and all is given back. */
static void closed_meanwhile(void) {
    plc_reservation *r;
    uint8_t *bytes;
    uint64_t token;
    c = region_new(16 * MIB);
    plc_cache *first = c;
    CHECK_STATUS(reserve(c, "k", LARGE, &r, &bytes), PLC_OK);
    memset(bytes, 1, LARGE);
    plc_close(c);
    CHECK_STATUS(plc_seal(c, r, 0, &token), PLC_CLOSED);
    memset(bytes, 2, LARGE);
    plc_reservation_end(c, r);
    CHECK(first->base == NULL);
    c = region_named("r", 0, 0);
    region_end(c, false);
}

/* ---- another process ------------------------------------------------------------------------ */

static void fills(struct peer_ends ends) {
    plc_reservation *r;
    uint8_t *bytes;
    CHECK_STATUS(reserve(c, "k", LARGE, &r, &bytes), PLC_OK);
    memset(bytes, 1, LARGE / 2);
    tell(ends.out, my_slot(c));
    for (;;) {
        memset(bytes, 1, LARGE);
    }
}

/* Who stands still while it fills keeps its pages and is in nobody's way; who dies gives them back. */
static void stopped_and_killed(void) {
    c = region_new(16 * MIB);
    struct peer p = peer_start(fills);
    uint32_t slot = (uint32_t)hear(p.from);
    CHECK(kill(p.pid, SIGSTOP) == 0);
    for (unsigned i = 0; i < 3; i++) {
        overwrite_all(c, 2);
        put_value(c, 1, i, 2 * MIB);
        CHECK(reserved_of(slot) >= LARGE && findings_of(c) == 0);
    }
    struct drained d = drain(c);
    CHECK(d.free_pages >= info_of(c).pool_taken_bytes / PAGE_BYTES - reserved_of(slot) / PAGE_BYTES);
    peer_kill(&p);
    region_end(c, true);
}

static void reserves(struct peer_ends ends) {
    plc_reservation *r;
    uint8_t *bytes;
    CHECK_STATUS(reserve(c, "k", LARGE, &r, &bytes), PLC_OK);
    tell(ends.out, my_slot(c));
    (void)await(ends.in);
}

static bool is_tenant(uint32_t slot) {
    return (word_acq(&process_row(c, slot)->inc) & 1u) != 0;
}

/* However much of its patience a call has spent on other things, what the dead have is not a reason to refuse it: each
 * of them is asked. */
static void asked_before_it_is_refused(void) {
    plc_reservation *r;
    void *bytes;
    c = region_new(16 * MIB);
    uint64_t most = info_of(c).value_max;
    const plc_entry e = {.key = "k", .key_length = 1};
    CHECK_STATUS(AGAIN(c, plc_reserve(c, &e, most, &r, &bytes)), PLC_OK); /* the file grows */
    plc_reservation_end(c, r);
    struct peer dead[] = {peer_start(reserves), peer_start(reserves)};
    uint32_t slots[2];
    for (unsigned i = 0; i < 2; i++) {
        slots[i] = (uint32_t)hear(dead[i].from);
        CHECK(reserved_of(slots[i]) >= LARGE);
        peer_kill(&dead[i]);
    }
    while (is_tenant(slots[0]) && is_tenant(slots[1])) {
        CHECK_STATUS(plc_reserve(c, &e, most, &r, &bytes), PLC_AGAIN);
        MUST(c, plc_assist(c, 1), PLC_OK);
    }
    for (uint64_t began = os_monotonic_ms(); os_monotonic_ms() - began < 300;) { /* more patient than that it is not */
        MUST(c, plc_assist(c, 1), PLC_OK);
    }
    CHECK(is_tenant(slots[0]) != is_tenant(slots[1]));
    CHECK_STATUS(plc_reserve(c, &e, most, &r, &bytes), PLC_AGAIN);
    MUST(c, plc_assist(c, 1), PLC_OK);
    CHECK_STATUS(plc_reserve(c, &e, most, &r, &bytes), PLC_OK);
    plc_reservation_end(c, r);
    region_end(c, true);
}

static void in_a_child(struct peer_ends ends) {
    plc_reservation *r = (plc_reservation *)(uintptr_t)await(ends.in);
    uint8_t *bytes = (uint8_t *)(uintptr_t)await(ends.in);
    uint64_t token;
    CHECK(bytes[0] == 0 && bytes[LARGE - 1] == 0);
    memset(bytes, 3, LARGE);
    CHECK_STATUS(plc_seal(c, r, 0, &token), PLC_INVALID);
    plc_abort(c, r);
    CHECK_STATUS(store(c, PLC_SET, "child", "1", 1), PLC_OK);
    plc_reservation_end(c, r);
    tell(ends.out, 1);
}

/* A fork child's buffer is memory of its own, and what it does with it is no matter of the parent's. */
static void forked(void) {
    plc_reservation *r;
    uint8_t *bytes;
    c = region_new(16 * MIB);
    CHECK_STATUS(reserve(c, "k", LARGE, &r, &bytes), PLC_OK);
    memset(bytes, 1, LARGE);
    struct peer p = peer_start(in_a_child);
    tell(p.to, (uint64_t)(uintptr_t)r);
    tell(p.to, (uint64_t)(uintptr_t)bytes);
    (void)hear(p.from);
    peer_done(&p);
    CHECK(bytes[0] == 1 && bytes[LARGE - 1] == 1);
    CHECK_STATUS(seal(c, r), PLC_OK);
    plc_reservation_end(c, r);
    region_end(c, true);
}

/* fork handlers do not run in the child of a raw clone: what the parent fills is not there at all. */
static void raw_clone(void) {
    plc_reservation *r;
    uint8_t *bytes;
    c = region_new(16 * MIB);
    CHECK_STATUS(reserve(c, "k", LARGE, &r, &bytes), PLC_OK);
    memset(bytes, 1, LARGE);
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        *(volatile uint8_t *)bytes = 3;
        _exit(0);
    }
    int status = 0;
    CHECK(pid > 0 && waitpid((pid_t)pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && bytes[0] == 1);
    plc_reservation_end(c, r);
    region_end(c, true);
}

static uint8_t *sealed;

static void looks(struct peer_ends ends) {
    (void)await(ends.in);
    CHECK(value_serial(sealed, LARGE, 1) == 5);
    tell(ends.out, 1);
}

/* What is sealed is a value that its filler reads in place, and so does a child of it. */
static void forked_after_sealing(void) {
    plc_reservation *r;
    c = region_new(16 * MIB);
    CHECK_STATUS(reserve(c, "k1", LARGE, &r, &sealed), PLC_OK);
    value_make(sealed, LARGE, 1, 5);
    CHECK_STATUS(seal(c, r), PLC_OK);
    struct peer p = peer_start(looks);
    plc_reservation_end(c, r);
    MUST(c, plc_delete(c, "k1", 2), PLC_OK);
    overwrite_all(c, 3);
    tell(p.to, 1);
    CHECK(hear(p.from) == 1);
    peer_done(&p);
    region_end(c, true);
}

int main(void) {
    static const struct check_test tests[] = {
        {"fill_and_seal", fill_and_seal},
        {"every_length", every_length},
        {"abort_gives_back", abort_gives_back},
        {"leaves_no_mapping", leaves_no_mapping},
        {"late_stores_go_nowhere", late_stores_go_nowhere},
        {"limits", limits},
        {"invalidated_meanwhile", invalidated_meanwhile},
        {"closed_meanwhile", closed_meanwhile},
        {"stopped_and_killed", stopped_and_killed},
        {"asked_before_it_is_refused", asked_before_it_is_refused},
        {"forked", forked},
        {"raw_clone", raw_clone},
        {"forked_after_sealing", forked_after_sealing},
    };
    return check_run(tests, sizeof tests / sizeof tests[0]);
}
