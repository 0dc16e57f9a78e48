/*
 * monitor_parse.c - expressions, formats of `x`, and names of keys.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "emulator/monitor/expr.h"
#include "emulator/monitor/keys.h"

static bool one_register(void *opaque, const char *name, uint64_t *value)
{
    (void)opaque;
    *value = 0x1234;
    return strcmp(name, "rax") == 0;
}

static void expressions(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } cases[] = {
        { "1", true, 1 },
        { "0x10 + 2*3", true, 22 },
        { "(1+2)*3", true, 9 },
        { "010", true, 8 },
        { "-1", true, UINT64_MAX },
        { "~0 & 0xff", true, 0xff },
        { "1|6^2", true, 5 },
        { "$rax+1", true, 0x1235 },
        { "'a'", true, 'a' },
        { "7 % 4 - 1", true, 2 },
        { "", false, 0 },
        { "1/0", false, 0 },
        { "$nothing", false, 0 },
        { "(1", false, 0 },
        { "abc", false, 0 },
        { "'a", false, 0 },
        { "99999999999999999999", false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_ERROR Error *err = NULL;
        const char *text = cases[i].text;
        uint64_t value;
        int ret = expr_parse(&text, one_register, NULL, &value, &err);

        if ((ret == 0) != cases[i].ok || (ret == 0 && value != cases[i].value))
            fail_msg("%s: %d, %#lx", cases[i].text, ret, (unsigned long)value);
        assert_true(ret == 0 || err);
    }
}

static void deep_nesting_is_refused(void **state)
{
    char deep[4096];
    const char *text = deep;
    uint64_t value;

    (void)state;
    memset(deep, '(', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    assert_true(expr_parse(&text, NULL, NULL, &value, NULL) < 0);
}

static void formats(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        ExamineFormat fmt;
    } cases[] = {
        { "/4xw 0", true, { 4, 'x', 4 } },    { "/2dg", true, { 2, 'd', 8 } },
        { "0x10", true, { 1, 'x', 4 } },      { "/c", true, { 1, 'c', 4 } },
        { " /16bx 1", true, { 16, 'x', 1 } }, { "/5q", false, { 0, 0, 0 } },
        { "/3i", false, { 0, 0, 0 } },        { "/99999999x", false, { 0, 0, 0 } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ExamineFormat fmt = { 1, 'x', 4 };
        const char *text = cases[i].text;
        int ret = examine_format_parse(&text, &fmt, NULL);

        if ((ret == 0) != cases[i].ok)
            fail_msg("%s: %d", cases[i].text, ret);
        if (ret == 0)
            assert_true(fmt.count == cases[i].fmt.count && fmt.format == cases[i].fmt.format &&
                        fmt.size == cases[i].fmt.size);
    }
}

static void values(void **state)
{
    static const struct {
        ExamineFormat fmt;
        uint64_t value;
        const char *text;
    } cases[] = {
        { { 1, 'x', 4 }, 0xbeef, "0x0000beef" },
        { { 1, 'x', 1 }, 7, "0x07" },
        { { 1, 'd', 2 }, 0xffff, "-1" },
        { { 1, 'u', 2 }, 0xffff, "65535" },
        { { 1, 'c', 1 }, 'a', "'a'" },
        { { 1, 'c', 1 }, 1, "'\\x01'" },
        { { 1, 'o', 4 }, 8, "010" },
        { { 1, 'd', 8 }, UINT64_MAX, "-1" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[EXAMINE_TEXT];

        examine_value(&cases[i].fmt, cases[i].value, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void key_names(void **state)
{
    InputKey keys[KEYS_MAX];

    (void)state;
    assert_int_equal(keys_parse("ctrl-alt-delete", keys, NULL), 3);
    assert_int_equal(keys[0], KEY_ctrl);
    assert_int_equal(keys[2], KEY_delete);
    assert_int_equal(keys_parse("a", keys, NULL), 1);
    assert_int_equal(keys_parse("0x1e", keys, NULL), 1);
    assert_int_equal(keys[0], KEY_a);
    assert_true(keys_parse("ctrl-frob", keys, NULL) < 0);
    assert_true(keys_parse("", keys, NULL) < 0);
    assert_true(keys_parse("a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a", keys, NULL) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions), cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(formats),     cmocka_unit_test(values),
        cmocka_unit_test(key_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
