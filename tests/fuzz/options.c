/*
 * options.c - fuzz target: any text as options in both spellings, and as a size.
 */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/json.h"
#include "base/options.h"
#include "base/size.h"

static void use(Options *o)
{
    AUTO_OPTIONS Options *copy = options_copy(o), *sub = options_take_sub(copy, "file");
    uint64_t number = 0;
    bool flag = false;

    options_take_bool(copy, "a", &flag, NULL);
    options_take_u64(copy, "b", &number, NULL);
    options_take_size(copy, "size", &number, NULL);
    for (size_t i = 0; i < options_count(o); i++)
        if (!options_has(o, options_key_at(o, i)))
            abort();
    options_merge(copy, take(&sub));
    options_end(copy, "fuzz", NULL);
}

static void rewrite(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    AUTO_FREE char *out = NULL;
    size_t size;
    FILE *stream = open_memstream(&out, &size);
    JsonWriter w;

    jw_init(&w, stream, 4);
    if (value)
        jw_value(&w, value);
    fclose(stream);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_OPTIONS Options *plain = options_new(), *json = options_new();
    AUTO_FREE char *text = strndup((const char *)data, size);
    char shown[SIZE_TEXT];
    uint64_t bytes;

    if (options_parse(plain, text, "file", NULL) == 0)
        use(plain);
    if (options_parse_json(json, text, NULL) == 0)
        use(json);
    if (size_parse(text, 0, &bytes, NULL) == 0)
        size_format(bytes, shown);
    rewrite(text);
    return 0;
}
