/*
 * options.c - see options.h. The tree is kept flat: an ordered list of dotted keys and texts.
 *
 * Trees have a dozen entries, so look-ups are linear.
 */
#include "base/options.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"

enum { OPTIONS_MAX_TEXT = 1 << 20, OPTIONS_MAX_DEPTH = 32 };

typedef struct {
    char *key;
    char *value; /* NULL: JSON null */
} Entry;

struct Options {
    Entry *entries;
    size_t count, room;
};

Options *options_new(void)
{
    return calloc(1, sizeof(Options));
}

void options_free(Options *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < o->count; i++) {
        free(o->entries[i].key);
        free(o->entries[i].value);
    }
    free(o->entries);
    free(o);
}

Options *options_copy(const Options *o)
{
    Options *copy = options_new();

    for (size_t i = 0; o && i < o->count; i++)
        options_set(copy, o->entries[i].key, o->entries[i].value);
    return copy;
}

static Entry *entry_find(const Options *o, const char *key)
{
    for (size_t i = 0; i < o->count; i++)
        if (strcmp(o->entries[i].key, key) == 0)
            return &o->entries[i];
    return NULL;
}

static void entry_remove(Options *o, Entry *e)
{
    size_t i = (size_t)(e - o->entries);

    free(e->key);
    memmove(e, e + 1, (o->count - i - 1) * sizeof(*e));
    o->count--;
}

void options_set(Options *o, const char *key, const char *value)
{
    Entry *e = entry_find(o, key);
    char *text = value ? strdup(value) : NULL;

    if (e) {
        free(e->value);
        e->value = text;
        return;
    }
    if (o->count == o->room) {
        o->room = o->room ? 2 * o->room : 8;
        o->entries = realloc(o->entries, o->room * sizeof(*o->entries));
    }
    o->entries[o->count++] = (Entry) { strdup(key), text };
}

void options_set_u64(Options *o, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    options_set(o, key, text);
}

/* Copy one item up to an undoubled comma; *text then points behind it. */
static char *item_next(const char **text)
{
    const char *s = *text;
    char *item = malloc(strlen(s) + 1), *w = item;

    for (; *s; s++) {
        if (*s == ',' && *++s != ',')
            break;
        *w++ = *s;
    }
    *w = '\0';
    *text = s;
    return item;
}

int options_parse(Options *o, const char *text, const char *implied_key, Error **err)
{
    if (strlen(text) > OPTIONS_MAX_TEXT)
        return error_set(err, -EINVAL, "the options are longer than %d bytes", OPTIONS_MAX_TEXT);
    while (*text) {
        AUTO_FREE char *item = item_next(&text);
        char *eq = strchr(item, '=');

        if (!eq && implied_key) {
            options_set(o, implied_key, item);
        } else if (!eq && *item) {
            options_set(o, item, "on");
        } else if (!eq || eq == item) {
            return error_set(err, -EINVAL, "an option without a name: '%s'", item);
        } else {
            *eq = '\0';
            options_set(o, item, eq + 1);
        }
        implied_key = NULL;
    }
    return 0;
}

static int flatten(Options *o, const char *key, const json_t *v, int depth, Error **err);

static int flatten_child(Options *o, const char *key, const char *name, const json_t *v, int depth,
                         Error **err)
{
    AUTO_FREE char *path = NULL;

    if (asprintf(&path, "%s%s%s", key, *key ? "." : "", name) < 0)
        return error_set(err, -ENOMEM, "no memory for options");
    return flatten(o, path, v, depth + 1, err);
}

static int flatten_container(Options *o, const char *key, const json_t *v, int depth, Error **err)
{
    const char *name;
    json_t *item;
    size_t i;
    int ret = 0;

    if (json_is_object(v)) {
        json_object_foreach((json_t *)v, name, item) if (ret == 0) ret =
            flatten_child(o, key, name, item, depth, err);
        return ret;
    }
    json_array_foreach(v, i, item)
    {
        char number[24];

        snprintf(number, sizeof(number), "%zu", i);
        if (ret == 0)
            ret = flatten_child(o, key, number, item, depth, err);
    }
    return ret;
}

static int flatten(Options *o, const char *key, const json_t *v, int depth, Error **err)
{
    char number[40];

    if (depth > OPTIONS_MAX_DEPTH)
        return error_set(err, -EINVAL, "JSON options are nested deeper than %d", OPTIONS_MAX_DEPTH);
    switch (json_typeof(v)) {
    case JSON_STRING: options_set(o, key, json_string_value(v)); break;
    case JSON_TRUE: options_set(o, key, "on"); break;
    case JSON_FALSE: options_set(o, key, "off"); break;
    case JSON_NULL: options_set(o, key, NULL); break;
    case JSON_INTEGER:
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        options_set(o, key, number);
        break;
    case JSON_REAL:
        snprintf(number, sizeof(number), "%.17g", json_real_value(v));
        options_set(o, key, number);
        break;
    default: return flatten_container(o, key, v, depth, err);
    }
    return 0;
}

int options_parse_json(Options *o, const char *text, Error **err)
{
    json_error_t where;

    if (strlen(text) > OPTIONS_MAX_TEXT)
        return error_set(err, -EINVAL, "the options are longer than %d bytes", OPTIONS_MAX_TEXT);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return error_set(err, -EINVAL, "json: %s (line %d, column %d)", where.text, where.line,
                         where.column);
    int ret = json_is_object(root) ? flatten(o, "", root, 0, err)
                                   : error_set(err, -EINVAL, "json: options must be an object");
    json_decref(root);
    return ret;
}

static bool below(const char *key, const char *prefix, size_t len)
{
    return strncmp(key, prefix, len) == 0 && key[len] == '.';
}

bool options_has(const Options *o, const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < o->count; i++)
        if (strcmp(o->entries[i].key, key) == 0 || below(o->entries[i].key, key, len))
            return true;
    return false;
}

const char *options_peek(const Options *o, const char *key)
{
    Entry *e = entry_find(o, key);

    return e ? e->value : NULL;
}

char *options_take(Options *o, const char *key)
{
    Entry *e = entry_find(o, key);

    if (!e)
        return NULL;
    char *value = e->value;
    entry_remove(o, e);
    return value;
}

int options_take_bool(Options *o, const char *key, bool *value, Error **err)
{
    static const char *const yes[] = { "on", "true", "yes", "y" };
    static const char *const no[] = { "off", "false", "no", "n" };
    AUTO_FREE char *text = options_take(o, key);

    if (!text)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *value = strcmp(text, yes[i]) == 0;
            return 0;
        }
    }
    return error_set(err, -EINVAL, "option '%s' is 'on' or 'off', not '%s'", key, text);
}

int options_take_u64(Options *o, const char *key, uint64_t *value, Error **err)
{
    AUTO_FREE char *text = options_take(o, key);
    char *end;

    if (!text)
        return 0;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 0);
    if (errno || end == text || *end || strchr(text, '-'))
        return error_set(err, -EINVAL, "option '%s' needs a number, not '%s'", key, text);
    *value = v;
    return 0;
}

int options_take_size(Options *o, const char *key, uint64_t *value, Error **err)
{
    AUTO_FREE char *text = options_take(o, key);

    if (!text)
        return 0;
    int ret = size_parse(text, 0, value, err);
    return ret < 0 ? error_prefix(err, ret, "option '%s'", key) : 0;
}

int options_take_enum(Options *o, const char *key, const char *const *names, int *value,
                      Error **err)
{
    AUTO_FREE char *text = options_take(o, key);
    char all[256] = "";

    if (!text)
        return 0;
    for (int i = 0; names[i]; i++) {
        size_t used = strlen(all);

        if (strcmp(text, names[i]) == 0) {
            *value = i;
            return 0;
        }
        snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "", names[i]);
    }
    return error_set(err, -EINVAL, "option '%s' is one of %s; not '%s'", key, all, text);
}

Options *options_take_sub(Options *o, const char *prefix)
{
    Options *sub = options_new();
    size_t len = strlen(prefix);

    for (size_t i = 0; i < o->count;) {
        Entry *e = &o->entries[i];

        if (!below(e->key, prefix, len)) {
            i++;
            continue;
        }
        options_set(sub, e->key + len + 1, e->value);
        free(e->value);
        entry_remove(o, e);
    }
    return sub;
}

void options_merge(Options *o, Options *from)
{
    for (size_t i = 0; from && i < from->count; i++)
        options_set(o, from->entries[i].key, from->entries[i].value);
    options_free(from);
}

bool options_empty(const Options *o)
{
    return o->count == 0;
}

size_t options_count(const Options *o)
{
    return o->count;
}

const char *options_key_at(const Options *o, size_t i)
{
    return o->entries[i].key;
}

const char *options_value_at(const Options *o, size_t i)
{
    return o->entries[i].value;
}

int options_end(const Options *o, const char *who, Error **err)
{
    if (o->count == 0)
        return 0;
    return error_set(err, -EINVAL, "%s does not know the option '%s'", who, o->entries[0].key);
}
