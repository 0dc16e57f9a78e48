/*
 * attempt.c - one request of a transfer: the question, judging the answer, what follows from it.
 *
 * Each attempt asks for what is still missing. A transfer is over with the last byte, with an
 * answer that cannot be right, or after too many failures in a row. An attempt ends in bounded
 * time: connecting, waiting for the header and every slow stretch of the body have limits.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/log.h"
#include "base/math.h"
#include "block/http/engine.h"

enum {
    MAX_REDIRECTS = 10,
    SLOW_BYTES = 512,       /* a second: less than this for `timeout` seconds is a stall */
    PROGRESS_BYTES = 65536, /* so much more, and earlier failures do not count any more */
    BACK_OFF_MS = 250,
    BACK_OFF_MAX_MS = 8000,
    RETRY_AFTER_LIMIT = 30, /* seconds; who asks for more gets an error instead of patience */
    CURL_BUFFER = 1 << 18,
};

int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void list_remove(Transfer **list, Transfer *t)
{
    while (*list != t)
        list = &(*list)->next;
    *list = t->next;
}

/* In the order they came, so that the part that a reader needs first comes first. */
void transfer_append(Transfer **list, Transfer *t)
{
    while (*list)
        list = &(*list)->next;
    t->next = NULL;
    *list = t;
}

/* ---- the answer --------------------------------------------------------------------------------
 */

static void fail(Transfer *t, int code, Error *err)
{
    error_free(t->err);
    t->err = err;
    t->code = code;
}

/* Remember what the first good answer said of the file. */
static void identify(Transfer *t)
{
    Source *src = t->engine->src;
    const char *where = NULL;
    long redirects = 0;

    if (!src->known) {
        src->id = t->answer.id;
        src->id.size = t->verdict == ANSWER_EMPTY   ? 0
                       : t->verdict == ANSWER_RANGE ? t->answer.total
                                                    : t->answer.length;
        src->known = true;
    }
    t->engine->curl->easy_getinfo(t->easy, CURLINFO_REDIRECT_COUNT, &redirects);
    t->engine->curl->easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &where);
    if (redirects && where && !src->pinned)
        src->pinned = strdup(where);
}

static int give_head(Transfer *t)
{
    Error *err = NULL;
    int ret = t->head && !t->gave_head ? t->head(t, &err) : 0;

    t->gave_head = true;
    if (ret < 0)
        fail(t, ret, err);
    return ret;
}

/* The whole file has come. It starts with what we may have had already. */
static int accept_whole(Transfer *t)
{
    Source *src = t->engine->src;

    if (t->kind == TRANSFER_RANGE) {
        Error *err = NULL;
        int ret = error_set(&err, -EPROTO, "the server sends the whole file instead of a part");

        t->verdict = ANSWER_AGAIN; /* of several servers behind one name, one may be odd */
        fail(t, ret, err);
        return ret;
    }
    if (t->kind == TRANSFER_PROBE) {
        t->kind = TRANSFER_WHOLE;
        t->first = t->at = 0;
        t->end = src->id.size == UINT64_MAX ? INT64_MAX : src->id.size;
    }
    t->skip = t->at;
    t->limit = t->end;
    return 0;
}

/* Judge the header, once, before the first byte of the body or at the end. < 0: t->err says why. */
static int judge(Transfer *t)
{
    const Source *src = t->engine->src;
    Error *err = NULL;
    int code = 0;

    t->judged = true;
    if (src->ftp) {
        t->verdict = t->kind == TRANSFER_WHOLE ? ANSWER_WHOLE : ANSWER_RANGE;
        t->answer.last = t->end - 1;
    } else {
        t->verdict =
            answer_judge(&t->answer, t->at, t->end, src->known ? &src->id : NULL, &code, &err);
    }
    if (t->verdict == ANSWER_RANGE && t->kind == TRANSFER_WHOLE && !src->ftp) {
        code = error_set(&err, -EPROTO, "the server sends a part although the whole was asked for");
        t->verdict = ANSWER_WRONG;
    }
    if (t->verdict > ANSWER_EMPTY) {
        fail(t, code, err);
        return code;
    }
    if (!src->ftp)
        identify(t);
    if (t->verdict == ANSWER_WHOLE && accept_whole(t) < 0)
        return t->code;
    if (t->verdict == ANSWER_RANGE)
        t->limit = MIN(t->end, t->answer.last + 1);
    if (t->verdict == ANSWER_EMPTY)
        t->end = t->limit = t->at;
    if (t->kind == TRANSFER_PROBE && src->id.size != UINT64_MAX && !src->ftp)
        t->end = t->limit = MIN(t->end, src->id.size);
    return give_head(t);
}

static size_t on_header(char *line, size_t size, size_t n, void *opaque)
{
    Transfer *t = opaque;

    if (t->engine->src->ftp || answer_field(&t->answer, line, size * n) == 0)
        return size * n;
    Error *err = NULL;
    int ret = error_set(&err, -EPROTO, "the server's header is longer than %d bytes", HEADER_MAX);
    t->judged = true;
    t->verdict = ANSWER_WRONG;
    fail(t, ret, err);
    return 0;
}

static size_t on_data(char *buf, size_t size, size_t n, void *opaque)
{
    Transfer *t = opaque;
    size_t len = size * n, skip;

    if (t->kind == TRANSFER_STAT)
        return len; /* curl tells what it found out as if it were a header */
    if (!t->judged && judge(t) < 0)
        return 0;
    if (t->code < 0)
        return 0;
    skip = MIN(len, t->skip);
    t->skip -= skip;
    if (len - skip > t->limit - t->at) {
        Error *err = NULL;
        int ret = error_set(&err, -EPROTO,
                            "the server sends more than the %" PRIu64 " bytes that belong there",
                            t->limit - t->first);
        t->verdict = ANSWER_WRONG;
        fail(t, ret, err);
        return 0;
    }
    int ret = skip == len ? 0 : t->data(t, buf + skip, len - skip);
    if (ret < 0) {
        t->verdict = ANSWER_WRONG;
        fail(t, ret, NULL);
        return 0;
    }
    t->at += len - skip;
    return len;
}

/* ---- one attempt -------------------------------------------------------------------------------
 */

static void set_limits(Engine *e, CURL *easy)
{
    const Source *src = e->src;
    const CurlApi *c = e->curl;

    c->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)src->timeout);
    c->easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)src->timeout);
    c->easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES);
    c->easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)src->timeout);
    c->easy_setopt(easy, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    c->easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)CURL_BUFFER);
}

/* A redirection may make a connection safe, never unsafe, and never leads to a file. */
static CURLcode set_protocols(Engine *e, CURL *easy)
{
    bool tls = strncasecmp(e->src->url, "https:", 6) == 0;
    CURLcode code =
        e->curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, e->src->ftp ? "ftp,ftps" : "http,https");

    if (code == CURLE_OK)
        code = e->curl->easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR,
                                    e->src->ftp ? "ftp,ftps"
                                    : tls       ? "https"
                                                : "http,https");
    return code;
}

static CURL *handle_new(Engine *e)
{
    const CurlApi *c = e->curl;
    const Source *src = e->src;
    CURL *easy = c->easy_init();

    if (!easy)
        return NULL;
    if (set_protocols(e, easy) != CURLE_OK) {
        c->easy_cleanup(easy);
        return NULL;
    }
    set_limits(e, easy);
    c->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    c->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    c->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    c->easy_setopt(easy, CURLOPT_USERAGENT, "onionskin");
    c->easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    c->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, src->sslverify ? 1L : 0L);
    c->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, src->sslverify ? 2L : 0L);
    if (src->cacert)
        c->easy_setopt(easy, CURLOPT_CAINFO, src->cacert);
    if (src->proxy_username)
        c->easy_setopt(easy, CURLOPT_PROXYUSERNAME, src->proxy_username);
    if (src->proxy_password)
        c->easy_setopt(easy, CURLOPT_PROXYPASSWORD, src->proxy_password);
    c->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    c->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    if (src->ftp)
        c->easy_setopt(easy, CURLOPT_FILETIME, 1L);
    return easy;
}

/* What is secret goes to the server that the user named, not to one that it points to. */
static void set_address(Transfer *t)
{
    const Source *src = t->engine->src;
    const CurlApi *c = t->engine->curl;
    const char *url = src->pinned && !t->expired ? src->pinned : src->url;
    bool own = url_same_server(url, src->url);

    c->easy_setopt(t->easy, CURLOPT_URL, url);
    c->easy_setopt(t->easy, CURLOPT_USERNAME, own ? src->username : NULL);
    c->easy_setopt(t->easy, CURLOPT_PASSWORD, own ? src->password : NULL);
    c->easy_setopt(t->easy, CURLOPT_COOKIE, own ? src->cookie : NULL);
    c->easy_setopt(t->easy, CURLOPT_HTTPAUTH, (long)(src->digest ? CURLAUTH_ANY : CURLAUTH_BASIC));
}

static void add_field(Transfer *t, const char *name, const char *value)
{
    AUTO_FREE char *line = NULL;

    if (asprintf(&line, "%s: %s", name, value) < 0)
        return;
    struct curl_slist *list = t->engine->curl->slist_append(t->fields, line);
    if (list)
        t->fields = list;
}

static void set_question(Transfer *t)
{
    const Source *src = t->engine->src;
    const CurlApi *c = t->engine->curl;
    bool part = t->kind == TRANSFER_RANGE || t->kind == TRANSFER_PROBE;
    const char *version = src->known && part ? identity_if_range(&src->id) : NULL;
    char range[48];

    snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, t->at, t->end - 1);
    c->easy_setopt(t->easy, CURLOPT_RANGE, part ? range : NULL);
    c->easy_setopt(t->easy, CURLOPT_NOBODY, t->kind == TRANSFER_STAT ? 1L : 0L);
    if (src->ftp)
        return;
    add_field(t, "Accept-Encoding", "identity");
    if (version)
        add_field(t, "If-Range", version);
    c->easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->fields);
}

void attempt_start(Engine *e, Transfer *t)
{
    const CurlApi *c = e->curl;

    t->easy = e->n_idle ? e->idle[--e->n_idle] : handle_new(e);
    answer_init(&t->answer);
    t->judged = false;
    t->unreachable = false;
    t->skip = 0;
    t->limit = t->end;
    t->text[0] = '\0';
    fail(t, 0, NULL);
    if (!t->easy) {
        Error *err = NULL;
        int ret = error_set(&err, -ENOMEM, "libcurl is too old, or there is no memory");

        t->done(t, ret, err);
        return;
    }
    set_address(t);
    set_question(t);
    c->easy_setopt(t->easy, CURLOPT_PRIVATE, (char *)t);
    c->easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    c->easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    c->easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->text);
    c->multi_add_handle(e->multi, t->easy);
    transfer_append(&e->active, t);
    e->n_active++;
}

/* The handle back to the others; its connection stays open for the next attempt. */
void attempt_detach(Engine *e, Transfer *t)
{
    e->curl->multi_remove_handle(e->multi, t->easy);
    e->curl->easy_setopt(t->easy, CURLOPT_HTTPHEADER, NULL);
    e->curl->easy_setopt(t->easy, CURLOPT_ERRORBUFFER, NULL);
    e->curl->slist_free_all(t->fields);
    t->fields = NULL;
    e->idle[e->n_idle++] = t->easy;
    t->easy = NULL;
    list_remove(&e->active, t);
    e->n_active--;
}

/* ---- the end of an attempt ---------------------------------------------------------------------
 */

static int curl_errno(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return -ETIMEDOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return -EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT: return -ECONNREFUSED;
    case CURLE_REMOTE_FILE_NOT_FOUND: return -ENOENT;
    case CURLE_LOGIN_DENIED:
    case CURLE_REMOTE_ACCESS_DENIED:
    case CURLE_PEER_FAILED_VERIFICATION: return -EACCES;
    case CURLE_TOO_MANY_REDIRECTS: return -ELOOP;
    case CURLE_OUT_OF_MEMORY: return -ENOMEM;
    default: return -EIO;
    }
}

/* Failures that the same request would meet again. */
static bool curl_is_final(CURLcode code)
{
    switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_REMOTE_FILE_NOT_FOUND:
    case CURLE_LOGIN_DENIED:
    case CURLE_REMOTE_ACCESS_DENIED:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_OUT_OF_MEMORY: return true;
    default: return false;
    }
}

static void explain(Transfer *t, CURLcode code)
{
    Error *err = NULL;
    const char *text = *t->text ? t->text : t->engine->curl->easy_strerror(code);

    if (code == CURLE_OPERATION_TIMEDOUT && t->judged)
        error_set(&err, -ETIMEDOUT, "the server stalls: almost nothing came for %u seconds",
                  t->engine->src->timeout);
    else if (code == CURLE_UNSUPPORTED_PROTOCOL && t->answer.status / 100 == 3)
        error_set(&err, -EIO, "the server points to an address that is not followed: %s", text);
    else
        error_set(&err, curl_errno(code), "%s", text);
    fail(t, curl_errno(code), err);
}

/* FTP says what the file is with every transfer; the first time that is remembered. */
static void ftp_identity(Transfer *t)
{
    Source *src = t->engine->src;
    curl_off_t size = -1, date = -1;
    Identity now = { .size = UINT64_MAX };
    Error *err = NULL;

    if (t->kind == TRANSFER_STAT)
        t->engine->curl->easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
    t->engine->curl->easy_getinfo(t->easy, CURLINFO_FILETIME_T, &date);
    if (size >= 0)
        now.size = (uint64_t)size;
    if (date >= 0)
        snprintf(now.modified, sizeof(now.modified), "%lld", (long long)date);
    if (!src->known)
        src->id = now;
    else if (!identity_same(&src->id, &now, &err)) {
        t->verdict = ANSWER_CHANGED;
        fail(t, -ESTALE, err);
    }
    src->known = true;
}

/* Is everything there? The size of a whole file that nobody announced is what came. */
static bool is_complete(Transfer *t, CURLcode code)
{
    if (t->kind == TRANSFER_STAT)
        return code == CURLE_OK;
    if (t->kind == TRANSFER_WHOLE && code == CURLE_OK && t->engine->src->id.size == UINT64_MAX) {
        t->end = t->at;
        return true;
    }
    return t->at == t->end && t->judged;
}

/* Milliseconds until the next attempt, or -1: there is none. */
static int64_t retry_delay(Transfer *t)
{
    const Source *src = t->engine->src;
    unsigned wait = t->judged ? t->answer.retry_after : 0;

    if (t->at - MIN(t->at, t->failed_at) >= PROGRESS_BYTES)
        t->failures = 0;
    t->failed_at = t->at;
    if (t->failures++ >= src->retries)
        return -1;
    if (wait > RETRY_AFTER_LIMIT) {
        error_set(&t->err, t->code, "%s and asks to come back in %u seconds", t->err->message,
                  wait);
        return -1;
    }
    return MAX((int64_t)wait * 1000,
               MIN((int64_t)BACK_OFF_MS << MIN(t->failures - 1, 10u), (int64_t)BACK_OFF_MAX_MS));
}

/* Something that another request may set right at once. */
static bool ask_differently(Transfer *t)
{
    Source *src = t->engine->src;

    if (t->verdict != ANSWER_EXPIRED || !t->judged)
        return false;
    if (t->answer.status == 401 && t->answer.asks_digest && src->username && !src->digest) {
        src->digest = true;
        return true;
    }
    if (src->pinned && !t->expired) { /* an address that was good for a while only */
        t->expired = true;
        return true;
    }
    return false;
}

/* A later redirection may lead somewhere else: follow it from now on. */
static void pin_again(Transfer *t)
{
    Source *src = t->engine->src;
    const char *where = NULL;

    if (!t->expired || t->code < 0 ||
        t->engine->curl->easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &where) != CURLE_OK ||
        !where)
        return;
    free(src->pinned);
    src->pinned = strdup(where);
    t->expired = false;
}

/* What became of the attempt: true if it is to be followed by another, after `delay` ms. */
static bool attempt_judge(Transfer *t, CURLcode code, int64_t *delay)
{
    uint64_t before = t->failed_at;

    *delay = 0;
    if (!t->judged && code == CURLE_OK)
        judge(t);
    if (t->engine->src->ftp && t->code == 0 && code == CURLE_OK)
        ftp_identity(t);
    pin_again(t);
    if (t->code == 0 && is_complete(t, code))
        return false;
    if (t->code == 0 && code == CURLE_OK && t->at > MAX(before, t->first)) {
        t->failed_at = t->at;
        return true; /* the server gave a part of what it was asked for: ask for the rest */
    }
    if (t->code == 0) {
        if (code == CURLE_OK) {
            Error *err = NULL;
            int ret = error_set(&err, -EIO,
                                "the server closed before the end: %" PRIu64 " bytes are missing",
                                t->end - t->at);
            fail(t, ret, err);
        } else {
            explain(t, code);
        }
        t->verdict = ANSWER_AGAIN;
        t->unreachable =
            t->code == -ETIMEDOUT || t->code == -EHOSTUNREACH || t->code == -ECONNREFUSED;
        bool gone = t->code == -EHOSTUNREACH || t->code == -ECONNREFUSED;
        if (curl_is_final(code) || (gone && !t->engine->src->known))
            return false;
    }
    if (ask_differently(t))
        return true;
    if (t->verdict != ANSWER_AGAIN)
        return false;
    *delay = retry_delay(t);
    return *delay >= 0;
}

void attempt_end(Engine *e, Transfer *t, CURLcode code)
{
    int64_t delay;
    bool again = attempt_judge(t, code, &delay);

    attempt_detach(e, t);
    if (again) {
        if (t->err)
            log_debug("%s: %s; asking again in %lld ms", e->src->url, t->err->message,
                      (long long)delay);
        t->not_before = now_ms() + delay;
        transfer_append(&e->waiting, t);
    } else {
        t->done(t, t->code, take(&t->err));
    }
}
