/*
 * keys.c - see keys.h.
 */
#include "emulator/monitor/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static InputKey key_of_code(const char *text)
{
    char *end;
    unsigned long code = strtoul(text, &end, 16);

    for (int k = KEY_NONE + 1; k < KEY_COUNT; k++)
        if (!*end && input_key_set1(k) == code)
            return k;
    return KEY_NONE;
}

int keys_parse(const char *text, InputKey keys[KEYS_MAX], Error **err)
{
    AUTO_FREE char *copy = strdup(text);
    char *rest = copy, *name;
    int n = 0;

    while ((name = strsep(&rest, "-"))) {
        InputKey key = input_key_by_name(strcmp(name, "<") == 0 ? "less" : name);

        if (key == KEY_NONE && strncmp(name, "0x", 2) == 0)
            key = key_of_code(name);
        if (key == KEY_NONE)
            return error_set(err, -EINVAL, "unknown key '%s'", name);
        if (n == KEYS_MAX)
            return error_set(err, -EINVAL, "'%s' has more than %d keys", text, KEYS_MAX);
        keys[n++] = key;
    }
    return n;
}
