/*
 * log.h - warnings that a library wants a person to see although the operation goes on.
 *
 * Libraries never print: a program installs a hook (the default hook drops the text).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/compiler.h"

typedef enum { LOG_WARNING, LOG_INFO, LOG_DEBUG } LogLevel;

typedef void LogHook(LogLevel level, const char *message, void *opaque);

/* Call once, before any thread starts. */
void log_set_hook(LogHook *hook, void *opaque);

void log_warning(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
