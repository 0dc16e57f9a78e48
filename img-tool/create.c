/*
 * create.c - img-tool create: make a new image.
 */
#include "img-tool/cmd.h"

#include <string.h>

static int list_options(const char *format)
{
    const OptionDesc *desc = driver_create_options(format);

    if (!desc) {
        complain("format '%s' cannot be created", format);
        return 1;
    }
    printf("Supported %s options:\n", format);
    for (; desc->name; desc++) {
        char label[64];

        snprintf(label, sizeof(label), "%s=<%s>", desc->name,
                 strcmp(desc->type, "bool") == 0  ? "bool (on/off)"
                 : strcmp(desc->type, "int") == 0 ? "num"
                                                  : desc->type);
        printf("  %-22s - %s\n", label, desc->help);
    }
    return 0;
}

/* "Formatting 'NAME', fmt=F k=v k=v": other programs read this line. */
static void print_formatting(const char *name, const char *format, const Options *created)
{
    printf("Formatting '%s', fmt=%s", name, format);
    for (size_t i = 0; i < options_count(created); i++)
        printf(" %s=%s", options_key_at(created, i), options_value_at(created, i));
    putchar('\n');
}

static const struct option long_options[] = {
    COMMON_LONG_OPTIONS,
    { "backing", required_argument, NULL, 'b' },
    { "backing-format", required_argument, NULL, 'F' },
    { "backing-unsafe", no_argument, NULL, 'u' },
    { "options", required_argument, NULL, 'o' },
    { 0 },
};

int cmd_create(int argc, char **argv)
{
    const Command *cmd = command_find("create");
    AUTO_OPTIONS Options *options = options_new(), *created = NULL;
    Common common = { .format = "raw" };
    unsigned flags = 0;
    Error *err = NULL;
    int opt, code, ret;

    while ((opt = getopt_long(argc, argv, "hf:b:F:uo:q", long_options, NULL)) != -1) {
        switch (opt) {
        case 'b': options_set(options, "backing_file", optarg); break;
        case 'F': options_set(options, "backing_fmt", optarg); break;
        case 'u': flags |= CREATE_UNSAFE; break;
        case 'o':
            if (strcmp(optarg, "help") == 0 || strcmp(optarg, "?") == 0)
                return list_options(common.format);
            ret = options_parse(options, optarg, NULL, &err);
            if (ret < 0)
                return fail(err, ret);
            break;
        default:
            ret = common_option(&common, cmd, opt, &code);
            if (ret != 0)
                return ret < 0 ? code : usage_error(cmd, "unknown option");
        }
    }
    if (optind == argc)
        return usage_error(cmd, "no file name is given");
    if (argc - optind > 2)
        return usage_error(cmd, "unexpected argument '%s'", argv[optind + 2]);
    if (argc - optind == 2) {
        uint64_t size;

        if (!parse_size(argv[optind + 1], "image size", &size))
            return 1;
        options_set_u64(options, "size", size);
    }
    ret = node_create(argv[optind], common.format, take(&options), flags, &created, &err);
    if (ret < 0)
        return fail(err, ret);
    if (!common.quiet)
        print_formatting(argv[optind], common.format, created);
    return 0;
}
