/*
 * luks_key.c - fuzz target: a LUKS disk with any bytes of its header changed: judged, shown, and
 * opened with a password if that is cheap; then read, written and its key slots changed.
 *
 * The input is a list of patches: offset (2 bytes, big endian), length, bytes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/math.h"
#include "block/object.h"
#include "formats/luks/luks.h"

enum { HEADER = 592, CHEAP = 10000 };

static uint8_t *template;
static size_t template_len;

/* A password may cost minutes: only headers that ask for little are opened. */
static bool cheap(const char *path)
{
    AUTO_NODE Node *file = NULL;
    Luks l = { 0 };

    if (node_open(path, "raw", NULL, OPEN_NO_LOCK, &file, NULL) < 0)
        abort();
    if (luks_read(&l, file, 0, node_size(file), NULL) < 0)
        return false;
    uint64_t cost = l.digest_iterations;
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        cost += l.slots[i].active ? l.slots[i].iterations : 0;
    return cost <= CHEAP;
}

static void show(const char *path)
{
    AUTO_NODE Node *node = NULL;
    uint8_t buf[100];

    if (node_open(path, "luks", NULL, OPEN_NO_LOCK | OPEN_NO_IO, &node, NULL) < 0)
        return;
    json_decref(node_format_info(node));
    if (node_pread(node, buf, MIN(node_size(node), sizeof(buf)), 0) == 0 && node_size(node))
        abort(); /* without a key */
}

static void use(const char *path)
{
    static uint8_t buf[70000];
    AUTO_NODE Node *node = NULL;
    Options *o = options_new();

    options_set(o, "key-secret", "s");
    if (node_open(path, "luks", o, OPEN_RDWR | OPEN_NO_LOCK | OPEN_NO_FLUSH, &node, NULL) < 0)
        return;
    size_t len = MIN(node_size(node), sizeof(buf));
    node_pread(node, buf, len, 0);
    node_pwrite(node, buf, len, node_size(node) - len);
    o = options_new();
    options_parse(o, "state=active,new-secret=s,iter-time=1", NULL, NULL);
    node_amend(node, o, false, NULL, NULL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    Options *o = options_new();
    char path[64];
    int fd = memfd_create("template", MFD_CLOEXEC);

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    options_parse(o, "size=100k,key-secret=s,iter-time=1,cipher-alg=aes-128", NULL, NULL);
    if (object_add("secret,id=s,data=pw", NULL) < 0 ||
        node_create(path, "luks", o, 0, NULL, NULL) < 0)
        abort();
    template_len = (size_t)lseek(fd, 0, SEEK_END);
    template = malloc(template_len);
    if (pread(fd, template, template_len, 0) != (ssize_t)template_len)
        abort();
    return close(fd);
}

static void patch(uint8_t *image, const uint8_t *data, size_t size)
{
    while (size > 3) {
        size_t at = get_be16(data) % HEADER, len = MIN((size_t)data[2], size - 3);

        len = MIN(len, HEADER - at);
        memcpy(image + at, data + 3, len);
        data += 3 + len;
        size -= 3 + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("image", MFD_CLOEXEC);

    AUTO_FREE uint8_t *image = malloc(template_len);

    memcpy(image, template, template_len);
    patch(image, data, size);
    if (fd < 0 || write(fd, image, template_len) != (ssize_t)template_len)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    show(path);
    if (cheap(path))
        use(path);
    close(fd);
    return 0;
}
