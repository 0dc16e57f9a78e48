/*
 * codec-gzip.c - gzip (RFC 1952): members one behind the other, each deflated. A member does not
 * say how long it is, so there is no way in but from the start.
 */
#include <errno.h>
#include <zlib.h>

#include "base/math.h"
#include "formats/stream/stream.h"

enum { GZIP_WINDOW_BITS = 15 + 16 /* with gzip's header */, GZIP_MAGIC_FIRST = 0x1f };

typedef struct {
    z_stream z;
    bool between; /* members: another one, padding or the end may follow */
} Gzip;

static int gzip_begin(void **decoder)
{
    Gzip *g = calloc(1, sizeof(*g));

    *decoder = g;
    return g && inflateInit2(&g->z, GZIP_WINDOW_BITS) == Z_OK ? 0 : -ENOMEM;
}

static void gzip_end(void *decoder)
{
    Gzip *g = decoder;

    inflateEnd(&g->z);
    free(g);
}

/* Behind a member: zeros (tapes are padded so) are skipped. 1: the end; 0: maybe there is a next
 * one. */
static int gzip_next_member(Gzip *g, Feed *feed)
{
    while (feed->in_len && *feed->in == 0) {
        feed->in++;
        feed->in_len--;
    }
    if (feed->in_len == 0)
        return feed->last ? 1 : 0;
    if (*feed->in != GZIP_MAGIC_FIRST)
        return -EINVAL;
    g->between = false;
    return inflateReset(&g->z) == Z_OK ? 0 : -EINVAL;
}

static int gzip_step(void *decoder, Feed *feed)
{
    Gzip *g = decoder;

    if (g->between) {
        int ret = gzip_next_member(g, feed);

        if (ret || g->between)
            return ret;
    }
    g->z.next_in = (Bytef *)feed->in;
    g->z.avail_in = (uInt)feed->in_len;
    g->z.next_out = feed->out;
    g->z.avail_out = (uInt)feed->out_len;
    int ret = inflate(&g->z, Z_NO_FLUSH);
    feed->in = g->z.next_in;
    feed->in_len = g->z.avail_in;
    feed->out = g->z.next_out;
    feed->out_len = g->z.avail_out;
    if (ret == Z_STREAM_END) {
        g->between = true;
        return feed->last && feed->in_len == 0 ? 1 : 0;
    }
    return ret == Z_OK || ret == Z_BUF_ERROR ? 0 : ret == Z_MEM_ERROR ? -ENOMEM : -EINVAL;
}

const Codec gzip_codec = {
    .name = "gzip",
    .magic = { GZIP_MAGIC_FIRST, 0x8b, 8 },
    .magic_len = 3,
    .begin = gzip_begin,
    .step = gzip_step,
    .end = gzip_end,
};
