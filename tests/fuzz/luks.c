/*
 * luks.c - fuzz target: any bytes as the header of a LUKS disk, and as that of an encrypted qcow2
 * image, looked at without the secret and with a wrong one.
 *
 * Deriving a key takes as long as the header says: only headers with few iterations get a secret.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/endian.h"
#include "block/node.h"
#include "block/object.h"

enum { LENGTH = 4 << 20, FEW = 2000, ITERATIONS = 164, SLOTS = 208, SLOT = 48, N_SLOTS = 8 };

static bool is_quick(const uint8_t *data, size_t size)
{
    if (size < SLOTS + N_SLOTS * SLOT || get_be32(data + ITERATIONS) > FEW)
        return false;
    for (int i = 0; i < N_SLOTS; i++)
        if (get_be32(data + SLOTS + i * SLOT + 4) > FEW)
            return false;
    return true;
}

static void look(const char *path, const char *format, const char *key, unsigned flags)
{
    AUTO_NODE Node *node = NULL;
    AUTO_ERROR Error *err = NULL;
    Options *o = options_new();
    uint8_t buf[4096];
    ImageInfo info;

    if (key)
        options_set(o, key, "s");
    if (node_open(path, format, o, flags | OPEN_NO_LOCK | OPEN_NO_EXTERNAL, &node, &err) < 0) {
        if (!err)
            abort();
        return;
    }
    node_info(node, &info, NULL);
    json_decref(node_format_info(node));
    if (!(flags & OPEN_NO_IO) && node_size(node) >= sizeof(buf))
        node_pread(node, buf, sizeof(buf), 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made;
    char path[64];
    int fd = memfd_create("image", MFD_CLOEXEC);

    if (!made && object_add("secret,id=s,data=wrong", NULL) < 0)
        abort();
    made = true;
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || ftruncate(fd, LENGTH) < 0)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    look(path, "luks", NULL, OPEN_NO_IO);
    look(path, "qcow2", NULL, OPEN_NO_IO);
    if (is_quick(data, size))
        look(path, "luks", "key-secret", 0);
    close(fd);
    return 0;
}
