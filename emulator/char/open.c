/*
 * open.c - from the text of an option to a character back end.
 */
#include <errno.h>
#include <string.h>

#include "emulator/char/char.h"

static const char *after(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

static bool is_socket(const char *spec)
{
    return after(spec, "unix:") || after(spec, "tcp:");
}

int char_check(const char *spec, Error **err)
{
    const char *rest = after(spec, "mon:");

    spec = rest ? rest : spec;
    if (strcmp(spec, "stdio") == 0 || strcmp(spec, "null") == 0 || strcmp(spec, "none") == 0 ||
        strcmp(spec, "pty") == 0)
        return 0;
    rest = after(spec, "file:");
    if (rest && !*rest)
        return error_set(err, -EINVAL, "'%s' names no file", spec);
    if (rest)
        return 0;
    if (is_socket(spec))
        return char_socket_check(spec, err);
    return error_set(err, -EINVAL,
                     "'%s' is not a character device: stdio, mon:stdio, null, none, pty, "
                     "file:PATH, unix:PATH or tcp:HOST:PORT",
                     spec);
}

int char_open(const char *spec, CharBackend **out, Error **err)
{
    if (strcmp(spec, "stdio") == 0)
        return char_stdio_open(true, out, err);
    if (strcmp(spec, "null") == 0)
        return char_null_open(out, err);
    if (strcmp(spec, "pty") == 0)
        return char_pty_open(out, err);
    if (after(spec, "file:"))
        return char_file_open(after(spec, "file:"), out, err);
    if (is_socket(spec))
        return char_socket_open(spec, out, err);
    return char_check(spec, err) < 0 ? -EINVAL : error_set(err, -EINVAL, "cannot open '%s'", spec);
}

void char_close(CharBackend *be)
{
    if (be)
        be->close(be);
}
