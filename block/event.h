/*
 * event.h - points in a driver's work that a `blkdebug` filter below it can react to.
 *
 * A driver calls node_event() on the child that it is about to use. Without a filter in the graph
 * that is one load and one branch.
 */
#ifndef BLOCK_EVENT_H
#define BLOCK_EVENT_H

#include <stdbool.h>

#include "base/error.h"
#include "block/node.h"

typedef enum {
#define EVENT(id, name) EVENT_##id,
#include "block/event.def"
#undef EVENT
    EVENT_COUNT
} BlockEvent;

/* "l2_load", ...; by number */
extern const char *const event_names[EVENT_COUNT + 1];

/*
 * Breakpoints, in the topmost `blkdebug` of the graph below `node` (-ENOTSUP: there is none). A
 * request that reaches `event` stops there and is called `tag` until node_debug_resume().
 */
int node_debug_break(Node *node, const char *event, const char *tag, Error **err);
/* Forget the breakpoints called `tag` (NULL: all) and resume who stopped there. -ENOENT: none. */
int node_debug_remove_break(Node *node, const char *tag, Error **err);
int node_debug_resume(Node *node, const char *tag, Error **err);
bool node_debug_suspended(Node *node, const char *tag);

#endif
