/*
 * qcow2_features.c - what an image keeps that is not guest data: machine state, extensions, names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/iov.h"
#include "block/node.h"
#include "tests/unit/scratch.h"

static char dir[SCRATCH_DIR], path[SCRATCH_PATH];

static void create(const char *options)
{
    Options *o = options_new();

    assert_int_equal(options_parse(o, options, NULL, NULL), 0);
    assert_int_equal(node_create(path, "qcow2", o, CREATE_UNSAFE, NULL, NULL), 0);
}

static Node *reopen(Node *node, unsigned flags)
{
    AUTO_ERROR Error *err = NULL;

    node_unref(node);
    int ret = node_open(path, NULL, NULL, flags | OPEN_NO_FLUSH, &node, &err);
    if (ret < 0)
        fail_msg("%s", error_message(err, ret));
    return node;
}

static void check_clean(Node *node)
{
    CheckResult r;

    assert_int_equal(node_check(node, 0, NULL, NULL, &r, NULL), 0);
    assert_int_equal(r.corruptions, 0);
    assert_int_equal(r.leaks, 0);
    assert_int_equal(r.check_errors, 0);
}

static void machine_state_goes_into_a_snapshot(void **state)
{
    enum { STATE = 300000 };
    uint8_t *ram = malloc(STATE), *back = malloc(STATE);
    SnapshotInfo info = { .name = "vm", .vm_state_size = STATE, .vm_clock_ns = 5, .icount = 9 };
    SnapshotInfo *list;
    size_t count;

    (void)state;
    create("size=10M,cluster_size=4k");
    Node *node = reopen(NULL, OPEN_RDWR | OPEN_UNMAP);
    for (int i = 0; i < STATE; i++)
        ram[i] = (uint8_t)(i * 7 + i / 999);
    for (int at = 0; at < STATE; at += 1000) /* as a stream of small pieces */
        assert_int_equal(node_vmstate_pwrite(node, ram + at, 1000, (uint64_t)at), 0);
    assert_int_equal(node_snapshot_create(node, &info, NULL), 0);
    check_clean(node);
    assert_int_equal(node_pwrite(node, ram, 5000, 100), 0);
    assert_int_equal(node_snapshot_list(node, &list, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(list[0].vm_state_size, STATE);
    assert_int_equal(list[0].icount, 9);
    snapshot_list_free(list, count);
    node = reopen(node, OPEN_RDWR | OPEN_UNMAP);
    assert_int_equal(node_snapshot_apply(node, "vm", NULL), 0);
    assert_int_equal(node_vmstate_pread(node, back, STATE, 0), 0);
    assert_memory_equal(ram, back, STATE);
    assert_int_equal(node_snapshot_delete(node, "1", NULL), 0);
    check_clean(node);
    node_unref(node);
    free(ram);
    free(back);
}

static void edit(long at, const void *bytes, size_t len)
{
    FILE *f = fopen(path, "r+");

    fseek(f, at, SEEK_SET);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
}

/* Rewriting the header keeps what we do not know, and clears unknown autoclear bits. */
static void unknown_extensions_are_kept(void **state)
{
    static const uint8_t ext[] = { 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 5, 'h', 'e', 'l', 'l',
                                   'o',  0,    0,    0,    0, 0, 0, 0, 0,   0,   0,   0 };
    uint8_t bits[8], head[4096];
    bool found = false;

    (void)state;
    create("size=1M,cluster_size=4k");
    edit(112, ext, sizeof(ext));
    put_be64(bits, UINT64_C(1) << 33);
    edit(88, bits, sizeof(bits));
    Node *node = reopen(NULL, OPEN_RDWR);
    assert_int_equal(node_change_backing_file(node, "base.img", "raw", NULL), 0);
    node_unref(node);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, head, sizeof(head)), sizeof(head));
    close(fd);
    for (size_t i = 0; i + 16 < sizeof(head); i++)
        found |= memcmp(head + i, ext, 13) == 0;
    assert_true(found);
    assert_int_equal(get_be64(head + 88), 0);
    node = reopen(NULL, OPEN_NO_BACKING);
    ImageInfo info;
    assert_int_equal(node_info(node, &info, NULL), 0);
    assert_string_equal(info.backing_file, "base.img");
    assert_string_equal(info.backing_format, "raw");
    node_unref(node);
}

static void an_unknown_feature_is_named(void **state)
{
    AUTO_ERROR Error *err = NULL;
    uint8_t bits[8], row[64] = { 0x68, 0x03, 0xf8, 0x57, 0, 0, 0, 48, 0, 40 };
    Node *node;

    (void)state;
    strcpy((char *)row + 10, "time travel");
    create("size=1M");
    edit(112, row, sizeof(row));
    put_be64(bits, UINT64_C(1) << 40);
    edit(72, bits, sizeof(bits));
    assert_int_equal(node_open(path, NULL, NULL, 0, &node, &err), -ENOTSUP);
    assert_non_null(strstr(error_message(err, 0), "time travel"));
}

static void huge_disks_are_small_files(void **state)
{
    uint8_t one = 1, got;
    struct stat st;

    (void)state;
    create("size=64T");
    Node *node = reopen(NULL, OPEN_RDWR);
    assert_int_equal(node_pwrite(node, &one, 1, node_size(node) - 1), 0);
    assert_int_equal(node_pread(node, &got, 1, node_size(node) - 1), 0);
    assert_int_equal(got, 1);
    node_unref(node);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size < 4 << 20);
    node = reopen(NULL, 0);
    check_clean(node);
    node_unref(node);
}

static void a_temporary_overlay_leaves_the_image_alone(void **state)
{
    uint8_t buf[5000], back[5000];
    Node *overlay;

    (void)state;
    create("size=1M");
    Node *node = reopen(NULL, OPEN_RDWR);
    memset(buf, 1, sizeof(buf));
    assert_int_equal(node_pwrite(node, buf, sizeof(buf), 0), 0);
    node = reopen(node, 0);
    assert_int_equal(node_open_temporary_overlay(node, &overlay, NULL), 0);
    assert_int_equal(node_pread(overlay, back, sizeof(back), 0), 0);
    assert_memory_equal(buf, back, sizeof(buf));
    memset(buf, 2, 100);
    assert_int_equal(node_pwrite(overlay, buf, 100, 1000), 0);
    assert_int_equal(node_pread(overlay, back, sizeof(back), 0), 0);
    assert_int_equal(back[1050], 2);
    assert_int_equal(back[1100], 1);
    assert_int_equal(node_pread(node, back, sizeof(back), 0), 0);
    assert_int_equal(back[1050], 1);
    node_unref(overlay);
    node_unref(node);
}

/* Counts of one bit cannot say "two": a snapshot is refused and changes nothing. */
static void narrow_counts_refuse_snapshots(void **state)
{
    AUTO_ERROR Error *err = NULL;
    SnapshotInfo info = { .name = "x" };
    uint8_t buf[9000] = { 1 };

    (void)state;
    create("size=1M,cluster_size=4k,refcount_bits=1");
    Node *node = reopen(NULL, OPEN_RDWR);
    assert_int_equal(node_pwrite(node, buf, sizeof(buf), 0), 0);
    assert_int_equal(node_snapshot_create(node, &info, &err), -ERANGE);
    assert_non_null(strstr(error_message(err, 0), "too narrow"));
    node = reopen(node, OPEN_RDWR);
    check_clean(node);
    node_unref(node);
}

static void make_empty_drops_everything(void **state)
{
    uint8_t buf[9000];
    Extent ext;

    (void)state;
    memset(buf, 7, sizeof(buf));
    create("size=1M,cluster_size=4k");
    Node *node = reopen(NULL, OPEN_RDWR);
    assert_int_equal(node_pwrite(node, buf, sizeof(buf), 3000), 0);
    assert_int_equal(node_make_empty(node, NULL), 0);
    assert_int_equal(node_extent(node, 0, 1 << 20, &ext), 0);
    assert_int_equal(ext.kind, EXTENT_HOLE);
    assert_int_equal(ext.len, 1 << 20);
    node = reopen(node, 0);
    check_clean(node);
    node_unref(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machine_state_goes_into_a_snapshot),
        cmocka_unit_test(unknown_extensions_are_kept),
        cmocka_unit_test(an_unknown_feature_is_named),
        cmocka_unit_test(huge_disks_are_small_files),
        cmocka_unit_test(a_temporary_overlay_leaves_the_image_alone),
        cmocka_unit_test(narrow_counts_refuse_snapshots),
        cmocka_unit_test(make_empty_drops_everything),
    };

    if (!scratch_make(dir, "qcow2_features"))
        return 1;
    scratch_path(path, dir, "image");
    int ret = cmocka_run_group_tests(tests, NULL, NULL);
    return scratch_remove(dir, ret);
}
