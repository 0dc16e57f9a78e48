/*
 * name.c - names of NBD exports: nbd:HOST:PORT, URIs as doc/uri.md of the NetworkBlockDevice
 * project defines them, and the URI that stands for an open export.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "block/nbd/address.h"
#include "block/nbd/proto.h"

/* ---- the old spelling: nbd:HOST:PORT[:exportname=NAME] ---- */

static int parse_old(const char *text, Options *o, Error **err)
{
    const char *mark = strstr(text, ":exportname=");
    AUTO_FREE char *place = strndup(text, mark ? (size_t)(mark - text) : strlen(text));

    if (!place)
        return -ENOMEM;
    if (mark)
        options_set(o, "export", mark + strlen(":exportname="));
    if (strncmp(place, "unix:", 5) == 0) {
        options_set(o, "server.type", "unix");
        options_set(o, "server.path", place + 5);
        return place[5] ? 0 : error_set(err, -EINVAL, "'nbd:%s' names no socket", text);
    }
    char *colon = strrchr(place, ':'), *host = place;
    if (!colon || colon == place || !colon[1])
        return error_set(err, -EINVAL, "'nbd:%s' is not nbd:HOST:PORT or nbd:unix:PATH", text);
    *colon = 0;
    if (*host == '[' && colon[-1] == ']') {
        host++;
        colon[-1] = 0;
    }
    options_set(o, "server.type", "inet");
    options_set(o, "server.host", host);
    options_set(o, "server.port", colon + 1);
    return 0;
}

/* ---- URIs ---- */

/* Percent signs decoded; NULL: no memory, or not a text (a 0 byte, half a code). */
static char *decode(const char *text, size_t len)
{
    char *out = malloc(len + 1), *to = out;

    for (size_t i = 0; out && i < len; i++) {
        int c = (unsigned char)text[i];

        if (c == '%') {
            int high = len - i > 2 ? hex_digit(text[i + 1]) : -1,
                low = len - i > 2 ? hex_digit(text[i + 2]) : -1;

            c = high >= 0 && low >= 0 ? high << 4 | low : 0;
            i += 2;
        }
        if (c == 0) {
            free(out);
            return NULL;
        }
        *to++ = (char)c;
    }
    if (out)
        *to = 0;
    return out;
}

static int set_decoded(Options *o, const char *key, const char *text, size_t len, Error **err)
{
    AUTO_FREE char *value = decode(text, len);

    if (!value)
        return error_set(err, -EINVAL, "'%.*s' is not text with percent codes", (int)len, text);
    options_set(o, key, value);
    return 0;
}

/* What may stand behind the question mark, and the option that it is. */
static const struct {
    const char *name, *option;
} parameters[] = {
    { "socket", "server.path" },
    { "tls-hostname", "tls-hostname" },
    { "tls-certificates", "tls-certificates" },
    { "tls-psk-file", "tls-psk-file" },
    { "tls-username", "tls-username" },
};

static int parse_parameter(const char *text, size_t len, Options *o, Error **err)
{
    for (size_t i = 0; i < ARRAY_LEN(parameters); i++) {
        size_t n = strlen(parameters[i].name);

        if (len > n && text[n] == '=' && strncmp(text, parameters[i].name, n) == 0)
            return set_decoded(o, parameters[i].option, text + n + 1, len - n - 1, err);
    }
    return error_set(err, -EINVAL, "an NBD URI has no parameter '%.*s'", (int)len, text);
}

static int parse_query(const char *text, Options *o, Error **err)
{
    int ret = 0;

    while (*text && ret == 0) {
        size_t len = strcspn(text, "&;");

        ret = len ? parse_parameter(text, len, o, err) : 0;
        text += len + (text[len] != 0);
    }
    return ret;
}

/* [USER@][HOST][:PORT] */
static int parse_authority(const char *text, size_t len, Options *o, Error **err)
{
    const char *at = memchr(text, '@', len), *end = text + len, *host_end;
    int ret = 0;

    if (at) {
        ret = set_decoded(o, "tls-username", text, (size_t)(at - text), err);
        text = at + 1;
    }
    bool bracket = text < end && *text == '[';
    host_end = memchr(text, bracket ? ']' : ':', (size_t)(end - text));
    if (bracket && !host_end)
        return error_set(err, -EINVAL, "the host's address has no closing bracket");
    if (!host_end)
        host_end = end;
    const char *port = bracket ? host_end + 1 : host_end;
    text += bracket;
    if (ret == 0 && host_end > text)
        ret = set_decoded(o, "server.host", text, (size_t)(host_end - text), err);
    else if (ret == 0)
        options_set(o, "server.host", "localhost");
    if (ret == 0 && port + 1 < end && *port == ':')
        ret = set_decoded(o, "server.port", port + 1, (size_t)(end - port - 1), err);
    return ret;
}

static int parse_uri(const char *uri, Options *o, Error **err)
{
    size_t scheme = strcspn(uri, ":");
    bool local = scheme > 5 && strncmp(uri + scheme - 5, "+unix", 5) == 0;
    const char *authority = uri + scheme + 3, *path = authority + strcspn(authority, "/?");
    const char *query = path + strcspn(path, "?");
    int ret = 0;

    if (strchr(uri, '#'))
        return error_set(err, -EINVAL, "an NBD URI has no fragment (#)");
    if (uri[3] == 's')
        options_set(o, "tls", "on");
    if (!local)
        ret = parse_authority(authority, (size_t)(path - authority), o, err);
    else if (path > authority && path[-1] == '@')
        ret = set_decoded(o, "tls-username", authority, (size_t)(path - authority - 1), err);
    else if (path != authority)
        ret = error_set(err, -EINVAL, "the URI of a socket has three slashes: nbd+unix:///");
    if (ret == 0 && query - path > 1)
        ret = set_decoded(o, "export", path + 1, (size_t)(query - path - 1), err);
    if (ret == 0 && *query)
        ret = parse_query(query + 1, o, err);
    if (ret == 0 && local != options_has(o, "server.path"))
        ret = error_set(err, -EINVAL,
                        "the parameter 'socket' belongs to nbd+unix:// and is needed there");
    options_set(o, "server.type", local ? "unix" : "inet");
    return ret;
}

int nbd_name_parse(const char *name, Options *o, Error **err)
{
    if (strstr(name, "://") && strcspn(name, ":") == (size_t)(strstr(name, "://") - name))
        return parse_uri(name, o, err);
    if (strncmp(name, "nbd:", 4) == 0)
        return parse_old(name + 4, o, err);
    return error_set(err, -EINVAL, "'%s' is not the name of an NBD export", name);
}

/* ---- and back ---- */

/* `text` with percent codes for all that is not plain in a URI; writes at most three bytes each. */
static char *encode(const char *text)
{
    char *out = malloc(3 * strlen(text) + 1), *to = out;

    for (; out && *text; text++)
        if (isalnum((unsigned char)*text) || strchr("-._~/:", *text))
            *to++ = *text;
        else
            to += sprintf(to, "%%%02X", (unsigned char)*text);
    if (out)
        *to = 0;
    return out;
}

char *nbd_uri(const NbdAddress *a, const char *export, bool tls)
{
    AUTO_FREE char *name = encode(export), *path = encode(a->path ? a->path : "");
    AUTO_FREE char *host = encode(a->host ? a->host : "");
    const char *s = tls ? "s" : "";
    char *uri;
    int n;

    if (!name || !path || !host)
        return NULL;
    if (a->path)
        n = asprintf(&uri, "nbd%s+unix:///%s?socket=%s", s, name, path);
    else if (strchr(a->host, ':'))
        n = asprintf(&uri, "nbd%s://[%s]:%s%s%s", s, host, a->port, *name ? "/" : "", name);
    else
        n = asprintf(&uri, "nbd%s://%s:%s%s%s", s, host, a->port, *name ? "/" : "", name);
    return n < 0 ? NULL : uri;
}
