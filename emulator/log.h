/*
 * log.h - what -d, -D and -trace ask for.
 *
 * Items of -d are the translator's (TCG_LOG_*); traces are events of the machine around it.
 */
#ifndef EMULATOR_LOG_H
#define EMULATOR_LOG_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"

enum {
    TRACE_IO = 1,    /* port accesses */
    TRACE_MMIO = 2,  /* device memory */
    TRACE_IRQ = 4,   /* the CPU's interrupt pin and vectors */
    TRACE_STATE = 8, /* reset, stop, power */
};

const char *log_items_help(void);
const char *log_traces_help(void);

/* "int,cpu_reset" to a mask; -EINVAL names what is unknown. */
int log_parse_items(const char *text, unsigned *mask, Error **err);
int log_parse_traces(const char *text, unsigned *mask, Error **err);

/* NULL file: standard error. Any thread may log afterwards. */
int log_open(const char *file, Error **err);
void log_close(void);
void log_text(const char *text);

extern atomic_uint log_traces; /* TRACE_* that are on; any thread looks, the monitor changes it */
void log_trace_(const char *fmt, ...) PRINTF_LIKE(1, 2);

#define log_trace(bit, ...)                                                                        \
    do {                                                                                           \
        if (unlikely(atomic_load_explicit(&log_traces, memory_order_relaxed) & (bit)))             \
            log_trace_(__VA_ARGS__);                                                               \
    } while (0)

#endif
