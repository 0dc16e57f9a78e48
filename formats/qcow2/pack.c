/*
 * pack.c - compressed clusters ("Compressed clusters"): raw deflate, or one zstd frame.
 *
 * Readers open deflate with a window of 4 KiB, so the writer must not use a larger one: our own
 * encoder (deflate.c) does not, twice as fast as zlib with slightly smaller results. libdeflate
 * expands, about three times as fast as zlib. Clusters that look random are not tried.
 *
 * What our encoder made is expanded again and compared before anybody may rely on it: a mistake in
 * it could cost some space, not data.
 */
#include <errno.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/log.h"
#include "formats/qcow2/deflate.h"
#include "formats/qcow2/qcow2.h"

enum { DEFLATE_WINDOW = 4096, DEFLATE_LEVEL = 6, ZSTD_LEVEL_MAX = 19 };
enum { REPEAT_BITS = 12, WORTHWHILE = 64 }; /* a cluster should shrink by a 64th at least */

/* ---- a thread's engines ------------------------------------------------------------------------
 */

/* They hold tables that take longer to set up than a cluster to pack. Made at first use. */
typedef struct {
    Deflater *deflate;
    struct libdeflate_decompressor *inflate;
    ZSTD_CCtx *zstd_pack;
    ZSTD_DCtx *zstd_unpack;
    uint8_t *expanded; /* what was just packed, expanded again */
    size_t expanded_room;
} Engines;

static pthread_key_t engines_key;
static pthread_once_t engines_once = PTHREAD_ONCE_INIT;

static void free_engines(void *opaque)
{
    Engines *e = opaque;

    free(e->deflate);
    libdeflate_free_decompressor(e->inflate);
    ZSTD_freeCCtx(e->zstd_pack);
    ZSTD_freeDCtx(e->zstd_unpack);
    free(e->expanded);
    free(e);
}

static void make_key(void)
{
    pthread_key_create(&engines_key, free_engines);
}

/* NULL: no memory. */
static Engines *thread_engines(void)
{
    pthread_once(&engines_once, make_key);
    Engines *e = pthread_getspecific(engines_key);

    if (!e && (e = calloc(1, sizeof(*e))) && pthread_setspecific(engines_key, e) != 0) {
        free(e);
        return NULL;
    }
    return e;
}

/* ---- is it worth trying? ------------------------------------------------------------------------
 */

/*
 * Are all byte values about equally frequent? An entropy code saves about chi^2 / 11 bytes then.
 */
static bool is_flat(const uint8_t *p, size_t len)
{
    uint32_t counts[4][256] = { 0 };
    uint64_t squares = 0;

    for (size_t i = 0; i + 4 <= len; i += 4)
        for (size_t k = 0; k < 4; k++)
            counts[k][p[i + k]]++;
    for (size_t v = 0; v < 256; v++) {
        uint64_t n = (uint64_t)counts[0][v] + counts[1][v] + counts[2][v] + counts[3][v];

        squares += n * n;
    }
    /* chi^2 is 256 / len * squares - len */
    return 256 * squares / len < len + 11 * len / WORTHWHILE;
}

/* Do four bytes in a row often recur within the window? */
static bool has_repeats(const uint8_t *p, size_t len)
{
    uint32_t last[1 << REPEAT_BITS] = { 0 };
    size_t found = 0, enough = len / WORTHWHILE / 2;

    for (size_t i = 0; i + 4 <= len && found <= enough; i++) {
        uint32_t now, then;

        memcpy(&now, p + i, 4);
        uint32_t *slot = &last[now * UINT32_C(2654435761) >> (32 - REPEAT_BITS)];
        size_t before = *slot;
        *slot = (uint32_t)i;
        memcpy(&then, p + before, 4);
        found += now == then && before < i && i - before < DEFLATE_WINDOW;
    }
    return found > enough;
}

static bool looks_random(const uint8_t *p, size_t len)
{
    return len % 4 == 0 && len <= UINT32_MAX && is_flat(p, len) && !has_repeats(p, len);
}

/* ---- packing ------------------------------------------------------------------------------------
 */

/* The packed length is only known up to the sector's end: bytes behind the stream are not ours. */
static int expand(Engines *e, const void *packed, size_t packed_len, void *out, size_t len)
{
    size_t used, got;

    if (!e->inflate && !(e->inflate = libdeflate_alloc_decompressor()))
        return -ENOMEM;
    enum libdeflate_result r =
        libdeflate_deflate_decompress_ex(e->inflate, packed, packed_len, out, len, &used, &got);
    return r == LIBDEFLATE_SUCCESS && got == len ? 0 : -EIO;
}

/* Does the packed cluster expand to `in` again? -ENOSPC if not: it is to be stored as it is. */
static int verify(Engines *e, const void *packed, size_t packed_len, const void *in, size_t len)
{
    static atomic_bool warned;

    if (e->expanded_room < len) {
        free(e->expanded);
        e->expanded_room = 0;
        e->expanded = malloc(len);
        if (!e->expanded)
            return -ENOMEM;
        e->expanded_room = len;
    }
    int ret = expand(e, packed, packed_len, e->expanded, len);
    if (ret == -ENOMEM || (ret == 0 && memcmp(e->expanded, in, len) == 0))
        return ret;
    if (!atomic_exchange(&warned, true))
        log_warning("a compressed cluster does not expand to what it was made of: such clusters "
                    "are stored uncompressed (please report this)");
    return -ENOSPC;
}

static int pack_deflate(const void *in, size_t len, void *out, size_t *packed_len, int level)
{
    if (looks_random(in, len))
        return -ENOSPC;
    Engines *e = thread_engines();
    if (!e || (!e->deflate && !(e->deflate = deflate_new())))
        return -ENOMEM;
    *packed_len = deflate_pack(e->deflate, in, len, out, len - 1, level ? level : DEFLATE_LEVEL);
    return *packed_len ? verify(e, out, *packed_len, in, len) : -ENOSPC;
}

static int zstd_pack(const void *in, size_t len, void *out, size_t *packed_len, int level)
{
    Engines *e = thread_engines();

    if (!e || (!e->zstd_pack && !(e->zstd_pack = ZSTD_createCCtx())))
        return -ENOMEM;
    size_t n =
        ZSTD_compressCCtx(e->zstd_pack, out, len - 1, in, len, level ? level : ZSTD_CLEVEL_DEFAULT);
    if (ZSTD_isError(n))
        return -ENOSPC;
    *packed_len = n;
    return 0;
}

int pack_take_level(Qcow2 *q, Options *options, Error **err)
{
    uint64_t level = 0,
             most = q->compression == COMPRESSION_ZLIB ? DEFLATE_LEVEL_MAX : ZSTD_LEVEL_MAX;
    bool given = options_has(options, "compression-level");
    int ret = options_take_u64(options, "compression-level", &level, err);

    if (ret == 0 && given && (level < 1 || level > most))
        return error_set(err, -EINVAL, "the compression level is 1 to %" PRIu64 ", not %" PRIu64,
                         most, level);
    q->level = (int)level;
    return ret;
}

int pack_cluster(Node *node, const void *in, size_t len, void *out, size_t *packed_len)
{
    const Qcow2 *q = node->state;

    return q->compression == COMPRESSION_ZLIB ? pack_deflate(in, len, out, packed_len, q->level)
                                              : zstd_pack(in, len, out, packed_len, q->level);
}

/* ---- unpacking ----------------------------------------------------------------------------------
 */

static int deflate_unpack(const void *packed, size_t packed_len, void *out, size_t len)
{
    Engines *e = thread_engines();

    return e ? expand(e, packed, packed_len, out, len) : -ENOMEM;
}

static int zstd_unpack(const void *packed, size_t packed_len, void *out, size_t len)
{
    Engines *e = thread_engines();
    ZSTD_inBuffer in = { packed, packed_len, 0 };
    ZSTD_outBuffer to = { out, len, 0 };
    size_t r = 1;

    if (!e || (!e->zstd_unpack && !(e->zstd_unpack = ZSTD_createDCtx())))
        return -ENOMEM;
    ZSTD_DCtx_reset(e->zstd_unpack, ZSTD_reset_session_only);
    while (to.pos < len && in.pos < in.size && !ZSTD_isError(r))
        r = ZSTD_decompressStream(e->zstd_unpack, &to, &in);
    return !ZSTD_isError(r) && to.pos == len ? 0 : -EIO;
}

int unpack_cluster(Node *node, const void *packed, size_t packed_len, void *out, size_t len)
{
    const Qcow2 *q = node->state;

    return q->compression == COMPRESSION_ZLIB ? deflate_unpack(packed, packed_len, out, len)
                                              : zstd_unpack(packed, packed_len, out, len);
}
