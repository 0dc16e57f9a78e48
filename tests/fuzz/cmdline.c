/*
 * cmdline.c - fuzz target: any words as the emulator's command line; lines of the input are words.
 */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "emulator/cmdline.h"

enum { WORDS = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = strndup((const char *)data, size);
    char *argv[WORDS + 2] = { "emulator" }, *save = NULL;
    int argc = 1;
    CmdAction action;
    Config config;
    const char *list;

    for (char *word = strtok_r(text, "\n", &save); word && argc <= WORDS;
         word = strtok_r(NULL, "\n", &save))
        argv[argc++] = word;
    cmdline_parse(argc, argv, &config, &action, &list, NULL);
    config_free(&config);
    return 0;
}
