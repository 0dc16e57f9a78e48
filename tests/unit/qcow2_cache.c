/*
 * qcow2_cache.c - the cache of tables: its memory is bounded, and goes back when nobody uses it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/qcow2/qcow2.h"
#include "tests/unit/scratch.h"

enum { DISK = 8 << 20, SPAN = 32 << 10 }; /* clusters of 512 bytes: a table maps 32 KiB */

static char dir[SCRATCH_DIR], path[SCRATCH_PATH];

static Node *open_with(const char *options)
{
    Options *o = options_new();
    Node *node;

    assert_int_equal(options_parse(o, options, NULL, NULL), 0);
    assert_int_equal(node_open(path, "qcow2", o, OPEN_RDWR | OPEN_NO_FLUSH, &node, NULL), 0);
    return node;
}

static void read_tables(Node *node, uint64_t from, uint64_t to)
{
    uint8_t byte;

    for (uint64_t off = from; off < to; off += SPAN)
        assert_int_equal(node_pread(node, &byte, 1, off), 0);
}

static uint64_t memory(Node *node)
{
    const Qcow2 *q = node->state;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < q->l2_cache.count; i++)
        bytes += q->l2_cache.slots[i].buf ? q->l2_cache.bytes : 0;
    return bytes;
}

static void memory_is_bounded(void **state)
{
    AUTO_NODE Node *small = open_with("l2-cache-size=16k");

    (void)state;
    read_tables(small, 0, DISK);
    assert_int_equal(memory(small), 16 << 10);
    uint8_t buf[512] = { 1 };
    for (uint64_t off = 0; off < DISK; off += SPAN)
        assert_int_equal(node_pwrite(small, buf, sizeof(buf), off), 0);
    assert_int_equal(memory(small), 16 << 10);
}

static void default_holds_all(void **state)
{
    AUTO_NODE Node *node = open_with("");

    (void)state;
    read_tables(node, 0, DISK);
    assert_int_equal(memory(node), DISK / SPAN * 512);
}

static void unused_tables_go(void **state)
{
    AUTO_NODE Node *node = open_with("cache-clean-interval=1");

    (void)state;
    read_tables(node, 0, DISK);
    for (int i = 0; i < 4; i++) { /* some are used all the time */
        usleep(600000);
        read_tables(node, 0, DISK / 4);
    }
    assert_in_range(memory(node), 512, DISK / SPAN / 4 * 512 + 512);
    read_tables(node, 0, DISK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(default_holds_all),
        cmocka_unit_test(unused_tables_go),
    };
    Options *o = options_new();

    if (!scratch_make(dir, "qcow2_cache"))
        return 1;
    scratch_path(path, dir, "image");
    options_parse(o, "cluster_size=512,preallocation=metadata", NULL, NULL);
    options_set_u64(o, "size", DISK);
    int ret = node_create(path, "qcow2", o, 0, NULL, NULL);
    ret = ret < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
    return scratch_remove(dir, ret);
}
