/*
 * measure.c - img-tool measure: how much space a new image would need.
 */
#include "img-tool/cmd.h"

#include <inttypes.h>
#include <string.h>

typedef struct Measure {
    Common common;
    const Command *cmd;
    const char *target_format, *snapshot, *filename;
    Options *options;
    uint64_t size;
    bool has_size, help;
} Measure;

enum { OPT_SIZE = OPT_COMMAND };

static void print_result(const MeasureInfo *m, bool json)
{
    JsonWriter w;

    if (!json) {
        printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", m->required,
               m->fully_allocated);
        if (m->has_bitmaps)
            printf("bitmaps size: %" PRIu64 "\n", m->bitmaps);
        return;
    }
    jw_init(&w, stdout, 4);
    jw_begin_object(&w);
    if (m->has_bitmaps)
        jw_put_u64(&w, "bitmaps", m->bitmaps);
    jw_put_u64(&w, "required", m->required);
    jw_put_u64(&w, "fully-allocated", m->fully_allocated);
    jw_end_object(&w);
    putchar('\n');
}

static int check_arguments(const Measure *m)
{
    bool of_file = m->common.image_opts || m->common.format || m->snapshot;

    if (m->filename && m->has_size)
        return usage_error(m->cmd, "--size N cannot be used together with a filename");
    if (!m->filename && of_file)
        return usage_error(m->cmd, "--image-opts, -f, and -l require a filename argument");
    if (!m->filename && !m->has_size)
        return usage_error(m->cmd, "either --size N or one filename must be specified");
    if (!driver_exists(m->target_format)) {
        complain("unknown file format '%s'", m->target_format);
        return 1;
    }
    return 0;
}

static int measure(Measure *m)
{
    AUTO_NODE Node *src = NULL;
    Error *err = NULL;
    MeasureInfo info;
    int ret;

    if (m->help)
        return list_create_options(m->target_format, NULL);
    if (check_arguments(m) != 0)
        return 1;
    if (m->filename && !(src = open_image(&m->common, m->filename, m->common.format, NULL, 0)))
        return 1;
    if (m->snapshot && (ret = load_snapshot(src, m->snapshot, &err)) < 0)
        return fail(err, ret);
    if (m->has_size)
        options_set_u64(m->options, "size", m->size);
    ret = node_measure(m->target_format, take(&m->options), src, &info, &err);
    if (ret < 0)
        return fail(err, ret);
    print_result(&info, m->common.json);
    return 0;
}

/* 0: done, 1: report as exit code 1, -1: not an option of measure's own. */
static int own_option(Measure *m, int opt)
{
    Error *err = NULL;
    int ret;

    switch (opt) {
    case 'O': m->target_format = optarg; return 0;
    case 'l': m->snapshot = optarg; return 0;
    case 's':
    case OPT_SIZE: m->has_size = true; return parse_size(optarg, "image size", &m->size) ? 0 : 1;
    case 'o':
        if (asks_for_help(optarg)) {
            m->help = true;
            return 0;
        }
        ret = options_parse(m->options, optarg, NULL, &err);
        return ret < 0 ? fail(err, ret) : 0;
    default: return -1;
    }
}

static const struct option long_options[] = {
    COMMON_LONG_OPTIONS,
    { "target-options", required_argument, NULL, 'o' },
    { "target-format", required_argument, NULL, 'O' },
    { "options", required_argument, NULL, 'o' },
    { "snapshot", required_argument, NULL, 'l' },
    { "size", required_argument, NULL, OPT_SIZE },
    { 0 },
};

int cmd_measure(int argc, char **argv)
{
    Measure m = { .cmd = command_find("measure"), .target_format = "raw" };
    int opt, code = -1;

    m.options = options_new();
    while (code < 0 && (opt = getopt_long(argc, argv, "hf:l:o:O:s:U", long_options, NULL)) != -1) {
        int ret = own_option(&m, opt);

        if (ret > 0)
            code = 1;
        else if (ret < 0)
            common_option(&m.common, m.cmd, opt, &code);
    }
    if (code < 0 && argc - optind > 1)
        code = usage_error(m.cmd, "at most one file name is expected");
    m.filename = optind < argc ? argv[optind] : NULL;
    if (code < 0)
        code = measure(&m);
    options_free(m.options);
    return code;
}
