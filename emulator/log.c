/*
 * log.c - see log.h.
 */
#include "emulator/log.h"

#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tcg/tcg.h"

typedef struct {
    const char *name;
    unsigned bit;
} LogItem;

static const LogItem items[] = {
    { "in_asm", TCG_LOG_IN_ASM },   { "op", TCG_LOG_OP },
    { "out_asm", TCG_LOG_OUT_ASM }, { "int", TCG_LOG_INT },
    { "exec", TCG_LOG_EXEC },       { "cpu", TCG_LOG_CPU },
    { "mmu", TCG_LOG_MMU },         { "guest_errors", TCG_LOG_GUEST_ERRORS },
};

static const LogItem traces[] = {
    { "io", TRACE_IO },
    { "mmio", TRACE_MMIO },
    { "irq", TRACE_IRQ },
    { "state", TRACE_STATE },
};

static FILE *out;
static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;
atomic_uint log_traces;

const char *log_items_help(void)
{
    return "in_asm         guest code that is translated\n"
           "op             its intermediate form\n"
           "out_asm        host code\n"
           "int            interrupts and exceptions\n"
           "exec           each block before it runs\n"
           "cpu            registers before each block\n"
           "mmu            page faults and TLB flushes\n"
           "guest_errors   what the guest does wrong\n";
}

const char *log_traces_help(void)
{
    return "io      port accesses\n"
           "mmio    accesses to device memory\n"
           "irq     interrupts that CPUs take\n"
           "state   reset, stop, power\n";
}

/* Patterns separated by commas; each must match a name at least. */
static int parse_list(const LogItem *list, size_t n, const char *what, const char *text,
                      unsigned *mask, Error **err)
{
    AUTO_FREE char *copy = strdup(text);
    char *save;

    *mask = 0;
    for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        unsigned found = 0;

        for (size_t i = 0; i < n; i++)
            if (fnmatch(word, list[i].name, 0) == 0 || strcmp(word, "all") == 0)
                found |= list[i].bit;
        if (!found)
            return error_set(err, -EINVAL, "unknown %s '%s' (\"help\" lists them)", what, word);
        *mask |= found;
    }
    return 0;
}

int log_parse_items(const char *text, unsigned *mask, Error **err)
{
    return parse_list(items, ARRAY_LEN(items), "log item", text, mask, err);
}

int log_parse_traces(const char *text, unsigned *mask, Error **err)
{
    return parse_list(traces, ARRAY_LEN(traces), "trace event", text, mask, err);
}

int log_open(const char *file, Error **err)
{
    FILE *f = file ? fopen(file, "we") : stderr;

    if (!f)
        return error_set(err, -errno, "cannot open the log '%s': %s", file, strerror(errno));
    setvbuf(f, NULL, _IOLBF, 0);
    out = f;
    return 0;
}

void log_close(void)
{
    if (out && out != stderr)
        fclose(out);
    out = NULL;
}

void log_text(const char *text)
{
    pthread_mutex_lock(&out_lock);
    fputs(text, out ? out : stderr);
    pthread_mutex_unlock(&out_lock);
}

void log_trace_(const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text) - 1, fmt, ap);
    va_end(ap);
    strcat(text, "\n");
    log_text(text);
}
