/*
 * qcow2.c - fuzz target: any bytes as a qcow2 image, opened, read, mapped, checked, repaired,
 * written.
 *
 * The image lives in a file without a name, and so does its data file, if it says that it has one.
 * Nothing that the image names is opened.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/math.h"
#include "block/node.h"

enum { LOOK = 1 << 20, EXTENTS = 1000, CHECKED = 1 << 26 };

static void look(Node *node)
{
    static uint8_t buf[LOOK];
    uint64_t size = node_size(node), at = size > LOOK ? size - LOOK : 0;
    Extent ext = { .len = 1 };
    SnapshotInfo *list;
    size_t count;

    node_pread(node, buf, MIN(size, (uint64_t)LOOK), 0);
    node_pread(node, buf, MIN(size, (uint64_t)LOOK), at);
    at = 0;
    for (int i = 0; i < EXTENTS && at < size; i++, at += ext.len)
        if (node_extent_above(node, NULL, at, size - at, &ext) < 0)
            break;
    if (node_snapshot_list(node, &list, &count, NULL) == 0) {
        if (count && !node_writable(node) && node_snapshot_load(node, list[0].id, NULL) == 0)
            node_pread(node, buf, MIN(node_size(node), (uint64_t)LOOK), 0);
        snapshot_list_free(list, count);
    }
}

static void change(Node *node)
{
    static uint8_t buf[70000];
    uint64_t size = node_size(node);
    SnapshotInfo info = { .name = "fuzz" };

    node_pwrite(node, buf, MIN(size, sizeof(buf)), 0);
    node_pwrite(node, buf, MIN(size, sizeof(buf)), size - MIN(size, sizeof(buf)));
    node_pwrite_zeroes(node, 0, MIN(size, (uint64_t)LOOK), REQ_MAY_UNMAP);
    node_snapshot_create(node, &info, NULL);
    node_pwrite(node, buf, MIN(size, sizeof(buf)), 0);
    node_snapshot_delete(node, "fuzz", NULL);
    node_discard(node, 0, MIN(size, (uint64_t)LOOK));
    node_flush(node);
}

/* The image at `path`, with the data file at `data`, which may be NULL */
static void open_and(const char *path, const char *data, unsigned flags, unsigned fix,
                     void (*act)(Node *))
{
    AUTO_NODE Node *node = NULL;
    Options *o = options_new();
    CheckResult result;

    if (data)
        options_set(o, "data-file.filename", data);
    flags |= OPEN_NO_IO | OPEN_NO_BACKING | OPEN_NO_FLUSH | OPEN_NO_LOCK | OPEN_NO_EXTERNAL;
    if (node_open(path, "qcow2", o, flags, &node, NULL) < 0)
        return;
    act(node);
    if (node_size(node_file(node)) > CHECKED) /* a far table was written: too many to count here */
        return;
    node_check(node, fix, NULL, NULL, &result, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64], data_path[64];
    int fd = memfd_create("image", MFD_CLOEXEC), data_fd = memfd_create("data", MFD_CLOEXEC);
    const char *with = size > 79 && data[79] & 4 ? data_path : NULL; /* incompatible bit 2 */

    if (fd < 0 || data_fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    snprintf(data_path, sizeof(data_path), "/proc/self/fd/%d", data_fd);
    open_and(path, with, 0, 0, look);
    open_and(path, with, OPEN_RDWR, 0, change);
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    open_and(path, with, OPEN_RDWR | OPEN_CHECK, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, look);
    close(data_fd);
    close(fd);
    return 0;
}
