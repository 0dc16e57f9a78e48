/*
 * resize.c - img-tool resize: change the virtual size of an image.
 */
#include "img-tool/cmd.h"

#include <inttypes.h>
#include <string.h>

/* "SIZE", "+SIZE" or "-SIZE" applied to `old`. */
static bool new_size(const char *text, uint64_t old, uint64_t *size)
{
    char sign = *text == '+' || *text == '-' ? *text++ : 0;
    uint64_t n;

    if (!parse_size(text, "size", &n))
        return false;
    if (sign == '-' ? n >= old : sign == '+' && n > INT64_MAX - old) {
        complain("a size change of %c%s does not fit an image of %" PRIu64 " bytes", sign, text,
                 old);
        return false;
    }
    *size = sign == '+' ? old + n : sign == '-' ? old - n : n;
    return true;
}

static int parse_prealloc(const char *text, Prealloc *out)
{
    for (int i = 0; prealloc_names[i]; i++)
        if (strcmp(prealloc_names[i], text) == 0) {
            *out = (Prealloc)i;
            return 0;
        }
    return -1;
}

int cmd_resize(int argc, char **argv)
{
    enum { OPT_PREALLOC = OPT_COMMAND, OPT_SHRINK };
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "preallocation", required_argument, NULL, OPT_PREALLOC },
        { "shrink", no_argument, NULL, OPT_SHRINK },
        { 0 },
    };
    const Command *cmd = command_find("resize");
    Common common = { 0 };
    Prealloc prealloc = PREALLOC_OFF;
    bool shrink = false;
    Error *err = NULL;
    const char *change = NULL;
    uint64_t size;
    int opt, code, ret;

    /* The change comes last and "-1G" is no option: take it away before options are looked at. */
    if (argc > 1 && argv[argc - 1][0] == '-' && argv[argc - 1][1] >= '0' &&
        argv[argc - 1][1] <= '9')
        change = argv[--argc];
    while ((opt = getopt_long(argc, argv, "hf:q", long_options, NULL)) != -1) {
        if (opt == OPT_SHRINK) {
            shrink = true;
        } else if (opt == OPT_PREALLOC) {
            if (parse_prealloc(optarg, &prealloc) < 0)
                return usage_error(cmd, "invalid preallocation mode '%s'", optarg);
        } else {
            if (common_option(&common, cmd, opt, &code) < 0)
                return code;
        }
    }
    if (argc - optind != (change ? 1 : 2))
        return usage_error(cmd, "a file name and a size are expected");
    change = change ? change : argv[optind + 1];
    AUTO_NODE Node *node = open_image(&common, argv[optind], common.format, NULL, OPEN_RDWR);
    if (!node || !new_size(change, node_size(node), &size))
        return 1;
    if (size < node_size(node) && !shrink) {
        complain("%s: shrinking from %" PRIu64 " to %" PRIu64
                 " bytes would delete all data beyond the new "
                 "end; use --shrink if that is meant",
                 argv[optind], node_size(node), size);
        return 1;
    }
    if (size < node_size(node) && prealloc != PREALLOC_OFF) {
        complain("%s: preallocation can only be used for growing images", argv[optind]);
        return 1;
    }
    ret = node_resize(node, size, prealloc, shrink, &err);
    if (ret < 0)
        return fail(err, ret);
    ret = node_flush(node);
    if (ret < 0)
        return fail(NULL, ret);
    if (!common.quiet)
        puts("Image resized.");
    return 0;
}
