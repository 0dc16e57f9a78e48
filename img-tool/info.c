/*
 * info.c - img-tool info: what an image is, alone or with its backing chain.
 */
#include "img-tool/cmd.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

typedef struct Show {
    bool json, chain, children, limits;
} Show;

typedef struct Report {
    Node *node;
    ImageInfo info;
    json_t *specific;
    SnapshotInfo *snapshots;
    size_t n_snapshots;
} Report;

static int report_gather(Node *node, Report *r, Error **err)
{
    *r = (Report) { .node = node };
    int ret = node_info(node, &r->info, err);
    if (ret < 0)
        return ret;
    r->specific = node_format_info(node);
    return node_snapshot_list(node, &r->snapshots, &r->n_snapshots, err);
}

static void report_free(Report *r)
{
    json_decref(r->specific);
    snapshot_list_free(r->snapshots, r->n_snapshots);
}

/* ---- human --------------------------------------------------------------------------------------
 */

void print_specific(const json_t *v, int indent)
{
    const char *key;
    json_t *child;
    size_t i;

    if (json_is_object(v)) {
        json_object_foreach((json_t *)v, key, child)
        {
            printf("%*s", indent, "");
            for (const char *p = key; *p; p++)
                putchar(*p == '-' ? ' ' : *p);
            bool nested = json_is_object(child) || json_is_array(child);
            fputs(nested ? ":\n" : ": ", stdout);
            print_specific(child, indent + 4);
        }
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, child)
        {
            bool nested = json_is_object(child) || json_is_array(child);

            printf("%*s[%zu]:%c", indent, "", i, nested ? '\n' : ' ');
            print_specific(child, indent + 4);
        }
    } else if (json_is_string(v)) {
        printf("%s\n", json_string_value(v));
    } else if (json_is_integer(v)) {
        printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(v));
    } else {
        printf("%s\n", json_is_true(v) ? "true" : json_is_false(v) ? "false" : "");
    }
}

/* One line at the report's depth. */
static void PRINTF_LIKE(2, 3) line(int indent, const char *fmt, ...)
{
    va_list ap;

    printf("%*s", indent, "");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

static void print_backing(const ImageInfo *info, int indent)
{
    const char *full = info->full_backing_file;

    if (!full)
        line(indent, "backing file: %s (cannot determine actual path)", info->backing_file);
    else if (strcmp(info->backing_file, full) != 0)
        line(indent, "backing file: %s (actual path: %s)", info->backing_file, full);
    else
        line(indent, "backing file: %s", info->backing_file);
    if (info->backing_format)
        line(indent, "backing file format: %s", info->backing_format);
}

/* The bottom of a graph is a file, not an image: its size is called its length. */
static void print_outline(const Report *r, int indent, bool protocol)
{
    const ImageInfo *info = &r->info;
    char size[SIZE_TEXT], disk[SIZE_TEXT];

    line(indent, "%s: %s", protocol ? "filename" : "image", node_filename(r->node));
    line(indent, "%s: %s", protocol ? "protocol type" : "file format", node_format(r->node));
    line(indent, "%s: %s (%" PRIu64 " bytes)", protocol ? "file length" : "virtual size",
         size_format(info->virtual_size, size), info->virtual_size);
    line(indent, "disk size: %s",
         info->disk_size == UINT64_MAX ? "unavailable" : size_format(info->disk_size, disk));
}

static void print_human(const Report *r, int indent, bool protocol)
{
    const ImageInfo *info = &r->info;

    print_outline(r, indent, protocol);
    if (info->encrypted)
        line(indent, "encrypted: yes");
    if (info->cluster_size)
        line(indent, "cluster_size: %" PRIu32, info->cluster_size);
    if (info->dirty)
        line(indent, "cleanly shut down: no");
    if (info->backing_file)
        print_backing(info, indent);
    if (r->n_snapshots) {
        line(indent, "Snapshot list:");
        print_snapshot_table(r->snapshots, r->n_snapshots);
    }
    const json_t *data = json_object_get(r->specific, "data");
    if (data && json_object_size(data)) {
        line(indent, "Format specific information:");
        print_specific(data, indent + 4);
    }
}

static const struct {
    const char *key, *label;
    size_t field;
} limit_names[] = {
    { "request-alignment", "Request alignment", offsetof(NodeLimits, request_alignment) },
    { "discard-alignment", "Discard alignment", offsetof(NodeLimits, discard_alignment) },
    { "write-zeroes-alignment", "Write zeroes alignment",
      offsetof(NodeLimits, write_zeroes_alignment) },
    { "max-iov", "Maximum iovec", offsetof(NodeLimits, max_iov) },
    { "min-mem-alignment", "Minimum memory alignment", offsetof(NodeLimits, memory_alignment) },
    { "opt-mem-alignment", "Optimal memory alignment", offsetof(NodeLimits, memory_alignment) },
};

static uint32_t limit_value(const NodeLimits *limits, size_t i)
{
    return *(const uint32_t *)((const char *)limits + limit_names[i].field);
}

static void print_limits(const Node *node)
{
    NodeLimits limits;

    node_limits(node, &limits);
    puts("Block limits:");
    for (size_t i = 0; i < ARRAY_LEN(limit_names); i++)
        printf("    %s: %" PRIu32 "\n", limit_names[i].label, limit_value(&limits, i));
}

/* ---- JSON ---------------------------------------------------------------------------------------
 */

static void json_limits(JsonWriter *w, const Node *node)
{
    NodeLimits limits;

    node_limits(node, &limits);
    jw_key(w, "limits");
    jw_begin_object(w);
    for (size_t i = 0; i < ARRAY_LEN(limit_names); i++)
        jw_put_u64(w, limit_names[i].key, limit_value(&limits, i));
    jw_end_object(w);
}

static int json_node(JsonWriter *w, Node *node, const Show *show, Error **err);

/* As later releases of qemu-img do it: the file below, and what is below that. */
static int json_children(JsonWriter *w, const Report *r, const Show *show, Error **err)
{
    Node *child = node_file(r->node);
    int ret = 0;

    jw_key(w, "children");
    jw_begin_array(w);
    if (child) {
        jw_begin_object(w);
        jw_put_string(w, "name", "file");
        jw_key(w, "info");
        ret = json_node(w, child, show, err);
        jw_end_object(w);
    }
    jw_end_array(w);
    return ret;
}

static int json_report(JsonWriter *w, const Report *r, const Show *show, Error **err)
{
    const ImageInfo *info = &r->info;
    int ret = 0;

    jw_begin_object(w);
    if (show->children)
        ret = json_children(w, r, show, err);
    if (r->n_snapshots) {
        jw_key(w, "snapshots");
        json_snapshots(w, r->snapshots, r->n_snapshots);
    }
    if (info->backing_format)
        jw_put_string(w, "backing-filename-format", info->backing_format);
    jw_put_u64(w, "virtual-size", info->virtual_size);
    jw_put_string(w, "filename", node_filename(r->node));
    if (info->cluster_size)
        jw_put_u64(w, "cluster-size", info->cluster_size);
    jw_put_string(w, "format", node_format(r->node));
    if (info->disk_size != UINT64_MAX)
        jw_put_u64(w, "actual-size", info->disk_size);
    if (info->compressed)
        jw_put_bool(w, "compressed", true);
    if (r->specific) {
        jw_key(w, "format-specific");
        jw_value(w, r->specific);
    }
    if (info->encrypted)
        jw_put_bool(w, "encrypted", true);
    if (info->full_backing_file)
        jw_put_string(w, "full-backing-filename", info->full_backing_file);
    if (info->backing_file)
        jw_put_string(w, "backing-filename", info->backing_file);
    if (show->limits)
        json_limits(w, r->node);
    jw_put_bool(w, "dirty-flag", info->dirty);
    jw_end_object(w);
    return ret;
}

static int json_node(JsonWriter *w, Node *node, const Show *show, Error **err)
{
    Report r;
    int ret = report_gather(node, &r, err);

    if (ret == 0)
        ret = json_report(w, &r, show, err);
    report_free(&r);
    return ret;
}

/* ---- nodes and chains --------------------------------------------------------------------------
 */

static int print_node(Node *node, const Show *show, Error **err)
{
    Report r;
    int ret = report_gather(node, &r, err);

    if (ret == 0) {
        print_human(&r, 0, false);
        if (show->limits)
            print_limits(node);
    }
    report_free(&r);
    return ret;
}

/* The files below an image, each under the path that leads to it. */
static int print_children(Node *node, const Show *show, Error **err)
{
    char path[64] = "";
    int ret = 0;

    while (show->children && ret == 0 && (node = node_file(node)) &&
           strlen(path) + 6 < sizeof(path)) {
        Report r;

        strcat(path, "/file");
        printf("Child node '%s':\n", path);
        ret = report_gather(node, &r, err);
        if (ret == 0)
            print_human(&r, 4, !node_file(node));
        report_free(&r);
    }
    return ret;
}

static int show_one(JsonWriter *w, Node *node, const Show *show, Error **err)
{
    if (show->json)
        return json_node(w, node, show, err);
    int ret = print_node(node, show, err);
    return ret == 0 ? print_children(node, show, err) : ret;
}

static int show_image(Node *top, const Show *show)
{
    JsonWriter w;
    int code = 0;

    jw_init(&w, stdout, 4);
    if (show->json && show->chain)
        jw_begin_array(&w);
    for (Node *node = top; node && code == 0; node = show->chain ? node_backing(node) : NULL) {
        Error *err = NULL;

        if (node != top && !show->json)
            putchar('\n');
        int ret = show_one(&w, node, show, &err);
        if (ret < 0)
            code = fail(err, ret);
    }
    if (show->json && show->chain)
        jw_end_array(&w);
    if (show->json)
        putchar('\n');
    return code;
}

int cmd_info(int argc, char **argv)
{
    enum { OPT_CHAIN = OPT_COMMAND, OPT_CHILDREN, OPT_LIMITS };
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "backing-chain", no_argument, NULL, OPT_CHAIN },
        { "children", no_argument, NULL, OPT_CHILDREN },
        { "limits", no_argument, NULL, OPT_LIMITS },
        { "cache", required_argument, NULL, 't' },
        { 0 },
    };
    const Command *cmd = command_find("info");
    Common common = { 0 };
    Show show = { 0 };
    int opt, code;

    while ((opt = getopt_long(argc, argv, "hf:t:U", long_options, NULL)) != -1) {
        bool *flag = opt == OPT_CHAIN      ? &show.chain
                     : opt == OPT_CHILDREN ? &show.children
                     : opt == OPT_LIMITS   ? &show.limits
                                           : NULL;

        if (flag) {
            *flag = true;
            continue;
        }
        if (common_option(&common, cmd, opt, &code) < 0)
            return code;
    }
    if (argc - optind != 1)
        return usage_error(cmd, "exactly one file name is expected");

    /* Looking at an image opens nothing that it names, unless the chain is asked for. */
    AUTO_NODE Node *node =
        open_image(&common, argv[optind], common.format, common.cache,
                   (show.chain ? 0 : OPEN_NO_BACKING) | OPEN_NO_DATA | OPEN_NO_IO);
    show.json = common.json;
    return node ? show_image(node, &show) : 1;
}
