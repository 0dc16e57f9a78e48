/*
 * nbd_wire.c - the NBD protocol byte by byte: messages, names, what hostile servers and clients
 * say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/endian.h"
#include "block/nbd/address.h"
#include "block/nbd/conn.h"
#include "block/nbd/kept.h"
#include "block/nbd/server.h"

enum { DISK = 1 << 20, LEN = 1000, AT = 4096 };

static void messages_survive_the_wire(void **state)
{
    NbdRequest r = { 3, NBD_CMD_WRITE, 0x1122334455667788, UINT64_MAX - 1, 0xfffffff0 }, got;
    NbdReply chunk = { .structured = true, .cookie = 9, .flags = 1, .type = 0x8001, .len = 77 }, c;
    NbdReply simple = { .cookie = 10, .error = 28 };
    NbdOptionReply o = { NBD_OPT_GO, NBD_REP_ERR_TOO_BIG, 12 }, p;
    uint8_t buf[NBD_REQUEST_BYTES];

    (void)state;
    nbd_put_request(buf, &r);
    assert_true(nbd_get_request(buf, &got));
    assert_true(got.flags == r.flags && got.type == r.type && got.cookie == r.cookie &&
                got.off == r.off && got.len == r.len);
    buf[0] ^= 1;
    assert_false(nbd_get_request(buf, &got));
    assert_int_equal(nbd_put_reply(buf, &chunk), NBD_CHUNK_BYTES);
    assert_int_equal(nbd_reply_bytes(buf), NBD_CHUNK_BYTES);
    nbd_get_reply(buf, &c);
    assert_true(c.structured && c.cookie == 9 && c.flags == 1 && c.type == 0x8001 && c.len == 77);
    assert_int_equal(nbd_put_reply(buf, &simple), NBD_SIMPLE_BYTES);
    assert_int_equal(nbd_reply_bytes(buf), NBD_SIMPLE_BYTES);
    nbd_get_reply(buf, &c);
    assert_true(!c.structured && c.cookie == 10 && c.error == 28);
    nbd_put_option_reply(buf, &o);
    assert_true(nbd_get_option_reply(buf, &p));
    assert_memory_equal(&o, &p, sizeof(o));
}

static void errors_have_numbers(void **state)
{
    static const struct {
        int code;
        uint32_t wire;
        int back;
    } rows[] = {
        { 0, 0, -EINVAL },          { -EPERM, 1, -EPERM },    { -EACCES, 1, -EPERM },
        { -EIO, 5, -EIO },          { -ENOMEM, 12, -ENOMEM }, { -EINVAL, 22, -EINVAL },
        { -ENOSPC, 28, -ENOSPC },   { -EFBIG, 28, -ENOSPC },  { -EOVERFLOW, 75, -EOVERFLOW },
        { -ENOTSUP, 95, -ENOTSUP }, { -EILSEQ, 5, -EIO },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(nbd_error_from_errno(rows[i].code), rows[i].wire);
        assert_int_equal(nbd_error_to_errno(rows[i].wire), rows[i].back);
    }
    assert_int_equal(nbd_error_to_errno(4711), -EINVAL);
}

/* ---- names ---- */

static const struct {
    const char *name, *uri; /* NULL: refused */
} names[] = {
    { "nbd:localhost:10809", "nbd://localhost:10809" },
    { "nbd:localhost:1:exportname=a b", "nbd://localhost:1/a%20b" },
    { "nbd:[::1]:1", "nbd://[::1]:1" },
    { "nbd:unix:/tmp/s", "nbd+unix:///?socket=/tmp/s" },
    { "nbd:unix:/tmp/a:b:exportname=x", "nbd+unix:///x?socket=/tmp/a:b" },
    { "nbd://host", "nbd://host:10809" },
    { "nbd://host/", "nbd://host:10809" },
    { "nbd://", "nbd://localhost:10809" },
    { "nbd:///x", "nbd://localhost:10809/x" },
    { "nbd+tcp://host:7/a/b", "nbd://host:7/a/b" },
    { "nbd://[fe80::1]:7/%2fa", "nbd://[fe80::1]:7//a" },
    { "nbds://host/x", "nbds://host:10809/x" },
    { "nbd+unix:///x?socket=/tmp/s", "nbd+unix:///x?socket=/tmp/s" },
    { "nbd+unix://?socket=/tmp/%3f", "nbd+unix:///?socket=/tmp/%3F" },
    { "nbds+unix://me@/x?socket=s", "nbds+unix:///x?socket=s" },
    { "nbd:", NULL },
    { "nbd:host", NULL },
    { "nbd:host:", NULL },
    { "nbd::1", NULL },
    { "nbd:unix:", NULL },
    { "nbd://host/x?socket=/tmp/s", NULL },
    { "nbd+unix:///x", NULL },
    { "nbd+unix://host/x?socket=s", NULL },
    { "nbd://[fe80::1%25eth0]:7", "nbd://[fe80::1%25eth0]:7" },
    { "nbd:a://1:9x", NULL },
    { "nbd:[]:10", NULL },
    { "nbd://host:1 2", NULL },
    { "nbd://[::1", NULL },
    { "nbd://host/%zz", NULL },
    { "nbd://host/%4", NULL },
    { "nbd://host/%00", NULL },
    { "nbd://host/x?what=y", NULL },
    { "nbd://host/x#part", NULL },
};

static void names_are_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO_OPTIONS Options *o = options_new();
        AUTO_ERROR Error *err = NULL;
        NbdAddress a = { 0 };
        AUTO_FREE char *uri = NULL;
        int ret = nbd_name_parse(names[i].name, o, &err);

        if (ret == 0)
            ret = nbd_address_take(&a, o, &err);
        if (ret == 0) {
            const char *export = options_peek(o, "export");

            uri = nbd_uri(&a, export ? export : "", options_peek(o, "tls"));
        }
        if (!uri != !names[i].uri || (uri && strcmp(uri, names[i].uri) != 0))
            fail_msg("%s: %s, not %s", names[i].name, uri ? uri : "refused",
                     names[i].uri ? names[i].uri : "refused");
        assert_int_equal(ret < 0, err != NULL);
        nbd_address_free(&a);
    }
}

/* ---- what servers answer ---- */

typedef struct Bytes {
    uint8_t data[8192];
    size_t len;
} Bytes;

static void add(Bytes *b, const void *data, size_t len)
{
    assert_true(b->len + len <= sizeof(b->data));
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void add_number(Bytes *b, uint64_t v, unsigned bytes)
{
    uint8_t be[8];

    put_be64(be, v);
    add(b, be + 8 - bytes, bytes);
}

static void add_fill(Bytes *b, uint8_t c, size_t len)
{
    assert_true(b->len + len <= sizeof(b->data));
    memset(b->data + b->len, c, len);
    b->len += len;
}

/* The cookie of the n-th request of a connection that makes one at a time. */
static void add_chunk(Bytes *b, unsigned n, uint16_t flags, uint16_t type, uint32_t len)
{
    NbdReply r = { .structured = true, .cookie = n << 8, .flags = flags, .type = type, .len = len };
    uint8_t head[NBD_CHUNK_BYTES];

    add(b, head, nbd_put_reply(head, &r));
}

static void add_data(Bytes *b, uint16_t flags, uint64_t off, uint8_t c, uint32_t len)
{
    add_chunk(b, 1, flags, NBD_CHUNK_DATA, len + 8);
    add_number(b, off, 8);
    add_fill(b, c, len);
}

static void add_hole(Bytes *b, uint16_t flags, uint64_t off, uint32_t len)
{
    add_chunk(b, 1, flags, NBD_CHUNK_HOLE, 12);
    add_number(b, off, 8);
    add_number(b, len, 4);
}

static void add_simple(Bytes *b, uint32_t error)
{
    NbdReply r = { .cookie = 1 << 8, .error = error };
    uint8_t head[NBD_CHUNK_BYTES];

    add(b, head, nbd_put_reply(head, &r));
}

static void two_pieces(Bytes *b)
{
    add_data(b, 0, AT, 1, 400);
    add_data(b, 1, AT + 400, 2, 600);
}
static void out_of_order(Bytes *b)
{
    add_data(b, 0, AT + 900, 3, 100);
    add_hole(b, 0, AT + 400, 500);
    add_data(b, 1, AT, 1, 400);
}
static void done_alone(Bytes *b)
{
    add_data(b, 0, AT, 1, LEN);
    add_chunk(b, 1, 1, NBD_CHUNK_NONE, 0);
}
static void with_a_gap(Bytes *b)
{
    add_data(b, 0, AT, 1, 400);
    add_data(b, 1, AT + 401, 2, 599);
}
static void too_little(Bytes *b)
{
    add_data(b, 1, AT, 1, 999);
}
static void twice(Bytes *b)
{
    add_data(b, 0, AT, 1, 400);
    add_data(b, 1, AT + 399, 2, 601);
}
static void beyond(Bytes *b)
{
    add_data(b, 1, AT, 1, LEN + 1);
}
static void before(Bytes *b)
{
    add_data(b, 1, AT - 1, 1, LEN);
}
static void wide_hole(Bytes *b)
{
    add_hole(b, 1, AT, UINT32_MAX);
}
static void hole_of_nothing(Bytes *b)
{
    add_hole(b, 1, AT, 0);
}
static void error_after_data(Bytes *b)
{
    add_data(b, 0, AT, 1, 400);
    add_chunk(b, 1, 1, NBD_CHUNK_ERROR_OFFSET, 17);
    add_number(b, 28, 4);
    add_number(b, 3, 2);
    add(b, "bad", 3);
    add_number(b, AT + 400, 8);
}
static void endless_error(Bytes *b)
{
    add_chunk(b, 1, 1, NBD_CHUNK_ERROR, UINT32_MAX);
}
static void huge_data(Bytes *b)
{
    add_chunk(b, 1, 1, NBD_CHUNK_DATA, UINT32_MAX);
    add_number(b, AT, 8);
}
static void simple_answer(Bytes *b)
{
    add_simple(b, 0);
    add_fill(b, 1, LEN);
}
static void simple_error(Bytes *b)
{
    add_simple(b, 28);
}
static void stranger(Bytes *b)
{
    add_chunk(b, 2, 1, NBD_CHUNK_NONE, 0);
}
static void status_for_read(Bytes *b)
{
    add_chunk(b, 1, 1, NBD_CHUNK_STATUS, 12);
    add_fill(b, 0, 12);
}
static void rubbish(Bytes *b)
{
    add_fill(b, 0x55, 100);
}
static void cut(Bytes *b)
{
    add_data(b, 1, AT, 1, LEN);
    b->len -= 10;
}
static void nothing(Bytes *b)
{
    (void)b;
}

static const struct {
    const char *what;
    void (*answer)(Bytes *b);
    int ret;
    uint8_t first, last; /* of what was read */
} answers[] = {
    { "two pieces", two_pieces, 0, 1, 2 },
    { "pieces out of order", out_of_order, 0, 1, 3 },
    { "the end in a chunk of its own", done_alone, 0, 1, 1 },
    { "an error after some data", error_after_data, -ENOSPC, 0, 0 },
    { "a simple error", simple_error, -ENOSPC, 0, 0 },
    { "a gap", with_a_gap, -ENOTCONN, 0, 0 },
    { "too little", too_little, -ENOTCONN, 0, 0 },
    { "a byte twice", twice, -ENOTCONN, 0, 0 },
    { "data beyond the end", beyond, -ENOTCONN, 0, 0 },
    { "data before the beginning", before, -ENOTCONN, 0, 0 },
    { "a hole that is too wide", wide_hole, -ENOTCONN, 0, 0 },
    { "a hole of no bytes", hole_of_nothing, -ENOTCONN, 0, 0 },
    { "an error of 4 GiB", endless_error, -ENOTCONN, 0, 0 },
    { "data of 4 GiB", huge_data, -ENOTCONN, 0, 0 },
    { "a simple answer to a structured READ", simple_answer, -ENOTCONN, 0, 0 },
    { "an answer to nobody", stranger, -ENOTCONN, 0, 0 },
    { "a status", status_for_read, -ENOTCONN, 0, 0 },
    { "rubbish", rubbish, -ENOTCONN, 0, 0 },
    { "an answer that is cut", cut, -ENOTCONN, 0, 0 },
    { "nothing", nothing, -ENOTCONN, 0, 0 },
};

static void servers_are_not_believed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        NbdExport e = { .size = DISK, .structured = true, .min_block = 1, .max_block = DISK };
        uint8_t buf[LEN + 1] = { 0 };
        struct iovec iov[] = { { buf, 10 }, { buf + 10, LEN - 10 } };
        NbdCall call = { .request = { .type = NBD_CMD_READ, .off = AT, .len = LEN },
                         .iov = iov,
                         .iovcnt = 2 };
        Bytes b = { .len = 0 };
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        answers[i].answer(&b);
        assert_int_equal(write(fds[0], b.data, b.len), b.len);
        shutdown(fds[0], SHUT_WR);
        NbdConn *c = nbd_conn_new(nbd_channel_new(fds[1]), &e);
        int ret = nbd_conn_call(c, &call);
        if (ret != answers[i].ret)
            fail_msg("%s: %d, not %d", answers[i].what, ret, answers[i].ret);
        if (ret == 0 && (buf[0] != answers[i].first || buf[LEN - 1] != answers[i].last))
            fail_msg("%s: the wrong bytes", answers[i].what);
        if (buf[LEN])
            fail_msg("%s: wrote beyond the buffer", answers[i].what);
        assert_int_equal(nbd_conn_alive(c), ret != -ENOTCONN);
        nbd_conn_unref(c);
        close(fds[0]);
    }
}

static void add_answer(Bytes *b, uint32_t option, uint32_t type, const void *data, uint32_t len)
{
    NbdOptionReply r = { .option = option, .type = type, .len = len };
    uint8_t head[NBD_OPTION_REPLY_BYTES];

    nbd_put_option_reply(head, &r);
    add(b, head, sizeof(head));
    add(b, data, len);
}

static void lists_are_not_believed(void **state)
{
    static const struct {
        const char *row;
        uint32_t len;
        bool good;
    } rows[] = {
        { "\0\0\0\4disk", 8, true },
        { "\0\0\0\4disktext", 12, true },
        { "\0\0\0\0", 4, true },
        { "\0\0\0\5disk", 8, false },
        { "\0\0\0", 3, false },
        { "", 0, false },
        { "\377\377\377\377disk", 8, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        NbdWant want = { .export = "", .simple = true };
        Bytes b = { .len = 0 };
        NbdExport *list;
        size_t count;
        int fds[2];

        add_number(&b, NBD_MAGIC, 8);
        add_number(&b, NBD_OPTION_MAGIC, 8);
        add_number(&b, NBD_FIXED_NEWSTYLE, 2);
        add_answer(&b, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ERR_UNSUP, NULL, 0);
        add_answer(&b, NBD_OPT_LIST, NBD_REP_SERVER, rows[i].row, rows[i].len);
        add_answer(&b, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0);
        add_answer(&b, NBD_OPT_INFO, NBD_REP_ERR_UNSUP, NULL, 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        assert_int_equal(write(fds[0], b.data, b.len), b.len);
        shutdown(fds[0], SHUT_WR);
        NbdChannel *ch = nbd_channel_new(fds[1]);
        int ret = nbd_list(ch, &want, &list, &count, NULL);
        if ((ret == 0) != rows[i].good)
            fail_msg("row %zu: %d", i, ret);
        nbd_exports_free(list, count);
        nbd_channel_free(ch);
        close(fds[0]);
    }
}

/* ---- what clients ask ---- */

static Node *memory_node(void)
{
    Options *o = options_new();
    Node *node;

    options_set_u64(o, "size", DISK);
    assert_int_equal(node_open(NULL, "memory", o, OPEN_RDWR, &node, NULL), 0);
    return node;
}

static void add_option(Bytes *b, uint32_t option, const void *data, uint32_t len)
{
    uint8_t head[NBD_OPTION_BYTES];

    nbd_put_option(head, option, len);
    add(b, head, sizeof(head));
    add(b, data, len);
}

static void add_request(Bytes *b, uint16_t type, uint16_t flags, uint64_t off, uint32_t len)
{
    NbdRequest r = { .type = type, .flags = flags, .cookie = 5, .off = off, .len = len };
    uint8_t head[NBD_REQUEST_BYTES];

    nbd_put_request(head, &r);
    add(b, head, sizeof(head));
}

/* Everything that the server says to these bytes. */
static size_t converse(const NbdServerOptions *o, const Bytes *b, uint8_t *out, size_t room)
{
    NbdServer *server = nbd_server_new(o);
    size_t len = 0;
    ssize_t n;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(write(fds[0], b->data, b->len), b->len);
    shutdown(fds[0], SHUT_WR);
    nbd_server_serve(server, fds[1]);
    while (len < room && (n = read(fds[0], out + len, room - len)) > 0)
        len += (size_t)n;
    close(fds[0]);
    nbd_server_free(server);
    return len;
}

/* The type of the answer to one option as the first one. */
static uint32_t answer_type(const NbdServerOptions *o, uint32_t option, const void *data,
                            uint32_t len)
{
    uint8_t out[4096];
    Bytes b = { .len = 0 };
    NbdOptionReply r;

    add_number(&b, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES, 4);
    add_option(&b, option, data, len);
    size_t n = converse(o, &b, out, sizeof(out));
    if (n < 18 + NBD_OPTION_REPLY_BYTES)
        return 0;
    assert_true(nbd_get_option_reply(out + 18, &r));
    assert_int_equal(r.option, option);
    return r.type;
}

static void options_are_judged(void **state)
{
    NbdServedExport e = { .name = "disk", .node = memory_node(), .size = DISK, .writable = true };
    NbdServerOptions o = { .exports = &e, .n_exports = 1 };
    static const struct {
        uint32_t option;
        const char *data;
        uint32_t len, type;
    } rows[] = {
        { NBD_OPT_LIST, "", 0, NBD_REP_SERVER },
        { NBD_OPT_LIST, "x", 1, NBD_REP_ERR_INVALID },
        { NBD_OPT_GO, "\0\0\0\4disk\0\0", 10, NBD_REP_INFO },
        { NBD_OPT_INFO, "\0\0\0\4disk\0\1\0\3", 12, NBD_REP_INFO },
        { NBD_OPT_GO, "\0\0\0\4disk\0\1", 10, NBD_REP_ERR_INVALID },
        { NBD_OPT_GO, "\0\0\0\4disk\0\0\0", 11, NBD_REP_ERR_INVALID },
        { NBD_OPT_GO, "\377\377\377\377disk\0\0", 10, NBD_REP_ERR_INVALID },
        { NBD_OPT_GO, "\0\0\0\3dis\0\0", 9, NBD_REP_ERR_UNKNOWN },
        { NBD_OPT_GO, "\0\0\0\5disk\0\0\0", 11, NBD_REP_ERR_INVALID },
        { NBD_OPT_GO, "", 0, NBD_REP_ERR_INVALID },
        { NBD_OPT_STARTTLS, "", 0, NBD_REP_ERR_POLICY },
        { NBD_OPT_STRUCTURED_REPLY, "", 0, NBD_REP_ACK },
        { NBD_OPT_STRUCTURED_REPLY, "x", 1, NBD_REP_ERR_INVALID },
        { NBD_OPT_LIST_META_CONTEXT, "\0\0\0\4disk\0\0\0\0", 12, NBD_REP_ERR_INVALID },
        { NBD_OPT_ABORT, "", 0, NBD_REP_ACK },
        { 4711, "what", 4, NBD_REP_ERR_UNSUP },
        { NBD_OPT_EXPORT_NAME, "nope", 4, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint32_t type = answer_type(&o, rows[i].option, rows[i].data, rows[i].len);

        if (type != rows[i].type)
            fail_msg("option %u, row %zu: %#x, not %#x", rows[i].option, i, type, rows[i].type);
    }
    node_unref(e.node);
}

/* The simple answer to one request after EXPORT_NAME; -1: the connection ends. */
static int64_t answer_error(const NbdServerOptions *o, uint16_t type, uint16_t flags, uint64_t off,
                            uint32_t len)
{
    uint8_t out[8192];
    Bytes b = { .len = 0 };
    NbdReply r;

    add_number(&b, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES, 4);
    add_option(&b, NBD_OPT_EXPORT_NAME, o->exports->name, (uint32_t)strlen(o->exports->name));
    add_request(&b, type, flags, off, len);
    if (type == NBD_CMD_WRITE)
        add_fill(&b, 7, len <= 4096 ? len : 16);
    size_t n = converse(o, &b, out, sizeof(out));
    if (n < 28 + NBD_SIMPLE_BYTES)
        return -1;
    assert_int_equal(nbd_reply_bytes(out + 28), NBD_SIMPLE_BYTES);
    nbd_get_reply(out + 28, &r);
    assert_int_equal(r.cookie, 5);
    return r.error;
}

static void requests_are_judged(void **state)
{
    NbdServedExport e = { .name = "disk", .node = memory_node(), .size = DISK };
    NbdServerOptions o = { .exports = &e, .n_exports = 1 };
    static const struct {
        bool writable;
        uint16_t type, flags;
        uint64_t off;
        uint32_t len;
        int64_t error;
    } rows[] = {
        { true, NBD_CMD_READ, 0, 0, 512, 0 },
        { true, NBD_CMD_READ, 0, DISK - 1, 1, 0 },
        { true, NBD_CMD_READ, 0, DISK - 1, 2, 22 },
        { true, NBD_CMD_READ, 0, UINT64_MAX, 2, 22 },
        { true, NBD_CMD_READ, 0, 0, UINT32_MAX, 22 },
        { true, NBD_CMD_READ, NBD_CMD_FLAG_DF, 0, 512, 22 },
        { true, NBD_CMD_READ, 1 << 9, 0, 512, 22 },
        { true, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA, 3, 77, 0 },
        { true, NBD_CMD_WRITE, 0, DISK, 1, 28 },
        { true, NBD_CMD_WRITE, 0, 0, UINT32_MAX, -1 },
        { true, NBD_CMD_WRITE_ZEROES, 0, 0, DISK, 0 },
        { true, NBD_CMD_WRITE_ZEROES, 0, 1, DISK, 28 },
        { true, NBD_CMD_TRIM, 0, 0, 512, 0 },
        { true, NBD_CMD_CACHE, 0, 0, DISK, 0 },
        { true, NBD_CMD_FLUSH, 0, 0, 0, 0 },
        { true, NBD_CMD_BLOCK_STATUS, 0, 0, 512, 22 },
        { true, 4711, 0, 0, 512, 22 },
        { true, NBD_CMD_DISC, 0, 0, 0, -1 },
        { false, NBD_CMD_WRITE, 0, 0, 512, 1 },
        { false, NBD_CMD_WRITE_ZEROES, 0, 0, 512, 1 },
        { false, NBD_CMD_TRIM, 0, 0, 512, 1 },
        { false, NBD_CMD_READ, 0, 0, 512, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        e.writable = rows[i].writable;
        int64_t error = answer_error(&o, rows[i].type, rows[i].flags, rows[i].off, rows[i].len);

        if (error != rows[i].error)
            fail_msg("row %zu, %s: %d, not %d", i, nbd_command_name(rows[i].type), (int)error,
                     (int)rows[i].error);
    }
    node_unref(e.node);
}

/* ---- writes that are kept ---- */

static void kept_writes_are_forgotten_by_flushes(void **state)
{
    struct iovec iov = { "hello", 5 };
    NbdKept k;

    (void)state;
    nbd_kept_init(&k);
    NbdKeptWrite *a = nbd_kept_add(&k, NBD_CMD_WRITE, 0, 0, 5, &iov, 1);
    NbdKeptWrite *b = nbd_kept_add(&k, NBD_CMD_WRITE_ZEROES, 0, 9, 5, NULL, 0);
    NbdKeptWrite *c = nbd_kept_add(&k, NBD_CMD_WRITE, 0, 3, 5, &iov, 1);
    assert_true(k.first == a && a->next == b && b->next == c && k.last == c);
    nbd_kept_end(&k, a, true);
    nbd_kept_end(&k, b, false); /* it failed */
    nbd_kept_mark(&k);
    nbd_kept_end(&k, c, true); /* after the flush began */
    nbd_kept_forget_marked(&k);
    assert_true(k.first == c && k.last == c && !c->prev && !c->next);
    assert_memory_equal(c->data, "hello", 5);
    nbd_kept_mark(&k);
    nbd_kept_forget_marked(&k);
    assert_true(!k.first && !k.last && k.bytes == 0);
    nbd_kept_destroy(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_survive_the_wire),
        cmocka_unit_test(errors_have_numbers),
        cmocka_unit_test(names_are_understood),
        cmocka_unit_test(servers_are_not_believed),
        cmocka_unit_test(lists_are_not_believed),
        cmocka_unit_test(options_are_judged),
        cmocka_unit_test(requests_are_judged),
        cmocka_unit_test(kept_writes_are_forgotten_by_flushes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
