/*
 * histogram.c - percentiles beside those of the sorted values.
 */
#include "img-tool/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"

enum { VALUES = 20000 };

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Of all magnitudes. */
static void fill(uint64_t *values, Histogram *h)
{
    uint64_t r = 88172645463325252;

    for (size_t i = 0; i < VALUES; i++) {
        r ^= r << 13;
        r ^= r >> 7;
        r ^= r << 17;
        values[i] = r >> (r % 64);
        histogram_add(h, values[i]);
    }
    qsort(values, VALUES, sizeof(*values), ascending);
}

static void percentiles_are_close(void **state)
{
    static uint64_t values[VALUES];
    static const double parts[] = { 0, 0.01, 0.5, 0.9, 0.99, 0.9999 };
    static Histogram h;

    (void)state;
    fill(values, &h);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        uint64_t got = histogram_percentile(&h, parts[i]);
        uint64_t want = values[(size_t)(parts[i] * VALUES)];

        assert_true(got >= want);
        assert_true(got - want <= want / 16);
    }
    assert_int_equal(h.min, values[0]);
    assert_int_equal(h.max, values[VALUES - 1]);
    assert_int_equal(histogram_percentile(&h, 1.0), h.max);
}

static void merging_is_adding(void **state)
{
    static Histogram a, b, all;

    (void)state;
    for (uint64_t v = 1; v < 100000; v += 7) {
        histogram_add(v % 2 ? &a : &b, v * v);
        histogram_add(&all, v * v);
    }
    histogram_merge(&a, &b);
    assert_int_equal(a.total, all.total);
    assert_int_equal(a.min, all.min);
    assert_int_equal(a.max, all.max);
    assert_int_equal(histogram_mean(&a), histogram_mean(&all));
    assert_int_equal(histogram_percentile(&a, 0.5), histogram_percentile(&all, 0.5));
}

static void an_empty_one_has_none(void **state)
{
    static Histogram h, other;

    (void)state;
    assert_int_equal(histogram_percentile(&h, 0.5), 0);
    assert_int_equal(histogram_mean(&h), 0);
    histogram_add(&other, UINT64_MAX);
    histogram_merge(&other, &h);
    assert_int_equal(other.min, UINT64_MAX);
    assert_int_equal(histogram_percentile(&other, 0.5), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_close),
        cmocka_unit_test(merging_is_adding),
        cmocka_unit_test(an_empty_one_has_none),
    };

    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
