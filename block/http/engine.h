/*
 * engine.h - the state of an engine; between transfer.c and attempt.c only.
 */
#ifndef BLOCK_HTTP_ENGINE_H
#define BLOCK_HTTP_ENGINE_H

#include <pthread.h>

#include "block/http/transfer.h"

struct Engine {
    const CurlApi *curl;
    Source *src;
    CURLM *multi;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the next two */
    Transfer *queue, **queue_end;
    bool ending;

    /* The thread's own. */
    Transfer *active, *waiting; /* waiting: for not_before, or for a connection */
    unsigned n_active;
    CURL **idle;
    unsigned n_idle;
};

/* Make one attempt: the transfer becomes active. */
void attempt_start(Engine *e, Transfer *t);
/* It has ended: the transfer is done, or waits for the next attempt. */
void attempt_end(Engine *e, Transfer *t, CURLcode code);
/* Forget it without a word. */
void attempt_detach(Engine *e, Transfer *t);

void transfer_append(Transfer **list, Transfer *t);
int64_t now_ms(void);

#endif
