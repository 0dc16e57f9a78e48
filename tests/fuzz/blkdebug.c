/*
 * blkdebug.c - fuzz target: any text as the rules of the fault-injection filter, which then run.
 */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "block/blkdebug.h"

static void use(Rules *r)
{
    for (int i = 0; i < 3 * EVENT_COUNT; i++) {
        rules_event(r, (BlockEvent)(i % EVENT_COUNT));
        int ret = rules_check(r, (DebugIo)(i % DEBUG_IO_TYPES), (uint64_t)i * 512, 4096);

        if (ret > 0 || ret < -4095)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = strndup((const char *)data, size);
    AUTO_ERROR Error *err = NULL;
    Rules r = { 0 };

    rules_init(&r);
    int ret = rules_parse_config(&r, text, "rules", &err);
    if ((ret < 0) != (err != NULL))
        abort();
    if (ret == 0)
        use(&r);
    rules_free(&r);
    return 0;
}
