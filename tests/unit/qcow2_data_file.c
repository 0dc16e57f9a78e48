/*
 * qcow2_data_file.c - data reach the disk before the metadata that make them visible.
 *
 * While the data file cannot be flushed, no L2 entry may be written: after a crash it would show
 * what the file held before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/driver.h"
#include "tests/unit/scratch.h"

enum { DISK = 1 << 20, CLUSTER = 64 << 10 };

static char dir[SCRATCH_DIR], path[SCRATCH_PATH], data[SCRATCH_PATH];

static Node *open_failing(const char *fault)
{
    Options *o = options_new();
    Node *node;

    options_set(o, "data-file.driver", "faults");
    options_set(o, "data-file.file.driver", "file");
    options_set(o, "data-file.file.filename", data);
    options_set(o, fault, "1");
    assert_int_equal(node_open(path, "qcow2", o, OPEN_RDWR, &node, NULL), 0);
    return node;
}

static ExtentKind kind_at(uint64_t off)
{
    AUTO_NODE Node *node = NULL;
    Extent ext;

    assert_int_equal(node_open(path, "qcow2", NULL, 0, &node, NULL), 0);
    assert_int_equal(node_extent(node, off, 1, &ext), 0);
    return ext.kind;
}

static void entries_wait_for_data(void **state)
{
    uint8_t buf[CLUSTER];
    Node *node = open_failing("data-file.fail-flush");

    (void)state;
    memset(buf, 7, sizeof(buf));
    assert_int_equal(node_pwrite(node, buf, sizeof(buf), CLUSTER), 0);
    assert_int_equal(node_flush(node), -EIO);
    node_unref(node);
    assert_int_equal(kind_at(CLUSTER), EXTENT_HOLE);
}

static void failed_writes_publish_nothing(void **state)
{
    uint8_t buf[CLUSTER];
    Node *node = open_failing("data-file.fail-write");

    (void)state;
    memset(buf, 7, sizeof(buf));
    assert_int_equal(node_pwrite(node, buf, sizeof(buf), CLUSTER), -EIO);
    assert_int_equal(node_flush(node), 0);
    node_unref(node);
    assert_int_equal(kind_at(CLUSTER), EXTENT_HOLE);
}

/* Looking at an image does not need the file that its data are in, but reading does. */
static void data_are_not_needed_for_a_look(void **state)
{
    AUTO_NODE Node *node = NULL;
    uint8_t byte;
    ImageInfo info;

    (void)state;
    assert_int_equal(unlink(data), 0);
    assert_int_equal(node_open(path, "qcow2", NULL, OPEN_NO_DATA, &node, NULL), 0);
    assert_int_equal(node_info(node, &info, NULL), 0);
    assert_int_equal(info.virtual_size, DISK);
    assert_int_equal(node_pread(node, &byte, 1, 0), -ENOMEDIUM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_wait_for_data),
        cmocka_unit_test(failed_writes_publish_nothing),
        cmocka_unit_test(data_are_not_needed_for_a_look),
    };
    Options *o = options_new();

    if (!scratch_make(dir, "qcow2_data_file"))
        return 1;
    scratch_path(path, dir, "image");
    scratch_path(data, dir, "data");
    options_set(o, "data_file", data);
    options_set_u64(o, "size", DISK);
    int ret = node_create(path, "qcow2", o, 0, NULL, NULL);
    ret = ret < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    return scratch_remove(dir, ret);
}
