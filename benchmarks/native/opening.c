/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * opening.c: how long opening a region takes.  Obeys one line after the other:
 *
 *   open PATH BYTES     creates it, or attaches to it if another process has made it   -> nanoseconds
 *   close                                                                              -> nothing
 *   remove PATH                                                                        -> nothing
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

static plc_cache *cache;

static void command_open(const char *path, uint64_t bytes) {
    plc_report report;
    const plc_options options = {.path = path, .size_bytes = bytes, .create = 1, .protection = PLC_PROTECT_NONE};
    const uint64_t began = now_ns();
    const plc_status s = plc_open(&options, &cache, &report);
    const uint64_t spent = now_ns() - began;
    expect("plc_open", s);
    printf("%" PRIu64 "\n", spent);
}

int main(void) {
    char line[4608], path[4096];
    plc_report report;
    uint64_t bytes;
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "open %4095s %" SCNu64, path, &bytes) == 2) {
            command_open(path, bytes);
        } else if (strcmp(line, "close\n") == 0) {
            plc_close(cache);
            printf("\n");
        } else if (sscanf(line, "remove %4095s", path) == 1) {
            expect("plc_remove", plc_remove(path, &report));
            printf("\n");
        } else {
            (void)fprintf(stderr, "no such command: %s\n", line);
            return 1;
        }
        (void)fflush(stdout);
    }
    return 0;
}
