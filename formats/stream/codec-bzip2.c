/*
 * codec-bzip2.c - bzip2: streams one behind the other. Blocks start at any bit and sizes are
 * nowhere, so there is no way in but from the start.
 */
#include <bzlib.h>
#include <errno.h>

#include "formats/stream/stream.h"

typedef struct {
    bz_stream b;
    bool open;
} Bzip2;

static int bzip2_begin(void **decoder)
{
    Bzip2 *b = calloc(1, sizeof(*b));

    *decoder = b;
    if (!b || BZ2_bzDecompressInit(&b->b, 0, 0) != BZ_OK)
        return -ENOMEM;
    b->open = true;
    return 0;
}

static void bzip2_end(void *decoder)
{
    Bzip2 *b = decoder;

    if (b->open)
        BZ2_bzDecompressEnd(&b->b);
    free(b);
}

/* Behind a stream. 1: the end. */
static int bzip2_next_stream(Bzip2 *b, Feed *feed)
{
    if (feed->in_len == 0)
        return feed->last ? 1 : 0;
    b->b = (bz_stream) { 0 };
    b->open = BZ2_bzDecompressInit(&b->b, 0, 0) == BZ_OK;
    return b->open ? 0 : -ENOMEM;
}

static int bzip2_step(void *decoder, Feed *feed)
{
    Bzip2 *b = decoder;

    if (!b->open) {
        int ret = bzip2_next_stream(b, feed);

        if (ret || !b->open)
            return ret;
    }
    b->b.next_in = (char *)feed->in;
    b->b.avail_in = (unsigned)feed->in_len;
    b->b.next_out = (char *)feed->out;
    b->b.avail_out = (unsigned)feed->out_len;
    int ret = BZ2_bzDecompress(&b->b);
    feed->in = (const uint8_t *)b->b.next_in;
    feed->in_len = b->b.avail_in;
    feed->out = (uint8_t *)b->b.next_out;
    feed->out_len = b->b.avail_out;
    if (ret == BZ_STREAM_END) {
        BZ2_bzDecompressEnd(&b->b);
        b->open = false;
        return feed->last && feed->in_len == 0 ? 1 : 0;
    }
    return ret == BZ_OK ? 0 : ret == BZ_MEM_ERROR ? -ENOMEM : -EINVAL;
}

const Codec bzip2_codec = {
    .name = "bzip2",
    .magic = { 'B', 'Z', 'h' },
    .magic_len = 3,
    .begin = bzip2_begin,
    .step = bzip2_step,
    .end = bzip2_end,
};
