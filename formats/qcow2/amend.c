/*
 * amend.c - changing the options of an image: which, whether that can be, and in which order.
 *
 * Everything is judged before anything changes. Version 3 comes first and version 2 last, as all
 * the other changes are possible in version 3. Each step leaves a valid image.
 */
#include "formats/qcow2/amend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "formats/qcow2/crypto.h"

const OptionDesc qcow2_amend_options[] = {
    { "backing_file", "str", "File name of a base image", NULL },
    { "backing_fmt", "str", "Image format of the base image", NULL },
    { "compat", "str", "Compatibility level (v2 [0.10] or v3 [1.1])", NULL },
    { "data_file", "str", "File name of an external data file", NULL },
    { "data_file_raw", "bool (on/off)", "The external data file must stay valid as a raw image",
      NULL },
    { "encrypt.iter-time", "num", "Time to spend in PBKDF in milliseconds", NULL },
    { "encrypt.keyslot", "num", "Select a single keyslot to modify explicitly", NULL },
    { "encrypt.new-secret", "str",
      "New secret to set in the matching keyslots. Empty string to erase", NULL },
    { "encrypt.old-secret", "str", "Select all keyslots that match this password", NULL },
    { "encrypt.state", "str", "Select new state of affected keyslots (active/inactive)", NULL },
    { "lazy_refcounts", "bool (on/off)", "Postpone refcount updates", NULL },
    { "refcount_bits", "num", "Width of a reference count entry in bits", NULL },
    { "size", "size", "Virtual disk size", NULL },
    { NULL, NULL, NULL, NULL },
};

static const char *const compat_names[] = { "0.10", "v2", "1.1", "v3", NULL };

typedef struct Change {
    unsigned version, refcount_order;
    bool lazy, raw;
    char *backing_file, *backing_format, *data_file; /* NULL: not given */
} Change;

/* ---- judging ------------------------------------------------------------------------------- */

/* Options of `create` that an image keeps for life */
static int refuse_fixed(const Options *o, Error **err)
{
    for (const OptionDesc *d = qcow2_create_options; d->name; d++)
        if (options_has(o, d->name))
            return error_set(err, -EINVAL,
                             "Invalid parameter '%s': This option is only supported for image "
                             "creation",
                             d->name);
    return options_end(o, "amending a qcow2 image", err);
}

static int take_options(Qcow2 *q, Options *o, Change *c, Error **err)
{
    uint64_t bits = UINT64_C(1) << q->refcount_order;
    int compat = q->version == 2 ? 0 : 2;
    int ret = options_take_bool(o, "lazy_refcounts", &c->lazy, err);

    c->backing_file = options_take(o, "backing_file");
    c->backing_format = options_take(o, "backing_fmt");
    c->data_file = options_take(o, "data_file");
    if (ret == 0)
        ret = options_take_bool(o, "data_file_raw", &c->raw, err);
    if (ret == 0)
        ret = options_take_enum(o, "compat", compat_names, &compat, err);
    if (ret == 0)
        ret = options_take_u64(o, "refcount_bits", &bits, err);
    if (ret == 0)
        ret = refuse_fixed(o, err);
    if (ret < 0)
        return ret;
    if (!is_pow2(bits) || bits > 64)
        return error_set(err, -EINVAL,
                         "Refcount width must be a power of two and may not exceed 64 bits");
    c->version = compat < 2 ? 2 : 3;
    c->refcount_order = (unsigned)__builtin_ctzll(bits);
    return 0;
}

static int check_names(const Qcow2 *q, const Change *c, Error **err)
{
    const char *file = q->node->backing_file, *format = q->node->backing_format;

    if ((c->backing_file && strcmp(c->backing_file, file ? file : "") != 0) ||
        (c->backing_format && strcmp(c->backing_format, format ? format : "") != 0))
        return error_set(err, -EINVAL, "Cannot amend the backing file: use rebase instead");
    if (c->data_file && !q->external)
        return error_set(err, -EINVAL,
                         "data-file can only be set for images that use an external data file");
    if (c->data_file && strlen(c->data_file) == 0)
        return error_set(err, -EINVAL, "the data file needs a name");
    if (c->raw && !q->raw)
        return error_set(err, -EINVAL, "data-file-raw cannot be set on existing images");
    return 0;
}

/* A version 2 snapshot has neither a disk size nor a long machine state. */
static int check_snapshots(const Qcow2 *q, Error **err)
{
    for (uint32_t i = 0; i < q->snapshot_count; i++) {
        const SnapshotInfo *s = &q->snapshots[i].info;

        if (s->disk_size != q->node->size || s->vm_state_size > UINT32_MAX)
            return error_set(err, -ENOTSUP,
                             "Internal snapshots prevent downgrade of image: '%s' has another disk "
                             "size, or machine state of 4 GiB and more",
                             s->name);
    }
    return 0;
}

static int check_version2(const Qcow2 *q, const Change *c, Error **err)
{
    if (c->refcount_order != 4)
        return error_set(err, -EINVAL, "compat=0.10 requires refcount_bits=16");
    if (c->lazy)
        return error_set(err, -EINVAL,
                         "Lazy refcounts only supported with compatibility level 1.1 and above");
    if (q->version == 2)
        return 0;
    if (q->incompatible & ~(INCOMPAT_DIRTY | INCOMPAT_CORRUPT))
        return error_set(err, -ENOTSUP,
                         "Cannot downgrade an image with incompatible features: a data file, "
                         "extended L2 entries and zstd need compat=1.1");
    if (q->incompatible & INCOMPAT_CORRUPT)
        return error_set(err, -ENOTSUP, "the image is corrupt: repair it first (check -r all)");
    if (bitmaps_any(q))
        return error_set(err, -ENOTSUP,
                         "the image has dirty bitmaps, which compat=0.10 cannot hold: remove them "
                         "first");
    return check_snapshots(q, err);
}

static int judge(const Qcow2 *q, const Change *c, Error **err)
{
    int ret = check_names(q, c, err);

    return ret == 0 && c->version == 2 ? check_version2(q, c, err) : ret;
}

/* ---- changing ------------------------------------------------------------------------------ */

static int explain(int ret, const char *what, Error **err)
{
    return ret < 0 && err && !*err ? error_set(err, ret, "cannot %s: %s", what, strerror(-ret))
                                   : ret;
}

/* One write of the header with everything as it is in memory, or as before. */
static int change_header(Qcow2 *q, unsigned version, uint64_t incompatible, uint64_t compatible,
                         uint64_t autoclear)
{
    unsigned old_version = q->version;
    uint64_t old[] = { q->incompatible, q->compatible, q->autoclear };

    q->version = version;
    q->incompatible = incompatible;
    q->compatible = compatible;
    q->autoclear = autoclear;
    int ret = header_rewrite(q);
    if (ret < 0) {
        q->version = old_version;
        q->incompatible = old[0];
        q->compatible = old[1];
        q->autoclear = old[2];
    }
    return ret;
}

static int upgrade(Qcow2 *q, Error **err)
{
    int ret = change_header(q, 3, 0, 0, 0);

    return explain(ret, "change the image to version 3", err);
}

/* What a version 2 header has no room for goes with the version. */
static int downgrade(Qcow2 *q, Progress *progress, Error **err)
{
    int ret = expand_zeros(q, progress, err);

    if (ret < 0)
        return ret;
    free(q->header_tail);
    q->header_tail = NULL;
    q->header_tail_len = 0;
    ret = change_header(q, 2, 0, 0, 0);
    if (ret == 0)
        q->lazy = false;
    return explain(ret, "change the image to version 2", err);
}

/* Without lazy counts the dirty bit goes at once: commit_settle() has brought them to disk. */
static int change_lazy(Qcow2 *q, bool lazy, Error **err)
{
    uint64_t incompatible = q->incompatible, compatible = q->compatible & ~COMPAT_LAZY;

    if (lazy == !!(q->compatible & COMPAT_LAZY))
        return 0;
    if (!lazy)
        incompatible &= ~INCOMPAT_DIRTY;
    int ret = change_header(q, q->version, incompatible,
                            lazy ? compatible | COMPAT_LAZY : compatible, q->autoclear);
    if (ret == 0 && !lazy)
        q->lazy = false;
    return explain(ret, "change lazy_refcounts", err);
}

static int change_data_file(Qcow2 *q, const Change *c, Error **err)
{
    AUTO_FREE char *old = data_file_name(q);
    uint64_t autoclear = c->raw ? q->autoclear : q->autoclear & ~AUTOCLEAR_DATA_RAW;
    int ret = 0;

    if (!c->data_file && autoclear == q->autoclear)
        return 0;
    if (c->data_file)
        ret = header_set_extension(q, EXT_DATA_FILE, (const uint8_t *)c->data_file,
                                   (uint32_t)strlen(c->data_file));
    if (ret == 0)
        ret = change_header(q, q->version, q->incompatible, q->compatible, autoclear);
    if (ret < 0 && c->data_file)
        header_set_extension(q, EXT_DATA_FILE, (const uint8_t *)(old ? old : ""),
                             old ? (uint32_t)strlen(old) : 0);
    q->raw = q->external && q->autoclear & AUTOCLEAR_DATA_RAW;
    return explain(ret, "change the data file", err);
}

static int perform(Qcow2 *q, const Change *c, Options *encrypt, bool force, Progress *progress,
                   Error **err)
{
    int ret = commit_settle(q);

    if (ret < 0)
        return explain(ret, "write the image's tables", err);
    if (c->version > q->version)
        ret = upgrade(q, err);
    if (ret == 0)
        ret = crypto_amend(q, encrypt, force, err);
    if (ret == 0)
        ret = change_data_file(q, c, err);
    if (ret == 0 && c->refcount_order != q->refcount_order)
        ret = refcounts_rewidth(q, c->refcount_order, progress, err);
    if (ret == 0)
        ret = change_lazy(q, c->lazy, err);
    if (ret == 0 && c->version < q->version)
        ret = downgrade(q, progress, err);
    return ret;
}

int qcow2_amend(Node *node, Options *options, bool force, Progress *progress, Error **err)
{
    Qcow2 *q = node->state;
    AUTO_OPTIONS Options *encrypt = options_take_sub(options, "encrypt");
    Change c = { .lazy = q->compatible & COMPAT_LAZY, .raw = q->raw };
    int ret = take_options(q, options, &c, err);

    if (ret == 0)
        ret = judge(q, &c, err);
    if (ret == 0 && progress) {
        if (c.refcount_order != q->refcount_order)
            progress->total += rewidth_steps(q, c.refcount_order);
        if (c.version < q->version)
            progress->total += expand_steps(q);
    }
    if (ret == 0)
        ret = perform(q, &c, encrypt, force, progress, err);
    free(c.backing_file);
    free(c.backing_format);
    free(c.data_file);
    return ret;
}
