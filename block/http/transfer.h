/*
 * transfer.h - getting parts of one remote file: requests, retries, and the thread that makes them.
 *
 * An Engine owns one thread and up to `connections` connections. A Transfer asks for a range; the
 * engine starts it, judges the answer, hands the bytes over in order, asks for what is missing
 * after a failure, and ends it exactly once.
 */
#ifndef BLOCK_HTTP_TRANSFER_H
#define BLOCK_HTTP_TRANSFER_H

#include <curl/curl.h>

#include "block/http/answer.h"
#include "block/http/curl.h"

/* A remote file and how to reach it. Set up before the engine starts. */
typedef struct Source {
    char *url;      /* as the user gave it */
    bool ftp;       /* or ftps */
    bool sslverify; /* certificates must be good */
    char *cacert;   /* file of certificate authorities; NULL: the system's */
    char *cookie, *username, *password, *proxy_username, *proxy_password; /* may be NULL */
    unsigned timeout;     /* seconds without a connection, an answer or (nearly) any byte */
    unsigned retries;     /* after failures in a row, each without progress */
    unsigned connections; /* at a time */

    /* The rest belongs to the engine's thread once that runs. */
    char *pinned; /* where redirections led; NULL: nowhere else */
    bool digest;  /* the server wants more than Basic authentication */
    bool known;   /* `id` is what the first answer said, and every further one must agree */
    Identity id;
} Source;

void source_free(Source *src); /* what it holds, not itself */

typedef enum {
    TRANSFER_RANGE, /* [first, end) and nothing else will do */
    TRANSFER_PROBE, /* the same, but the whole file is accepted, too: `kind` becomes WHOLE */
    TRANSFER_WHOLE, /* the file from its beginning; `end` is its size, or the most we take */
    TRANSFER_STAT,  /* FTP: only size and date */
} TransferKind;

typedef struct Transfer Transfer;
struct Transfer {
    TransferKind kind;
    uint64_t first, end;
    uint64_t at; /* [first, at) were handed over */
    void *owner;

    /* On the engine's thread. Bytes for `at`; < 0 ends the transfer with that error. */
    int (*data)(Transfer *t, const void *buf, size_t len);
    /* The first good header has come; < 0 as above. May be NULL. */
    int (*head)(Transfer *t, Error **err);
    /* It is over; the transfer is the owner's again. `err` is given away. */
    void (*done)(Transfer *t, int ret, Error *err);

    /* The engine's. */
    Answer answer;
    bool judged, unreachable, expired, gave_head;
    Verdict verdict;
    uint64_t skip;  /* bytes of a repeated whole file that we have already */
    uint64_t limit; /* this answer may bring bytes up to here */
    unsigned failures;
    uint64_t failed_at;
    int64_t not_before; /* ms */
    int code;
    Error *err;
    CURL *easy;
    struct curl_slist *fields;
    struct Engine *engine;
    Transfer *next;
    char text[CURL_ERROR_SIZE];
};

typedef struct Engine Engine;

/* `src` is borrowed. */
Engine *engine_new(Source *src, Error **err);

/* Ends the thread; transfers that are not over are forgotten without done(). */
void engine_free(Engine *e);

/* Any thread. The transfer is the engine's until done(). */
void engine_submit(Engine *e, Transfer *t);

/* No server could be reached, as opposed to one that says no. After done(). */
static inline bool transfer_unreachable(const Transfer *t)
{
    return t->unreachable;
}

#endif
