/*
 * error.h - a sentence for the user beside an errno value.
 *
 * What can fail returns 0 or -errno. What a user will read also takes `Error **err` last; NULL
 * means that the caller does not want the sentence. Libraries never print; programs do.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/compiler.h"

typedef struct Error {
    int code;       /* -errno */
    char message[]; /* one line, no full stop, no newline */
} Error;

/* Write the sentence to *err (replacing an earlier one) and return `code`, so a report is one line.
 */
int error_set(Error **err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Put "fmt: " before the message of *err, if there is one; returns its code (or `code`). */
int error_prefix(Error **err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The message, or strerror(-code) if no sentence was recorded. */
const char *error_message(const Error *err, int code);

void error_free(Error *err);

static inline void auto_error_cleanup(Error **err)
{
    error_free(*err);
}
#define AUTO_ERROR __attribute__((cleanup(auto_error_cleanup)))

#endif
