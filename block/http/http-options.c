/*
 * http-options.c - the options of the protocols http, https, ftp and ftps (docs/HTTP.md).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "block/http/http.h"
#include "block/object.h"

enum {
    DEFAULT_TIMEOUT = 15,
    MAX_TIMEOUT = 10000,
    DEFAULT_RETRIES = 5,
    MAX_RETRIES = 100,
    DEFAULT_CONNECTIONS = 4,
    MAX_CONNECTIONS = 64,
    DEFAULT_AHEAD = 256 << 10,
    MAX_AHEAD = 2 << 20,
};

static const char *const cache_names[] = { "off", "auto", "on", "only", NULL };

static int take_number(Options *o, const char *key, unsigned least, unsigned most, unsigned *value,
                       Error **err)
{
    uint64_t n = *value;
    int ret = options_take_u64(o, key, &n, err);

    if (ret == 0 && (n < least || n > most))
        ret =
            error_set(err, -EINVAL, "option '%s' is %" PRIu64 ", not %u..%u", key, n, least, most);
    *value = (unsigned)n;
    return ret;
}

/* The option `key` is the name of a secret; its text replaces *value. */
static int take_secret(Options *o, const char *key, char **value, Error **err)
{
    AUTO_FREE char *id = options_take(o, key);
    size_t len;

    if (!id)
        return 0;
    if (*value)
        free(*value);
    *value = NULL;
    int ret = secret_get(id, value, &len, err);
    return ret < 0 ? error_prefix(err, ret, "option '%s'", key) : 0;
}

static int take_login(Http *h, Options *o, Error **err)
{
    Source *src = &h->src;
    char *user = options_take(o, "username"), *proxy = options_take(o, "proxy-username");
    char *cookie = options_take(o, "cookie");

    if (user) {
        free(src->username);
        src->username = user;
    }
    src->proxy_username = proxy;
    src->cookie = cookie;
    if (cookie && options_has(o, "cookie-secret"))
        return error_set(err, -EINVAL, "both 'cookie' and 'cookie-secret'");
    int ret = take_secret(o, "password-secret", &src->password, err);
    if (ret == 0)
        ret = take_secret(o, "proxy-password-secret", &src->proxy_password, err);
    return ret < 0 ? ret : take_secret(o, "cookie-secret", &src->cookie, err);
}

/* What the programs around us use for a private certificate authority. */
static void take_authorities(Http *h, Options *o)
{
    static const char *const names[] = { "CURL_CA_BUNDLE", "SSL_CERT_FILE" };

    h->src.cacert = options_take(o, "cacert");
    for (size_t i = 0; i < ARRAY_LEN(names) && !h->src.cacert; i++) {
        const char *path = getenv(names[i]);

        h->src.cacert = path && *path ? strdup(path) : NULL;
    }
}

static int take_limits(Http *h, Options *o, Error **err)
{
    Source *src = &h->src;

    src->timeout = DEFAULT_TIMEOUT;
    src->retries = DEFAULT_RETRIES;
    src->connections = DEFAULT_CONNECTIONS;
    h->ahead = DEFAULT_AHEAD;
    int ret = take_number(o, "timeout", 1, MAX_TIMEOUT, &src->timeout, err);
    if (ret == 0)
        ret = take_number(o, "retries", 0, MAX_RETRIES, &src->retries, err);
    if (ret == 0)
        ret = take_number(o, "connections", 1, MAX_CONNECTIONS, &src->connections, err);
    if (ret == 0)
        ret = options_take_size(o, "readahead", &h->ahead, err);
    if (ret == 0 && (h->ahead % 512 || h->ahead > MAX_AHEAD))
        ret = error_set(err, -EINVAL,
                        "option 'readahead' is %" PRIu64 ", not a multiple of 512 up to %d",
                        h->ahead, MAX_AHEAD);
    return ret;
}

static int take_url(Node *node, Options *o, Error **err)
{
    Http *h = node->state;
    const char *name = node->driver->name;
    char *url = options_take(o, "url");
    size_t n = strlen(name);

    if (url) {
        free(node->filename);
        node->filename = url;
    }
    if (!node->filename || !*node->filename)
        return error_set(err, -EINVAL, "driver '%s' needs the option 'url'", name);
    if (strncasecmp(node->filename, name, n) != 0 || strncmp(node->filename + n, "://", 3) != 0)
        return error_set(err, -EINVAL, "'%s' does not begin with '%s://'", node->filename, name);
    h->src.ftp = name[0] == 'f';
    if (h->src.ftp && node->filename[strlen(node->filename) - 1] == '/')
        return error_set(err, -EISDIR, "is a folder");
    if (!url_split_login(node->filename, &h->src.url, &h->src.username, &h->src.password))
        return error_set(err, -ENOMEM, "no memory for a URL");
    return 0;
}

int http_take_options(Node *node, Options *o, Error **err)
{
    Http *h = node->state;
    int ret = take_url(node, o, err);

    h->src.sslverify = true;
    h->cache_mode = CACHE_AUTO;
    if (ret == 0)
        ret = take_limits(h, o, err);
    if (ret == 0)
        ret = options_take_bool(o, "sslverify", &h->src.sslverify, err);
    if (ret == 0)
        ret = options_take_bool(o, "force-range", &h->force_range, err);
    if (ret == 0)
        ret = options_take_enum(o, "cache", cache_names, &h->cache_mode, err);
    if (ret == 0)
        ret = take_login(h, o, err);
    take_authorities(h, o);
    return ret;
}
