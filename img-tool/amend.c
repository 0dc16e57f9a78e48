/*
 * amend.c - img-tool amend: change the options of an image that exists.
 */
#include "img-tool/cmd.h"

#include <errno.h>
#include <string.h>

enum { OPT_FORCE = OPT_COMMAND };

static int list_options(const char *filename, const Common *common)
{
    const char *format = common->format;
    AUTO_NODE Node *node = NULL;

    if (!format) {
        if (!filename)
            return fail(NULL, -EINVAL);
        node = open_image(common, filename, NULL, NULL, OPEN_NO_BACKING | OPEN_NO_IO);
        if (!node)
            return 1;
        format = node_format(node);
    }
    const OptionDesc *o = driver_amend_options(format);
    if (!o) {
        complain("Format driver '%s' does not support option amendment", format);
        return 1;
    }
    printf("Amend options for '%s':\n", format);
    for (; o->name; o++) {
        char left[64];

        snprintf(left, sizeof(left), "%s=<%s>", o->name, o->type);
        printf("  %-22s - %s\n", left, o->help);
    }
    return 0;
}

static int amend(Node *node, Options *options, bool force, const Common *common)
{
    Progress p = { 0 };
    Error *err = NULL;

    progress_show(&p, common->progress);
    int ret = node_amend(node, options, force, &p, &err);
    if (ret == 0)
        ret = node_flush(node);
    progress_hide(&p);
    return ret < 0 ? fail(err, ret) : 0;
}

static int run(const Common *common, const char *filename, Options *options, bool force)
{
    AUTO_OPTIONS Options *o = options;
    AUTO_NODE Node *node =
        open_image(common, filename, common->format, common->cache, OPEN_RDWR | OPEN_NO_BACKING);

    if (!node)
        return 1;
    return amend(node, take(&o), force, common);
}

int cmd_amend(int argc, char **argv)
{
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "options", required_argument, NULL, 'o' },
        { "cache", required_argument, NULL, 't' },
        { "force", no_argument, NULL, OPT_FORCE },
        { 0 },
    };
    const Command *cmd = command_find("amend");
    AUTO_OPTIONS Options *options = options_new();
    Common common = { 0 };
    bool given = false, help = false, force = false;
    int opt, code, ret;

    while ((opt = getopt_long(argc, argv, "ho:f:t:pq", long_options, NULL)) != -1) {
        if (opt == 'o') {
            Error *err = NULL;

            given = true;
            if (strcmp(optarg, "help") == 0 || strcmp(optarg, "?") == 0) {
                help = true;
                continue;
            }
            ret = options_parse(options, optarg, NULL, &err);
            if (ret < 0)
                return fail(err, ret);
            continue;
        }
        if (opt == OPT_FORCE) {
            force = true;
            continue;
        }
        if (common_option(&common, cmd, opt, &code) < 0)
            return code;
    }
    if (!given)
        return usage_error(cmd, "Must specify options (-o)");
    if (help)
        return list_options(optind < argc ? argv[optind] : NULL, &common);
    if (argc - optind != 1)
        return usage_error(cmd, "exactly one file name is expected");
    return run(&common, argv[optind], take(&options), force);
}
