/*
 * json.h - writing JSON in the order the caller names the keys.
 *
 * The layout is the one that other tools of this field print: four spaces an indent, one item a
 * line, `"key": value`. With indent 0 everything is on one line with ", " between items.
 * jw_value() writes a jansson tree in the same layout.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { JSON_MAX_DEPTH = 64 };

typedef struct JsonWriter {
    FILE *out;
    int indent; /* spaces a level; 0 is one line */
    int depth;
    bool has_items[JSON_MAX_DEPTH];
    bool after_key;
} JsonWriter;

void jw_init(JsonWriter *w, FILE *out, int indent);

/* In an object each value is preceded by jw_key(). */
void jw_key(JsonWriter *w, const char *key);
void jw_begin_object(JsonWriter *w);
void jw_end_object(JsonWriter *w);
void jw_begin_array(JsonWriter *w);
void jw_end_array(JsonWriter *w);
void jw_string(JsonWriter *w, const char *s);
void jw_u64(JsonWriter *w, uint64_t v);
void jw_i64(JsonWriter *w, int64_t v);
void jw_bool(JsonWriter *w, bool v);
void jw_null(JsonWriter *w);
void jw_value(JsonWriter *w, const json_t *v);

/* jw_key() and a value in one. */
void jw_put_string(JsonWriter *w, const char *key, const char *s);
void jw_put_u64(JsonWriter *w, const char *key, uint64_t v);
void jw_put_bool(JsonWriter *w, const char *key, bool v);

#endif
