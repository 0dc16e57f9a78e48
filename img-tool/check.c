/*
 * check.c - img-tool check: look for inconsistencies and repair them.
 */
#include "img-tool/cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { EXIT_CORRUPT = 2, EXIT_LEAKS = 3, EXIT_NO_CHECK = 63 };

static void print_finding(void *opaque, const char *line)
{
    (void)opaque;
    fprintf(stderr, "%s\n", line);
}

static void put_if(JsonWriter *w, const char *key, uint64_t v)
{
    if (v)
        jw_put_u64(w, key, v);
}

static void print_json(Node *node, const CheckResult *r)
{
    JsonWriter w;

    jw_init(&w, stdout, 4);
    jw_begin_object(&w);
    put_if(&w, "image-end-offset", r->image_end);
    put_if(&w, "total-clusters", r->total_clusters);
    jw_put_u64(&w, "check-errors", r->check_errors);
    put_if(&w, "corruptions", r->corruptions);
    put_if(&w, "corruptions-fixed", r->corruptions_fixed);
    put_if(&w, "leaks", r->leaks);
    put_if(&w, "leaks-fixed", r->leaks_fixed);
    put_if(&w, "allocated-clusters", r->allocated_clusters);
    put_if(&w, "fragmented-clusters", r->fragmented_clusters);
    put_if(&w, "compressed-clusters", r->compressed_clusters);
    jw_put_string(&w, "filename", node_filename(node));
    jw_put_string(&w, "format", node_format(node));
    jw_end_object(&w);
    putchar('\n');
}

static void print_human(const CheckResult *r)
{
    if (!r->corruptions && !r->leaks && !r->check_errors)
        puts("No errors were found on the image.");
    if (r->corruptions)
        printf("\n%" PRIu64 " errors were found on the image.\n"
               "Data may be corrupted, or further writes to the image may corrupt it.\n",
               r->corruptions);
    if (r->leaks)
        printf("\n%" PRIu64 " leaked clusters were found on the image.\n"
               "This means waste of disk space, but no harm to data.\n",
               r->leaks);
    if (r->check_errors)
        printf("\n%" PRIu64 " internal errors have occurred during the check.\n", r->check_errors);
    if (r->total_clusters && r->allocated_clusters)
        printf("%" PRIu64 "/%" PRIu64
               " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n",
               r->allocated_clusters, r->total_clusters,
               100.0 * (double)r->allocated_clusters / (double)r->total_clusters,
               100.0 * (double)r->fragmented_clusters / (double)r->allocated_clusters,
               100.0 * (double)r->compressed_clusters / (double)r->allocated_clusters);
    if (r->image_end)
        printf("Image end offset: %" PRIu64 "\n", r->image_end);
}

/* After a repair the image is checked again: what the exit code says is how it is now. */
static int check_again(Node *node, const Common *common, CheckResult *r, Error **err)
{
    uint64_t leaks_fixed = r->leaks_fixed, corruptions_fixed = r->corruptions_fixed;

    if (!common->json && !common->quiet) {
        printf("The following inconsistencies were found and repaired:\n\n"
               "    %" PRIu64 " leaked clusters\n    %" PRIu64 " corruptions\n\n"
               "Double checking the fixed image now...\n",
               leaks_fixed, corruptions_fixed);
        fflush(stdout);
    }
    *r = (CheckResult) { 0 };
    int ret = node_check(node, 0, print_finding, NULL, r, err);
    r->leaks_fixed = leaks_fixed;
    r->corruptions_fixed = corruptions_fixed;
    return ret;
}

static int check_node(Node *node, unsigned fix, const Common *common)
{
    CheckResult r = { 0 };
    Error *err = NULL;
    int ret = node_check(node, fix, print_finding, NULL, &r, &err);

    if (ret == 0 && (r.leaks_fixed || r.corruptions_fixed))
        ret = check_again(node, common, &r, &err);
    if (ret == -ENOTSUP) {
        fail(err, ret);
        return EXIT_NO_CHECK;
    }
    if (ret < 0)
        return fail(err, ret);
    if (common->json)
        print_json(node, &r);
    else if (!common->quiet)
        print_human(&r);
    return r.check_errors ? 1 : r.corruptions ? EXIT_CORRUPT : r.leaks ? EXIT_LEAKS : 0;
}

int cmd_check(int argc, char **argv)
{
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "cache", required_argument, NULL, 'T' },
        { "repair", required_argument, NULL, 'r' },
        { 0 },
    };
    const Command *cmd = command_find("check");
    Common common = { 0 };
    unsigned fix = 0;
    int opt, code;

    while ((opt = getopt_long(argc, argv, "hf:r:T:qU", long_options, NULL)) != -1) {
        if (opt == 'r') {
            if (strcmp(optarg, "leaks") != 0 && strcmp(optarg, "all") != 0)
                return usage_error(cmd, "-r must be 'leaks' or 'all', not '%s'", optarg);
            fix = *optarg == 'l' ? CHECK_FIX_LEAKS : CHECK_FIX_LEAKS | CHECK_FIX_ERRORS;
            continue;
        }
        if (common_option(&common, cmd, opt, &code) < 0)
            return code;
    }
    if (argc - optind != 1)
        return usage_error(cmd, "exactly one file name is expected");
    AUTO_NODE Node *node = open_image(&common, argv[optind], common.format, common.src_cache,
                                      OPEN_NO_BACKING | OPEN_NO_IO | OPEN_CHECK | OPEN_LOCAL_NAMES |
                                          (fix ? OPEN_RDWR : 0));
    return node ? check_node(node, fix, &common) : 1;
}
