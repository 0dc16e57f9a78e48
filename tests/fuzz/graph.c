/*
 * graph.c - fuzz target: any options as a graph of nodes in memory, opened and used.
 *
 * No file and no network: names with a slash or a colon are left out, the folder is empty, and only
 * drivers that need neither are let through.
 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/math.h"
#include "block/node.h"

static const char *const drivers[] = {
    "memory",       "null-co",  "null-aio",    "raw",    "qcow2",    "luks",      "blkdebug",
    "blklogwrites", "compress", "preallocate", "quorum", "throttle", "blkverify", "copy-on-read",
};

static bool harmless(const Options *o)
{
    for (size_t i = 0; i < options_count(o); i++) {
        const char *key = options_key_at(o, i), *value = options_value_at(o, i);
        const char *dot = strrchr(key, '.');
        bool known = false;

        if (strstr(key, "latency") || (value && strpbrk(value, "/:")))
            return false;
        if (!value || strcmp(dot ? dot + 1 : key, "driver") != 0)
            continue;
        for (size_t d = 0; d < ARRAY_LEN(drivers); d++)
            known |= strcmp(value, drivers[d]) == 0;
        if (!known)
            return false;
    }
    return true;
}

static void use(Node *node)
{
    static uint8_t buf[20000];
    uint64_t size = node_size(node), len = MIN(size, sizeof(buf));
    Extent ext;

    node_pwrite(node, buf, len, 0);
    node_pwrite_zeroes(node, 0, len / 2, REQ_MAY_UNMAP);
    node_discard(node, len / 3, len / 2);
    node_pread(node, buf, len, size - len);
    if (size)
        node_extent_above(node, NULL, 0, size, &ext);
    node_flush(node);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool moved;
    AUTO_FREE char *text = strndup((const char *)data, size);
    Options *o = options_new();
    AUTO_ERROR Error *err = NULL;
    Node *node;

    if (!moved) {
        char dir[] = "/tmp/fuzz-graph.XXXXXX";

        if (!mkdtemp(dir) || chdir(dir) < 0 || rmdir(dir) < 0) /* nothing can be made in it */
            abort();
        moved = true;
    }
    int ret =
        text[0] == '{' ? options_parse_json(o, text, NULL) : options_parse(o, text, NULL, NULL);
    if (ret < 0 || !harmless(o)) {
        options_free(o);
        return 0;
    }
    ret = node_open(NULL, NULL, o, OPEN_RDWR | OPEN_NO_FLUSH | OPEN_NO_EXTERNAL, &node, &err);
    if (ret < 0 && !err)
        abort();
    if (ret == 0) {
        use(node);
        node_unref(node);
    }
    return 0;
}
