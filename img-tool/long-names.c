/*
 * long-names.c - the long names of options that have a letter, for help, manual and completion.
 *
 * The parsers' own tables make them work; tests/cli/help.sh tries each one.
 */
#include <string.h>

#include "img-tool/cmd.h"

static const struct {
    const char *command, *option, *name; /* command NULL: every other one */
} names[] = {
    { NULL, "-U", "--force-share" },
    { NULL, "-q", "--quiet" },
    { "compare", "-f", "--a-format" },
    { "compare", "-F", "--b-format" },
    { "compare", "-s", "--strict" },
    { "compare", "-T", "--cache" },
    { NULL, "-f", "--format" },
    { "bitmap", "-b", "--source-file" },
    { "bitmap", "-F", "--source-format" },
    { "bitmap", "-g", "--granularity" },
    { "commit", "-b", "--base" },
    { "commit", "-d", "--drop" },
    { "create", "-b", "--backing" },
    { "rebase", "-b", "--backing" },
    { "create", "-F", "--backing-format" },
    { "rebase", "-F", "--backing-format" },
    { "create", "-u", "--backing-unsafe" },
    { "rebase", "-u", "--backing-unsafe" },
    { "bench", "-o", "--offset" },
    { "bench", "-c", "--count" },
    { "bench", "-d", "--depth" },
    { "bench", "-i", "--aio" },
    { "bench", "-n", "--native" },
    { "bench", "-s", "--buffer-size" },
    { "bench", "-S", "--step-size" },
    { "bench", "-w", "--write" },
    { "bench", "-t", "--cache" },
    { "info", "-t", "--cache" },
    { "amend", "-t", "--cache" },
    { "amend", "-o", "--options" },
    { "create", "-o", "--options" },
    { "measure", "-o", "--options" },
    { "measure", "-O", "--target-format" },
    { "measure", "-l", "--snapshot" },
    { "convert", "-O", "--target-format" },
    { "convert", "-o", "--options" },
    { "convert", "-l", "--snapshot" },
    { "convert", "-B", "--backing" },
    { "convert", "-F", "--backing-format" },
    { "convert", "-c", "--compress" },
    { "convert", "-n", "--no-create" },
    { "convert", "-S", "--sparse-size" },
    { "convert", "-m", "--parallel" },
    { "convert", "-W", "--out-of-order" },
    { "convert", "-r", "--rate-limit" },
    { "convert", "-C", "--copy-range-offloading" },
    { "convert", "-t", "--target-cache" },
    { "convert", "-T", "--source-cache" },
    { "rebase", "-c", "--compress" },
    { "rebase", "-t", "--cache" },
    { "rebase", "-T", "--backing-cache" },
    { "commit", "-t", "--cache" },
    { "commit", "-r", "--rate" },
    { "dd", "-O", "--output-format" },
    { "dd", "-t", "--cache" },
    { "dd", "-T", "--source-cache" },
    { "check", "-r", "--repair" },
    { "check", "-T", "--cache" },
    { "snapshot", "-l", "--list" },
    { "snapshot", "-a", "--apply" },
    { "snapshot", "-c", "--create" },
    { "snapshot", "-d", "--delete" },
    { "io", "-c", "--cmd" },
    { "io", "-r", "--read-only" },
    { "io", "-s", "--snapshot" },
    { "io", "-n", "--nocache" },
    { "io", "-t", "--cache" },
    { "io", "-C", "--copy-on-read" },
    { "io", "-m", "--misalign" },
    { "io", "-k", "--native-aio" },
    { "io", "-i", "--aio" },
    { "io", "-T", "--trace" },
    { "io", "-V", "--version" },
    { "io", "-d", "--discard" },
    { "io", "-C", "--copy-on-read" },
    { "io", "-m", "--misalign" },
    { "io", "-k", "--native-aio" },
    { "io", "-i", "--aio" },
    { "io", "-T", "--trace" },
};

const char *option_long_name(const char *command, const char *option)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if ((!names[i].command || strcmp(names[i].command, command) == 0) &&
            strcmp(names[i].option, option) == 0)
            return names[i].name;
    return NULL;
}
