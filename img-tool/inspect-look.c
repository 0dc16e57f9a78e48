/*
 * inspect-look.c - see inspect.h: what an image is, what it names, and what is odd about it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/math.h"
#include "img-tool/inspect.h"

enum { HEAD = 4096, MAX_FINDINGS = 20 };

/* ---- what the bytes also look like ------------------------------------------------------------
 */

/* Another program that guesses may take the file for one of these. */
static const struct {
    const char *format, *magic;
    size_t len;
    int64_t off; /* negative: from the end */
} signatures[] = {
    { "qcow", "QFI\xfb\0\0\0\1", 8, 0 },
    { "qed", "QED\0", 4, 0 },
    { "vmdk", "KDMV", 4, 0 },
    { "vmdk", "COWD", 4, 0 },
    { "vmdk", "# Disk DescriptorFile", 21, 0 },
    { "vdi", "\x7f\x10\xda\xbe", 4, 0x40 },
    { "vhdx", "vhdxfile", 8, 0 },
    { "vpc", "conectix", 8, 0 },
    { "vpc", "conectix", 8, -512 },
    { "parallels", "WithoutFreeSpace", 16, 0 },
    { "parallels", "WithouFreSpacExt", 16, 0 },
    { "bochs", "Bochs Virtual HD Image", 22, 0 },
    { "dmg", "koly", 4, -512 },
    { "luks", "LUKS\xba\xbe", 6, 0 },
    { "cloop", "#!/bin/sh\n#V2.0 Format", 22, 0 },
};

/* What is unpacked on the way elsewhere; here it would need a file to unpack into. */
static const struct {
    const char *name, *magic;
    size_t len;
} wrappers[] = {
    { "gzip", "\x1f\x8b", 2 },
    { "xz",
      "\xfd"
      "7zXZ",
      5 },
    { "zstd", "\x28\xb5\x2f\xfd", 4 },
    { "bzip2", "BZh", 3 },
};

static const char *wrapper_of(const char *filename)
{
    AUTO_NODE Node *file = NULL;
    uint8_t head[8] = { 0 };
    Options *o = options_new();

    options_set(o, "filename", filename);
    if (node_open(NULL, "file", o, OPEN_FORCE_SHARE | OPEN_NO_LOCK, &file, NULL) < 0 ||
        node_pread(file, head, sizeof(head), 0) < 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(wrappers); i++)
        if (memcmp(head, wrappers[i].magic, wrappers[i].len) == 0)
            return wrappers[i].name;
    return NULL;
}

static bool has_signature(const uint8_t *head, const uint8_t *tail, size_t i)
{
    int64_t off = signatures[i].off;
    const uint8_t *at = off < 0 ? tail : head + off;

    return memcmp(at, signatures[i].magic, signatures[i].len) == 0;
}

static void look_for_signatures(Node *node, Report *r)
{
    Node *file = node_file(node) ? node_file(node) : node;
    const char *format = node_format(node);
    uint64_t size = node_size(file);
    uint8_t head[HEAD] = { 0 }, tail[512] = { 0 };

    if (node_pread(file, head, MIN(size, sizeof(head)), 0) < 0 ||
        (size >= sizeof(tail) && node_pread(file, tail, sizeof(tail), size - sizeof(tail)) < 0)) {
        report_reason(r, VERDICT_REFUSE, "the file cannot be read");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(signatures); i++)
        if (strcmp(format, signatures[i].format) != 0 && has_signature(head, tail, i))
            report_reason(r, VERDICT_REFUSE,
                          "the file has the signature of %s, too: programs may "
                          "take it for that",
                          signatures[i].format);
}

/* ---- what it names ----------------------------------------------------------------------------
 */

static const char *kind_of_name(const char *name)
{
    if (strncmp(name, "json:", 5) == 0)
        return "json";
    if (strstr(name, "://"))
        return "url";
    if (name[strcspn(name, ":/")] == ':')
        return "protocol";
    if (strncmp(name, "/dev/", 5) == 0)
        return "device";
    if (name[0] == '/')
        return "absolute-path";
    return strncmp(name, "../", 3) == 0 || strstr(name, "/../") ? "parent-path" : "relative-path";
}

static void name_found(Report *r, const char *role, const char *name, const char *format)
{
    json_t *one = json_pack("{s:s, s:o, s:s}", "role", role, "name",
                            json_string(name) ? json_string(name) : json_string("(not UTF-8)"),
                            "kind", kind_of_name(name));

    if (format)
        json_object_set_new(one, "format", json_string(format));
    json_array_append_new(json_object_get(r->json, "external"), one);
    report_reason(r, VERDICT_REFUSE, "the image names another file (%s)", role);
}

static void look_at_names(const ImageInfo *info, const json_t *features, Report *r)
{
    const json_t *data = json_object_get(features, "data-file");

    json_object_set_new(r->json, "external", json_array());
    if (info->backing_file)
        name_found(r, "backing", info->backing_file, info->backing_format);
    if (json_is_string(data))
        name_found(r, "data-file", json_string_value(data), "raw");
    else if (json_is_true(json_object_get(features, "data-file-raw")))
        report_reason(r, VERDICT_REFUSE, "the image keeps its data in another file");
}

/* ---- sizes, features, snapshots ---------------------------------------------------------------
 */

static void put_u64(Report *r, const char *key, uint64_t v)
{
    json_object_set_new(r->json, key, json_integer((json_int_t)v));
}

static void look_at_sizes(Node *node, const ImageInfo *info, const InspectLimits *limits, Report *r)
{
    uint64_t file = node_size(node_file(node) ? node_file(node) : node);
    uint64_t ratio = info->virtual_size / MAX(file, UINT64_C(1));

    put_u64(r, "file-size", file);
    put_u64(r, "virtual-size", info->virtual_size);
    if (info->disk_size != UINT64_MAX)
        put_u64(r, "actual-size", info->disk_size);
    json_object_set_new(r->json, "ratio",
                        json_real((double)info->virtual_size / (double)MAX(file, UINT64_C(1))));
    if (info->virtual_size > limits->max_size)
        report_reason(r, VERDICT_REFUSE,
                      "the virtual size is %" PRIu64 " bytes, more than %" PRIu64,
                      info->virtual_size, limits->max_size);
    else if (ratio > limits->max_ratio)
        report_reason(r, VERDICT_SUSPICIOUS,
                      "the virtual size is %" PRIu64 " times that of the file", ratio);
}

static void look_at_snapshots(Node *node, Report *r)
{
    SnapshotInfo *list = NULL;
    size_t count = 0;
    Error *err = NULL;

    if (node_snapshot_list(node, &list, &count, &err) < 0)
        report_reason(r, VERDICT_REFUSE, "its snapshots: %s", error_message(err, -EIO));
    put_u64(r, "snapshots", count);
    if (count)
        report_reason(r, VERDICT_SUSPICIOUS, "%zu internal snapshots: they may hold other content",
                      count);
    for (size_t i = 0; i < count; i++)
        if (list[i].vm_state_size) {
            report_reason(r, VERDICT_SUSPICIOUS, "a snapshot holds the state of a machine");
            break;
        }
    snapshot_list_free(list, count);
    error_free(err);
}

static void look_at_flags(const ImageInfo *info, const json_t *features, Report *r)
{
    json_object_set_new(r->json, "encrypted", json_boolean(info->encrypted));
    if (info->encrypted)
        report_reason(r, VERDICT_SUSPICIOUS, "the image is encrypted: its content cannot be seen");
    if (info->corrupt || json_is_true(json_object_get(features, "corrupt")))
        report_reason(r, VERDICT_REFUSE, "the image is marked as corrupt");
    if (info->dirty)
        report_reason(r, VERDICT_SUSPICIOUS, "the image was not closed properly");
    if (json_array_size(json_object_get(features, "bitmaps")))
        report_reason(r, VERDICT_SUSPICIOUS, "the image has dirty bitmaps");
}

static void look_at_image(Node *node, const InspectLimits *limits, Report *r)
{
    Error *err = NULL;
    ImageInfo info;
    json_t *specific = node_format_info(node);
    json_t *features = json_object_get(specific, "data");

    json_object_set_new(r->json, "format", json_string(node_format(node)));
    if (node_info(node, &info, &err) < 0) {
        report_reason(r, VERDICT_REFUSE, "%s", error_message(err, -EIO));
    } else {
        look_at_sizes(node, &info, limits, r);
        look_at_flags(&info, features, r);
        look_at_names(&info, features, r);
        look_at_snapshots(node, r);
        look_for_signatures(node, r);
    }
    if (features)
        json_object_set(r->json, "features", features);
    json_decref(specific);
    error_free(err);
}

/* The name is a path, whatever it looks like; nothing that the image names is opened. */
int inspect_open(const char *filename, const char *format, const InspectLimits *limits, Report *r,
                 Node **node)
{
    const char *wrapper = format ? NULL : wrapper_of(filename);
    Error *err = NULL;

    if (wrapper) {
        json_object_set_new(r->json, "wrapper", json_string(wrapper));
        report_reason(r, VERDICT_REFUSE, "the file is compressed (%s): what is in it is not known",
                      wrapper);
        return -ENOTSUP;
    }
    Options *o = options_new();
    options_set(o, "file.driver", "file");
    options_set(o, "file.filename", filename);
    int ret = node_open(NULL, format, o,
                        OPEN_NO_BACKING | OPEN_NO_DATA | OPEN_NO_IO | OPEN_NO_EXTERNAL |
                            OPEN_FORCE_SHARE | OPEN_NO_LOCK,
                        node, &err);
    if (ret < 0)
        report_reason(r, VERDICT_REFUSE, "%s", error_message(err, ret));
    else
        look_at_image(*node, limits, r);
    error_free(err);
    return ret;
}

/* ---- its tables -------------------------------------------------------------------------------
 */

static void finding(void *opaque, const char *line)
{
    json_t *problems = opaque;

    if (json_array_size(problems) < MAX_FINDINGS)
        json_array_append_new(problems, json_string(line));
}

void inspect_tables(Node *node, Report *r)
{
    json_t *problems = json_array();
    Error *err = NULL;
    CheckResult c;
    int ret = node_check(node, 0, finding, problems, &c, &err);

    json_object_set_new(r->json, "problems", problems);
    if (ret == -ENOTSUP) {
        error_free(err);
        return; /* the format has no tables */
    }
    if (ret < 0)
        report_reason(r, VERDICT_REFUSE, "its tables: %s", error_message(err, ret));
    else if (c.corruptions || c.check_errors)
        report_reason(r, VERDICT_REFUSE, "its tables have %" PRIu64 " errors",
                      c.corruptions + c.check_errors);
    else if (c.leaks)
        report_reason(r, VERDICT_SUSPICIOUS, "%" PRIu64 " clusters belong to nothing", c.leaks);
    error_free(err);
}
