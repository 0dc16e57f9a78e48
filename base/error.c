/*
 * error.c - see error.h.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static Error *error_new(int code, const char *prefix, const char *text)
{
    const char *sep = *prefix ? ": " : "";
    size_t len = strlen(prefix) + strlen(sep) + strlen(text) + 1;
    Error *err = malloc(sizeof(*err) + len);

    if (err) {
        err->code = code;
        snprintf(err->message, len, "%s%s%s", prefix, sep, text);
    }
    return err;
}

int error_set(Error **err, int code, const char *fmt, ...)
{
    AUTO_FREE char *text = NULL;
    va_list ap;

    if (!err)
        return code;
    va_start(ap, fmt);
    int len = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (len < 0)
        text = NULL;
    error_free(*err);
    *err = error_new(code, "", text ? text : fmt);
    return code;
}

int error_prefix(Error **err, int code, const char *fmt, ...)
{
    AUTO_FREE char *prefix = NULL;
    va_list ap;

    if (!err)
        return code;
    va_start(ap, fmt);
    int len = vasprintf(&prefix, fmt, ap);
    va_end(ap);
    if (len < 0)
        prefix = NULL;
    Error *old = *err;
    *err = error_new(code, prefix ? prefix : fmt, error_message(old, code));
    error_free(old);
    return code;
}

const char *error_message(const Error *err, int code)
{
    return err ? err->message : strerror(-code);
}

void error_free(Error *err)
{
    free(err);
}
