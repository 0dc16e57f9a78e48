/*
 * stream.c - the drivers gzip, xz, zstd and bzip2; see stream.h.
 */
#include "formats/stream/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/iov.h"
#include "base/log.h"
#include "base/math.h"

typedef struct {
    Unpacker *parts; /* one of the two */
    Spool *spool;
} Stream;

static int probe(const Codec *codec, const uint8_t *buf, size_t len)
{
    return len >= codec->magic_len && memcmp(buf, codec->magic, codec->magic_len) == 0 ? 60 : 0;
}

int stream_damaged(const Codec *codec, const Node *file, uint64_t off, int ret)
{
    if (ret == -EINVAL)
        log_warning("%s: the %s data is damaged or cut off, at byte %" PRIu64
                    " or later of what it unpacks to",
                    node_filename(file), codec->name, off);
    else if (ret == -ENOMEM)
        log_warning("%s: unpacking the %s data needs more memory than %d MiB", node_filename(file),
                    codec->name, STREAM_DECODER_MEMORY >> 20);
    return ret == -EINVAL ? -EIO : ret;
}

int part_add(PartList *parts, uint64_t len, uint64_t pos, uint64_t packed, uint64_t aux)
{
    if (parts->count == parts->room) {
        size_t room = parts->room ? 2 * parts->room : 64;
        Part *list = room > STREAM_MAX_PARTS ? NULL : realloc(parts->list, room * sizeof(*list));

        if (!list)
            return room > STREAM_MAX_PARTS ? -EFBIG : -ENOMEM;
        parts->list = list;
        parts->room = room;
    }
    if (len > NODE_MAX_SIZE - parts->size)
        return -EFBIG;
    parts->list[parts->count++] = (Part) { parts->size, len, pos, packed, aux };
    parts->size += len;
    parts->largest = MAX(parts->largest, len);
    return 0;
}

static int stream_open(Node *node, const Codec *codec, Error **err)
{
    Stream *s = node->state;
    PartList parts = { 0 };
    uint64_t size;
    int ret = 0;

    if (node->writable)
        return error_set(err, -EACCES, "a file compressed with %s can only be read", codec->name);
    if (codec->index)
        ret = codec->index(node->file, &parts, err);
    size = parts.size;
    if (ret == 0 && parts.size_known && parts.largest <= STREAM_PART_MAX) {
        s->parts = unpacker_new(codec, node->file, &parts);
        ret = s->parts ? 0 : -ENOMEM;
    } else if (ret == 0) {
        ret = spool_open(codec, node->file, parts.size_known, &size, &s->spool, err);
    }
    free(parts.list);
    node->size = size;
    return ret;
}

static void stream_close(Node *node)
{
    Stream *s = node->state;

    unpacker_free(s->parts);
    spool_close(s->spool);
}

static int stream_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len)
{
    Stream *s = node->state;
    size_t inside = off < node->size ? (size_t)MIN((uint64_t)len, node->size - off) : 0;
    AUTO_FREE struct iovec *part =
        inside && inside < len ? malloc((size_t)iovcnt * sizeof(*part)) : NULL;

    if (inside < len) {
        iov_zero(iov, iovcnt, inside, len - inside);
        if (inside == 0)
            return 0;
        if (!part)
            return -ENOMEM;
        iovcnt = iov_slice(part, iov, iovcnt, 0, inside);
        iov = part;
    }
    return s->parts ? unpacker_read(s->parts, iov, iovcnt, off, inside)
                    : spool_read(s->spool, iov, iovcnt, off, inside);
}

#define STREAM_DRIVER(codec_name)                                                                  \
    static int codec_name##_probe(const uint8_t *buf, size_t len)                                  \
    {                                                                                              \
        return probe(&codec_name##_codec, buf, len);                                               \
    }                                                                                              \
    static int codec_name##_open(Node *node, Options *options, Error **err)                        \
    {                                                                                              \
        (void)options;                                                                             \
        return stream_open(node, &codec_name##_codec, err);                                        \
    }                                                                                              \
    const BlockDriver codec_name##_driver = {                                                      \
        .name = #codec_name,                                                                       \
        .state_size = sizeof(Stream),                                                              \
        .is_wrapper = true,                                                                        \
        .probe = codec_name##_probe,                                                               \
        .open = codec_name##_open,                                                                 \
        .close = stream_close,                                                                     \
        .preadv = stream_preadv,                                                                   \
    }

STREAM_DRIVER(gzip);
STREAM_DRIVER(xz);
STREAM_DRIVER(zstd);
STREAM_DRIVER(bzip2);
