/*
 * map.c - img-tool map: where each part of an image comes from, through the backing chain.
 */
#include "img-tool/cmd.h"

#include <inttypes.h>
#include <string.h>

typedef struct Entry {
    uint64_t start, len, offset;
    unsigned depth;
    bool present, zero, data, packed, has_offset;
    const char *filename;
} Entry;

/* A hole belongs to the deepest image that reaches that far. */
static unsigned hole_depth(Node *node, uint64_t off)
{
    unsigned depth = 0;

    while ((node = node_backing(node)) && off < node_size(node))
        depth++;
    return depth;
}

/* A hole of the file below an allocated cluster reads as zeros but is data of the image all the
 * same. */
static bool is_data(const Extent *ext)
{
    return (ext->kind == EXTENT_DATA || ext->kind == EXTENT_PACKED) && !ext->unused;
}

static Entry entry_of(Node *top, const Extent *ext, uint64_t start)
{
    bool zero = ext->zero || ext->kind == EXTENT_ZERO || ext->kind == EXTENT_HOLE;

    return (Entry) {
        .start = start,
        .len = ext->len,
        .depth = ext->kind == EXTENT_HOLE ? hole_depth(top, start) : ext->depth,
        .present = ext->kind != EXTENT_HOLE && (zero || !ext->unused),
        .zero = zero,
        .data = is_data(ext),
        .packed = ext->kind == EXTENT_PACKED,
        .has_offset = ext->has_pos && ext->kind != EXTENT_PACKED && (zero || !ext->unused),
        .offset = ext->pos,
        .filename = ext->file && ext->has_pos ? node_filename(ext->file) : NULL,
    };
}

static bool follows(const Entry *a, const Entry *b)
{
    return a->depth == b->depth && a->present == b->present && a->zero == b->zero &&
           a->data == b->data && a->packed == b->packed && a->has_offset == b->has_offset &&
           a->filename == b->filename && (!a->has_offset || a->offset + a->len == b->offset);
}

static void print_json(const Entry *e, bool first)
{
    printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
           ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s",
           first ? "[" : ",\n", e->start, e->len, e->depth, e->present ? "true" : "false",
           e->zero ? "true" : "false", e->data ? "true" : "false");
    if (e->packed) /* later releases of qemu-img have the key everywhere, 7.2 nowhere */
        printf(", \"compressed\": true");
    if (e->has_offset)
        printf(", \"offset\": %" PRIu64, e->offset);
    putchar('}');
}

/* Only data that another program could read at the place shown. */
static int print_human(const Entry *e)
{
    if (!e->data || e->zero)
        return 0;
    if (!e->has_offset) {
        complain(
            "the image has compressed or encrypted clusters: they cannot be shown as file offsets "
            "(use --output=json)");
        return 1;
    }
    printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", e->start, e->len, e->offset,
           e->filename);
    return 0;
}

static int print_entry(const Entry *e, bool json, bool *first)
{
    if (!json)
        return print_human(e);
    print_json(e, *first);
    *first = false;
    return 0;
}

static int map_range(Node *node, uint64_t start, uint64_t end, bool json)
{
    Entry current = { 0 };
    bool first = true;
    int code = 0;

    if (!json)
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    while (start < end && code == 0) {
        Extent ext;
        int ret = node_extent_above(node, NULL, start, end - start, &ext);

        if (ret < 0) {
            complain("%s: cannot tell what is at offset %" PRIu64 ": %s", node_filename(node),
                     start, strerror(-ret));
            return 1;
        }
        Entry next = entry_of(node, &ext, start);
        start += ext.len;
        if (current.len && follows(&current, &next)) {
            current.len += next.len;
            continue;
        }
        if (current.len)
            code = print_entry(&current, json, &first);
        current = next;
    }
    if (current.len && code == 0)
        code = print_entry(&current, json, &first);
    if (json)
        puts(first ? "[]" : "]");
    return code;
}

int cmd_map(int argc, char **argv)
{
    enum { OPT_START = OPT_COMMAND, OPT_LENGTH };
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "start-offset", required_argument, NULL, OPT_START },
        { "max-length", required_argument, NULL, OPT_LENGTH },
        { 0 },
    };
    const Command *cmd = command_find("map");
    Common common = { 0 };
    uint64_t start = 0, max = UINT64_MAX;
    int opt, code;

    while ((opt = getopt_long(argc, argv, "hf:s:l:U", long_options, NULL)) != -1) {
        if (opt == OPT_START || opt == 's') {
            if (!parse_size(optarg, "start offset", &start))
                return 1;
        } else if (opt == OPT_LENGTH || opt == 'l') {
            if (!parse_size(optarg, "length", &max))
                return 1;
        } else {
            if (common_option(&common, cmd, opt, &code) < 0)
                return code;
        }
    }
    if (argc - optind != 1)
        return usage_error(cmd, "exactly one file name is expected");
    AUTO_NODE Node *node =
        open_image(&common, argv[optind], common.format, NULL, OPEN_NO_IO | OPEN_LOCAL_NAMES);
    if (!node)
        return 1;
    uint64_t size = node_size(node);
    uint64_t end = start < size && max < size - start ? start + max : size;

    return map_range(node, start, end, common.json);
}
