/*
 * client.c - the `nbd` protocol: an export of an NBD server as a file.
 *
 * Options: server.type=inet|unix, server.host, server.port, server.path, export, tls-creds,
 * tls-hostname, reconnect-delay and open-timeout (seconds), x-dirty-bitmap=CONTEXT; ours are
 * multi-conn (how many connections at most) and timeout (seconds without any answer).
 *
 * A server may ask for whole blocks; what is not aligned to them goes through a buffer, and a write
 * of a part of a block holds it exclusively meanwhile.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/endian.h"
#include "base/iov.h"
#include "base/math.h"
#include "block/driver.h"
#include "block/nbd/link.h"

enum { DEFAULT_CONNS = 4, DEFAULT_TIMEOUT_S = 300, MAX_TIME_S = 1 << 20 };
enum { ZERO_STEP = 1 << 30, STATUS_AHEAD = 256 << 20, STATUS_FRESH_MS = 1000, BOUNCE = 1 << 20 };

typedef struct {
    NbdLinkOptions o;
    NbdLink *link;
    NbdTls *own_tls; /* that no object describes */
    uint32_t block, most;
    uint16_t can; /* NBD_FLAG_* */
    bool has_status, foreign_context;

    _Atomic uint64_t changes;    /* counts beginnings and ends of changes */
    pthread_mutex_t status_lock; /* guards the last answer to BLOCK_STATUS */
    uint8_t *status;
    uint32_t status_count, status_at; /* pairs; the one at status_pos */
    uint64_t status_pos, status_time, status_changes;
} Nbd;

/* ---- requests ------------------------------------------------------------------------------ */

static int simple_call(Nbd *n, uint16_t type, uint16_t flags, uint64_t off, uint64_t len)
{
    NbdCall call = { .request = {
                         .type = type, .flags = flags, .off = off, .len = (uint32_t)len } };

    return nbd_link_call(n->link, &call);
}

/* An aligned transfer, in as many requests as the server's limit asks for. */
static int transfer(Nbd *n, uint16_t type, const struct iovec *iov, int iovcnt, uint64_t off,
                    size_t len)
{
    AUTO_FREE struct iovec *part = NULL;
    int ret = 0;

    if (len > n->most && !(part = malloc((size_t)iovcnt * sizeof(*part))))
        return -ENOMEM;
    for (size_t done = 0; done < len && ret == 0;) {
        size_t step = MIN(len - done, (size_t)n->most);
        NbdCall call = { .request = { .type = type, .off = off + done, .len = (uint32_t)step },
                         .iov = part ? part : iov,
                         .iovcnt = part ? iov_slice(part, iov, iovcnt, done, step) : iovcnt };

        ret = nbd_link_call(n->link, &call);
        done += step;
    }
    return ret;
}

static int transfer_plain(Nbd *n, uint16_t type, void *buf, uint64_t off, size_t len)
{
    struct iovec iov = { buf, len };

    return transfer(n, type, &iov, 1, off, len);
}

/* One buffer's worth of whole blocks around [off, off+len), which is `skip` bytes into iov. */
static int bounce(Node *node, bool write, const struct iovec *iov, int iovcnt, size_t skip,
                  uint64_t off, size_t len)
{
    Nbd *n = node->state;
    uint64_t start = align_down(off, n->block);
    uint64_t end = MIN(align_up(off + len, n->block), node_size(node));
    AUTO_FREE uint8_t *buf = malloc(end - start);
    int ret = buf ? 0 : -ENOMEM;

    if (ret == 0 && (!write || end - start != len))
        ret = transfer_plain(n, NBD_CMD_READ, buf, start, end - start);
    if (ret < 0)
        return ret;
    if (!write) {
        iov_write(iov, iovcnt, skip, buf + (off - start), len);
        return 0;
    }
    iov_read(iov, iovcnt, skip, buf + (off - start), len);
    return transfer_plain(n, NBD_CMD_WRITE, buf, start, end - start);
}

static int bounce_all(Node *node, bool write, const struct iovec *iov, int iovcnt, uint64_t off,
                      size_t len)
{
    Nbd *n = node->state;
    RangeLock lock;
    int ret = 0;

    range_acquire(&node->ranges, &lock, align_down(off, n->block), align_up(off + len, n->block),
                  write);
    for (size_t done = 0; done < len && ret == 0;) {
        size_t part = MIN(len - done, BOUNCE - (size_t)((off + done) % n->block));

        ret = bounce(node, write, iov, iovcnt, done, off + done, part);
        done += part;
    }
    range_release(&node->ranges, &lock);
    return ret;
}

/* Whole blocks? The last one may be short. */
static bool whole_blocks(const Node *node, uint64_t off, uint64_t len)
{
    const Nbd *n = node->state;

    return off % n->block == 0 && ((off + len) % n->block == 0 || off + len == node->size);
}

static int nbd_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    Nbd *n = node->state;
    uint64_t size = node->size, inside = off < size ? MIN(len, size - off) : 0;
    AUTO_FREE struct iovec *part = NULL;

    if (inside < len) {
        iov_zero(iov, iovcnt, inside, len - inside);
        if (inside == 0)
            return 0;
        part = malloc((size_t)iovcnt * sizeof(*part));
        if (!part)
            return -ENOMEM;
        iovcnt = iov_slice(part, iov, iovcnt, 0, inside);
        iov = part;
    }
    if (!whole_blocks(node, off, inside))
        return bounce_all(node, false, iov, iovcnt, off, inside);
    return transfer(n, NBD_CMD_READ, iov, iovcnt, off, inside);
}

/* ---- changes ------------------------------------------------------------------------------- */

/* Where blocks matter, changes of whole ones keep out of the way of those that pad. */
static void change_begin(Node *node, RangeLock *lock, uint64_t off, uint64_t len)
{
    Nbd *n = node->state;

    n->changes++;
    if (n->block > 1)
        range_acquire(&node->ranges, lock, off, off + len, false);
}

static void change_end(Node *node, RangeLock *lock)
{
    Nbd *n = node->state;

    if (n->block > 1)
        range_release(&node->ranges, lock);
    n->changes++;
}

static int nbd_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    Nbd *n = node->state;
    RangeLock lock;
    int ret;

    if (off + len > node->size)
        return -ENOSPC;
    if (!whole_blocks(node, off, len)) {
        n->changes++;
        ret = bounce_all(node, true, iov, iovcnt, off, len);
        n->changes++;
        return ret;
    }
    change_begin(node, &lock, off, len);
    ret = transfer(n, NBD_CMD_WRITE, iov, iovcnt, off, len);
    change_end(node, &lock);
    return ret;
}

/* A range of any length, in requests of a length that fits. */
static int simple_steps(Nbd *n, uint16_t type, uint16_t flags, uint64_t off, uint64_t len)
{
    int ret = 0;

    while (len && ret == 0) {
        uint64_t step = MIN(len, (uint64_t)ZERO_STEP);

        ret = simple_call(n, type, flags, off, step);
        off += step;
        len -= step;
    }
    return ret;
}

/* A part of a block, at the beginning or end of a range of zeros. */
static int zero_part(Node *node, uint64_t off, uint64_t len)
{
    AUTO_FREE void *zeros = calloc(1, len ? len : 1);
    struct iovec iov = { zeros, len };

    if (len == 0)
        return 0;
    return zeros ? nbd_pwritev(node, &iov, 1, off, len) : -ENOMEM;
}

static int nbd_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    Nbd *n = node->state;
    uint16_t cmd = flags & REQ_MAY_UNMAP ? 0 : NBD_CMD_FLAG_NO_HOLE;
    RangeLock lock;

    if (off + len > node->size)
        return -ENOSPC;
    if (!(n->can & NBD_FLAG_SEND_WRITE_ZEROES))
        return -ENOTSUP;
    if (flags & REQ_NO_FALLBACK) {
        if (!(n->can & NBD_FLAG_SEND_FAST_ZERO))
            return -ENOTSUP;
        cmd |= NBD_CMD_FLAG_FAST_ZERO;
    }
    uint64_t start = MIN(align_up(off, n->block), off + len);
    uint64_t end = off + len == node->size ? off + len : align_down(off + len, n->block);
    if (start >= end)
        return zero_part(node, off, len);
    change_begin(node, &lock, start, end - start);
    int ret = simple_steps(n, NBD_CMD_WRITE_ZEROES, cmd, start, end - start);
    change_end(node, &lock);
    if (ret == 0)
        ret = zero_part(node, off, start - off);
    return ret == 0 ? zero_part(node, end, off + len - end) : ret;
}

static int nbd_discard(Node *node, uint64_t off, uint64_t len)
{
    Nbd *n = node->state;
    uint64_t size = node->size, end = off < size ? off + MIN(len, size - off) : off;
    RangeLock lock;

    if (!(n->can & NBD_FLAG_SEND_TRIM))
        return -ENOTSUP;
    off = align_up(off, n->block);
    end = end == size ? end : align_down(end, n->block);
    if (off >= end)
        return 0;
    change_begin(node, &lock, off, end - off);
    int ret = simple_steps(n, NBD_CMD_TRIM, 0, off, end - off);
    change_end(node, &lock);
    return ret;
}

static int nbd_flush(Node *node)
{
    Nbd *n = node->state;

    return node->flags & OPEN_NO_FLUSH ? 0 : nbd_link_flush(n->link);
}

static uint64_t nbd_disk_size(Node *node)
{
    (void)node;
    return UINT64_MAX; /* the server does not tell */
}

/* ---- extents ------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* With status_lock: does the last answer say what is at `off`? Moves on to the pair that does. */
static bool status_knows(Nbd *n, uint64_t off)
{
    if (!n->status || off < n->status_pos || n->status_changes != n->changes ||
        now_ms() - n->status_time > STATUS_FRESH_MS)
        return false;
    while (n->status_at < n->status_count) {
        uint32_t len = get_be32(n->status + (size_t)8 * n->status_at);

        if (off - n->status_pos < len)
            return true;
        n->status_pos += len;
        n->status_at++;
    }
    return false;
}

/* With status_lock. A server that answers nothing for no length is not trusted with the rest. */
static int status_ask(Node *node, uint64_t off, uint64_t len)
{
    Nbd *n = node->state;
    uint64_t ask = MIN(MAX(len, (uint64_t)STATUS_AHEAD), node->size - off);
    NbdCall call = { .request = { .type = NBD_CMD_BLOCK_STATUS, .off = off } };

    call.request.len = (uint32_t)MIN(ask, align_down(UINT32_MAX, MAX(n->block, 4096U)));
    n->status_changes = n->changes;
    int ret = nbd_link_call(n->link, &call);
    if (ret < 0)
        return ret;
    free(n->status);
    n->status = call.status;
    n->status_count = call.status_len / 8;
    n->status_at = 0;
    n->status_pos = off;
    n->status_time = now_ms();
    for (uint32_t i = 0; i < n->status_count; i++)
        if (get_be32(n->status + (size_t)8 * i) == 0)
            return -EIO;
    return 0;
}

static void status_extent(const Nbd *n, uint64_t off, uint64_t len, Extent *ext)
{
    const uint8_t *pair = n->status + (size_t)8 * n->status_at;
    uint32_t flags = get_be32(pair + 4);

    if (n->foreign_context && flags > 2) /* a depth of the backing chain */
        flags = 2;
    ext->len = MIN(len, get_be32(pair) - (off - n->status_pos));
    ext->zero = flags & NBD_STATE_ZERO;
    ext->unused = flags & NBD_STATE_HOLE;
    ext->kind = ext->zero && ext->unused ? EXTENT_ZERO : EXTENT_DATA;
}

static int nbd_extent(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    Nbd *n = node->state;
    uint64_t size = node->size, start = align_down(off, n->block);
    int ret = 0;

    ext->has_pos = true;
    ext->pos = off;
    ext->len = off < size ? MIN(len, size - off) : len;
    ext->zero = off >= size;
    ext->kind = off < size ? EXTENT_DATA : EXTENT_ZERO;
    if (off >= size || !n->has_status)
        return 0;
    pthread_mutex_lock(&n->status_lock);
    if (!status_knows(n, off)) {
        ret = status_ask(node, start, off + ext->len - start);
        if (ret == 0 && off - start >= get_be32(n->status))
            ret = -EIO; /* less than a block */
    }
    if (ret == 0)
        status_extent(n, off, ext->len, ext);
    pthread_mutex_unlock(&n->status_lock);
    return ret;
}

/* ---- opening ------------------------------------------------------------------------------- */

static int take_seconds(Options *o, const char *key, uint64_t *ms, Error **err)
{
    uint64_t s = *ms / 1000;
    int ret = options_take_u64(o, key, &s, err);

    if (ret == 0 && s > MAX_TIME_S)
        return error_set(err, -EINVAL, "option '%s' is at most %d seconds", key, MAX_TIME_S);
    *ms = s * 1000;
    return ret;
}

/* nbds:// names bring their own credentials: a folder, keys, or the system's authorities. */
static int take_uri_tls(Nbd *n, Options *o, Error **err)
{
    AUTO_FREE char *dir = options_take(o, "tls-certificates");
    AUTO_FREE char *keys = options_take(o, "tls-psk-file");
    AUTO_FREE char *user = options_take(o, "tls-username");
    bool tls = false;
    int ret = options_take_bool(o, "tls", &tls, err);

    if (ret < 0)
        return ret;
    if (!tls && (dir || keys || user))
        return error_set(err, -EINVAL, "certificates and keys in a name need nbds://");
    if (!tls || n->o.tls)
        return 0;
    Options *creds = options_new();
    if (dir || keys)
        options_set(creds, keys ? "file" : "dir", keys ? keys : dir);
    if (keys && user)
        options_set(creds, "username", user);
    n->own_tls = nbd_tls_new(keys ? &tls_psk_type : dir ? &tls_x509_type : NULL, creds, err);
    n->o.tls = n->own_tls;
    return n->own_tls ? 0 : err && *err ? (*err)->code : -EINVAL;
}

static int take_tls(Nbd *n, Options *o, Error **err)
{
    AUTO_FREE char *id = options_take(o, "tls-creds");

    n->o.hostname = options_take(o, "tls-hostname");
    if (id && !(n->o.tls = nbd_tls_find(id, false, err)))
        return -EINVAL;
    int ret = take_uri_tls(n, o, err);
    if (ret == 0 && n->o.hostname && !n->o.tls)
        return error_set(err, -EINVAL, "option 'tls-hostname' needs 'tls-creds'");
    if (ret == 0 && n->o.tls && !n->o.hostname && n->o.address.host)
        n->o.hostname = strdup(n->o.address.host);
    return ret;
}

static int take_options(Nbd *n, Options *o, Error **err)
{
    uint64_t conns = DEFAULT_CONNS, timeout = DEFAULT_TIMEOUT_S * 1000;
    char *context = options_take(o, "x-dirty-bitmap");
    int ret = nbd_address_take(&n->o.address, o, err);

    n->foreign_context = context;
    n->o.context = context ? context : strdup("base:allocation");
    n->o.export = options_take(o, "export");
    if (!n->o.export)
        n->o.export = strdup("");
    if (ret == 0)
        ret = take_tls(n, o, err);
    if (ret == 0)
        ret = take_seconds(o, "reconnect-delay", &n->o.reconnect_ms, err);
    if (ret == 0)
        ret = take_seconds(o, "open-timeout", &n->o.open_ms, err);
    if (ret == 0)
        ret = take_seconds(o, "timeout", &timeout, err);
    if (ret == 0)
        ret = options_take_u64(o, "multi-conn", &conns, err);
    if (ret == 0 && (conns < 1 || conns > NBD_MAX_CONNS))
        ret = error_set(err, -EINVAL, "option 'multi-conn' is 1..%d", NBD_MAX_CONNS);
    n->o.max_conns = (unsigned)conns;
    n->o.timeout_ms = (unsigned)timeout;
    return ret;
}

static int judge_export(Node *node, Error **err)
{
    Nbd *n = node->state;
    const NbdExport *e = nbd_link_export(n->link);

    if (node->writable && e->flags & NBD_FLAG_READ_ONLY)
        return error_set(err, -EACCES, "the server exports it read-only");
    if (n->foreign_context && !e->has_context)
        return error_set(err, -ENOENT, "the server has no context '%s' (x-dirty-bitmap)",
                         n->o.context);
    n->block = e->min_block;
    n->most = (uint32_t)align_down(MIN(e->max_block, (uint32_t)NBD_MAX_PAYLOAD), n->block);
    n->can = e->flags;
    n->has_status = e->has_context;
    node->size = e->size;
    node->align = n->block;
    return 0;
}

static int nbd_open(Node *node, Options *options, Error **err)
{
    Nbd *n = node->state;
    int ret = take_options(n, options, err);

    pthread_mutex_init(&n->status_lock, NULL);
    n->o.writable = node->writable;
    if (ret < 0)
        return ret;
    free(node->filename);
    node->filename = nbd_uri(&n->o.address, n->o.export, n->o.tls);
    if (!node->filename)
        return -ENOMEM;
    ret = nbd_link_open(&n->o, &n->link, err);
    return ret < 0 ? ret : judge_export(node, err);
}

static void nbd_close(Node *node)
{
    Nbd *n = node->state;

    nbd_link_close(n->link);
    nbd_tls_free(n->own_tls);
    nbd_address_free(&n->o.address);
    free(n->o.export);
    free(n->o.context);
    free(n->o.hostname);
    free(n->status);
}

static int nbd_resize(Node *node, uint64_t size, Prealloc prealloc, Error **err)
{
    (void)prealloc;
    if (size <= node->size)
        return 0;
    return error_set(err, -ENOTSUP, "an NBD export cannot grow");
}

static const char *const nbd_schemes[] = { "nbd+tcp",  "nbd+unix",  "nbds",
                                           "nbds+tcp", "nbds+unix", NULL };

const BlockDriver nbd_driver = {
    .name = "nbd",
    .state_size = sizeof(Nbd),
    .is_protocol = true,
    .is_remote = true,
    .schemes = nbd_schemes,
    .parse_name = nbd_name_parse,
    .open = nbd_open,
    .close = nbd_close,
    .extent = nbd_extent,
    .preadv = nbd_preadv,
    .pwritev = nbd_pwritev,
    .pwrite_zeroes = nbd_pwrite_zeroes,
    .discard = nbd_discard,
    .flush = nbd_flush,
    .disk_size = nbd_disk_size,
    .resize = nbd_resize,
};
