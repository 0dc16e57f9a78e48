/*
 * codec-zstd.c - zstd (RFC 8878): frames one behind the other, some to be skipped. A frame's header
 * may say how long its content is; how long the frame itself is only its block headers tell, or a
 * seek table at the file's end ("Zstandard Seekable Format" of the zstd project).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <zstd.h>

#include "base/endian.h"
#include "base/math.h"
#include "formats/stream/stream.h"

enum {
    FRAME_MAGIC_BYTES = 4,
    FRAME_HEADER_MAX = 18,
    BLOCK_HEADER = 3,
    SKIP_HEADER = 8,
    SEEK_FOOTER = 9,
    SEEK_MAX_TABLE = 64 << 20,
    WALK_BUFFER = 256 << 10,
};
#define ZSTD_FRAME_MAGIC UINT32_C(0xfd2fb528)
#define SKIP_MAGIC       UINT32_C(0x184d2a50) /* to 0x184d2a5f */
#define SEEK_SKIP_MAGIC  UINT32_C(0x184d2a5e)
#define SEEK_MAGIC       UINT32_C(0x8f92eab1)

/* ---- the seek table ------------------------------------------------------------------------ */

/* Entries: packed bytes, unpacked bytes, maybe a checksum; in all they must cover the file. */
static int seek_entries(Node *file, uint32_t count, bool checksums, PartList *parts, Error **err)
{
    size_t each = checksums ? 12 : 8, bytes = count * each;
    uint64_t size = node_size(file), table = size - SEEK_FOOTER - bytes, pos = 0;
    AUTO_FREE uint8_t *entries = malloc(bytes + 1);
    int ret = entries ? node_pread(file, entries, bytes, table) : -ENOMEM;

    for (uint32_t i = 0; i < count && ret == 0; i++) {
        uint32_t packed = get_le32(entries + i * each), len = get_le32(entries + i * each + 4);

        if (len || packed)
            ret = part_add(parts, len, pos, packed, 0);
        pos += packed;
    }
    if (ret < 0)
        return error_set(err, ret, "zstd: cannot read the seek table: %s", strerror(-ret));
    parts->size_known = pos == table - SKIP_HEADER;
    return 0;
}

static int seek_table(Node *file, PartList *parts, Error **err)
{
    uint64_t size = node_size(file);
    uint8_t foot[SEEK_FOOTER], head[SKIP_HEADER];
    int ret;

    if (size < SEEK_FOOTER + SKIP_HEADER)
        return 0;
    ret = node_pread(file, foot, sizeof(foot), size - SEEK_FOOTER);
    if (ret < 0 || get_le32(foot + 5) != SEEK_MAGIC)
        return ret;
    uint32_t count = get_le32(foot);
    bool checksums = foot[4] & 0x80;
    uint64_t bytes = (uint64_t)count * (checksums ? 12 : 8);
    if (bytes > SEEK_MAX_TABLE || bytes > size - SEEK_FOOTER - SKIP_HEADER)
        return 0;
    ret = node_pread(file, head, sizeof(head), size - SEEK_FOOTER - bytes - SKIP_HEADER);
    if (ret < 0 || get_le32(head) != SEEK_SKIP_MAGIC || get_le32(head + 4) != bytes + SEEK_FOOTER)
        return ret;
    return seek_entries(file, count, checksums, parts, err);
}

/* ---- walking over the frames --------------------------------------------------------------- */

typedef struct {
    Node *file;
    uint64_t size;
    uint64_t from, len; /* what `buf` holds */
    uint8_t buf[WALK_BUFFER];
} Walk;

/* `n` bytes at `pos`, or NULL (*ret says why, 0: the file ends before). */
static const uint8_t *look(Walk *w, uint64_t pos, size_t n, int *ret)
{
    *ret = 0;
    if (pos > w->size || n > w->size - pos)
        return NULL;
    if (pos < w->from || pos + n > w->from + w->len) {
        /* Headers are far apart: little is read at a time. */
        w->from = pos;
        w->len = MIN(MAX((uint64_t)n, UINT64_C(512)), w->size - pos);
        *ret = node_pread(w->file, w->buf, w->len, pos);
        if (*ret < 0) {
            w->len = 0;
            return NULL;
        }
    }
    return w->buf + (pos - w->from);
}

/* RFC 8878, 3.1.1: the length of the frame at `pos`; 0: damaged or cut. */
static uint64_t frame_length(Walk *w, uint64_t pos, uint8_t descriptor, int *ret)
{
    static const uint8_t dictionary[4] = { 0, 1, 2, 4 }, content[4] = { 0, 2, 4, 8 };
    bool single = descriptor & 0x20;
    unsigned fcs = content[descriptor >> 6];
    uint64_t at = pos + FRAME_MAGIC_BYTES + 1 + !single + dictionary[descriptor & 3] +
                  (fcs == 0 && single ? 1 : fcs);

    for (bool last = false; !last;) {
        const uint8_t *h = look(w, at, BLOCK_HEADER, ret);

        if (!h)
            return 0;
        uint32_t header = h[0] | (uint32_t)h[1] << 8 | (uint32_t)h[2] << 16;
        last = header & 1;
        at += BLOCK_HEADER + ((header >> 1 & 3) == 1 ? 1 : header >> 3);
    }
    at += descriptor & 4 ? 4 : 0;
    return at <= w->size ? at - pos : 0;
}

/* One frame: *len is 0 if the walk ends here. */
static int walk_frame(Walk *w, uint64_t pos, PartList *parts, uint64_t *len)
{
    int ret;
    size_t n = (size_t)MIN(w->size - pos, (uint64_t)FRAME_HEADER_MAX);
    const uint8_t *h = look(w, pos, n, &ret);

    *len = 0;
    if (!h || n < SKIP_HEADER)
        return ret;
    uint32_t magic = get_le32(h);
    if ((magic & ~UINT32_C(15)) == SKIP_MAGIC) {
        *len = SKIP_HEADER + (uint64_t)get_le32(h + 4);
        return 0;
    }
    unsigned long long content = ZSTD_getFrameContentSize(h, n);
    if (magic != ZSTD_FRAME_MAGIC || content == ZSTD_CONTENTSIZE_UNKNOWN ||
        content == ZSTD_CONTENTSIZE_ERROR)
        return 0;
    *len = frame_length(w, pos, h[FRAME_MAGIC_BYTES], &ret);
    return *len ? part_add(parts, content, pos, *len, 0) : ret;
}

static int walk_frames(Node *file, PartList *parts, Error **err)
{
    AUTO_FREE Walk *w = calloc(1, sizeof(*w));
    uint64_t pos = 0, len;
    int ret = w ? 0 : -ENOMEM;

    if (ret == 0) {
        w->file = file;
        w->size = node_size(file);
    }
    while (ret == 0 && pos < w->size) {
        ret = walk_frame(w, pos, parts, &len);
        if (ret < 0 || len == 0 || len > w->size - pos)
            break;
        pos += len;
    }
    if (ret < 0)
        return error_set(err, ret, "zstd: cannot read the frame headers: %s", strerror(-ret));
    parts->size_known = pos == w->size;
    return 0;
}

static int zstd_index(Node *file, PartList *parts, Error **err)
{
    int ret = seek_table(file, parts, err);

    if (ret < 0 || parts->size_known)
        return ret;
    free(parts->list);
    *parts = (PartList) { 0 };
    return walk_frames(file, parts, err);
}

/* ---- unpacking ----------------------------------------------------------------------------- */

static int zstd_unpack(const Part *part, const uint8_t *packed, uint8_t *out)
{
    size_t n = ZSTD_decompress(out, part->len, packed, part->packed);

    return ZSTD_isError(n) || n != part->len ? -EINVAL : 0;
}

typedef struct {
    ZSTD_DCtx *ctx;
    bool between; /* frames */
} Zstd;

static int zstd_begin(void **decoder)
{
    Zstd *z = calloc(1, sizeof(*z));

    *decoder = z;
    if (z)
        z->ctx = ZSTD_createDCtx();
    return z && z->ctx ? 0 : -ENOMEM;
}

static void zstd_end(void *decoder)
{
    Zstd *z = decoder;

    ZSTD_freeDCtx(z->ctx);
    free(z);
}

static int zstd_step(void *decoder, Feed *feed)
{
    Zstd *z = decoder;
    ZSTD_inBuffer in = { feed->in, feed->in_len, 0 };
    ZSTD_outBuffer out = { feed->out, feed->out_len, 0 };

    if (z->between && feed->last && feed->in_len == 0)
        return 1;
    size_t ret = ZSTD_decompressStream(z->ctx, &out, &in);
    feed->in += in.pos;
    feed->in_len -= in.pos;
    feed->out += out.pos;
    feed->out_len -= out.pos;
    z->between = ret == 0;
    if (ZSTD_isError(ret))
        return -EINVAL;
    return z->between && feed->last && feed->in_len == 0 ? 1 : 0;
}

const Codec zstd_codec = {
    .name = "zstd",
    .magic = { 0x28, 0xb5, 0x2f, 0xfd },
    .magic_len = 4,
    .index = zstd_index,
    .unpack = zstd_unpack,
    .begin = zstd_begin,
    .step = zstd_step,
    .end = zstd_end,
};
