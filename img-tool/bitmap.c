/*
 * bitmap.c - img-tool bitmap: the dirty bitmaps that an image keeps.
 */
#include "block/bitmap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "img-tool/cmd.h"

enum { OPT_ADD = OPT_COMMAND, OPT_REMOVE, OPT_CLEAR, OPT_ENABLE, OPT_DISABLE, OPT_MERGE, OPT_LIST };

static const char *const action_names[] = {
    "add", "remove", "clear", "enable", "disable", "merge"
};

typedef struct Action {
    int what; /* OPT_ADD ... */
    const char *source;
} Action;

typedef struct Job {
    Common common;
    const char *source_file, *source_format, *filename, *bitmap;
    uint64_t granularity;
    Action *actions;
    size_t count;
    bool add, merge, list;
} Job;

/* ---- listing ------------------------------------------------------------------------------- */

static void list_json(JsonWriter *w, const BitmapInfo *b, uint64_t dirty)
{
    jw_begin_object(w);
    jw_put_string(w, "name", b->name);
    jw_put_u64(w, "granularity", b->granularity);
    jw_key(w, "flags");
    jw_begin_array(w);
    if (b->inconsistent)
        jw_string(w, "in-use");
    if (b->enabled)
        jw_string(w, "auto");
    jw_end_array(w);
    if (!b->inconsistent)
        jw_put_u64(w, "dirty-bytes", dirty);
    jw_end_object(w);
}

static void list_human(const BitmapInfo *b, uint64_t dirty)
{
    char granularity[SIZE_TEXT], size[SIZE_TEXT];

    printf("%-24s %12s  %-12s %s\n", b->name, size_format(b->granularity, granularity),
           b->inconsistent ? "inconsistent"
           : b->enabled    ? "enabled"
                           : "disabled",
           b->inconsistent ? "-" : size_format(dirty, size));
}

static int print_list(Node *node, bool json, Error **err)
{
    BitmapInfo *list;
    size_t count;
    JsonWriter w;
    int ret = node_bitmap_list(node, &list, &count, err);

    if (ret < 0)
        return ret;
    jw_init(&w, stdout, 4);
    if (json)
        jw_begin_array(&w);
    else if (count)
        printf("%-24s %12s  %-12s %s\n", "NAME", "GRANULARITY", "STATE", "DIRTY");
    for (size_t i = 0; i < count && ret == 0; i++) {
        uint64_t dirty = 0;

        if (!list[i].inconsistent)
            ret = node_bitmap_count(node, list[i].name, &dirty);
        if (ret < 0)
            error_set(err, ret, "cannot read the bitmap '%s'", list[i].name);
        else if (json)
            list_json(&w, &list[i], dirty);
        else
            list_human(&list[i], dirty);
    }
    if (json) {
        jw_end_array(&w);
        putchar('\n');
    }
    bitmap_list_free(list, count);
    return ret;
}

/* ---- changing ------------------------------------------------------------------------------ */

static int act(Node *node, Node *source, const Job *job, const Action *a, Error **err)
{
    switch (a->what) {
    case OPT_ADD: return node_bitmap_add(node, job->bitmap, job->granularity, true, err);
    case OPT_REMOVE: return node_bitmap_remove(node, job->bitmap, err);
    case OPT_CLEAR: return node_bitmap_clear(node, job->bitmap, err);
    case OPT_ENABLE: return node_bitmap_enable(node, job->bitmap, true, err);
    case OPT_DISABLE: return node_bitmap_enable(node, job->bitmap, false, err);
    default: return node_bitmap_merge(node, job->bitmap, source, a->source, err);
    }
}

static int act_all(Node *node, Node *source, const Job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        Error *err = NULL;
        int ret = act(node, source, job, &job->actions[i], &err);

        if (ret == 0)
            continue;
        error_prefix(&err, ret, "Operation %s on bitmap %s failed",
                     action_names[job->actions[i].what - OPT_ADD], job->bitmap);
        return fail(err, ret);
    }
    int ret = node_flush(node);
    return ret < 0 ? fail(NULL, ret) : 0;
}

static int run(const Job *job)
{
    unsigned flags = OPEN_NO_BACKING | OPEN_NO_IO;
    Error *err = NULL;
    AUTO_NODE Node *source = NULL;

    AUTO_NODE Node *node = open_image(&job->common, job->filename, job->common.format, NULL,
                                      job->list ? flags : flags | OPEN_RDWR);
    if (!node)
        return 1;
    if (job->list) {
        int ret = print_list(node, job->common.json, &err);
        return ret < 0 ? fail(err, ret) : 0;
    }
    if (job->source_file) {
        Common plain = { 0 };

        source = open_image(&plain, job->source_file, job->source_format, NULL, flags);
        if (!source)
            return 1;
    }
    return act_all(node, source ? source : node, job);
}

/* ---- for convert --------------------------------------------------------------------------- */

int check_bitmaps(Node *to, Node *from, bool skip_broken)
{
    Error *err = NULL;
    int ret = node_bitmaps_copyable(to, from, skip_broken, &err);

    return ret < 0 ? fail(err, ret) : 0;
}

static void say_skipped(const char *name)
{
    complain("warning: Skipping inconsistent bitmap '%s'", name);
}

int copy_bitmaps(Node *to, Node *from, bool skip_broken)
{
    Error *err = NULL;
    int ret = node_bitmaps_copy(to, from, skip_broken, say_skipped, &err);

    return ret < 0 ? fail(err, ret) : 0;
}

/* ---- the command line ---------------------------------------------------------------------- */

static int check_job(const Command *cmd, const Job *job, int names)
{
    if (job->list) {
        if (job->count)
            return usage_error(cmd, "--list goes with no other action");
        return names == 1 ? 0 : usage_error(cmd, "--list expects one file name");
    }
    if (names != 2)
        return usage_error(cmd, "Expecting filename and bitmap name");
    if (job->count == 0)
        return usage_error(cmd, "Need at least one of --add, --remove, --clear, --enable, "
                                "--disable, or --merge");
    if (job->granularity && !job->add)
        return usage_error(cmd, "granularity only supported with --add");
    if (job->source_format && !job->source_file)
        return usage_error(cmd, "-F only supported with -b");
    if (job->source_file && !job->merge)
        return usage_error(cmd, "Merge bitmap source file only supported with --merge");
    return 0;
}

static int take_option(Job *job, int opt)
{
    switch (opt) {
    case 'b': job->source_file = optarg; return 0;
    case 'F': job->source_format = optarg; return 0;
    case 'g': return parse_size(optarg, "granularity", &job->granularity) ? 0 : -EINVAL;
    case OPT_LIST: job->list = true; return 0;
    case OPT_ADD:
    case OPT_REMOVE:
    case OPT_CLEAR:
    case OPT_ENABLE:
    case OPT_DISABLE:
    case OPT_MERGE:
        job->actions[job->count++] = (Action) { opt, optarg };
        job->add |= opt == OPT_ADD;
        job->merge |= opt == OPT_MERGE;
        return 0;
    default: return 1;
    }
}

int cmd_bitmap(int argc, char **argv)
{
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "add", no_argument, NULL, OPT_ADD },
        { "remove", no_argument, NULL, OPT_REMOVE },
        { "clear", no_argument, NULL, OPT_CLEAR },
        { "enable", no_argument, NULL, OPT_ENABLE },
        { "disable", no_argument, NULL, OPT_DISABLE },
        { "merge", required_argument, NULL, OPT_MERGE },
        { "list", no_argument, NULL, OPT_LIST },
        { "source-file", required_argument, NULL, 'b' },
        { "source-format", required_argument, NULL, 'F' },
        { "granularity", required_argument, NULL, 'g' },
        { 0 },
    };
    const Command *cmd = command_find("bitmap");
    AUTO_FREE Action *actions = calloc((size_t)argc, sizeof(*actions));
    Job job = { .actions = actions };
    int opt, code, ret;

    if (!actions)
        return fail(NULL, -ENOMEM);
    while ((opt = getopt_long(argc, argv, "b:f:F:g:hqU", long_options, NULL)) != -1) {
        ret = take_option(&job, opt);
        if (ret < 0)
            return 1;
        if (ret == 0)
            continue;
        if (common_option(&job.common, cmd, opt, &code) < 0)
            return code;
    }
    code = check_job(cmd, &job, argc - optind);
    if (code)
        return code;
    job.filename = argv[optind];
    job.bitmap = argv[optind + 1];
    return run(&job);
}
