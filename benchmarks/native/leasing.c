/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * leasing.c PATH BYTES: how long a lease takes that is given back at once; of the value "array", which another process
 * has stored.  Obeys one line after the other:
 *
 *   lease COUNT     each is the only one of the value in this process   -> nanoseconds for each
 *   beside COUNT    while another one is held                           -> nanoseconds for each
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

static plc_cache *cache;

static void take(plc_view *view) {
    plc_found found;
    plc_status s;
    while ((s = plc_lease(cache, "array", 5, 0, view, &found)) == PLC_AGAIN) {
        expect("plc_assist", plc_assist(cache, 50));
    }
    expect("plc_lease", s);
}

static double each_ns(uint64_t count) {
    const uint64_t began = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        plc_view view;
        take(&view);
        plc_release(cache, &view);
    }
    return (double)(now_ns() - began) / (double)count;
}

static void open_once(const char *path, uint64_t bytes) {
    plc_report report;
    const plc_options options = {.path = path, .size_bytes = bytes, .create = 1, .protection = PLC_PROTECT_NONE};
    if (cache == NULL) {
        expect("plc_open", plc_open(&options, &cache, &report));
    }
}

int main(int argc, char **argv) {
    char line[64];
    uint64_t count;
    if (argc < 3) {
        return 1;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        plc_view held = {0};
        open_once(argv[1], strtoull(argv[2], NULL, 10));
        if (sscanf(line, "beside %" SCNu64, &count) == 1) {
            take(&held);
        } else if (sscanf(line, "lease %" SCNu64, &count) != 1) {
            (void)fprintf(stderr, "no such command: %s\n", line);
            return 1;
        }
        printf("%.1f\n", each_ns(count));
        (void)fflush(stdout);
        plc_release(cache, &held);
    }
    return 0;
}
