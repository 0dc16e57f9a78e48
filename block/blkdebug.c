/*
 * blkdebug.c - a filter that injects errors, stops requests, and has limits like an odd disk.
 *
 * Its rules (blkdebug.h) listen to what the driver above is doing. The limits: `align` (smaller
 * requests read, change and write whole blocks), `max-transfer`, `max-write-zero` and
 * `max-discard` (larger requests are split), `opt-write-zero` and `opt-discard` (smaller ones are
 * not done, or by writing zeros).
 *
 * "blkdebug:CONFIG:NAME" is the short form.
 */
#include "block/blkdebug.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"
#include "base/math.h"
#include "block/driver.h"

enum { MAX_ALIGN = 1 << 20 };

typedef struct Blkdebug {
    Rules rules;
    bool ready;
    uint64_t align, max_transfer, opt_write_zero, max_write_zero, opt_discard, max_discard;
} Blkdebug;

static int check(Node *node, DebugIo io, uint64_t off, uint64_t len)
{
    return rules_check(&((Blkdebug *)node->state)->rules, io, off, len);
}

/* ---- pieces that keep the limits ------------------------------------------------------------ */

/* A request of whole blocks on the child, in parts of max-transfer. */
static int transfer(Node *node, DebugIo io, void *buf, uint64_t off, uint64_t len)
{
    Blkdebug *d = node->state;
    uint8_t *p = buf;
    int ret = 0;

    while (len && ret == 0) {
        uint64_t part = MIN(len, d->max_transfer);

        ret = check(node, io, off, part);
        if (ret == 0)
            ret = io == DEBUG_IO_READ ? node_pread(node->file, p, part, off)
                                      : node_pwrite(node->file, p, part, off);
        p += part;
        off += part;
        len -= part;
    }
    return ret;
}

static bool is_plain(const Blkdebug *d, uint64_t off, uint64_t len)
{
    return (off | len) % d->align == 0 && len <= d->max_transfer;
}

/* The blocks around [off, off+len), for a request that is none itself. */
static uint8_t *blocks_around(Blkdebug *d, uint64_t off, uint64_t len, uint64_t *start,
                              uint64_t *end)
{
    *start = align_down(off, d->align);
    *end = align_up(off + len, d->align);
    return malloc(*end - *start);
}

static int blkdebug_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off,
                           size_t len)
{
    Blkdebug *d = node->state;
    uint64_t start, end;

    if (is_plain(d, off, len)) {
        int ret = check(node, DEBUG_IO_READ, off, len);
        return ret < 0 ? ret : node_preadv(node->file, iov, iovcnt, off);
    }
    AUTO_FREE uint8_t *buf = blocks_around(d, off, len, &start, &end);
    int ret = buf ? transfer(node, DEBUG_IO_READ, buf, start, end - start) : -ENOMEM;
    if (ret == 0)
        iov_write(iov, iovcnt, 0, buf + (off - start), len);
    return ret;
}

/* Read the first and last block of a write that does not fill them. */
static int read_edges(Node *node, uint8_t *buf, uint64_t start, uint64_t end, uint64_t off,
                      uint64_t len)
{
    Blkdebug *d = node->state;
    bool head = off > start, tail = off + len < end && (!head || end - start > d->align);
    int ret = 0;

    if (head) {
        rules_event(&d->rules, EVENT_PWRITEV_RMW_HEAD);
        ret = transfer(node, DEBUG_IO_READ, buf, start, d->align);
        rules_event(&d->rules, EVENT_PWRITEV_RMW_AFTER_HEAD);
    }
    if (ret == 0 && tail) {
        rules_event(&d->rules, EVENT_PWRITEV_RMW_TAIL);
        ret =
            transfer(node, DEBUG_IO_READ, buf + (end - start - d->align), end - d->align, d->align);
        rules_event(&d->rules, EVENT_PWRITEV_RMW_AFTER_TAIL);
    }
    return ret;
}

static int blkdebug_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off,
                            size_t len)
{
    Blkdebug *d = node->state;
    uint64_t start, end;
    RangeLock lock;
    int ret;

    if (d->align == 1 && len <= d->max_transfer) {
        ret = check(node, DEBUG_IO_WRITE, off, len);
        return ret < 0 ? ret : node_pwritev(node->file, iov, iovcnt, off, 0);
    }
    AUTO_FREE uint8_t *buf = blocks_around(d, off, len, &start, &end);
    if (!buf)
        return -ENOMEM;
    range_acquire(&node->ranges, &lock, start, end, start != off || end != off + len);
    ret = read_edges(node, buf, start, end, off, len);
    iov_read(iov, iovcnt, 0, buf + (off - start), len);
    if (ret == 0)
        ret = transfer(node, DEBUG_IO_WRITE, buf, start, end - start);
    range_release(&node->ranges, &lock);
    return ret;
}

/* ---- without data --------------------------------------------------------------------------- */

/* [start, end) of whole units inside [off, off+len); false: there are none. */
static bool whole_units(uint64_t unit, uint64_t off, uint64_t len, uint64_t *start, uint64_t *end)
{
    *start = div_round_up(off, unit) * unit;
    *end = (off + len) / unit * unit;
    return *start < *end;
}

static int zeroes_in_parts(Node *node, uint64_t off, uint64_t end, unsigned flags)
{
    Blkdebug *d = node->state;
    int ret = 0;

    while (off < end && ret == 0) {
        uint64_t part = MIN(end - off, d->max_write_zero);

        ret = check(node, DEBUG_IO_WRITE_ZEROES, off, part);
        if (ret == 0)
            ret = node_pwrite_zeroes(node->file, off, part, flags);
        off += part;
    }
    return ret;
}

static int write_zero_edge(Node *node, uint64_t off, uint64_t len)
{
    AUTO_FREE void *zeros = calloc(1, len ? len : 1);
    struct iovec iov = { zeros, len };

    if (len == 0)
        return 0;
    return zeros ? blkdebug_pwritev(node, &iov, 1, off, len) : -ENOMEM;
}

static int blkdebug_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    Blkdebug *d = node->state;
    uint64_t unit = MAX(d->align, d->opt_write_zero), start, end;

    if (!whole_units(unit, off, len, &start, &end))
        return -ENOTSUP; /* the core writes a buffer of zeros */
    if ((start > off || end < off + len) && flags & REQ_NO_FALLBACK)
        return -ENOTSUP;
    int ret = write_zero_edge(node, off, start - off);
    if (ret == 0)
        ret = zeroes_in_parts(node, start, end, flags);
    return ret == 0 ? write_zero_edge(node, end, off + len - end) : ret;
}

static int blkdebug_discard(Node *node, uint64_t off, uint64_t len)
{
    Blkdebug *d = node->state;
    uint64_t start, end;
    int ret = 0;

    if (!whole_units(MAX(d->align, d->opt_discard), off, len, &start, &end))
        return 0;
    while (start < end && ret == 0) {
        uint64_t part = MIN(end - start, d->max_discard);

        ret = check(node, DEBUG_IO_DISCARD, start, part);
        if (ret == 0)
            ret = node_discard(node->file, start, part);
        start += part;
    }
    return ret;
}

static int blkdebug_flush(Node *node)
{
    int ret = check(node, DEBUG_IO_FLUSH, 0, 0);

    if (ret < 0)
        return ret;
    return node->flags & OPEN_NO_FLUSH ? 0 : node_flush(node->file);
}

static int blkdebug_extent(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    int ret = check(node, DEBUG_IO_BLOCK_STATUS, off, len);

    return ret < 0 ? ret : node_extent(node->file, off, len, ext);
}

static void blkdebug_event(Node *node, BlockEvent event)
{
    Blkdebug *d = node->state;

    if (d->ready)
        rules_event(&d->rules, event);
}

/* ---- opening -------------------------------------------------------------------------------- */

typedef struct Limit {
    const char *name;
    uint64_t *value;
    bool largest; /* 0 means "no limit" */
} Limit;

static int take_limit(Blkdebug *d, const Limit *l, Options *o, Error **err)
{
    uint64_t v = 0;
    int ret = options_take_size(o, l->name, &v, err);

    *l->value = v ? v : l->largest ? UINT64_MAX : 1;
    if (ret == 0 && v && l->value != &d->align && (v > INT64_MAX || v % d->align))
        ret = error_set(err, -EINVAL, "%s is %" PRIu64 ", not a multiple of align (%" PRIu64 ")",
                        l->name, v, d->align);
    return ret;
}

static int take_limits(Blkdebug *d, Options *o, Error **err)
{
    const Limit limits[] = {
        { "align", &d->align, false },
        { "max-transfer", &d->max_transfer, true },
        { "opt-write-zero", &d->opt_write_zero, false },
        { "max-write-zero", &d->max_write_zero, true },
        { "opt-discard", &d->opt_discard, false },
        { "max-discard", &d->max_discard, true },
    };

    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        int ret = take_limit(d, &limits[i], o, err);

        if (ret < 0)
            return ret;
        if (!is_pow2(d->align) || d->align > MAX_ALIGN)
            return error_set(err, -EINVAL, "align is %" PRIu64 ", not a power of two up to %d",
                             d->align, MAX_ALIGN);
    }
    return 0;
}

/* Which permissions the child is asked for matters to graphs that change while they are in use. */
static void drop_permissions(Options *o)
{
    options_free(options_take_sub(o, "take-child-perms"));
    options_free(options_take_sub(o, "unshare-child-perms"));
}

static int blkdebug_open(Node *node, Options *options, Error **err)
{
    Blkdebug *d = node->state;
    AUTO_FREE char *config = options_take(options, "config");

    rules_init(&d->rules);
    d->ready = true;
    drop_permissions(options);
    int ret = take_limits(d, options, err);
    if (ret == 0 && config && *config)
        ret = rules_read_config(&d->rules, config, err);
    if (ret == 0)
        ret = rules_take_options(&d->rules, options, err);
    if (ret == 0)
        rules_event(&d->rules, EVENT_NONE); /* rules for no event hold from the start */
    return ret;
}

static void blkdebug_close(Node *node)
{
    Blkdebug *d = node->state;

    if (d->ready)
        rules_free(&d->rules);
}

/* "blkdebug:CONFIG:NAME"; CONFIG may be empty */
static int blkdebug_parse_name(const char *name, Options *o, Error **err)
{
    const char *config = name + strlen("blkdebug:"), *image = strchr(config, ':');

    if (!image)
        return error_set(err, -EINVAL, "the name is blkdebug:CONFIG:IMAGE");
    AUTO_FREE char *path = strndup(config, (size_t)(image - config));
    if (*path)
        options_set(o, "config", path);
    options_set(o, "image", image + 1);
    return 0;
}

static const char *const blkdebug_schemes[] = { "blkdebug", NULL };

const BlockDriver blkdebug_driver = {
    .name = "blkdebug",
    .state_size = sizeof(Blkdebug),
    .is_filter = true,
    .plain_child = true,
    .child_key = "image",
    .schemes = blkdebug_schemes,
    .parse_name = blkdebug_parse_name,
    .open = blkdebug_open,
    .close = blkdebug_close,
    .preadv = blkdebug_preadv,
    .pwritev = blkdebug_pwritev,
    .pwrite_zeroes = blkdebug_pwrite_zeroes,
    .discard = blkdebug_discard,
    .flush = blkdebug_flush,
    .extent = blkdebug_extent,
    .event = blkdebug_event,
};

/* ---- breakpoints ---------------------------------------------------------------------------- */

static Rules *rules_below(Node *node, Error **err)
{
    while (node && node->driver != &blkdebug_driver)
        node = node->file;
    if (!node)
        error_set(err, -ENOTSUP, "there is no blkdebug in this image's graph");
    return node ? &((Blkdebug *)node->state)->rules : NULL;
}

int node_debug_break(Node *node, const char *event, const char *tag, Error **err)
{
    Rules *r = rules_below(node, err);

    return r ? rules_break(r, event, tag, err) : -ENOTSUP;
}

int node_debug_remove_break(Node *node, const char *tag, Error **err)
{
    Rules *r = rules_below(node, err);

    return r ? rules_remove_break(r, tag, err) : -ENOTSUP;
}

int node_debug_resume(Node *node, const char *tag, Error **err)
{
    Rules *r = rules_below(node, err);

    return r ? rules_resume(r, tag, err) : -ENOTSUP;
}

bool node_debug_suspended(Node *node, const char *tag)
{
    Rules *r = rules_below(node, NULL);

    return r && rules_suspended(r, tag);
}
