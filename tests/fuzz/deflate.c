/*
 * deflate.c - fuzz target: any bytes as a cluster, through our deflate encoder at every level; zlib
 * with a window of 4 KiB must expand them to the same bytes.
 *
 * The input's first byte chooses the room for the output and how often the rest is repeated.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/compiler.h"
#include "base/math.h"
#include "formats/qcow2/deflate.h"

enum { MOST = 2 << 20, STEP = 1021 };

static void expect(bool ok)
{
    if (!ok)
        abort();
}

/* The output is given in small parts: a distance beyond the window is an error then. */
static void check_stream(uint8_t *packed, size_t packed_len, const uint8_t *in, size_t len)
{
    z_stream z = { .next_in = packed, .avail_in = (uInt)packed_len };
    uint8_t part[STEP];
    int ret = Z_OK;

    expect(inflateInit2(&z, -12) == Z_OK);
    while (ret == Z_OK) {
        size_t before = z.total_out;

        z.next_out = part;
        z.avail_out = STEP;
        ret = inflate(&z, Z_NO_FLUSH);
        expect(z.total_out <= len && memcmp(part, in + before, z.total_out - before) == 0);
    }
    expect(ret == Z_STREAM_END && z.total_out == len && z.avail_in == 0);
    inflateEnd(&z);
}

/* In a block of exactly the size, so that a byte too many is found. */
static void check_level(Deflater *d, const uint8_t *in, size_t len, size_t room, int level)
{
    AUTO_FREE uint8_t *packed = malloc(room ? room : 1);

    expect(packed != NULL);
    size_t n = deflate_pack(d, in, len, packed, room, level);

    expect(n <= room);
    if (n)
        check_stream(packed, n, in, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE Deflater *d = deflate_new();

    if (size < 2 || !d)
        return 0;
    size_t times = 1 + data[0] % 16u * (data[0] % 16u), one = size - 1, len = 0;
    AUTO_FREE uint8_t *in = malloc(one * times);
    expect(in != NULL);
    for (; times && len + one <= MOST; times--, len += one)
        memcpy(in + len, data + 1, one);
    /* enough for anything, what a cluster has, or too little */
    size_t room = data[0] & 0x20 ? len + len / 1000 + 64 : data[0] & 0x40 ? len - 1 : len / 2;
    for (int level = 1; level <= DEFLATE_LEVEL_MAX; level++)
        check_level(d, in, len, room, level);
    return 0;
}
