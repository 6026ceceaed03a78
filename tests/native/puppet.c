/* SPDX-License-Identifier: BSD-3-Clause */
/* puppet.c: see puppet.h. */
#include "puppet.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

plc_cache *common;
struct task *task;

static struct peer peer;
static uint32_t slot; /* its place in the region */

plc_cache *puppet_attach(struct peer_ends ends, plc_cache *inherited) {
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    (void)await(ends.in);
    plc_close(inherited);
    plc_cache *own = region_named("r", 0, 0);
    CHECK(store(own, PLC_SET, "mine", "x", 1) == PLC_OK); /* what is done once is done */
    tell(ends.out, info_of(own).slot);
    trace_me();
    return own;
}

static void acts(struct peer_ends ends) {
    common = puppet_attach(ends, common);
    for (;;) {
        CHECK(raise(SIGTRAP) == 0);
        task->begun = true;
        task->status = task->act();
        task->done = true;
    }
}

/* Both on one processor: they never run at once, and a step costs a switch, not a wake. */
static void share_processor(void) {
    cpu_set_t one;
    int at = sched_getcpu(); /* -1: any will do */
    CPU_ZERO(&one);
    CPU_SET(at < 0 ? 0u : (unsigned)at, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
}

void puppet_start(void) {
    share_processor();
    common = region_new(4 * MIB);
    region_grow(common, common->geo.end_page); /* or the puppet meets pages that it has not seen */
    task = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(task != MAP_FAILED);
    peer = peer_start(acts);
    tell(peer.to, 1);
    slot = (uint32_t)hear(peer.from);
    trace_wait(peer.pid);
}

void puppet_end(void) {
    peer_kill(&peer);
    CHECK(munmap(task, 4096) == 0);
    region_end(common, true);
}

/* ---- tasks ------------------------------------------------------------------------------------------ */

void puppet_task(plc_status (*act)(void)) {
    task->act = act;
    task->begun = task->done = false;
}

void puppet_begin(plc_status (*act)(void), bool of_claim, bool alone, const struct call *k) {
    plc_status gone = AGAIN(common, plc_delete(common, SUBJECT, strlen(SUBJECT)));
    CHECK(gone == PLC_OK || gone == PLC_MISS);
    CHECK(task->run == 0 || !alone || evict_now(common, task->run, EVICT_ALL) == PLC_OK);
    if (of_claim) {
        plc_flight flight;
        const plc_entry e = {.key = SUBJECT, .key_length = strlen(SUBJECT)};
        MUST(common, plc_claim(common, &e, 3600000, &flight), PLC_OK);
        task->token = flight.token;
    } else {
        plc_found found;
        char buffer[32];
        CHECK_STATUS(store(common, PLC_SET, SUBJECT, "41", 2), PLC_OK);
        CHECK_STATUS(get(common, SUBJECT, buffer, sizeof buffer, &found), PLC_OK);
        task->token = found.token;
    }
    task->run = slot_head(subject_slot(k));
    puppet_task(act);
}

plc_status puppet_get(void) {
    char text[64] = "";
    plc_found found;
    plc_status s = plc_get(common, SUBJECT, strlen(SUBJECT), 0, text, sizeof text - 1, &found);
    memcpy(task->text, text, sizeof text);
    return s;
}

void puppet_recycle_pool(void) {
    static uint8_t bytes[60000];
    char name[32];
    for (uint64_t written = 0; written < 12 * MIB;) {
        size_t n = below(4) == 0 ? 8 + below(sizeof bytes - 8) : 2000 + below(6000);
        (void)snprintf(name, sizeof name, "other %u", (unsigned)below(3000));
        plc_status s = store(common, PLC_SET, name, bytes, n);
        CHECK(s == PLC_OK || s == PLC_FULL || s == PLC_BUSY);
        written += n;
    }
}

/* ---- stepping --------------------------------------------------------------------------------------- */

void puppet_step(void) {
    trace_step(peer.pid);
}

bool puppet_go(unsigned n) {
    for (unsigned i = 0; i < n && !task->done; i += task->begun ? 1 : 0) {
        puppet_step();
    }
    return !task->done;
}

void puppet_let_go(void) {
    trace_run(peer.pid); /* to where it waits for the next task */
    CHECK(task->done);
}

/* A number that changes with every store to what the slots of the key rest on: pins, the lock, the runs. */
static uint64_t picture(const struct call *k) {
    const struct shm_process *row = process_row(common, slot);
    uint64_t sum = word_rlx(&common->locks[k->shard]), pages = common->geo.end_page - common->geo.first_page;
    for (unsigned i = 0; i < INDEX_WAYS; i++) {
        sum = sum * 31 + word_rlx(index_slot(k, i));
    }
    for (unsigned i = 0; i < TICKETS; i++) {
        sum = sum * 31 + word_rlx(&row->transient[i]);
    }
    for (uint64_t i = 0; i < pages; i++) {
        const struct shm_page *page = &common->pages[i];
        uint64_t w = word_rlx(&page->state), a = word_rlx(&page->side_a), b = word_rlx(&common->side_b[i]);
        sum += page_readable(w) ? (w ^ a * 7 ^ b * 13) * (2 * i + 1) : 0;
    }
    return sum;
}

bool puppet_step_to(const struct call *k, unsigned changes, unsigned beyond, unsigned *steps_since) {
    uint64_t last = picture(k);
    unsigned seen = 0, since = 0;
    for (unsigned i = 0; !task->done && (seen < changes || since < beyond); i++) {
        CHECK(i < PUPPET_STEPS_MOST);
        puppet_step();
        since += task->begun ? 1 : 0;
        uint64_t now = picture(k);
        if (now != last) {
            *steps_since = since;
            last = now;
            seen++;
            since = 0;
        }
    }
    return !task->done;
}
