/*
 * answer.h - what a server said: the header fields that we use, and whether they fit the question.
 *
 * Everything here works on bytes from outside and does no I/O.
 */
#ifndef BLOCK_HTTP_ANSWER_H
#define BLOCK_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { ETAG_MAX = 256, DATE_MAX = 64, TYPE_MAX = 96, REASON_MAX = 64, HEADER_MAX = 1 << 18 };

/* Which version of a file this is. Empty texts: not known. */
typedef struct Identity {
    uint64_t size; /* UINT64_MAX: not known */
    char etag[ETAG_MAX];
    char modified[DATE_MAX]; /* as the server wrote it; of FTP, seconds since 1970 */
} Identity;

/* The header of one answer, filled by answer_field(). */
typedef struct Answer {
    unsigned status; /* 0: none yet */
    char reason[REASON_MAX];
    Identity id;           /* the size of the whole file, from Content-Range or Content-Length */
    uint64_t first, last;  /* Content-Range, inclusive */
    uint64_t total;        /* of Content-Range; UINT64_MAX: "*" */
    bool has_range;        /* first and last are there */
    bool bad_range;        /* a Content-Range that is none */
    uint64_t length;       /* Content-Length; UINT64_MAX: none */
    char type[TYPE_MAX];   /* Content-Type without parameters, in lower case */
    char coding[TYPE_MAX]; /* Content-Encoding */
    unsigned retry_after;  /* seconds */
    bool asks_digest;      /* WWW-Authenticate offers something better than Basic */
    size_t bytes;          /* of header, all answers of this request together */
} Answer;

void answer_init(Answer *a);

/*
 * One line of the header, with or without its line end. A status line begins a new answer (after
 * 100 Continue, a redirection or a proxy's own answer). -E2BIG: the header is too long.
 */
int answer_field(Answer *a, const char *line, size_t len);

typedef enum {
    ANSWER_RANGE,   /* the bytes asked for, at least the first of them */
    ANSWER_WHOLE,   /* the whole file from its beginning, instead of the range */
    ANSWER_EMPTY,   /* the file has no bytes */
    ANSWER_AGAIN,   /* try again later */
    ANSWER_EXPIRED, /* not at this address (any more): ask at the original one */
    ANSWER_CHANGED, /* another version of the file */
    ANSWER_WRONG,   /* anything else; do not try again */
} Verdict;

/*
 * Does it answer a request for [first, end) of the file `known` (NULL: the first request)? All but
 * RANGE, WHOLE and EMPTY come with a sentence and *code, an errno.
 */
Verdict answer_judge(const Answer *a, uint64_t first, uint64_t end, const Identity *known,
                     int *code, Error **err);

/* Is it the same version? False with a sentence; what either does not know is not compared. */
bool identity_same(const Identity *known, const Identity *now, Error **err);

/* Can a later version be told from this one? */
bool identity_is_strong(const Identity *id);

/* The value for If-Range, or NULL: only strong ETags and dates may be used. */
const char *identity_if_range(const Identity *id);

/* Does a file that starts so look like a page for people, sent as one (Content-Type)? */
bool looks_like_page(const char *type, const void *start, size_t len);

/* ---- URLs --------------------------------------------------------------------------------------
 */

/* "scheme://host:port" of two URLs are the same; user and password do not count. */
bool url_same_server(const char *a, const char *b);

/*
 * Take user and password out of a URL: *clean is the rest, with blanks made valid; *user and
 * *password are decoded, NULL if they are not there. False: no memory.
 */
bool url_split_login(const char *url, char **clean, char **user, char **password);

#endif
