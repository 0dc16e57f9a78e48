/*
 * log.c - see log.h.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static LogHook *log_hook;
static void *log_opaque;

void log_set_hook(LogHook *hook, void *opaque)
{
    log_hook = hook;
    log_opaque = opaque;
}

static void log_send(LogLevel level, const char *fmt, va_list ap)
{
    AUTO_FREE char *text = NULL;

    if (log_hook && vasprintf(&text, fmt, ap) >= 0)
        log_hook(level, text, log_opaque);
}

#define LOG_FUNCTION(name, level)                                                                  \
    void name(const char *fmt, ...)                                                                \
    {                                                                                              \
        va_list ap;                                                                                \
        va_start(ap, fmt);                                                                         \
        log_send(level, fmt, ap);                                                                  \
        va_end(ap);                                                                                \
    }

LOG_FUNCTION(log_warning, LOG_WARNING)
LOG_FUNCTION(log_info, LOG_INFO)
LOG_FUNCTION(log_debug, LOG_DEBUG)
