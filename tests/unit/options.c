/*
 * options.c - option trees, sizes and the JSON writer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/options.h"
#include "base/size.h"

static const struct {
    const char *text;
    int64_t bytes; /* -1: refused */
} sizes[] = {
    { "0", 0 },
    { "512", 512 },
    { "1k", 1024 },
    { "64K", 65536 },
    { "1M", 1 << 20 },
    { "1.5G", 1610612736 },
    { "10GB", INT64_C(10) << 30 },
    { "2T", INT64_C(2) << 40 },
    { "7E", INT64_C(7) << 60 },
    { "0x1000", 4096 },
    { "1B", 1 },
    { "0.5k", 512 },
    { "8E", -1 },
    { "9223372036854775807", INT64_MAX },
    { "9223372036854775808", -1 },
    { "99999999999999999999", -1 },
    { "1,5G", -1 },
    { "-1", -1 },
    { "+1", -1 },
    { "", -1 },
    { "G", -1 },
    { "1.5", -1 },
    { "1Q", -1 },
    { "1G x", -1 },
    { " 1", -1 },
};

static void sizes_are_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        AUTO_ERROR Error *err = NULL;
        uint64_t got = 0;
        int ret = size_parse(sizes[i].text, 0, &got, &err);

        if ((ret < 0) != (sizes[i].bytes < 0) || (ret == 0 && got != (uint64_t)sizes[i].bytes))
            fail_msg("'%s': %d, %llu", sizes[i].text, ret, (unsigned long long)got);
        assert_int_equal(ret < 0, err != NULL);
    }
}

static const struct {
    uint64_t bytes;
    const char *text;
} texts[] = {
    { 0, "0 B" },           { 512, "512 B" },
    { 1000, "0.977 KiB" },  { 1024, "1 KiB" },
    { 67108864, "64 MiB" }, { 1610612736, "1.5 GiB" },
    { 196616, "192 KiB" },  { UINT64_C(8) << 40, "8 TiB" },
};

static void sizes_are_printed(void **state)
{
    char text[SIZE_TEXT];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_string_equal(size_format(texts[i].bytes, text), texts[i].text);
}

static void options_are_split(void **state)
{
    AUTO_OPTIONS Options *o = options_new();

    (void)state;
    assert_int_equal(options_parse(o, "x.img,a=1,b=p,,q,c,a=2,file.x=y", "name", NULL), 0);
    assert_string_equal(options_peek(o, "name"), "x.img");
    assert_string_equal(options_peek(o, "a"), "2");
    assert_string_equal(options_peek(o, "b"), "p,q");
    assert_string_equal(options_peek(o, "c"), "on");
    assert_true(options_has(o, "file"));
    AUTO_OPTIONS Options *sub = options_take_sub(o, "file");
    assert_string_equal(options_peek(sub, "x"), "y");
    assert_false(options_has(o, "file"));
}

static void json_is_flattened(void **state)
{
    AUTO_OPTIONS Options *o = options_new();

    (void)state;
    assert_int_equal(options_parse_json(o,
                                        "{\"driver\":\"qcow2\",\"file\":{\"filename\":\"a\"},"
                                        "\"n\":5,\"b\":true,\"l\":[\"x\",{\"y\":null}]}",
                                        NULL),
                     0);
    assert_string_equal(options_peek(o, "file.filename"), "a");
    assert_string_equal(options_peek(o, "n"), "5");
    assert_string_equal(options_peek(o, "b"), "on");
    assert_string_equal(options_peek(o, "l.0"), "x");
    assert_true(options_has(o, "l.1.y"));
    assert_null(options_peek(o, "l.1.y"));
}

static void bad_options_are_refused(void **state)
{
    static const char *const json[] = { "{", "[]", "{\"a\":1}x", "{\"a\":1,\"a\":2}" };
    AUTO_OPTIONS Options *o = options_new();
    AUTO_ERROR Error *err = NULL;
    uint64_t n;
    bool b;
    int which;
    static const char *const names[] = { "on", "off", NULL };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(json); i++)
        assert_int_equal(options_parse_json(o, json[i], &err), -EINVAL);
    assert_int_equal(options_parse(o, "=x", NULL, &err), -EINVAL);
    assert_int_equal(options_parse(o, "s=1,5,b=maybe,e=half", NULL, &err), 0);
    assert_int_equal(options_take_bool(o, "b", &b, &err), -EINVAL);
    assert_int_equal(options_take_enum(o, "e", names, &which, &err), -EINVAL);
    options_set(o, "s", "-3");
    assert_int_equal(options_take_u64(o, "s", &n, &err), -EINVAL);
    assert_int_equal(options_end(o, "who", &err), -EINVAL);
    assert_string_equal(error_message(err, 0), "who does not know the option '5'");
}

static void json_is_written(void **state)
{
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    JsonWriter w;

    (void)state;
    jw_init(&w, f, 4);
    jw_begin_object(&w);
    jw_put_string(&w, "z", "a\"b\n");
    jw_key(&w, "list");
    jw_begin_array(&w);
    jw_u64(&w, UINT64_MAX);
    jw_bool(&w, false);
    jw_end_array(&w);
    jw_end_object(&w);
    fclose(f);
    assert_string_equal(text, "{\n    \"z\": \"a\\\"b\\n\",\n    \"list\": [\n"
                              "        18446744073709551615,\n        false\n    ]\n}");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_parsed),        cmocka_unit_test(sizes_are_printed),
        cmocka_unit_test(options_are_split),       cmocka_unit_test(json_is_flattened),
        cmocka_unit_test(bad_options_are_refused), cmocka_unit_test(json_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
