/*
 * snapshot.c - img-tool snapshot: the snapshots inside an image.
 */
#include "img-tool/cmd.h"

#include <sys/time.h>

static int list(Node *node, bool json)
{
    SnapshotInfo *all;
    size_t count;
    Error *err = NULL;
    int ret = node_snapshot_list(node, &all, &count, &err);

    if (ret < 0)
        return fail(err, ret);
    if (json) {
        JsonWriter w;

        jw_init(&w, stdout, 4);
        json_snapshots(&w, all, count);
        putchar('\n');
    } else if (count) {
        puts("Snapshot list:");
        print_snapshot_table(all, count);
    }
    snapshot_list_free(all, count);
    return 0;
}

static int create(Node *node, const char *name, Error **err)
{
    SnapshotInfo info = { .name = (char *)name, .disk_size = node_size(node) };
    struct timeval now;

    gettimeofday(&now, NULL);
    info.date_sec = (uint32_t)now.tv_sec;
    info.date_nsec = (uint32_t)now.tv_usec * 1000;
    return node_snapshot_create(node, &info, err);
}

static int change(Node *node, int action, const char *name)
{
    Error *err = NULL;
    int ret;

    switch (action) {
    case 'c': ret = create(node, name, &err); break;
    case 'a': ret = node_snapshot_apply(node, name, &err); break;
    default: ret = node_snapshot_delete(node, name, &err); break;
    }
    if (ret == 0)
        ret = node_flush(node);
    return ret < 0 ? fail(err, ret) : 0;
}

int cmd_snapshot(int argc, char **argv)
{
    static const struct option long_options[] = {
        COMMON_LONG_OPTIONS,
        { "list", no_argument, NULL, 'l' },
        { "apply", required_argument, NULL, 'a' },
        { "create", required_argument, NULL, 'c' },
        { "delete", required_argument, NULL, 'd' },
        { 0 },
    };
    const Command *cmd = command_find("snapshot");
    Common common = { 0 };
    const char *name = NULL;
    int action = 0, opt, code;

    while ((opt = getopt_long(argc, argv, "hf:la:c:d:qU", long_options, NULL)) != -1) {
        if (opt == 'l' || opt == 'a' || opt == 'c' || opt == 'd') {
            if (action)
                return usage_error(cmd, "only one of -l, -a, -c and -d can be given");
            action = opt;
            name = optarg;
            continue;
        }
        if (common_option(&common, cmd, opt, &code) < 0)
            return code;
    }
    if (argc - optind != 1)
        return usage_error(cmd, "exactly one file name is expected");
    bool listing = action == 0 || action == 'l';
    AUTO_NODE Node *node = open_image(&common, argv[optind], common.format, NULL,
                                      OPEN_NO_BACKING | OPEN_NO_IO | (listing ? 0 : OPEN_RDWR));
    if (!node)
        return 1;
    return listing ? list(node, common.json) : change(node, action, name);
}
