/*
 * blkdebug.h - inside block/: the rules of the fault-injection filter.
 *
 * A rule waits for an event in a state. When it happens, the rule arms an error for the requests
 * that come from then on, changes the state, or stops the request (a breakpoint).
 */
#ifndef BLOCK_BLKDEBUG_H
#define BLOCK_BLKDEBUG_H

#include <pthread.h>

#include "block/event.h"

typedef enum {
    DEBUG_IO_READ,
    DEBUG_IO_WRITE,
    DEBUG_IO_WRITE_ZEROES,
    DEBUG_IO_DISCARD,
    DEBUG_IO_FLUSH,
    DEBUG_IO_BLOCK_STATUS,
    DEBUG_IO_TYPES
} DebugIo;

typedef enum { RULE_ERROR, RULE_STATE, RULE_BREAK } RuleKind;

typedef struct Rule {
    RuleKind kind;
    BlockEvent event;
    uint64_t state; /* 0: in any */
    struct Rule *next;

    int code;       /* ERROR: errno, 0: none */
    unsigned io;    /* a bit for each DebugIo */
    int64_t offset; /* of the one sector; -1: anywhere */
    bool once;
    bool active;        /* armed */
    uint64_t new_state; /* STATE */
    char *tag;          /* BREAK */
} Rule;

typedef struct Stopped {
    char *tag;
    bool resumed;
    struct Stopped *next;
} Stopped;

typedef struct Rules {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* somebody was resumed */
    Rule *first, **last;
    uint64_t state;
    Stopped *stopped; /* requests at a breakpoint */
} Rules;

void rules_init(Rules *r);
void rules_free(Rules *r);

/* `inject-error.N.*` and `set-state.N.*`, and the file that `config` names. */
int rules_take_options(Rules *r, Options *options, Error **err);
int rules_read_config(Rules *r, const char *path, Error **err);
int rules_parse_config(Rules *r, const char *text, const char *name, Error **err);

/* `event` happens: may arm errors, change the state, or stop the caller until it is resumed. */
void rules_event(Rules *r, BlockEvent event);

/* The error (-errno or 0) that is armed for this request. */
int rules_check(Rules *r, DebugIo io, uint64_t off, uint64_t len);

int rules_break(Rules *r, const char *event, const char *tag, Error **err);
int rules_remove_break(Rules *r, const char *tag, Error **err);
int rules_resume(Rules *r, const char *tag, Error **err);
bool rules_suspended(Rules *r, const char *tag);

#endif
