/*
 * expr.h - numbers, registers and arithmetic as typed in the monitor; "/FMT" of x and xp.
 */
#ifndef EMULATOR_MONITOR_EXPR_H
#define EMULATOR_MONITOR_EXPR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The value of "$name" (without the dollar sign); false: there is no such register. */
typedef bool ExprRegister(void *opaque, const char *name, uint64_t *value);

/*
 * Parse one expression from *text and advance it: + - * / % & | ^ ~ ( ), numbers as in C, 'c',
 * $reg. It ends at the first thing that cannot continue it.
 */
int expr_parse(const char **text, ExprRegister *reg, void *opaque, uint64_t *value, Error **err);

typedef struct ExamineFormat {
    unsigned count;
    char format; /* x d u o c i */
    unsigned size;
} ExamineFormat;

/* "/4xw ..." or nothing; what is missing keeps its value. */
int examine_format_parse(const char **text, ExamineFormat *fmt, Error **err);

enum { EXAMINE_TEXT = 32 };
/* One value as `x` prints it. */
void examine_value(const ExamineFormat *fmt, uint64_t value, char text[EXAMINE_TEXT]);

#endif
