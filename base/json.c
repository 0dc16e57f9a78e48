/*
 * json.c - see json.h.
 */
#include "base/json.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

void jw_init(JsonWriter *w, FILE *out, int indent)
{
    memset(w, 0, sizeof(*w));
    w->out = out;
    w->indent = indent;
}

static void new_line(JsonWriter *w)
{
    if (w->indent)
        fprintf(w->out, "\n%*s", w->indent * w->depth, "");
}

/* What goes between the previous item and this one. */
static void separate(JsonWriter *w)
{
    if (w->after_key || w->depth == 0) {
        w->after_key = false;
        return;
    }
    if (w->has_items[w->depth])
        fputs(w->indent ? "," : ", ", w->out);
    w->has_items[w->depth] = true;
    new_line(w);
}

static void begin(JsonWriter *w, char c)
{
    separate(w);
    fputc(c, w->out);
    assert(w->depth + 1 < JSON_MAX_DEPTH);
    w->has_items[++w->depth] = false;
}

static void end(JsonWriter *w, char c)
{
    w->depth--;
    new_line(w);
    fputc(c, w->out);
}

void jw_begin_object(JsonWriter *w)
{
    begin(w, '{');
}

void jw_end_object(JsonWriter *w)
{
    end(w, '}');
}

void jw_begin_array(JsonWriter *w)
{
    begin(w, '[');
}

void jw_end_array(JsonWriter *w)
{
    end(w, ']');
}

static void write_char(FILE *out, unsigned char c)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const char *p = c ? strchr(plain, c) : NULL;

    if (p)
        fprintf(out, "\\%c", letter[p - plain]);
    else if (c < 0x20 || c == 0x7f)
        fprintf(out, "\\u%04x", c);
    else
        fputc(c, out);
}

static void write_text(FILE *out, const char *s)
{
    fputc('"', out);
    for (; *s; s++)
        write_char(out, (unsigned char)*s);
    fputc('"', out);
}

void jw_key(JsonWriter *w, const char *key)
{
    separate(w);
    write_text(w->out, key);
    fputs(": ", w->out);
    w->after_key = true;
}

void jw_string(JsonWriter *w, const char *s)
{
    separate(w);
    write_text(w->out, s);
}

void jw_u64(JsonWriter *w, uint64_t v)
{
    separate(w);
    fprintf(w->out, "%" PRIu64, v);
}

void jw_i64(JsonWriter *w, int64_t v)
{
    separate(w);
    fprintf(w->out, "%" PRId64, v);
}

void jw_bool(JsonWriter *w, bool v)
{
    separate(w);
    fputs(v ? "true" : "false", w->out);
}

void jw_null(JsonWriter *w)
{
    separate(w);
    fputs("null", w->out);
}

static void write_container(JsonWriter *w, const json_t *v)
{
    const char *key;
    json_t *item;
    size_t i;

    if (json_is_array(v)) {
        jw_begin_array(w);
        json_array_foreach(v, i, item) jw_value(w, item);
        jw_end_array(w);
        return;
    }
    jw_begin_object(w);
    json_object_foreach((json_t *)v, key, item)
    {
        jw_key(w, key);
        jw_value(w, item);
    }
    jw_end_object(w);
}

void jw_value(JsonWriter *w, const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING: jw_string(w, json_string_value(v)); break;
    case JSON_INTEGER: jw_i64(w, json_integer_value(v)); break;
    case JSON_TRUE: jw_bool(w, true); break;
    case JSON_FALSE: jw_bool(w, false); break;
    case JSON_NULL: jw_null(w); break;
    case JSON_REAL:
        separate(w);
        fprintf(w->out, "%.17g", json_real_value(v));
        break;
    default: write_container(w, v);
    }
}

void jw_put_string(JsonWriter *w, const char *key, const char *s)
{
    jw_key(w, key);
    jw_string(w, s);
}

void jw_put_u64(JsonWriter *w, const char *key, uint64_t v)
{
    jw_key(w, key);
    jw_u64(w, v);
}

void jw_put_bool(JsonWriter *w, const char *key, bool v)
{
    jw_key(w, key);
    jw_bool(w, v);
}
