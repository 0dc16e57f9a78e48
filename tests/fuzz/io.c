/*
 * io.c - fuzz target: any lines as commands of `img-tool io`, on an image in memory.
 *
 * Commands that wait, end the program or open files are left out; the folder is empty.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "img-tool/io.h"

enum { LINES = 20 };

static bool harmless(const char *line)
{
    static const char *const words[] = { "sleep",  "abort",      "sigraise", "open",
                                         "reopen", "wait_break", "break" };
    size_t skip = strspn(line, " \t");

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strncmp(line + skip, words[i], strlen(words[i])) == 0)
            return false;
    return line[skip] != 'o' && !strchr(line, '/');
}

static void go_away(void)
{
    char dir[] = "/tmp/fuzz-io.XXXXXX";
    static bool done;

    if (!done && (!mkdtemp(dir) || chdir(dir) < 0 || rmdir(dir) < 0))
        abort();
    done = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = strndup((const char *)data, size);
    IoSession s = { 0 };
    IoOpen how = { .flags = OPEN_RDWR | OPEN_UNMAP, .options = options_new() };
    char *save = NULL;
    int n = 0;

    go_away();
    options_parse(how.options,
                  "driver=raw,file.driver=blkdebug,file.image.driver=memory,file.image.size=64k",
                  NULL, NULL);
    if (io_open(&s, &how) < 0)
        abort();
    for (char *line = strtok_r(text, "\n", &save); line && n++ < LINES;
         line = strtok_r(NULL, "\n", &save))
        if (harmless(line))
            io_run_line(&s, line);
    io_close(&s);
    aio_free(s.aio);
    io_open_free(&s.how);
    return 0;
}
