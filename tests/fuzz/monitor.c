/*
 * monitor.c - fuzz target: any line as what the human monitor parses: words, names of commands,
 * expressions, formats, keys.
 */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "emulator/monitor/expr.h"
#include "emulator/monitor/keys.h"
#include "emulator/monitor/monitor.h"

static bool any_register(void *opaque, const char *name, uint64_t *value)
{
    (void)opaque;
    *value = strlen(name);
    return *value != 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *line = strndup((const char *)data, size);
    ExamineFormat fmt = { 1, 'x', 4 };
    char *args = line;
    const char *rest = line;
    char shown[EXAMINE_TEXT];
    InputKey keys[KEYS_MAX];
    uint64_t value = 0;

    if (examine_format_parse(&rest, &fmt, NULL) == 0 &&
        expr_parse(&rest, any_register, NULL, &value, NULL) == 0)
        examine_value(&fmt, value, shown);
    keys_parse(line, keys, NULL);
    for (char *word = monitor_word(&args); word; word = monitor_word(&args)) {
        monitor_find(monitor_commands, word);
        monitor_find(monitor_infos, word);
    }
    return 0;
}
