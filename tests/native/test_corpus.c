/* SPDX-License-Identifier: BSD-3-Clause */
/* test_corpus.c: the inputs that the fuzzer has found worth keeping, and those that once broke something: each is
 * run by the fuzzer's own code (tests/fuzz/region.c).  FUZZ_CORPUS names another folder of them, or one file. */
#include "../fuzz/region.c"

#include <dirent.h>

static void run_file(const char *path) {
    static uint8_t input[1u << 20];
    FILE *from = fopen(path, "rbe");
    CHECK(from != NULL);
    size_t n = fread(input, 1, sizeof input, from);
    (void)fclose(from);
    (void)fprintf(stderr, "%s\n", path);
    (void)LLVMFuzzerTestOneInput(input, n);
    (void)alarm(HANG_SECONDS);
}

static void corpus(void) {
    const char *given = getenv("FUZZ_CORPUS");
    const char *folder = given != NULL ? given : "../tests/fuzz/corpus";
    unsigned files = 0;
    DIR *list = opendir(folder);
    if (list == NULL) {
        run_file(folder);
        return;
    }
    for (const struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        char path[600];
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.') {
            run_file(path);
            files++;
        }
    }
    (void)closedir(list);
    CHECK(files > 0);
    (void)printf("  %u inputs\n", files);
}

static const struct check_test tests[] = {
    {"corpus", corpus},
};

int main(void) {
    return RUN_TESTS(tests);
}
