/*
 * qcow2_malformed.c - damaged and hostile qcow2 images: one clear error each, never a crash.
 *
 * Each row changes one field of a good image. `says` is part of the error of opening it; NULL means
 * that it opens, and then reading, mapping and checking may fail but must end.
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

#include "base/endian.h"
#include "base/math.h"
#include "block/node.h"
#include "tests/unit/scratch.h"

enum { CLUSTER = 4096, DISK = 4 << 20 };

/* Where things lie in the image that make_image() makes */
enum { REFTABLE = CLUSTER, REFBLOCK = 2 * CLUSTER, L1 = 3 * CLUSTER, L2 = 5 * CLUSTER };

typedef struct {
    const char *what;
    uint64_t at;
    int bytes;
    uint64_t value;
    const char *says;
} Row;

static const Row rows[] = {
    { "version 1", 4, 4, 1, "version at offset 4 is 1" },
    { "version 4", 4, 4, 4, "version at offset 4 is 4" },
    { "cluster_bits 0", 20, 4, 0, "cluster_bits at offset 20" },
    { "cluster_bits 8", 20, 4, 8, "cluster_bits at offset 20" },
    { "cluster_bits 22", 20, 4, 22, "cluster_bits at offset 20" },
    { "cluster_bits huge", 20, 4, 0xffffffff, "cluster_bits at offset 20" },
    { "size 2^63", 24, 8, UINT64_C(1) << 63, "size at offset 24" },
    { "size larger than the L1 table", 24, 8, UINT64_C(1) << 50, "l1_size at offset 36" },
    { "encrypted, without a secret", 32, 4, 1, "'encrypt.key-secret'" },
    { "encrypted by LUKS without a header", 32, 4, 2, "no extension" },
    { "encrypted by something new", 32, 4, 3, "crypt_method at offset 32" },
    { "l1_size huge", 36, 4, 0xffffffff, "l1_size at offset 36" },
    { "l1_size 0", 36, 4, 0, "l1_size at offset 36" },
    { "l1 offset unaligned", 40, 8, L1 + 8, "l1_table_offset at offset 40" },
    { "l1 offset beyond 2^63", 40, 8, UINT64_MAX << 12, "l1_table_offset at offset 40" },
    { "l1 offset beyond the file", 40, 8, UINT64_C(1) << 40, "l1_table_offset at offset 40" },
    { "reftable unaligned", 48, 8, 17, "refcount_table_offset at offset 48" },
    { "reftable huge", 56, 4, 0xffffffff, "refcount_table_clusters at offset 56" },
    { "no reftable", 56, 4, 0, "refcount_table_clusters at offset 56" },
    { "too many snapshots", 60, 4, 65537, "nb_snapshots at offset 60" },
    { "snapshots that are not there", 60, 4, 60000, "snapshots_offset at offset 64" },
    { "snapshot table unaligned", 64, 8, 5, "snapshots_offset at offset 64" },
    { "unknown incompatible bit", 72, 8, UINT64_C(1) << 40,
      "Unsupported qcow2 feature(s): bit 40" },
    { "data file without a name", 72, 8, 4, "does not name it" },
    { "extended L2 entries, clusters too small", 72, 8, 16, "cluster_bits at offset 20" },
    { "compression bit without type", 72, 8, 8, "compression_type at offset 104" },
    { "unknown compression", 104, 1, 7, "compression_type at offset 104" },
    { "unknown autoclear bit", 88, 8, UINT64_C(1) << 50, NULL },
    { "corrupt bit", 72, 8, 2, NULL },
    { "dirty bit", 72, 8, 1, NULL },
    { "refcount_order 7", 96, 4, 7, "refcount_order at offset 96" },
    { "header_length small", 100, 4, 96, "header_length at offset 100" },
    { "header_length huge", 100, 4, 1 << 30, "header_length at offset 100" },
    { "extension longer than the cluster", 116, 4, 1 << 20, "extension 0x6803f857 at offset 112" },
    { "backing name outside", 8, 8, CLUSTER - 1, NULL },
    { "backing name far outside", 8, 8, UINT64_C(1) << 60, "backing_file_offset at offset 8" },
    { "L1 entry unaligned", L1, 8, L2 + 512, NULL },
    { "L1 entry beyond the file", L1, 8, UINT64_C(1) << 50, NULL },
    { "L1 entry is the header", L1, 8, 0, NULL },
    { "L1 entry is the L1 table", L1, 8, L1, NULL },
    { "L2 entry unaligned", L2, 8, 0x8000000000005200, NULL },
    { "L2 entry far beyond the file", L2, 8, 0x80ffffffffff0000, NULL },
    { "L2 entry is the header", L2, 8, 0x8000000000001000, NULL },
    { "L2 entry compressed garbage", L2, 8, 0x7fffffffffffffff, NULL },
    { "L2 entry compressed inside the header", L2, 8, 0x4000000000000001, NULL },
    { "refcount table entry unaligned", REFTABLE, 8, REFBLOCK + 1, NULL },
    { "refcount table entry beyond the file", REFTABLE, 8, UINT64_C(1) << 60, NULL },
    { "refcount table entry is the L1 table", REFTABLE, 8, L1, NULL },
    { "refcount table empty", REFTABLE, 8, 0, NULL },
    { "counts all zero", REFBLOCK, 8, 0, NULL },
};

static char dir[SCRATCH_DIR], path[SCRATCH_PATH];

static void put(uint8_t *at, int bytes, uint64_t value)
{
    for (int i = bytes - 1; i >= 0; i--, value >>= 8)
        at[i] = (uint8_t)value;
}

static void make_image(void)
{
    Options *o = options_new();
    uint8_t buf[CLUSTER];
    Node *node;

    options_set_u64(o, "size", DISK);
    options_set_u64(o, "cluster_size", CLUSTER);
    assert_int_equal(node_create(path, "qcow2", o, 0, NULL, NULL), 0);
    assert_int_equal(node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH, &node, NULL), 0);
    memset(buf, 0x5a, sizeof(buf));
    for (int i = 0; i < 8; i++)
        assert_int_equal(node_pwrite(node, buf, sizeof(buf), (uint64_t)i * 2 * CLUSTER), 0);
    assert_int_equal(node_pwrite_compressed(node, buf, sizeof(buf), CLUSTER), 0);
    node_unref(node);
}

static void patch(const Row *row)
{
    uint8_t bytes[8];
    FILE *f = fopen(path, "r+");

    put(bytes, row->bytes, row->value);
    fseek(f, (long)row->at, SEEK_SET);
    fwrite(bytes, 1, (size_t)row->bytes, f);
    fclose(f);
}

/* Whatever these return, they return. */
static void exercise(unsigned flags, unsigned fix)
{
    AUTO_FREE uint8_t *buf = calloc(1, DISK);
    CheckResult result;
    Extent ext = { .len = 1 };
    Node *node;

    if (node_open(path, "qcow2", NULL, flags | OPEN_NO_FLUSH | OPEN_NO_BACKING, &node, NULL) < 0)
        return;
    uint64_t size = MIN(node_size(node), (uint64_t)DISK);
    node_pread(node, buf, size, 0);
    for (uint64_t off = 0; off < size; off += ext.len)
        if (node_extent_above(node, NULL, off, size - off, &ext) < 0)
            break;
    node_check(node, fix, NULL, NULL, &result, NULL);
    if (flags & OPEN_RDWR) {
        node_pwrite(node, buf, MIN(size, UINT64_C(100000)), 0);
        node_discard(node, 0, size);
        node_flush(node);
    }
    node_unref(node);
}

static void refused_or_harmless(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_ERROR Error *err = NULL;
        AUTO_NODE Node *node = NULL;

        make_image();
        patch(&rows[i]);
        int ret = node_open(path, "qcow2", NULL, OPEN_NO_BACKING, &node, &err);
        if (rows[i].says && (ret == 0 || !strstr(error_message(err, ret), rows[i].says)))
            fail_msg("%s: '%s'", rows[i].what, ret ? error_message(err, ret) : "opened");
        node_unref(take(&node));
        exercise(0, 0);
        exercise(OPEN_RDWR, 0);
        make_image();
        patch(&rows[i]);
        exercise(OPEN_RDWR | OPEN_CHECK, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS);
    }
}

/* Extended entries of 16 bytes: a word, and a bitmap of what is allocated and what reads as zeros
 */
enum { EXT_CLUSTER = 16384 };

static void make_shape(const char *options)
{
    Options *o = options_new();
    uint8_t buf[EXT_CLUSTER];
    Node *node;

    options_parse(o, options, NULL, NULL);
    options_set_u64(o, "size", DISK);
    options_set_u64(o, "cluster_size", EXT_CLUSTER);
    assert_int_equal(node_create(path, "qcow2", o, 0, NULL, NULL), 0);
    assert_int_equal(node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_NO_FLUSH, &node, NULL), 0);
    memset(buf, 0x5a, sizeof(buf));
    /* the first write's cluster comes before its L2 table */
    assert_int_equal(node_pwrite_zeroes(node, 0, EXT_CLUSTER, 0), 0);
    for (uint64_t i = 1; i < 8; i++)
        assert_int_equal(node_pwrite(node, buf, 2048, i * EXT_CLUSTER + 1024), 0);
    node_pwrite_compressed(node, buf, sizeof(buf), UINT64_C(8) * EXT_CLUSTER);
    node_unref(node);
}

/* Where the L2 table is, from the L1 table */
static uint64_t find_l2(void)
{
    uint8_t bytes[8];
    uint64_t off = 0;
    FILE *f = fopen(path, "r");

    fseek(f, 3L * EXT_CLUSTER, SEEK_SET);
    assert_int_equal(fread(bytes, 1, sizeof(bytes), f), sizeof(bytes));
    fclose(f);
    for (int i = 1; i < 8; i++)
        off = off << 8 | bytes[i];
    assert_in_range(off, EXT_CLUSTER, DISK);
    return off;
}

/* Offsets are from the L2 table. Whatever a row does, the image can be repaired. */
static void shapes_are_repaired(void **state)
{
    static const struct {
        const char *options;
        Row row;
    } damage[] = {
        { "extended_l2=on", { "allocated and zero", 24, 8, UINT64_MAX, NULL } },
        { "extended_l2=on", { "allocated nowhere", 16, 8, 0, NULL } },
        { "extended_l2=on", { "zero flag", 16 + 7, 1, 1, NULL } },
        { "extended_l2=on", { "compressed with a bitmap", 8 * 16 + 8, 8, 255, NULL } },
        { "extended_l2=on", { "compressed with the copied flag", 8 * 16, 1, 0xc0, NULL } },
        { "extended_l2=on", { "the header", 16, 8, UINT64_C(1) << 63 | EXT_CLUSTER, NULL } },
        { "extended_l2=on", { "unaligned", 16 + 6, 1, 2, NULL } },
        { "extended_l2=on", { "far away", 16, 8, 0x80ffffffffff0000, NULL } },
        { "data_file=%s", { "elsewhere", 8, 8, UINT64_C(1) << 63 | 5 * EXT_CLUSTER, NULL } },
        { "data_file=%s", { "unaligned", 8 + 6, 1, 2, NULL } },
        { "data_file=%s", { "not copied", 8, 1, 0, NULL } },
        { "data_file=%s", { "compressed", 8, 1, 0x40, NULL } },
        { "data_file=%s,extended_l2=on", { "allocated and zero", 24, 8, UINT64_MAX, NULL } },
        { "data_file=%s,data_file_raw=on", { "elsewhere", 8, 8, UINT64_C(1) << 63, NULL } },
    };
    CheckResult result;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
        Row row = damage[i].row;
        char options[200], data[SCRATCH_PATH];
        Node *node;

        scratch_path(data, dir, "data");
        snprintf(options, sizeof(options), "%s", damage[i].options);
        if (strstr(options, "%s"))
            snprintf(options, sizeof(options), "data_file=%s%s", data, damage[i].options + 12);
        make_shape(options);
        row.at += find_l2();
        patch(&row);
        exercise(0, 0);
        exercise(OPEN_RDWR, 0);
        make_shape(options);
        row.at = damage[i].row.at + find_l2();
        patch(&row);
        assert_int_equal(node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_CHECK, &node, NULL), 0);
        assert_int_equal(node_check(node, 0, NULL, NULL, &result, NULL), 0);
        if (result.corruptions == 0)
            fail_msg("%s: check finds nothing", row.what);
        assert_int_equal(
            node_check(node, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, NULL, NULL, &result, NULL), 0);
        assert_int_equal(node_check(node, 0, NULL, NULL, &result, NULL), 0);
        if (result.corruptions || result.leaks)
            fail_msg("%s: not clean after a repair", row.what);
        node_unref(node);
    }
}

/* What `check` repairs is whole afterwards. */
static void repaired(void **state)
{
    static const Row damage[] = {
        { "counts all zero", REFBLOCK, 8, 0, NULL },
        { "counts too high", REFBLOCK + 10, 2, 7, NULL },
        { "a leak", REFBLOCK + 100, 2, 1, NULL },
        { "no refcount block", REFTABLE, 8, 0, NULL },
        { "dirty bit", 72, 8, 1, NULL },
        { "corrupt bit", 72, 8, 2, NULL },
        { "l1_size too small", 36, 4, 0, NULL },
        { "l1_size too large", 36, 4, 0xffffffff, NULL },
        { "refcount table unaligned", 48, 8, 17, NULL },
        { "refcount table beyond the file", 48, 8, UINT64_C(1) << 60, NULL },
        { "refcount table over the header", 48, 8, 0, NULL },
        { "refcount table over the L1 table", 48, 8, L1, NULL },
        { "refcount table over an L2 table", 48, 8, L2, NULL },
        { "refcount table in a refcount block", 48, 8, REFBLOCK, NULL },
        { "no refcount table", 56, 4, 0, NULL },
        { "huge refcount table", 56, 4, 0xffffffff, NULL },
        { "refcount_order 7", 96, 4, 7, NULL },
        { "refcount_order 5", 96, 4, 5, NULL },
        { "refcount_order 0", 96, 4, 0, NULL },
        { "snapshots that are not there", 60, 4, 3, NULL },
        { "too many snapshots", 60, 4, 0xffffffff, NULL },
        { "compression bit without type", 72, 8, 8, NULL },
        { "header_length small", 100, 4, 96, NULL },
        { "header_length huge", 100, 4, 1 << 30, NULL },
        { "header_length 0", 100, 4, 0, NULL },
        { "backing name far outside", 8, 8, UINT64_C(1) << 60, NULL },
        { "backing name in the header", 8, 8, 40, NULL },
        { "backing name with a NUL", 12, 8, UINT64_C(0x20000000010), NULL },
    };
    CheckResult result;
    Node *node;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
        make_image();
        patch(&damage[i]);
        AUTO_ERROR Error *err = NULL;
        if (node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_CHECK, &node, &err) < 0)
            fail_msg("%s: not opened for repair: %s", damage[i].what, error_message(err, 0));
        if (node_check(node, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, NULL, NULL, &result, &err) < 0)
            fail_msg("%s: %s", damage[i].what, error_message(err, 0));
        assert_int_equal(result.leaks, result.leaks_fixed);
        assert_int_equal(result.corruptions, result.corruptions_fixed);
        node_unref(node);
        if (node_open(path, "qcow2", NULL, 0, &node, &err) < 0)
            fail_msg("%s: repaired, but: %s", damage[i].what, error_message(err, 0));
        assert_int_equal(node_check(node, 0, NULL, NULL, &result, NULL), 0);
        uint8_t buf[CLUSTER], want[CLUSTER];
        memset(want, 0x5a, sizeof(want));
        assert_int_equal(node_pread(node, buf, sizeof(buf), 14 * CLUSTER), 0);
        assert_memory_equal(buf, want, sizeof(want));
        if (result.corruptions || result.leaks || result.check_errors)
            fail_msg("%s: not repaired: %d, %d", damage[i].what, (int)result.corruptions,
                     (int)result.leaks);
        node_unref(node);
    }
}

/* What cannot be put right is refused by the repair, too, which then changes nothing. */
static void refused_by_the_repair(void **state)
{
    static const Row damage[] = {
        { "header_length, and extensions that do not fit", 100, 4, 5,
          "header_length at offset 100" },
        { "l1 offset unaligned", 40, 8, L1 + 8, "l1_table_offset at offset 40" },
        { "l1 offset 0", 40, 8, 0, "l1_table_offset at offset 40" },
        { "l1 offset beyond the file", 40, 8, UINT64_C(1) << 40, "l1_table_offset at offset 40" },
        { "l1 offset at the refcount table", 40, 8, REFTABLE, "l1_table_offset at offset 40" },
        { "l1 offset at a refcount block", 40, 8, REFBLOCK, "l1_table_offset at offset 40" },
    };
    static uint8_t before[16 * CLUSTER], after[sizeof(before)];
    CheckResult result;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
        AUTO_ERROR Error *err = NULL;
        AUTO_NODE Node *node = NULL;

        make_image();
        patch(&damage[i]);
        if (i == 0)
            patch(&(Row) { "extension length", 116, 4, UINT32_MAX, NULL });
        if (i == 0)
            patch(&(Row) { "compression type", 104, 4, UINT32_MAX, NULL });
        FILE *f = fopen(path, "r");
        size_t len = fread(before, 1, sizeof(before), f);
        fclose(f);
        int ret = node_open(path, "qcow2", NULL, OPEN_RDWR | OPEN_CHECK, &node, &err);
        if (ret == 0)
            ret = node_check(node, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, NULL, NULL, &result, &err);
        if (ret == 0 || !strstr(error_message(err, ret), damage[i].says))
            fail_msg("%s: '%s'", damage[i].what, ret ? error_message(err, ret) : "repaired");
        node_unref(take(&node));
        f = fopen(path, "r");
        assert_int_equal(fread(after, 1, sizeof(after), f), len);
        fclose(f);
        assert_memory_equal(before, after, len);
    }
}

static void cut_short(void **state)
{
    (void)state;
    for (long len = 0; len < 12 * CLUSTER; len += 333) {
        make_image();
        assert_int_equal(truncate(path, len), 0);
        exercise(0, 0);
        exercise(OPEN_RDWR, 0);
    }
}

static void chains_are_checked(void **state)
{
    AUTO_ERROR Error *err = NULL;
    Options *o = options_new();
    Node *node;

    (void)state;
    options_set_u64(o, "size", DISK);
    options_set(o, "backing_file", "image");
    options_set(o, "backing_fmt", "qcow2");
    assert_int_equal(node_create(path, "qcow2", o, CREATE_UNSAFE, NULL, NULL), -EINVAL);
    o = options_new();
    options_set_u64(o, "size", DISK);
    options_set(o, "backing_file", "missing");
    options_set(o, "backing_fmt", "qcow2");
    unlink(path);
    assert_int_equal(node_create(path, "qcow2", options_copy(o), 0, NULL, &err), -ENOENT);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(node_create(path, "qcow2", o, CREATE_UNSAFE, NULL, &err), 0);
    assert_int_equal(node_open(path, NULL, NULL, 0, &node, &err), -ENOENT);
    assert_non_null(strstr(error_message(err, 0), "missing"));
    assert_int_equal(node_open(path, NULL, NULL, OPEN_RDWR | OPEN_NO_BACKING, &node, NULL), 0);
    assert_int_equal(node_change_backing_file(node, "image", "qcow2", NULL), 0);
    node_unref(node);
    assert_int_equal(node_open(path, NULL, NULL, 0, &node, &err), -ELOOP);
    assert_int_equal(node_open(path, NULL, NULL, OPEN_NO_EXTERNAL, &node, &err), -EPERM);
}

static void locks_exclude_a_second_writer(void **state)
{
    AUTO_ERROR Error *err = NULL;
    Node *a, *b;

    (void)state;
    make_image();
    assert_int_equal(node_open(path, NULL, NULL, OPEN_RDWR, &a, NULL), 0);
    assert_int_equal(node_open(path, NULL, NULL, OPEN_RDWR, &b, &err), -EAGAIN);
    assert_non_null(strstr(error_message(err, 0), "lock"));
    assert_int_equal(node_open(path, NULL, NULL, 0, &b, NULL), -EAGAIN);
    assert_int_equal(node_open(path, NULL, NULL, OPEN_FORCE_SHARE, &b, NULL), 0);
    node_unref(a);
    node_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_by_the_repair),
        cmocka_unit_test(refused_or_harmless),
        cmocka_unit_test(repaired),
        cmocka_unit_test(shapes_are_repaired),
        cmocka_unit_test(cut_short),
        cmocka_unit_test(chains_are_checked),
        cmocka_unit_test(locks_exclude_a_second_writer),
    };

    if (!scratch_make(dir, "qcow2_malformed"))
        return 1;
    scratch_path(path, dir, "image");
    int ret = cmocka_run_group_tests(tests, NULL, NULL);
    return scratch_remove(dir, ret);
}
