/*
 * codec-xz.c - xz ("The .xz File Format", 1.1.0): streams of blocks, and an index at the end of
 * each stream that says how long every block is. liblzma finds and reads the indexes.
 */
#include <errno.h>
#include <inttypes.h>
#include <lzma.h>
#include <string.h>
#include <unistd.h>

#include "base/math.h"
#include "formats/stream/stream.h"

enum { XZ_INDEX_MEMORY = 256 << 20, XZ_INPUT = 64 << 10 };

static int xz_error(lzma_ret ret)
{
    return ret == LZMA_MEM_ERROR || ret == LZMA_MEMLIMIT_ERROR ? -ENOMEM : -EINVAL;
}

/* ---- where the blocks are ------------------------------------------------------------------ */

static int read_index(Node *file, lzma_stream *strm, Error **err)
{
    AUTO_FREE uint8_t *buf = malloc(XZ_INPUT);
    uint64_t pos = 0, size = node_size(file);
    lzma_ret ret = buf ? LZMA_OK : LZMA_MEM_ERROR;

    while (ret == LZMA_OK) {
        if (strm->avail_in == 0 && pos < size) {
            size_t n = (size_t)MIN((uint64_t)XZ_INPUT, size - pos);
            int r = node_pread(file, buf, n, pos);

            if (r < 0)
                return error_set(err, r, "cannot read the xz index: %s", strerror(-r));
            strm->next_in = buf;
            strm->avail_in = n;
            pos += n;
        }
        ret = lzma_code(strm, pos == size ? LZMA_FINISH : LZMA_RUN);
        if (ret == LZMA_SEEK_NEEDED) {
            pos = strm->seek_pos;
            strm->avail_in = 0;
            ret = LZMA_OK;
        }
    }
    if (ret == LZMA_STREAM_END)
        return 0;
    return error_set(err, xz_error(ret), "xz: the index %s (liblzma error %d)",
                     ret == LZMA_MEMLIMIT_ERROR ? "is too large" : "is damaged or cut off", ret);
}

static int add_blocks(const lzma_index *index, PartList *parts, Error **err)
{
    lzma_index_iter i;

    lzma_index_iter_init(&i, index);
    while (!lzma_index_iter_next(&i, LZMA_INDEX_ITER_NONEMPTY_BLOCK)) {
        int ret = part_add(
            parts, i.block.uncompressed_size, i.block.compressed_file_offset, i.block.total_size,
            (uint64_t)i.stream.flags->check << 56 | (i.block.total_size - i.block.unpadded_size));

        if (ret < 0)
            return error_set(err, ret, "xz: more than %d blocks", STREAM_MAX_PARTS);
    }
    parts->size_known = true;
    return 0;
}

static int xz_index(Node *file, PartList *parts, Error **err)
{
    lzma_stream strm = LZMA_STREAM_INIT;
    lzma_index *index = NULL;
    int ret = 0;

    if (lzma_file_info_decoder(&strm, &index, XZ_INDEX_MEMORY, node_size(file)) != LZMA_OK)
        return -ENOMEM;
    ret = read_index(file, &strm, err);
    if (ret == 0)
        ret = add_blocks(index, parts, err);
    lzma_end(&strm);
    lzma_index_end(index, NULL);
    return ret;
}

/* ---- one block ----------------------------------------------------------------------------- */

static int decode_block(lzma_block *block, const Part *part, const uint8_t *packed, uint8_t *out)
{
    size_t in_pos = block->header_size, in_size = part->packed, out_pos = 0;
    uint64_t need = lzma_raw_decoder_memusage(block->filters);

    if (need == UINT64_MAX || need > STREAM_DECODER_MEMORY)
        return need == UINT64_MAX ? -EINVAL : -ENOMEM;
    lzma_ret ret = lzma_block_compressed_size(block, part->packed - (uint8_t)part->aux);
    if (ret == LZMA_OK)
        ret = lzma_block_buffer_decode(block, NULL, packed, &in_pos, in_size, out, &out_pos,
                                       part->len);
    if (ret != LZMA_OK)
        return xz_error(ret);
    return out_pos == part->len ? 0 : -EINVAL;
}

static int xz_unpack(const Part *part, const uint8_t *packed, uint8_t *out)
{
    lzma_filter filters[LZMA_FILTERS_MAX + 1];
    lzma_block block = { .version = 1, .check = (lzma_check)(part->aux >> 56), .filters = filters };

    if (part->packed == 0 || packed[0] == 0)
        return -EINVAL;
    block.header_size = lzma_block_header_size_decode(packed[0]);
    if (block.header_size > part->packed ||
        lzma_block_header_decode(&block, NULL, packed) != LZMA_OK)
        return -EINVAL;
    int ret = decode_block(&block, part, packed, out);
    for (size_t i = 0; filters[i].id != LZMA_VLI_UNKNOWN; i++)
        free(filters[i].options);
    return ret;
}

/* ---- the whole stream ---------------------------------------------------------------------- */

static int xz_begin(void **decoder)
{
    static const lzma_stream empty = LZMA_STREAM_INIT;
    lzma_stream *strm = malloc(sizeof(*strm));

    *decoder = strm;
    if (!strm)
        return -ENOMEM;
    *strm = empty;
    lzma_mt mt = {
        .flags = LZMA_CONCATENATED,
        .threads = (uint32_t)MIN(MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L), 16L),
        .memlimit_threading = STREAM_DECODER_MEMORY,
        .memlimit_stop = STREAM_DECODER_MEMORY,
    };
    return lzma_stream_decoder_mt(strm, &mt) == LZMA_OK ? 0 : -ENOMEM;
}

static void xz_end(void *decoder)
{
    lzma_end(decoder);
    free(decoder);
}

static int xz_step(void *decoder, Feed *feed)
{
    lzma_stream *strm = decoder;

    strm->next_in = feed->in;
    strm->avail_in = feed->in_len;
    strm->next_out = feed->out;
    strm->avail_out = feed->out_len;
    lzma_ret ret = lzma_code(strm, feed->last ? LZMA_FINISH : LZMA_RUN);
    feed->in = strm->next_in;
    feed->in_len = strm->avail_in;
    feed->out = strm->next_out;
    feed->out_len = strm->avail_out;
    if (ret == LZMA_STREAM_END)
        return 1;
    return ret == LZMA_OK || ret == LZMA_BUF_ERROR ? 0 : xz_error(ret);
}

const Codec xz_codec = {
    .name = "xz",
    .magic = { 0xfd, '7', 'z', 'X', 'Z', 0 },
    .magic_len = 6,
    .index = xz_index,
    .unpack = xz_unpack,
    .begin = xz_begin,
    .step = xz_step,
    .end = xz_end,
};
