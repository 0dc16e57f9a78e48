/*
 * pack.c - compressed clusters ("Compressed clusters"): raw deflate, or one zstd frame.
 *
 * Readers open deflate with a window of 4 KiB, so the writer must not use a larger one; zlib can be
 * told, libdeflate cannot. libdeflate expands, about three times as fast as zlib.
 */
#include <errno.h>
#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>

#include "formats/qcow2/qcow2.h"

enum { DEFLATE_WINDOW_BITS = 12, DEFLATE_MEMORY = 9 };

static int deflate_pack(const void *in, size_t len, void *out, size_t *packed_len)
{
    z_stream z = {
        .next_in = (void *)in, .avail_in = (uInt)len, .next_out = out, .avail_out = (uInt)(len - 1)
    };

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -DEFLATE_WINDOW_BITS, DEFLATE_MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    int done = deflate(&z, Z_FINISH);
    *packed_len = z.total_out;
    deflateEnd(&z);
    return done == Z_STREAM_END ? 0 : -ENOSPC;
}

int pack_cluster(Node *node, const void *in, size_t len, void *out, size_t *packed_len)
{
    const Qcow2 *q = node->state;

    if (q->compression == COMPRESSION_ZLIB)
        return deflate_pack(in, len, out, packed_len);
    size_t n = ZSTD_compress(out, len - 1, in, len, ZSTD_CLEVEL_DEFAULT);
    if (ZSTD_isError(n))
        return -ENOSPC;
    *packed_len = n;
    return 0;
}

static pthread_key_t decompressor_key;
static pthread_once_t decompressor_once = PTHREAD_ONCE_INIT;

static void free_decompressor(void *d)
{
    libdeflate_free_decompressor(d);
}

static void make_key(void)
{
    pthread_key_create(&decompressor_key, free_decompressor);
}

/* One a thread: they hold tables that take longer to allocate than a cluster to expand. */
static struct libdeflate_decompressor *thread_decompressor(void)
{
    pthread_once(&decompressor_once, make_key);
    struct libdeflate_decompressor *d = pthread_getspecific(decompressor_key);

    if (!d && (d = libdeflate_alloc_decompressor()))
        pthread_setspecific(decompressor_key, d);
    return d;
}

/* The packed length is only known up to the sector's end: bytes behind the stream are not ours. */
static int deflate_unpack(const void *packed, size_t packed_len, void *out, size_t len)
{
    struct libdeflate_decompressor *d = thread_decompressor();
    size_t used, got;

    if (!d)
        return -ENOMEM;
    enum libdeflate_result r =
        libdeflate_deflate_decompress_ex(d, packed, packed_len, out, len, &used, &got);
    return r == LIBDEFLATE_SUCCESS && got == len ? 0 : -EIO;
}

static int zstd_unpack(const void *packed, size_t packed_len, void *out, size_t len)
{
    ZSTD_DStream *d = ZSTD_createDStream();
    ZSTD_inBuffer in = { packed, packed_len, 0 };
    ZSTD_outBuffer to = { out, len, 0 };
    size_t r = 1;

    if (!d)
        return -ENOMEM;
    while (to.pos < len && in.pos < in.size && !ZSTD_isError(r))
        r = ZSTD_decompressStream(d, &to, &in);
    ZSTD_freeDStream(d);
    return !ZSTD_isError(r) && to.pos == len ? 0 : -EIO;
}

int unpack_cluster(Node *node, const void *packed, size_t packed_len, void *out, size_t len)
{
    const Qcow2 *q = node->state;

    return q->compression == COMPRESSION_ZLIB ? deflate_unpack(packed, packed_len, out, len)
                                              : zstd_unpack(packed, packed_len, out, len);
}
