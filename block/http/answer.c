/*
 * answer.c - see answer.h. The fields are those of RFC 9110 (sections 8.8, 10.2.3, 14.4, 15).
 */
#include "base/hex.h"
#include "block/http/answer.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/math.h"
#include "block/remote.h"

enum { RETRY_AFTER_MAX = 86400 };

void answer_init(Answer *a)
{
    *a = (Answer) { .total = UINT64_MAX, .length = UINT64_MAX, .id.size = UINT64_MAX };
}

/* ---- values ------------------------------------------------------------------------------------
 */

/* Digits at *s up to something else; false if there are none or too many. */
static bool take_number(const char **s, const char *end, uint64_t *value)
{
    const char *start = *s;

    *value = 0;
    for (; *s < end && **s >= '0' && **s <= '9'; (*s)++)
        if (mul_overflows(*value, (uint64_t)10, value) ||
            add_overflows(*value, (uint64_t)(**s - '0'), value))
            return false;
    return *s > start && *value <= INT64_MAX;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(const char **s, const char **end)
{
    while (*s < *end && is_blank(**s))
        ++*s;
    while (*s < *end && is_blank((*end)[-1]))
        --*end;
}

/* Printable characters only, as the text reaches messages and files. Too long: nothing. */
static void copy_text(char *out, size_t room, const char *s, const char *end)
{
    size_t n = (size_t)(end - s);

    *out = '\0';
    if (n >= room)
        return;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
            return;
    memcpy(out, s, n);
    out[n] = '\0';
}

/* The part before parameters, in lower case. */
static void copy_type(char *out, size_t room, const char *s, const char *end)
{
    const char *semicolon = memchr(s, ';', (size_t)(end - s));

    if (semicolon)
        end = semicolon;
    trim(&s, &end);
    copy_text(out, room, s, end);
    for (; *out; out++)
        *out = (char)tolower((unsigned char)*out);
}

/* "bytes FIRST-LAST/TOTAL", with "*" for the total, or for the range (status 416). */
static bool parse_range(Answer *a, const char *s, const char *end)
{
    if (end - s < 6 || strncasecmp(s, "bytes", 5) != 0 || !is_blank(s[5]))
        return false;
    for (s += 6; s < end && is_blank(*s);)
        s++;
    if (s < end && *s == '*') {
        s++;
    } else {
        if (!take_number(&s, end, &a->first) || s == end || *s++ != '-' ||
            !take_number(&s, end, &a->last) || a->last < a->first)
            return false;
        a->has_range = true;
    }
    if (s == end || *s++ != '/')
        return false;
    if (end - s == 1 && *s == '*')
        return true;
    return take_number(&s, end, &a->total) && s == end && (!a->has_range || a->last < a->total);
}

/* Seconds, or a date. */
static unsigned parse_retry_after(const char *s, const char *end)
{
    char text[DATE_MAX];
    struct tm tm = { 0 };
    uint64_t n;

    copy_text(text, sizeof(text), s, end);
    if (take_number(&s, end, &n))
        return (unsigned)MIN(n, (uint64_t)RETRY_AFTER_MAX);
    if (!strptime(text, "%a, %d %b %Y %H:%M:%S", &tm))
        return 0;
    time_t wait = timegm(&tm) - time(NULL);
    return wait <= 0 ? 0 : (unsigned)MIN(wait, (time_t)RETRY_AFTER_MAX);
}

/* ---- lines -------------------------------------------------------------------------------------
 */

/* "HTTP/1.1 206 Partial Content" */
static void status_line(Answer *a, const char *s, const char *end)
{
    size_t bytes = a->bytes;
    uint64_t status;

    answer_init(a);
    a->bytes = bytes;
    while (s < end && !is_blank(*s))
        s++;
    while (s < end && is_blank(*s))
        s++;
    if (!take_number(&s, end, &status) || status < 100 || status > 999)
        status = 999;
    a->status = (unsigned)status;
    trim(&s, &end);
    copy_text(a->reason, sizeof(a->reason), s, end);
}

static void number_field(uint64_t *out, const char *s, const char *end)
{
    uint64_t n;

    if (take_number(&s, end, &n) && s == end)
        *out = n;
}

static bool named(const char *line, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(line, name, len) == 0;
}

int answer_field(Answer *a, const char *line, size_t len)
{
    const char *end = line + len, *colon;

    if (len > HEADER_MAX - MIN(a->bytes, (size_t)HEADER_MAX))
        return -E2BIG;
    a->bytes += len;
    trim(&line, &end);
    if (end - line > 5 && strncasecmp(line, "HTTP/", 5) == 0) {
        status_line(a, line, end);
        return 0;
    }
    colon = line == end ? NULL : memchr(line, ':', (size_t)(end - line));
    if (!colon)
        return 0;
    size_t n = (size_t)(colon - line);
    const char *value = colon + 1;
    trim(&value, &end);
    if (named(line, n, "Content-Range"))
        a->bad_range = !parse_range(a, value, end);
    else if (named(line, n, "Content-Length"))
        number_field(&a->length, value, end);
    else if (named(line, n, "ETag"))
        copy_text(a->id.etag, sizeof(a->id.etag), value, end);
    else if (named(line, n, "Last-Modified"))
        copy_text(a->id.modified, sizeof(a->id.modified), value, end);
    else if (named(line, n, "Content-Type"))
        copy_type(a->type, sizeof(a->type), value, end);
    else if (named(line, n, "Content-Encoding"))
        copy_type(a->coding, sizeof(a->coding), value, end);
    else if (named(line, n, "Retry-After"))
        a->retry_after = parse_retry_after(value, end);
    else if (named(line, n, "WWW-Authenticate") && strncasecmp(value, "Basic", 5) != 0)
        a->asks_digest = true;
    return 0;
}

/* ---- judging -----------------------------------------------------------------------------------
 */

static bool differ(const char *a, const char *b)
{
    return *a && *b && strcmp(a, b) != 0;
}

bool identity_same(const Identity *known, const Identity *now, Error **err)
{
    if (known->size != UINT64_MAX && now->size != UINT64_MAX && known->size != now->size)
        error_set(err, -ESTALE,
                  "the file changed on the server: it had %" PRIu64 " bytes, now it has %" PRIu64,
                  known->size, now->size);
    else if (differ(known->etag, now->etag))
        error_set(err, -ESTALE, "the file changed on the server: its ETag was %s, now it is %s",
                  known->etag, now->etag);
    else if (differ(known->modified, now->modified))
        error_set(err, -ESTALE,
                  "the file changed on the server: it was last modified %s, now it is %s",
                  known->modified, now->modified);
    else
        return true;
    return false;
}

bool identity_is_strong(const Identity *id)
{
    return id->size != UINT64_MAX && (*id->etag || *id->modified);
}

const char *identity_if_range(const Identity *id)
{
    if (id->etag[0] == '"')
        return id->etag;
    return *id->modified ? id->modified : NULL;
}

/* "404 Not Found" */
static const char *status_text(const Answer *a, char text[REASON_MAX + 8])
{
    snprintf(text, REASON_MAX + 8, "%u%s%s", a->status, *a->reason ? " " : "", a->reason);
    return text;
}

static int status_errno(unsigned status)
{
    switch (status) {
    case 401:
    case 403:
    case 407: return -EACCES;
    case 404:
    case 410: return -ENOENT;
    default: return -EIO;
    }
}

static Verdict judge_error(const Answer *a, int *code, Error **err)
{
    char text[REASON_MAX + 8];

    *code = error_set(err, status_errno(a->status), "the server says %s", status_text(a, text));
    switch (a->status) {
    case 408:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504: return ANSWER_AGAIN;
    case 401:
    case 403:
    case 404:
    case 410: return ANSWER_EXPIRED;
    default: return ANSWER_WRONG;
    }
}

static Verdict judge_partial(const Answer *a, uint64_t first, uint64_t end, const Identity *known,
                             int *code, Error **err)
{
    Identity now = a->id;

    now.size = a->total;
    if (!a->has_range || a->bad_range) {
        *code = error_set(err, -EPROTO,
                          "the server sends a part (status 206) and does not say which "
                          "(Content-Range)%s",
                          strncmp(a->type, "multipart/", 10) == 0 ? ": it is multipart" : "");
        return ANSWER_WRONG;
    }
    if (known && !identity_same(known, &now, err)) {
        *code = -ESTALE;
        return ANSWER_CHANGED;
    }
    if (a->first != first || a->last >= end) {
        *code = error_set(err, -EPROTO,
                          "the server sends bytes %" PRIu64 "-%" PRIu64 " although %" PRIu64
                          "-%" PRIu64 " were asked for",
                          a->first, a->last, first, end - 1);
        return ANSWER_WRONG;
    }
    if (a->length != UINT64_MAX && a->length != a->last - a->first + 1) {
        *code = error_set(err, -EPROTO,
                          "the server contradicts itself: %" PRIu64
                          " bytes (Content-Length) for the range %" PRIu64 "-%" PRIu64,
                          a->length, a->first, a->last);
        return ANSWER_WRONG;
    }
    return ANSWER_RANGE;
}

/* 416: with "bytes * / 0" the file is empty; else it is shorter than it was. */
static Verdict judge_unsatisfiable(const Answer *a, const Identity *known, int *code, Error **err)
{
    Identity now = a->id;

    now.size = a->total;
    if (!known && a->total == 0)
        return ANSWER_EMPTY;
    if (known && !identity_same(known, &now, err)) {
        *code = -ESTALE;
        return ANSWER_CHANGED;
    }
    return judge_error(a, code, err);
}

static Verdict judge_whole(const Answer *a, const Identity *known, int *code, Error **err)
{
    Identity now = a->id;

    now.size = a->length;
    if (known && !identity_same(known, &now, err)) {
        *code = -ESTALE;
        return ANSWER_CHANGED;
    }
    return ANSWER_WHOLE;
}

Verdict answer_judge(const Answer *a, uint64_t first, uint64_t end, const Identity *known,
                     int *code, Error **err)
{
    *code = 0;
    if (a->status == 416)
        return judge_unsatisfiable(a, known, code, err);
    if (a->status != 200 && a->status != 206)
        return judge_error(a, code, err);
    if (*a->coding && strcmp(a->coding, "identity") != 0) {
        *code = error_set(err, -EPROTO, "the server sends the file encoded as '%s'", a->coding);
        return ANSWER_WRONG;
    }
    return a->status == 206 ? judge_partial(a, first, end, known, code, err)
                            : judge_whole(a, known, code, err);
}

bool looks_like_page(const char *type, const void *start, size_t len)
{
    static const char *const tags[] = { "<!doctype html", "<html", "<head", "<?xml", "<body" };
    const char *s = start, *end = s + len;

    if (*type && strcmp(type, "text/html") != 0 && strcmp(type, "application/xhtml+xml") != 0)
        return false;
    if (len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
        s += 3;
    while (s < end && is_blank(*s))
        s++;
    for (size_t i = 0; i < ARRAY_LEN(tags); i++)
        if ((size_t)(end - s) >= strlen(tags[i]) && strncasecmp(s, tags[i], strlen(tags[i])) == 0)
            return true;
    return false;
}

/* ---- URLs --------------------------------------------------------------------------------------
 */

typedef struct {
    size_t scheme;     /* length, with "://"; 0: this is no URL */
    size_t host, path; /* where they start */
} UrlParts;

static UrlParts url_parts(const char *url)
{
    const char *host = strstr(url, "://");
    UrlParts p = { 0 };

    if (!host)
        return p;
    p.scheme = (size_t)(host - url) + 3;
    p.path = p.scheme + strcspn(url + p.scheme, "/?#");
    p.host = p.scheme;
    for (size_t i = p.scheme; i < p.path; i++)
        if (url[i] == '@')
            p.host = i + 1;
    return p;
}

bool url_same_server(const char *a, const char *b)
{
    UrlParts pa = url_parts(a), pb = url_parts(b);
    size_t host = pa.path - pa.host;

    return pa.scheme && pa.scheme == pb.scheme && strncasecmp(a, b, pa.scheme) == 0 &&
           host == pb.path - pb.host && strncasecmp(a + pa.host, b + pb.host, host) == 0;
}

char *url_without_secrets(const char *url)
{
    UrlParts p = url_parts(url);
    char *out;

    if (p.host == p.scheme)
        return strdup(url);
    return asprintf(&out, "%.*s%s", (int)p.scheme, url, url + p.host) < 0 ? NULL : out;
}

/* The text [s, end) with %XX decoded. */
static char *decode(const char *s, const char *end)
{
    char *out = malloc((size_t)(end - s) + 1), *w = out;

    for (; out && s < end; s++) {
        int high = *s == '%' && end - s > 2 ? hex_digit(s[1]) : -1;
        int low = high >= 0 ? hex_digit(s[2]) : -1;

        *w++ = low >= 0 ? (char)(high << 4 | low) : *s;
        if (low >= 0)
            s += 2;
    }
    if (out)
        *w = '\0';
    return out;
}

char *url_file_name(const char *url)
{
    const char *path = url + url_parts(url).path, *end = path + strcspn(path, "?#");
    const char *s = end;

    while (s > path && s[-1] != '/')
        s--;
    return decode(s, end);
}

static char *encode_blanks(const char *url)
{
    char *out = malloc(3 * strlen(url) + 1), *w = out;

    for (; out && *url; url++) {
        if (*url == ' ')
            w = stpcpy(w, "%20");
        else
            *w++ = *url;
    }
    if (out)
        *w = '\0';
    return out;
}

bool url_split_login(const char *url, char **clean, char **user, char **password)
{
    AUTO_FREE char *rest = url_without_secrets(url);
    UrlParts p = url_parts(url);
    const char *login = url + p.scheme, *end = url + p.host - 1;

    *user = *password = NULL;
    *clean = rest ? encode_blanks(rest) : NULL;
    if (!*clean || p.host == p.scheme)
        return *clean;
    const char *colon = memchr(login, ':', (size_t)(end - login));
    *user = decode(login, colon ? colon : end);
    *password = decode(colon ? colon + 1 : end, end);
    return *user && *password;
}
