/*
 * qcow2_deflate.c - our deflate encoder: what zlib makes of its output with a window of 4 KiB, for
 * data of many kinds and lengths, at all levels, and with too little room.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/math.h"
#include "formats/qcow2/deflate.h"

enum { MOST = 2 << 20, STEP = 1000, GUARD = 64, GUARD_BYTE = 0xa5 };

static uint8_t in[MOST], packed[MOST + MOST / 8 + 1024], back[MOST + 1];

/* The output is given in small parts: a distance beyond the window is an error then. */
static void check_stream(size_t packed_len, size_t len)
{
    z_stream z = { .next_in = packed, .avail_in = (uInt)packed_len };
    int ret = Z_OK;

    assert_int_equal(inflateInit2(&z, -12), Z_OK);
    while (ret == Z_OK && z.total_out <= len) {
        z.next_out = back + z.total_out;
        z.avail_out = (uInt)MIN(len + 1 - z.total_out, (size_t)STEP);
        if (z.avail_out == 0)
            break;
        ret = inflate(&z, Z_NO_FLUSH);
    }
    assert_int_equal(ret, Z_STREAM_END);
    assert_int_equal(z.total_out, len);
    assert_int_equal(z.avail_in, 0);
    assert_memory_equal(back, in, len);
    inflateEnd(&z);
}

static unsigned next_random(unsigned *seed)
{
    return *seed = *seed * 1103515245 + 12345;
}

/* Words of a small alphabet, runs, copies from near and far, random bytes: `kind` says how much. */
static void fill(size_t len, unsigned kind, unsigned seed)
{
    for (size_t i = 0; i < len;) {
        unsigned r = next_random(&seed) >> 8, n = 1 + r % (kind % 5 * 60 + 4);
        size_t from = i - MIN(i, (size_t)(1 + (r >> 4) % 5000));

        for (; n && i < len; n--, i++, from++)
            in[i] = kind % 4 == 0   ? (uint8_t)(kind * 7)
                    : kind % 4 == 1 ? (uint8_t)(next_random(&seed) >> 16)
                    : r % 3         ? in[from]
                                    : (uint8_t)('a' + (next_random(&seed) >> 16) % (kind + 1));
    }
}

static void round_trips(void **state)
{
    static const size_t lengths[] = { 0,     1,     2,     3,     7,      8,    9,    15,
                                      257,   258,   259,   511,   512,    4096, 4097, 9001,
                                      32768, 65535, 65536, 65537, 200000, MOST };
    Deflater *d = deflate_new();

    (void)state;
    for (unsigned kind = 0; kind < 24; kind++) {
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            int level = 1 + (int)(kind + i) % DEFLATE_LEVEL_MAX;

            if (lengths[i] > 100000 && (kind > 7 || level == 9))
                continue;
            fill(lengths[i], kind, kind * 100 + (unsigned)i);
            size_t n = deflate_pack(d, in, lengths[i], packed, sizeof(packed), level);
            assert_true(n > 0);
            check_stream(n, lengths[i]);
        }
    }
    free(d);
}

/* With room for exactly the stream it fits, with a byte less it does not, and nothing is overrun.
 */
static void keeps_to_its_room(void **state)
{
    Deflater *d = deflate_new();

    (void)state;
    for (unsigned kind = 0; kind < 12; kind++) {
        size_t len = 30000 + kind * 1111;

        fill(len, kind, kind);
        size_t n = deflate_pack(d, in, len, packed, sizeof(packed), 6);
        for (size_t room = n; room + 5 > n && room > 0; room--) {
            memset(packed, GUARD_BYTE, n + GUARD);
            assert_int_equal(deflate_pack(d, in, len, packed, room, 6), room == n ? n : 0);
            for (size_t i = room; i < n + GUARD; i++)
                assert_int_equal(packed[i], GUARD_BYTE);
            if (room == n)
                check_stream(n, len);
        }
        for (size_t room = 0; room < 40; room++)
            assert_int_equal(deflate_pack(d, in, len, packed, room, 6), n <= room ? n : 0);
    }
    free(d);
}

/* The result depends on nothing but the input. */
static void is_repeatable(void **state)
{
    Deflater *d = deflate_new();
    static uint8_t first[MOST];

    (void)state;
    fill(65536, 6, 1);
    size_t n = deflate_pack(d, in, 65536, first, sizeof(first), 6);
    fill(65536, 3, 2);
    deflate_pack(d, in, 65536, packed, sizeof(packed), 9);
    fill(65536, 6, 1);
    assert_int_equal(deflate_pack(d, in, 65536, packed, sizeof(packed), 6), n);
    assert_memory_equal(packed, first, n);
    free(d);
}

static void higher_levels_are_smaller(void **state)
{
    Deflater *d = deflate_new();
    size_t before = SIZE_MAX;

    (void)state;
    fill(65536, 7, 5);
    for (int level = 1; level <= DEFLATE_LEVEL_MAX; level += 4) {
        size_t n = deflate_pack(d, in, 65536, packed, sizeof(packed), level);

        assert_true(n <= before);
        before = n;
    }
    free(d);
}

/* A block that comes again: a distance of 4096 is used, one of 4097 would be beyond the window. */
static void matches_reach_the_window(void **state)
{
    Deflater *d = deflate_new();

    (void)state;
    for (size_t distance = 4090; distance <= 4100; distance++) {
        size_t len = 2 * distance;

        fill(distance, 1, (unsigned)distance);
        memcpy(in + distance, in, distance);
        for (int level = 1; level <= DEFLATE_LEVEL_MAX; level++) {
            size_t n = deflate_pack(d, in, len, packed, sizeof(packed), level);

            assert_true(n > 0);
            check_stream(n, len);
            if (level == DEFLATE_LEVEL_MAX)
                assert_int_equal(n < distance + 300, distance <= 4096);
        }
    }
    free(d);
}

/* Every value alone, all of them in turn, and runs that are as long as a match can be and longer.
 */
static void values_and_runs(void **state)
{
    Deflater *d = deflate_new();

    (void)state;
    for (unsigned value = 0; value < 256; value++) {
        size_t len = 65536;

        memset(in, (int)value, len);
        for (size_t i = 0; i < len; i += 250 + value % 20)
            in[i] = (uint8_t)i;
        size_t n = deflate_pack(d, in, len, packed, sizeof(packed), 1 + (int)value % 9);
        assert_in_range(n, 1, len / 20);
        check_stream(n, len);
    }
    for (size_t i = 0; i < 65536; i++)
        in[i] = (uint8_t)i;
    for (int level = 1; level <= DEFLATE_LEVEL_MAX; level++)
        check_stream(deflate_pack(d, in, 65536, packed, sizeof(packed), level), 65536);
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(keeps_to_its_room),
        cmocka_unit_test(is_repeatable),
        cmocka_unit_test(higher_levels_are_smaller),
        cmocka_unit_test(matches_reach_the_window),
        cmocka_unit_test(values_and_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
