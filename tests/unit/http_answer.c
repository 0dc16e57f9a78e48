/*
 * http_answer.c - judging what a server says, URLs and names relative to them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "block/http/answer.h"
#include "block/remote.h"

#define OK206 "HTTP/1.1 206 Partial Content\r\n"

static const Identity known = { .size = 1000, .etag = "\"a\"", .modified = "Mon" };

/* What is asked for is always [100, 200). */
static const struct {
    const char *what, *header;
    const Identity *known;
    Verdict verdict;
} answers[] = {
    { "a range", OK206 "Content-Range: bytes 100-199/1000\r\n", &known, ANSWER_RANGE },
    { "a shorter range", OK206 "Content-Range: bytes 100-150/1000\r\n", &known, ANSWER_RANGE },
    { "any case, any blanks", "http/2 206\ncontent-RANGE:  Bytes  100-199/1000", NULL,
      ANSWER_RANGE },
    { "no total", OK206 "Content-Range: bytes 100-199/*\r\n", &known, ANSWER_RANGE },
    { "too early", OK206 "Content-Range: bytes 0-199/1000\r\n", &known, ANSWER_WRONG },
    { "too long", OK206 "Content-Range: bytes 100-200/1000\r\n", &known, ANSWER_WRONG },
    { "beyond the total", OK206 "Content-Range: bytes 100-199/150\r\n", NULL, ANSWER_WRONG },
    { "backwards", OK206 "Content-Range: bytes 199-100/1000\r\n", NULL, ANSWER_WRONG },
    { "not bytes", OK206 "Content-Range: items 100-199/1000\r\n", NULL, ANSWER_WRONG },
    { "huge", OK206 "Content-Range: bytes 100-99999999999999999999/1\r\n", NULL, ANSWER_WRONG },
    { "2^63", OK206 "Content-Range: bytes 100-199/9223372036854775808\r\n", NULL, ANSWER_WRONG },
    { "no range", OK206, NULL, ANSWER_WRONG },
    { "another length", OK206 "Content-Range: bytes 100-199/1000\r\nContent-Length: 5\r\n", NULL,
      ANSWER_WRONG },
    { "another size", OK206 "Content-Range: bytes 100-199/1001\r\n", &known, ANSWER_CHANGED },
    { "another tag", OK206 "Content-Range: bytes 100-199/1000\r\nETag: \"b\"\r\n", &known,
      ANSWER_CHANGED },
    { "another date", OK206 "Content-Range: bytes 100-199/1000\r\nLast-Modified: Tue\r\n", &known,
      ANSWER_CHANGED },
    { "encoded", OK206 "Content-Range: bytes 100-199/1000\r\nContent-Encoding: br\r\n", NULL,
      ANSWER_WRONG },
    { "identity is no encoding",
      OK206 "Content-Range: bytes 100-199/1000\r\nContent-Encoding: Identity\r\n", NULL,
      ANSWER_RANGE },
    { "the whole", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n", &known, ANSWER_WHOLE },
    { "the whole of another", "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n", &known,
      ANSWER_CHANGED },
    { "after a redirection", "HTTP/1.1 302 x\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\n", NULL,
      ANSWER_WHOLE },
    { "an empty file", "HTTP/1.1 416 x\r\nContent-Range: bytes */0\r\n", NULL, ANSWER_EMPTY },
    { "it got shorter", "HTTP/1.1 416 x\r\nContent-Range: bytes */50\r\n", &known, ANSWER_CHANGED },
    { "416 without reason", "HTTP/1.1 416 x\r\n", NULL, ANSWER_WRONG },
    { "404", "HTTP/1.1 404 Not Found\r\n", NULL, ANSWER_EXPIRED },
    { "503", "HTTP/1.1 503 Later\r\n", NULL, ANSWER_AGAIN },
    { "304", "HTTP/1.1 304 Same\r\n", &known, ANSWER_WRONG },
    { "nothing", "", NULL, ANSWER_WRONG },
    { "no number", "HTTP/1.1 abc\r\n", NULL, ANSWER_WRONG },
};

static void feed(Answer *a, const char *text)
{
    answer_init(a);
    while (*text) {
        size_t n = strcspn(text, "\n");

        assert_int_equal(answer_field(a, text, n + (text[n] == '\n')), 0);
        text += n + (text[n] == '\n');
    }
}

static void answers_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        AUTO_ERROR Error *err = NULL;
        Answer a;
        int code;

        feed(&a, answers[i].header);
        Verdict v = answer_judge(&a, 100, 200, answers[i].known, &code, &err);
        if (v != answers[i].verdict)
            fail_msg("%s: verdict %d, not %d (%s)", answers[i].what, v, answers[i].verdict,
                     err ? err->message : "no error");
        assert_int_equal(err != NULL, v > ANSWER_EMPTY);
        assert_int_equal(code<0, v> ANSWER_EMPTY);
    }
}

static void retry_after_is_read(void **state)
{
    Answer a;

    (void)state;
    feed(&a, "HTTP/1.1 503 x\r\nRetry-After: 17\r\n");
    assert_int_equal(a.retry_after, 17);
    feed(&a, "HTTP/1.1 503 x\r\nRetry-After: 99999999999\r\n");
    assert_int_equal(a.retry_after, 86400);
    feed(&a, "HTTP/1.1 503 x\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n");
    assert_int_equal(a.retry_after, 0);
    feed(&a, "HTTP/1.1 503 x\r\nRetry-After: soon\r\n");
    assert_int_equal(a.retry_after, 0);
}

static void header_is_bounded(void **state)
{
    char line[1000];
    int ret = 0, n = 0;
    Answer a;

    (void)state;
    memset(line, 'x', sizeof(line));
    answer_init(&a);
    for (; ret == 0 && n < 10000; n++)
        ret = answer_field(&a, line, sizeof(line));
    assert_true(ret < 0);
    assert_int_equal(n, HEADER_MAX / (int)sizeof(line) + 1);
}

static void unprintable_versions_are_ignored(void **state)
{
    Answer a;

    (void)state;
    feed(&a, "HTTP/1.1 200 x\r\nETag: \"a\x01\"\r\nLast-Modified: \x1b[31m\r\n");
    assert_string_equal(a.id.etag, "");
    assert_string_equal(a.id.modified, "");
    assert_false(identity_is_strong(&a.id));
}

static void pages_are_seen(void **state)
{
    Answer a;

    (void)state;
    feed(&a, "HTTP/1.1 200 x\r\nContent-Type: Text/HTML; charset=utf-8\r\n");
    assert_true(looks_like_page(a.type, "\n <!DocType HTML>", 17));
    assert_true(looks_like_page(a.type, "\xef\xbb\xbf<html>", 9));
    assert_false(looks_like_page(a.type, "QFI\xfb", 4));
    assert_false(looks_like_page(a.type, "", 0));
    feed(&a, "HTTP/1.1 200 x\r\nContent-Type: application/octet-stream\r\n");
    assert_false(looks_like_page(a.type, "<html>", 6));
}

static void urls_are_compared(void **state)
{
    (void)state;
    assert_true(url_same_server("http://a:8/x", "HTTP://u:p@A:8/y?z"));
    assert_false(url_same_server("http://a/x", "https://a/x"));
    assert_false(url_same_server("http://a/x", "http://a:80/x"));
    assert_false(url_same_server("http://a.b/x", "http://a.b@evil/x"));
    assert_false(url_same_server("x", "x"));
}

static void check_login(const char *url, const char *clean, const char *user, const char *password)
{
    char *got[3];

    assert_true(url_split_login(url, &got[0], &got[1], &got[2]));
    assert_string_equal(got[0], clean);
    assert_int_equal(got[1] != NULL, user != NULL);
    if (user) {
        assert_string_equal(got[1], user);
        assert_string_equal(got[2], password);
    }
    for (size_t i = 0; i < 3; i++)
        free(got[i]);
}

static void logins_are_split(void **state)
{
    (void)state;
    check_login("http://h/x y", "http://h/x%20y", NULL, NULL);
    check_login("http://u:p@h:80/x", "http://h:80/x", "u", "p");
    check_login("http://u%40d:p%3a%2f@h/x", "http://h/x", "u@d", "p:/");
    check_login("ftp://u@h", "ftp://h", "u", "");
    check_login("http://h/x@y", "http://h/x@y", NULL, NULL);
}

static const struct {
    const char *base, *name, *full;
} names[] = {
    { "http://h/a/b.qcow2", "c.raw", "http://h/a/c.raw" },
    { "http://h/a/b.qcow2?q=/x/y", "c.raw", "http://h/a/c.raw" },
    { "http://h/a/b.qcow2", "c.raw?t=1/2", "http://h/a/c.raw?t=1/2" },
    { "http://h/a/b.qcow2", "../c.raw", "http://h/a/../c.raw" },
    { "http://h", "c.raw", "http://h/c.raw" },
    { "http://h?q", "c.raw", "http://h/c.raw" },
    { "http://h/a/b", "/etc/x", "/etc/x" },
    { "http://h/a/b", "https://g/x", "https://g/x" },
    { "dir/a", "b", "dir/b" },
    { "a", "b", "b" },
    { "file:dir/a", "b", "dir/b" },
};

static void names_are_resolved(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO_FREE char *full = path_resolve(names[i].base, names[i].name);

        assert_string_equal(full, names[i].full);
    }
}

static void file_names_are_found(void **state)
{
    static const char *const rows[][2] = {
        { "http://h/a/b%20c.img?x=/y", "b c.img" },
        { "http://h/", "" },
        { "http://h", "" },
        { "/a/b.img", "b.img" },
        { "http://h/%zz%4", "%zz%4" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_FREE char *name = url_file_name(rows[i][0]);

        assert_string_equal(name, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_judged),   cmocka_unit_test(retry_after_is_read),
        cmocka_unit_test(header_is_bounded),    cmocka_unit_test(unprintable_versions_are_ignored),
        cmocka_unit_test(pages_are_seen),       cmocka_unit_test(urls_are_compared),
        cmocka_unit_test(logins_are_split),     cmocka_unit_test(names_are_resolved),
        cmocka_unit_test(file_names_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
