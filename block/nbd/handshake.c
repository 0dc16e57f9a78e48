/*
 * handshake.c - see handshake.h. The specification's "Handshake phase", as a client.
 *
 * Nothing that the server says is believed before it is bounded: the length of each answer, the
 * number of answers to one option, sizes and block sizes.
 */
#include "block/nbd/handshake.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"
#include "block/driver.h"

enum { MAX_ANSWER = 4 * NBD_MAX_STRING, MAX_ANSWERS = 1 << 14, OLD_PADDING = 124 };

/* One answer to an option; `data` has a 0 byte behind it. */
typedef struct Answer {
    uint32_t type, len;
    uint8_t data[MAX_ANSWER + 1];
} Answer;

static int lost(int ret, Error **err)
{
    if (ret == -ENODATA || ret == -ECONNRESET)
        return error_set(err, -ECONNRESET,
                         "the server ended the connection during the negotiation");
    return error_set(err, ret, "negotiation: %s", strerror(-ret));
}

static int send_option(NbdChannel *ch, uint32_t option, const void *data, uint32_t len, Error **err)
{
    uint8_t head[NBD_OPTION_BYTES];
    struct iovec iov[] = { { head, sizeof(head) }, { (void *)data, len } };

    nbd_put_option(head, option, len);
    int ret = nbd_channel_writev(ch, iov, 2);
    return ret < 0 ? lost(ret, err) : 0;
}

static int read_answer(NbdChannel *ch, uint32_t option, Answer *a, Error **err)
{
    uint8_t head[NBD_OPTION_REPLY_BYTES];
    NbdOptionReply r;
    int ret = nbd_channel_read(ch, head, sizeof(head));

    if (ret < 0)
        return lost(ret, err);
    if (!nbd_get_option_reply(head, &r))
        return error_set(err, -EPROTO, "the server's answer to option %s does not start as one",
                         nbd_option_name(option));
    if (r.option != option)
        return error_set(err, -EPROTO, "the server answers option %" PRIu32 " instead of %s",
                         r.option, nbd_option_name(option));
    if (r.len > MAX_ANSWER)
        return error_set(err, -EPROTO, "the server's answer to option %s has %" PRIu32 " bytes",
                         nbd_option_name(option), r.len);
    a->type = r.type;
    a->len = r.len;
    a->data[r.len] = 0;
    ret = nbd_channel_read(ch, a->data, r.len);
    return ret < 0 ? lost(ret, err) : 0;
}

/* The server refuses an option: in its words if it has any that can be shown. */
static int refusal(uint32_t option, const Answer *a, Error **err)
{
    static const struct {
        uint32_t type;
        int code;
        const char *text;
    } rows[] = {
        { NBD_REP_ERR_UNSUP, -ENOTSUP, "the server does not know it" },
        { NBD_REP_ERR_POLICY, -EPERM, "the server's policy forbids it" },
        { NBD_REP_ERR_INVALID, -EINVAL, "the server calls it invalid" },
        { NBD_REP_ERR_PLATFORM, -ENOTSUP, "the server's platform cannot do it" },
        { NBD_REP_ERR_TLS_REQD, -EACCES, "the server wants TLS (option tls-creds)" },
        { NBD_REP_ERR_UNKNOWN, -ENOENT, "the server has no such export" },
        { NBD_REP_ERR_SHUTDOWN, -ESHUTDOWN, "the server is shutting down" },
        { NBD_REP_ERR_BLOCK_SIZE_REQD, -EINVAL, "the server wants block sizes to be agreed on" },
        { NBD_REP_ERR_TOO_BIG, -EFBIG, "the server calls it too big" },
    };
    char words[256] = "";

    for (size_t i = 0; i < MIN((size_t)a->len, sizeof(words) - 1); i++) {
        uint8_t c = a->data[i];

        words[i] = c < ' ' || c >= 0x7f ? '?' : (char)c;
        words[i + 1] = 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].type == a->type)
            return error_set(err, rows[i].code, "%s%s%s%s", rows[i].text, *words ? " (\"" : "",
                             words, *words ? "\")" : "");
    return error_set(err, -EPROTO, "the server answers option %s with type %#" PRIx32,
                     nbd_option_name(option), a->type);
}

static bool is_error(const Answer *a)
{
    return a->type & NBD_REP_ERROR;
}

/* An option that is answered with ACK or refused; a refusal is in *err. */
static int simple_option(NbdChannel *ch, uint32_t option, Answer *a, Error **err)
{
    int ret = send_option(ch, option, NULL, 0, err);

    if (ret == 0)
        ret = read_answer(ch, option, a, err);
    if (ret == 0 && (a->type != NBD_REP_ACK || a->len))
        ret = refusal(option, a, err);
    return ret;
}

static int start_tls(NbdChannel *ch, const NbdWant *want, Answer *a, Error **err)
{
    int ret = simple_option(ch, NBD_OPT_STARTTLS, a, err);

    if (ret < 0)
        return error_prefix(err, ret, "TLS");
    return nbd_channel_start_tls(ch, want->tls, want->hostname, err);
}

/* A refusal is fine, a lost connection is not. */
static int ask_structured(NbdChannel *ch, NbdExport *e, Answer *a, Error **err)
{
    Error *why = NULL;
    int ret = simple_option(ch, NBD_OPT_STRUCTURED_REPLY, a, &why);

    e->structured = ret == 0;
    if (ret == -ECONNRESET || ret == -ETIMEDOUT || ret == -EPROTO)
        return error_set(err, ret, "%s", error_message(why, ret)), error_free(why), ret;
    error_free(why);
    return 0;
}

/* ---- meta contexts ---- */

/* EXPORT, then no query or one: the bytes of LIST_META_CONTEXT and SET_META_CONTEXT. */
static int send_context(NbdChannel *ch, uint32_t option, const char *export, const char *query,
                        Error **err)
{
    uint32_t name = (uint32_t)strlen(export), len = query ? (uint32_t)strlen(query) : 0;
    uint8_t data[2 * NBD_MAX_STRING + 12];

    put_be32(data, name);
    memcpy(data + 4, export, name);
    put_be32(data + 4 + name, query != NULL);
    if (query) {
        put_be32(data + 8 + name, len);
        memcpy(data + 12 + name, query, len);
    }
    return send_option(ch, option, data, 8 + name + (query ? 4 + len : 0), err);
}

static int set_context(NbdChannel *ch, const NbdWant *want, NbdExport *e, Answer *a, Error **err)
{
    int ret = send_context(ch, NBD_OPT_SET_META_CONTEXT, want->export, want->context, err);

    for (int i = 0; ret == 0 && i < 2; i++) {
        ret = read_answer(ch, NBD_OPT_SET_META_CONTEXT, a, err);
        if (ret < 0 || a->type == NBD_REP_ACK || is_error(a))
            return ret; /* refused: there is no block status, that is all */
        if (a->type != NBD_REP_META_CONTEXT || a->len < 4 || e->has_context ||
            strcmp((char *)a->data + 4, want->context) != 0)
            break;
        e->has_context = true;
        e->context_id = get_be32(a->data);
    }
    return ret < 0 ? ret
                   : error_set(err, -EPROTO, "the server's answer to context '%s' makes no sense",
                               want->context);
}

/* ---- what the export is ---- */

static int judge_size(uint64_t size, uint16_t flags, NbdExport *e, Error **err)
{
    if (size > NODE_MAX_SIZE)
        return error_set(err, -EFBIG, "the export's size %" PRIu64 " is more than 2^63-1", size);
    if (!(flags & NBD_FLAG_HAS_FLAGS)) /* then none of them means anything */
        flags = 0;
    if (!e->structured)
        flags &= (uint16_t)~NBD_FLAG_SEND_DF;
    e->size = size;
    e->flags = flags;
    return 0;
}

static int judge_blocks(const Answer *a, NbdExport *e, Error **err)
{
    uint32_t min = get_be32(a->data + 2), preferred = get_be32(a->data + 6),
             max = get_be32(a->data + 10);

    if (!is_pow2(min) || min > 64 << 10)
        return error_set(err, -EPROTO, "the server's smallest block is %" PRIu32 " bytes", min);
    if (!is_pow2(preferred) || preferred < min || (preferred < 512 && preferred != min))
        return error_set(err, -EPROTO, "the server's preferred block is %" PRIu32 " bytes",
                         preferred);
    if (max < min || (max != UINT32_MAX && max % min))
        return error_set(err, -EPROTO, "the server's largest block is %" PRIu32 " bytes", max);
    e->has_blocks = true;
    e->min_block = min;
    e->preferred_block = preferred;
    e->max_block = max;
    return 0;
}

static int take_info(const Answer *a, NbdExport *e, bool *has_size, Error **err)
{
    if (a->len < 2)
        return error_set(err, -EPROTO, "the server's information has %" PRIu32 " bytes", a->len);
    switch (get_be16(a->data)) {
    case NBD_INFO_EXPORT:
        if (a->len != 12)
            break;
        *has_size = true;
        return judge_size(get_be64(a->data + 2), get_be16(a->data + 10), e, err);
    case NBD_INFO_BLOCK_SIZE:
        if (a->len != 14)
            break;
        return judge_blocks(a, e, err);
    case NBD_INFO_DESCRIPTION:
        if (!e->description)
            e->description = strndup((char *)a->data + 2, a->len - 2);
        return 0;
    default: return 0; /* not asked for, and not needed */
    }
    return error_set(err, -EPROTO, "the server's information of type %u has %" PRIu32 " bytes",
                     get_be16(a->data), a->len);
}

/* INFO or GO. *known is false if the server does not know the option. */
static int ask_info(NbdChannel *ch, uint32_t option, const char *export, NbdExport *e, Answer *a,
                    bool *known, Error **err)
{
    uint32_t name = (uint32_t)strlen(export);
    uint8_t data[NBD_MAX_STRING + 10];
    bool has_size = false;

    *known = true;
    put_be32(data, name);
    memcpy(data + 4, export, name);
    put_be16(data + 4 + name, 2);
    put_be16(data + 6 + name, NBD_INFO_BLOCK_SIZE);
    put_be16(data + 8 + name, NBD_INFO_DESCRIPTION);
    int ret = send_option(ch, option, data, 10 + name, err);
    for (int i = 0; ret == 0 && i < MAX_ANSWERS; i++) {
        ret = read_answer(ch, option, a, err);
        if (ret < 0)
            return ret;
        if (a->type == NBD_REP_ERR_UNSUP) {
            *known = false;
            return 0;
        }
        if (a->type == NBD_REP_ACK)
            return has_size ? 0 : error_set(err, -EPROTO, "the server does not tell the size");
        ret = a->type == NBD_REP_INFO ? take_info(a, e, &has_size, err) : refusal(option, a, err);
    }
    return ret < 0 ? ret : error_set(err, -EPROTO, "the server's information has no end");
}

static int export_name(NbdChannel *ch, const char *export, bool padding, NbdExport *e, Error **err)
{
    uint8_t data[10];
    int ret = send_option(ch, NBD_OPT_EXPORT_NAME, export, (uint32_t)strlen(export), err);

    if (ret == 0) {
        ret = nbd_channel_read(ch, data, sizeof(data));
        if (ret == -ENODATA) /* this option has no other way to say no */
            return error_set(err, -ENOENT, "the server has no export '%s'", export);
        if (ret == 0 && padding)
            ret = nbd_channel_skip(ch, OLD_PADDING);
        if (ret < 0)
            return lost(ret, err);
    }
    return ret < 0 ? ret : judge_size(get_be64(data), get_be16(data + 8), e, err);
}

/* ---- the phases ---- */

static int oldstyle(NbdChannel *ch, const NbdWant *want, NbdExport *e, Error **err)
{
    uint8_t data[12];
    int ret = nbd_channel_read(ch, data, sizeof(data));

    if (ret == 0)
        ret = nbd_channel_skip(ch, OLD_PADDING);
    if (ret < 0)
        return lost(ret, err);
    if (want->tls)
        return error_set(err, -ENOTSUP, "the server is of the old style, without TLS");
    if (*want->export)
        return error_set(err, -ENOENT, "the server is of the old style and has no export '%s'",
                         want->export);
    return judge_size(get_be64(data), get_be16(data + 10), e, err);
}

/* The first bytes of both sides. *options: the server understands them. */
static int greet(NbdChannel *ch, bool *old, uint16_t *flags, Error **err)
{
    uint8_t hello[16], their[2], ours[4];
    int ret = nbd_channel_read(ch, hello, sizeof(hello));

    if (ret < 0)
        return lost(ret, err);
    *old = get_be64(hello + 8) == NBD_OLD_MAGIC;
    if (get_be64(hello) != NBD_MAGIC || (!*old && get_be64(hello + 8) != NBD_OPTION_MAGIC))
        return error_set(err, -EPROTO, "this is not an NBD server");
    if (*old)
        return 0;
    ret = nbd_channel_read(ch, their, sizeof(their));
    if (ret == 0) {
        *flags = get_be16(their) & (NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
        put_be32(ours, *flags);
        ret = nbd_channel_write(ch, ours, sizeof(ours));
    }
    return ret < 0 ? lost(ret, err) : 0;
}

static void defaults(NbdExport *e)
{
    *e = (NbdExport) { .min_block = 1, .preferred_block = 4096, .max_block = NBD_MAX_PAYLOAD };
}

static int negotiate(NbdChannel *ch, const NbdWant *want, NbdExport *e, Answer *a, Error **err)
{
    uint16_t flags = 0;
    bool old, known = false;
    int ret = greet(ch, &old, &flags, err);

    if (ret < 0)
        return ret;
    if (old)
        return oldstyle(ch, want, e, err);
    if (!(flags & NBD_FIXED_NEWSTYLE) && want->tls)
        return error_set(err, -ENOTSUP, "the server cannot negotiate TLS");
    if (flags & NBD_FIXED_NEWSTYLE) {
        ret = want->tls ? start_tls(ch, want, a, err) : 0;
        if (ret == 0 && !want->simple)
            ret = ask_structured(ch, e, a, err);
        if (ret == 0 && e->structured && want->context)
            ret = set_context(ch, want, e, a, err);
        if (ret == 0)
            ret = ask_info(ch, NBD_OPT_GO, want->export, e, a, &known, err);
    }
    if (ret < 0 || known)
        return ret;
    return export_name(ch, want->export, !(flags & NBD_NO_ZEROES), e, err);
}

static int check_want(const NbdWant *want, Error **err)
{
    if (strlen(want->export) > NBD_MAX_STRING)
        return error_set(err, -EINVAL, "the export's name has more than %d bytes", NBD_MAX_STRING);
    if (want->context && strlen(want->context) > NBD_MAX_STRING)
        return error_set(err, -EINVAL, "the context's name has more than %d bytes", NBD_MAX_STRING);
    return 0;
}

int nbd_handshake(NbdChannel *ch, const NbdWant *want, NbdExport *out, Error **err)
{
    AUTO_FREE Answer *a = malloc(sizeof(*a));
    int ret = a ? check_want(want, err) : -ENOMEM;

    defaults(out);
    if (ret == 0)
        ret = negotiate(ch, want, out, a, err);
    if (ret < 0 && ret != -ECONNRESET && ret != -EPROTO) /* after a refusal: say that it ends */
        send_option(ch, NBD_OPT_ABORT, NULL, 0, NULL);
    free(take(&out->description));
    return ret;
}

/* ---- the list of exports ---- */

void nbd_exports_free(NbdExport *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < list[i].n_contexts; k++)
            free(list[i].contexts[k]);
        free(list[i].contexts);
        free(list[i].name);
        free(list[i].description);
    }
    free(list);
}

static int take_list_row(const Answer *a, NbdExport *e, Error **err)
{
    uint32_t len = a->len >= 4 ? get_be32(a->data) : 0;

    if (a->len < 4 || len > a->len - 4)
        return error_set(err, -EPROTO, "an export's name is longer than the answer with it");
    e->name = strndup((char *)a->data + 4, len);
    if (a->len > 4 + len)
        e->description = strdup((char *)a->data + 4 + len);
    return e->name ? 0 : -ENOMEM;
}

static int read_list(NbdChannel *ch, Answer *a, NbdExport **list, size_t *count, Error **err)
{
    int ret = send_option(ch, NBD_OPT_LIST, NULL, 0, err);

    while (ret == 0 && *count < MAX_ANSWERS) {
        ret = read_answer(ch, NBD_OPT_LIST, a, err);
        if (ret < 0 || a->type == NBD_REP_ACK)
            return ret;
        if (a->type != NBD_REP_SERVER)
            return refusal(NBD_OPT_LIST, a, err);
        NbdExport *more = realloc(*list, (*count + 1) * sizeof(**list));
        if (!more)
            return error_set(err, -ENOMEM, "no memory for a list of exports");
        *list = more;
        defaults(&more[*count]);
        ret = take_list_row(a, &more[(*count)++], err);
    }
    return ret < 0 ? ret : error_set(err, -EPROTO, "the list of exports has no end");
}

static int list_contexts(NbdChannel *ch, NbdExport *e, Answer *a, Error **err)
{
    int ret = send_context(ch, NBD_OPT_LIST_META_CONTEXT, e->name, NULL, err);

    while (ret == 0 && e->n_contexts < MAX_ANSWERS) {
        ret = read_answer(ch, NBD_OPT_LIST_META_CONTEXT, a, err);
        if (ret < 0 || a->type == NBD_REP_ACK || is_error(a))
            return ret;
        if (a->type != NBD_REP_META_CONTEXT || a->len < 4)
            return error_set(err, -EPROTO, "the server's list of contexts makes no sense");
        char **more = realloc(e->contexts, (e->n_contexts + 1) * sizeof(*more));
        if (!more)
            return error_set(err, -ENOMEM, "no memory for a list of contexts");
        e->contexts = more;
        more[e->n_contexts++] = strdup((char *)a->data + 4);
    }
    return ret < 0 ? ret : error_set(err, -EPROTO, "the list of contexts has no end");
}

static int list_all(NbdChannel *ch, const NbdWant *want, NbdExport **list, size_t *count, Answer *a,
                    Error **err)
{
    NbdExport session = { 0 };
    uint16_t flags = 0;
    bool old, known = true;
    int ret = greet(ch, &old, &flags, err);

    if (ret < 0)
        return ret;
    if (old || !(flags & NBD_FIXED_NEWSTYLE))
        return error_set(err, -ENOTSUP, "the server is of the old style and cannot list exports");
    ret = want->tls ? start_tls(ch, want, a, err) : 0;
    if (ret == 0)
        ret = ask_structured(ch, &session, a, err);
    if (ret == 0)
        ret = read_list(ch, a, list, count, err);
    for (size_t i = 0; i < *count && ret == 0 && known; i++) {
        NbdExport *e = &(*list)[i];

        e->structured = session.structured;
        if (strlen(e->name) <= NBD_MAX_STRING)
            ret = ask_info(ch, NBD_OPT_INFO, e->name, e, a, &known, err);
        if (ret == 0 && known && e->structured && strlen(e->name) <= NBD_MAX_STRING)
            ret = list_contexts(ch, e, a, err);
    }
    if (ret == 0)
        send_option(ch, NBD_OPT_ABORT, NULL, 0, NULL);
    return ret;
}

int nbd_list(NbdChannel *ch, const NbdWant *want, NbdExport **list, size_t *count, Error **err)
{
    AUTO_FREE Answer *a = malloc(sizeof(*a));

    *list = NULL;
    *count = 0;
    int ret = a ? list_all(ch, want, list, count, a, err) : -ENOMEM;
    if (ret < 0) {
        nbd_exports_free(*list, *count);
        *list = NULL;
        *count = 0;
    }
    return ret;
}
