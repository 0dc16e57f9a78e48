/*
 * transfer.c - see transfer.h: one thread drives all connections through curl's multi interface.
 */
#include "block/http/transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "block/http/engine.h"

enum { IDLE_POLL_MS = 1000 };

void source_free(Source *src)
{
    char *texts[] = { src->url,      src->cacert,         src->cookie,         src->username,
                      src->password, src->proxy_username, src->proxy_password, src->pinned };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i])
            explicit_bzero(texts[i], strlen(texts[i]));
        free(texts[i]);
    }
}

/* ---- the thread --------------------------------------------------------------------------------
 */

/* Start what is due. Returns how long the others have to wait. */
static int start_due(Engine *e)
{
    int64_t now = now_ms(), wait = IDLE_POLL_MS;

    for (Transfer **p = &e->waiting; *p;) {
        Transfer *t = *p;

        if (t->not_before > now) {
            wait = MIN(wait, t->not_before - now);
            p = &t->next;
        } else if (e->n_active < e->src->connections) {
            *p = t->next;
            attempt_start(e, t);
        } else {
            break;
        }
    }
    return (int)wait;
}

static bool take_queue(Engine *e)
{
    pthread_mutex_lock(&e->lock);
    while (e->queue) {
        Transfer *t = e->queue;

        e->queue = t->next;
        transfer_append(&e->waiting, t);
    }
    e->queue_end = &e->queue;
    bool ending = e->ending;
    pthread_mutex_unlock(&e->lock);
    return !ending;
}

static void *engine_run(void *opaque)
{
    Engine *e = opaque;
    int running, left;
    CURLMsg *msg;

    while (take_queue(e)) {
        int wait = start_due(e);

        e->curl->multi_perform(e->multi, &running);
        while ((msg = e->curl->multi_info_read(e->multi, &left))) {
            Transfer *t = NULL;

            if (msg->msg != CURLMSG_DONE)
                continue;
            e->curl->easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
            attempt_end(e, t, msg->data.result);
            wait = 0;
        }
        e->curl->multi_poll(e->multi, NULL, 0, wait, NULL);
    }
    return NULL;
}

Engine *engine_new(Source *src, Error **err)
{
    const CurlApi *curl = curl_load(err);
    Engine *e = curl ? calloc(1, sizeof(*e)) : NULL;

    if (!e) {
        if (curl)
            error_set(err, -ENOMEM, "no memory for connections");
        return NULL;
    }
    e->curl = curl;
    e->src = src;
    e->queue_end = &e->queue;
    e->idle = calloc(src->connections, sizeof(CURL *));
    e->multi = curl->multi_init();
    pthread_mutex_init(&e->lock, NULL);
    if (!e->idle || !e->multi || pthread_create(&e->thread, NULL, engine_run, e) != 0) {
        error_set(err, -ENOMEM, "no memory for connections");
        if (e->multi)
            curl->multi_cleanup(e->multi);
        free(e->idle);
        free(e);
        return NULL;
    }
    return e;
}

static void drop(Transfer *list)
{
    for (; list; list = list->next) {
        error_free(list->err);
        list->err = NULL;
    }
}

void engine_free(Engine *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&e->lock);
    e->ending = true;
    pthread_mutex_unlock(&e->lock);
    e->curl->multi_wakeup(e->multi);
    pthread_join(e->thread, NULL);
    drop(e->active);
    drop(e->waiting);
    drop(e->queue);
    while (e->active)
        attempt_detach(e, e->active);
    while (e->n_idle)
        e->curl->easy_cleanup(e->idle[--e->n_idle]);
    e->curl->multi_cleanup(e->multi);
    pthread_mutex_destroy(&e->lock);
    free(e->idle);
    free(e);
}

void engine_submit(Engine *e, Transfer *t)
{
    t->engine = e;
    t->at = t->first;
    t->failed_at = t->first;
    t->next = NULL;
    pthread_mutex_lock(&e->lock);
    *e->queue_end = t;
    e->queue_end = &t->next;
    pthread_mutex_unlock(&e->lock);
    e->curl->multi_wakeup(e->multi);
}
