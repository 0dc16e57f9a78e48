/*
 * probe.c - fuzz target: any bytes as an image whose format is guessed, read to its end.
 *
 * What an image names (a backing file, a data file) is not opened.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/math.h"
#include "block/node.h"

static void read_all(Node *node)
{
    static uint8_t buf[1 << 18];
    uint64_t size = node_size(node);
    ImageInfo info;

    node_info(node, &info, NULL);
    json_decref(node_format_info(node));
    for (uint64_t at = 0; at < MIN(size, (uint64_t)1 << 20); at += sizeof(buf))
        node_pread(node, buf, MIN(size - at, sizeof(buf)), at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_NODE Node *node = NULL;
    char path[64];
    int fd = memfd_create("image", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (node_open(path, NULL, NULL, OPEN_NO_EXTERNAL | OPEN_NO_LOCK, &node, NULL) == 0)
        read_all(node);
    close(fd);
    return 0;
}
