/*
 * info.c - img-tool info: what an image is, alone or with its backing chain.
 */
#include "img-tool/cmd.h"

#include <inttypes.h>
#include <string.h>

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

/* Nested values of the format, four spaces a level: "    compat: 1.1". Dashes in keys become
 * blanks. */
static void print_specific(const json_t *v, int indent)
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
            printf("%*s[%zu]:\n", indent, "", i);
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

static void print_backing(const ImageInfo *info)
{
    printf("backing file: %s", info->backing_file);
    if (!info->full_backing_file)
        printf(" (cannot determine actual path)");
    else if (strcmp(info->backing_file, info->full_backing_file) != 0)
        printf(" (actual path: %s)", info->full_backing_file);
    putchar('\n');
    if (info->backing_format)
        printf("backing file format: %s\n", info->backing_format);
}

static void print_human(const Report *r)
{
    const ImageInfo *info = &r->info;
    char size[SIZE_TEXT], disk[SIZE_TEXT];

    printf("image: %s\nfile format: %s\nvirtual size: %s (%" PRIu64 " bytes)\ndisk size: %s\n",
           node_filename(r->node), node_format(r->node), size_format(info->virtual_size, size),
           info->virtual_size, size_format(info->disk_size, disk));
    if (info->encrypted)
        puts("encrypted: yes");
    if (info->cluster_size)
        printf("cluster_size: %" PRIu32 "\n", info->cluster_size);
    if (info->dirty)
        puts("cleanly shut down: no");
    if (info->backing_file)
        print_backing(info);
    if (r->n_snapshots) {
        puts("Snapshot list:");
        print_snapshot_table(r->snapshots, r->n_snapshots);
    }
    const json_t *data = json_object_get(r->specific, "data");
    if (data && json_object_size(data)) {
        puts("Format specific information:");
        print_specific(data, 4);
    }
}

/* ---- JSON ---------------------------------------------------------------------------------------
 */

static void json_snapshots(JsonWriter *w, const Report *r)
{
    jw_key(w, "snapshots");
    jw_begin_array(w);
    for (size_t i = 0; i < r->n_snapshots; i++) {
        const SnapshotInfo *s = &r->snapshots[i];

        jw_begin_object(w);
        if (s->icount != UINT64_MAX)
            jw_put_u64(w, "icount", s->icount);
        jw_put_u64(w, "vm-clock-nsec", s->vm_clock_ns % 1000000000);
        jw_put_string(w, "name", s->name);
        jw_put_u64(w, "date-sec", s->date_sec);
        jw_put_u64(w, "date-nsec", s->date_nsec);
        jw_put_u64(w, "vm-clock-sec", s->vm_clock_ns / 1000000000);
        jw_put_string(w, "id", s->id);
        jw_put_u64(w, "vm-state-size", s->vm_state_size);
        jw_end_object(w);
    }
    jw_end_array(w);
}

static void json_report(JsonWriter *w, const Report *r)
{
    const ImageInfo *info = &r->info;

    jw_begin_object(w);
    if (r->n_snapshots)
        json_snapshots(w, r);
    if (info->backing_format)
        jw_put_string(w, "backing-filename-format", info->backing_format);
    jw_put_u64(w, "virtual-size", info->virtual_size);
    jw_put_string(w, "filename", node_filename(r->node));
    if (info->cluster_size)
        jw_put_u64(w, "cluster-size", info->cluster_size);
    jw_put_string(w, "format", node_format(r->node));
    jw_put_u64(w, "actual-size", info->disk_size);
    if (info->encrypted)
        jw_put_bool(w, "encrypted", true);
    if (info->compressed)
        jw_put_bool(w, "compressed", true);
    if (r->specific) {
        jw_key(w, "format-specific");
        jw_value(w, r->specific);
    }
    if (info->full_backing_file)
        jw_put_string(w, "full-backing-filename", info->full_backing_file);
    if (info->backing_file)
        jw_put_string(w, "backing-filename", info->backing_file);
    jw_put_bool(w, "dirty-flag", info->dirty);
    jw_end_object(w);
}

/* -------------------------------------------------------------------------------------------------
 */

static int show(Node *top, bool json, bool chain)
{
    JsonWriter w;
    int code = 0;

    jw_init(&w, stdout, 4);
    if (json && chain)
        jw_begin_array(&w);
    for (Node *node = top; node && code == 0; node = chain ? node_backing(node) : NULL) {
        Error *err = NULL;
        Report r;
        int ret = report_gather(node, &r, &err);

        if (ret < 0) {
            code = fail(err, ret);
        } else if (json) {
            json_report(&w, &r);
        } else {
            if (node != top)
                putchar('\n');
            print_human(&r);
        }
        report_free(&r);
    }
    if (json && chain)
        jw_end_array(&w);
    if (json)
        putchar('\n');
    return code;
}

int cmd_info(int argc, char **argv)
{
    enum { OPT_CHAIN = OPT_COMMAND };
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "backing-chain", no_argument, NULL, OPT_CHAIN },
        { 0 },
    };
    const Command *cmd = command_find("info");
    Common common = { 0 };
    bool chain = false;
    int opt, code, ret;

    while ((opt = getopt_long(argc, argv, "hf:U", long_options, NULL)) != -1) {
        if (opt == OPT_CHAIN) {
            chain = true;
            continue;
        }
        ret = common_option(&common, cmd, opt, &code);
        if (ret != 0)
            return ret < 0 ? code : usage_error(cmd, "unknown option");
    }
    if (argc - optind != 1)
        return usage_error(cmd, "exactly one file name is expected");

    /* Looking at an image opens nothing that it names, unless the chain is asked for. */
    AUTO_NODE Node *node =
        open_image(&common, argv[optind], common.format, NULL, chain ? 0 : OPEN_NO_BACKING);
    return node ? show(node, common.json, chain) : 1;
}
