/*
 * negotiate.c - the server's side of the specification's "Handshake phase", fixed newstyle only.
 *
 * What a client may make us do before it has chosen an export is bounded: the length and the
 * number of its options, and the time for all of it (server.c).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/endian.h"
#include "base/log.h"
#include "base/math.h"
#include "block/nbd/authz.h"
#include "block/nbd/session.h"

enum { MAX_OPTION = 64 << 10, MAX_SKIPPED = 1 << 20, MAX_OPTIONS = 1024, OLD_PADDING = 124 };
enum { PREFERRED_BLOCK = 4096 };

/* More than 0: go on with requests. */
enum { NEXT_OPTION = 0, CHOSEN = 1 };

/* An option on its way, read from the front. */
typedef struct Option {
    uint32_t type, len;
    const uint8_t *data;
} Option;

static int answer(NbdSession *s, const Option *o, uint32_t type, const void *data, size_t len)
{
    NbdOptionReply r = { .option = o->type, .type = type, .len = (uint32_t)len };
    uint8_t head[NBD_OPTION_REPLY_BYTES];
    struct iovec iov[] = { { head, sizeof(head) }, { (void *)data, len } };

    nbd_put_option_reply(head, &r);
    return nbd_channel_writev(s->ch, iov, 2);
}

static int refuse(NbdSession *s, const Option *o, uint32_t type, const char *why)
{
    log_info("option %s: %s", nbd_option_name(o->type), why);
    return answer(s, o, type, why, strlen(why));
}

static int acknowledge(NbdSession *s, const Option *o)
{
    return answer(s, o, NBD_REP_ACK, NULL, 0);
}

/* ---- taking options apart ---- */

static bool take_u16(Option *o, uint16_t *v)
{
    if (o->len < 2)
        return false;
    *v = get_be16(o->data);
    o->data += 2;
    o->len -= 2;
    return true;
}

static bool take_u32(Option *o, uint32_t *v)
{
    if (o->len < 4)
        return false;
    *v = get_be32(o->data);
    o->data += 4;
    o->len -= 4;
    return true;
}

/* A length and so many bytes of text (without a 0 byte) into `out`. */
static bool take_text(Option *o, char out[NBD_MAX_STRING + 1])
{
    uint32_t len;

    if (!take_u32(o, &len) || len > o->len || len > NBD_MAX_STRING || memchr(o->data, 0, len))
        return false;
    memcpy(out, o->data, len);
    out[len] = 0;
    o->data += len;
    o->len -= len;
    return true;
}

static const NbdServedExport *find_export(const NbdSession *s, const char *name)
{
    for (size_t i = 0; i < s->o->n_exports; i++)
        if (strcmp(s->o->exports[i].name, name) == 0)
            return &s->o->exports[i];
    return NULL;
}

/* ---- exports ---- */

static uint16_t export_flags(const NbdSession *s, const NbdServedExport *e)
{
    uint16_t flags =
        NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_CACHE;

    if (e->writable)
        flags |= NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;
    else
        flags |= NBD_FLAG_READ_ONLY;
    if (s->structured)
        flags |= NBD_FLAG_SEND_DF;
    if (s->o->max_clients != 1) /* else a second connection would wait for the first to end */
        flags |= NBD_FLAG_CAN_MULTI_CONN;
    return flags;
}

static int list_exports(NbdSession *s, const Option *o)
{
    if (o->len)
        return refuse(s, o, NBD_REP_ERR_INVALID, "this option has no data");
    for (size_t i = 0; i < s->o->n_exports; i++) {
        const NbdServedExport *e = &s->o->exports[i];
        const char *about = e->description ? e->description : "";
        uint32_t name = (uint32_t)strlen(e->name), len = (uint32_t)strlen(about);
        uint8_t data[2 * NBD_MAX_STRING + 4];

        put_be32(data, name);
        memcpy(data + 4, e->name, name);
        memcpy(data + 4 + name, about, len);
        int ret = answer(s, o, NBD_REP_SERVER, data, 4 + name + len);
        if (ret < 0)
            return ret;
    }
    return acknowledge(s, o);
}

static int send_info(NbdSession *s, const Option *o, uint16_t type, const void *data, size_t len)
{
    uint8_t buf[NBD_MAX_STRING + 2];

    put_be16(buf, type);
    memcpy(buf + 2, data, len);
    return answer(s, o, NBD_REP_INFO, buf, len + 2);
}

static int describe(NbdSession *s, const Option *o, const NbdServedExport *e, bool with_name)
{
    uint8_t size[10], blocks[12];
    int ret = with_name ? send_info(s, o, NBD_INFO_NAME, e->name, strlen(e->name)) : 0;

    if (ret == 0 && e->description)
        ret = send_info(s, o, NBD_INFO_DESCRIPTION, e->description, strlen(e->description));
    put_be32(blocks, 1);
    put_be32(blocks + 4, PREFERRED_BLOCK);
    put_be32(blocks + 8, NBD_MAX_PAYLOAD);
    if (ret == 0)
        ret = send_info(s, o, NBD_INFO_BLOCK_SIZE, blocks, sizeof(blocks));
    put_be64(size, e->size);
    put_be16(size + 8, export_flags(s, e));
    if (ret == 0)
        ret = send_info(s, o, NBD_INFO_EXPORT, size, sizeof(size));
    return ret;
}

static void choose(NbdSession *s, const NbdServedExport *e)
{
    s->export = e;
    if (s->context_export != e) {
        free(s->contexts);
        s->contexts = NULL;
    }
}

static int info_or_go(NbdSession *s, const Option *option)
{
    char name[NBD_MAX_STRING + 1];
    Option o = *option;
    uint16_t n, info;
    bool with_name = false;

    if (!take_text(&o, name) || !take_u16(&o, &n) || o.len != 2U * n)
        return refuse(s, option, NBD_REP_ERR_INVALID, "its data has the wrong length");
    while (take_u16(&o, &info))
        with_name = with_name || info == NBD_INFO_NAME;
    const NbdServedExport *e = find_export(s, name);
    if (!e)
        return refuse(s, option, NBD_REP_ERR_UNKNOWN, "there is no such export");
    int ret = describe(s, option, e, with_name);
    if (ret == 0)
        ret = acknowledge(s, option);
    if (ret < 0 || option->type == NBD_OPT_INFO)
        return ret;
    choose(s, e);
    return CHOSEN;
}

static int export_name(NbdSession *s, const Option *o, bool padding)
{
    char name[NBD_MAX_STRING + 1];
    uint8_t data[10 + OLD_PADDING] = { 0 };

    if (o->len > NBD_MAX_STRING)
        return -EPROTO;
    memcpy(name, o->data, o->len);
    name[o->len] = 0;
    const NbdServedExport *e = strlen(name) == o->len ? find_export(s, name) : NULL;
    if (!e)
        return -ENOENT; /* this option has no other way to say no */
    put_be64(data, e->size);
    put_be16(data + 8, export_flags(s, e));
    int ret = nbd_channel_write(s->ch, data, padding ? sizeof(data) : 10);
    if (ret < 0)
        return ret;
    choose(s, e);
    return CHOSEN;
}

/* ---- contexts ---- */

size_t nbd_export_contexts(const NbdServedExport *e)
{
    return CONTEXT_BITMAPS + e->n_bitmaps;
}

/* The name in two parts; false: the export does not have this one. */
static bool context_name(const NbdServedExport *e, size_t id, const char *name[2])
{
    name[1] = "";
    if (id == CONTEXT_ALLOCATION)
        name[0] = "base:allocation";
    else if (id == CONTEXT_DEPTH)
        name[0] = "qemu:allocation-depth";
    else {
        name[0] = "qemu:dirty-bitmap:";
        name[1] = e->bitmaps[id - CONTEXT_BITMAPS];
    }
    return id != CONTEXT_DEPTH || e->allocation_depth;
}

/* A list may be asked for by the beginnings of names up to a colon. */
static bool query_matches(const char *query, const char *const name[2], bool list)
{
    size_t n = strlen(name[0]), len = strlen(query);

    if (list && len && query[len - 1] == ':' && strncmp(name[0], query, len) == 0)
        return true;
    return strncmp(query, name[0], n) == 0 && strcmp(query + n, name[1]) == 0;
}

static int send_context(NbdSession *s, const Option *o, const NbdServedExport *e, size_t id)
{
    uint8_t data[2 * NBD_MAX_STRING + 4];
    const char *name[2];
    bool list = o->type == NBD_OPT_LIST_META_CONTEXT;

    context_name(e, id, name);
    size_t n = strlen(name[0]), more = strlen(name[1]);
    put_be32(data, list ? 0 : (uint32_t)id);
    memcpy(data + 4, name[0], n);
    memcpy(data + 4 + n, name[1], more);
    return answer(s, o, NBD_REP_META_CONTEXT, data, 4 + n + more);
}

/* Mark what the queries ask for. False: the option is malformed. */
static bool take_queries(const NbdServedExport *e, Option *o, uint32_t n, bool list, bool *wanted)
{
    char query[NBD_MAX_STRING + 1];
    const char *name[2];

    for (uint32_t i = 0; i < n; i++) {
        if (!take_text(o, query))
            return false;
        for (size_t id = 0; id < nbd_export_contexts(e); id++)
            if (context_name(e, id, name) && query_matches(query, name, list))
                wanted[id] = true;
    }
    for (size_t id = 0; list && n == 0 && id < nbd_export_contexts(e); id++)
        wanted[id] = context_name(e, id, name);
    return o->len == 0;
}

static int meta_context(NbdSession *s, const Option *option)
{
    bool list = option->type == NBD_OPT_LIST_META_CONTEXT;
    char name[NBD_MAX_STRING + 1];
    Option o = *option;
    uint32_t n;

    if (!s->structured)
        return refuse(s, option, NBD_REP_ERR_INVALID, "structured replies come first");
    if (!take_text(&o, name) || !take_u32(&o, &n) || n > o.len / 4)
        return refuse(s, option, NBD_REP_ERR_INVALID, "its data has the wrong length");
    const NbdServedExport *e = find_export(s, name);
    if (!e)
        return refuse(s, option, NBD_REP_ERR_UNKNOWN, "there is no such export");
    AUTO_FREE bool *wanted = calloc(nbd_export_contexts(e), sizeof(*wanted));
    if (!wanted)
        return -ENOMEM;
    if (!take_queries(e, &o, n, list, wanted))
        return refuse(s, option, NBD_REP_ERR_INVALID, "a query has the wrong length");
    int ret = 0;
    for (size_t id = 0; id < nbd_export_contexts(e) && ret == 0; id++)
        ret = wanted[id] ? send_context(s, option, e, id) : 0;
    if (!list) {
        free(s->contexts);
        s->contexts = take(&wanted);
        s->context_export = e;
    }
    return ret < 0 ? ret : acknowledge(s, option);
}

/* ---- the other options ---- */

static int start_tls(NbdSession *s, const Option *o)
{
    AUTO_ERROR Error *err = NULL;

    if (o->len)
        return refuse(s, o, NBD_REP_ERR_INVALID, "this option has no data");
    if (!s->o->tls)
        return refuse(s, o, NBD_REP_ERR_POLICY, "TLS is not configured");
    if (s->secure)
        return refuse(s, o, NBD_REP_ERR_INVALID, "TLS has started already");
    int ret = acknowledge(s, o);
    if (ret == 0)
        ret = nbd_channel_start_tls(s->ch, s->o->tls, NULL, &err);
    if (ret < 0) {
        log_info("%s", error_message(err, ret));
        return ret;
    }
    s->secure = true;
    s->structured = false; /* nothing of what came before counts */
    if (!s->o->authz)
        return 0;
    AUTO_FREE char *name = nbd_channel_peer_name(s->ch);
    if (nbd_authz_allows(s->o->authz, name))
        return 0;
    log_info("'%s' is not allowed here", name ? name : "a client without a certificate");
    return -EACCES;
}

static int structured_reply(NbdSession *s, const Option *o)
{
    if (o->len || s->structured)
        return refuse(s, o, NBD_REP_ERR_INVALID,
                      o->len ? "this option has no data" : "it has been agreed on already");
    s->structured = true;
    return acknowledge(s, o);
}

static int handle(NbdSession *s, const Option *o, bool padding)
{
    if (s->o->tls && !s->secure && o->type != NBD_OPT_STARTTLS && o->type != NBD_OPT_ABORT) {
        if (o->type == NBD_OPT_EXPORT_NAME)
            return -EACCES;
        return refuse(s, o, NBD_REP_ERR_TLS_REQD, "TLS comes first");
    }
    switch (o->type) {
    case NBD_OPT_EXPORT_NAME: return export_name(s, o, padding);
    case NBD_OPT_ABORT: acknowledge(s, o); return -ECANCELED;
    case NBD_OPT_LIST: return list_exports(s, o);
    case NBD_OPT_STARTTLS: return start_tls(s, o);
    case NBD_OPT_INFO:
    case NBD_OPT_GO: return info_or_go(s, o);
    case NBD_OPT_STRUCTURED_REPLY: return structured_reply(s, o);
    case NBD_OPT_LIST_META_CONTEXT:
    case NBD_OPT_SET_META_CONTEXT: return meta_context(s, o);
    default: return refuse(s, o, NBD_REP_ERR_UNSUP, "this option is not known");
    }
}

static int next_option(NbdSession *s, uint8_t *data, bool padding)
{
    uint8_t head[NBD_OPTION_BYTES];
    Option o = { .data = data };
    int ret = nbd_channel_read(s->ch, head, sizeof(head));

    if (ret < 0)
        return ret;
    if (!nbd_get_option(head, &o.type, &o.len) || o.len > MAX_SKIPPED)
        return -EPROTO;
    if (o.len > MAX_OPTION) {
        ret = nbd_channel_skip(s->ch, o.len);
        return ret < 0 ? ret : refuse(s, &o, NBD_REP_ERR_TOO_BIG, "it is too long");
    }
    ret = nbd_channel_read(s->ch, data, o.len);
    return ret < 0 ? ret : handle(s, &o, padding);
}

int nbd_session_negotiate(NbdSession *s)
{
    uint8_t hello[18], flags[4];

    put_be64(hello, NBD_MAGIC);
    put_be64(hello + 8, NBD_OPTION_MAGIC);
    put_be16(hello + 16, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
    int ret = nbd_channel_write(s->ch, hello, sizeof(hello));
    if (ret == 0)
        ret = nbd_channel_read(s->ch, flags, sizeof(flags));
    if (ret < 0)
        return ret;
    uint32_t theirs = get_be32(flags);
    if (theirs & ~(uint32_t)(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES))
        return -EPROTO;
    AUTO_FREE uint8_t *data = malloc(MAX_OPTION);
    if (!data)
        return -ENOMEM;
    for (int i = 0; i < MAX_OPTIONS; i++) {
        ret = next_option(s, data, !(theirs & NBD_NO_ZEROES));
        if (ret != NEXT_OPTION)
            return ret == CHOSEN ? 0 : ret;
    }
    return -EPROTO;
}
