/*
 * create.c - img-tool create: make a new image.
 */
#include "img-tool/cmd.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LISTED = 128 };

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const OptionDesc *const *)a)->name, (*(const OptionDesc *const *)b)->name);
}

static void print_option(const OptionDesc *o)
{
    char label[64];

    snprintf(label, sizeof(label), "%s=<%s>", o->name,
             strcmp(o->type, "bool") == 0  ? "bool (on/off)"
             : strcmp(o->type, "int") == 0 ? "num"
                                           : o->type);
    printf("  %-22s - %s\n", label, o->help);
}

static void add_options(const OptionDesc **list, size_t *n, const OptionDesc *more)
{
    for (; more && more->name && *n < MAX_LISTED; more++) {
        size_t i = 0;

        while (i < *n && strcmp(list[i]->name, more->name) != 0)
            i++;
        if (i == *n)
            list[(*n)++] = more;
    }
}

bool asks_for_help(const char *options)
{
    size_t len;

    for (const char *p = options; *p; p += len + (p[len] == ',')) {
        len = strcspn(p, ",");
        if ((len == 4 && strncmp(p, "help", 4) == 0) || (len == 1 && *p == '?'))
            return true;
    }
    return false;
}

int list_create_options(const char *format, const char *filename)
{
    const OptionDesc *list[MAX_LISTED];
    size_t n = 0;

    if (!driver_exists(format)) {
        complain("unknown file format '%s'", format);
        return 1;
    }
    if (!driver_create_options(format)) {
        complain("format driver '%s' does not support image creation", format);
        return 1;
    }
    add_options(list, &n, driver_create_options(format));
    if (filename)
        add_options(list, &n, driver_create_options("file"));
    qsort(list, n, sizeof(*list), by_name);
    if (filename)
        puts("Supported options:");
    else
        printf("Supported %s options:\n", format);
    for (size_t i = 0; i < n; i++)
        print_option(list[i]);
    if (!filename)
        puts("\nThe protocol level may support further options.\n"
             "Specify the target filename to include those options.");
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
    const char *backing = NULL, *backing_format = NULL;
    bool help = false;
    int opt, code, ret;

    while ((opt = getopt_long(argc, argv, "hf:b:B:F:uo:q", long_options, NULL)) != -1) {
        switch (opt) {
        case 'b': backing = optarg; break;
        case 'B':
        case 'F': backing_format = optarg; break;
        case 'u': flags |= CREATE_UNSAFE; break;
        case 'o':
            if (asks_for_help(optarg)) {
                help = true;
                break;
            }
            ret = options_parse(options, optarg, NULL, &err);
            if (ret < 0)
                return fail(err, ret);
            break;
        default:
            if (common_option(&common, cmd, opt, &code) < 0)
                return code;
        }
    }
    if (help)
        return list_create_options(common.format, optind < argc ? argv[optind] : NULL);
    if (optind == argc)
        return usage_error(cmd, "no file name is given");
    if (argc - optind > 2)
        return usage_error(cmd, "unexpected argument '%s'", argv[optind + 2]);
    if (backing)
        options_set(options, "backing_file", backing);
    if (backing_format)
        options_set(options, "backing_fmt", backing_format);
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
