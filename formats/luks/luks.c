/*
 * luks.c - the format `luks`: a disk encrypted as LUKS1 describes it.
 *
 * The mapping is plain: byte N of the disk is byte `payload` + N of the file. What makes it a
 * format of its own are seal() and unseal(). Zeros cannot be stored cheaply (a hole of the file
 * reads as something else), so zeroing writes.
 *
 * With the option `header` the LUKS header lies in a file of its own, and the data begin where the
 * header says: at 0 if it was made for that.
 */
#include "formats/luks/luks.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/math.h"
#include "block/driver.h"

typedef struct {
    Luks luks;
    Node *header; /* detached; NULL: in node->file */
} LuksDisk;

/* ---- opening ------------------------------------------------------------------------------- */

static int open_header(Node *node, Options *options, Error **err)
{
    LuksDisk *d = node->state;

    if (!options_has(options, "header"))
        return 0;
    if (node->flags & OPEN_NO_EXTERNAL)
        return error_set(err, -EPERM, "option 'header' names another file and that is not allowed");
    return node_open_child(node, options, "header", NULL, false, node->flags, &d->header, err);
}

static int set_size(Node *node, Error **err)
{
    LuksDisk *d = node->state;
    uint64_t file = node_size(node->file);

    if (!d->header && d->luks.payload == 0)
        return error_set(err, -EINVAL,
                         "LUKS header: payload_offset at offset 104 is 0: this is a detached "
                         "header (option 'header' names it, 'file' the data)");
    if (d->luks.payload > file)
        return error_set(err, -EINVAL,
                         "LUKS header: payload_offset at offset 104 is %" PRIu64
                         " sectors, but the file has %" PRIu64 " bytes",
                         d->luks.payload / LUKS_SECTOR, file);
    node->size = align_down(file - d->luks.payload, LUKS_SECTOR);
    return 0;
}

static int luks_open(Node *node, Options *options, Error **err)
{
    LuksDisk *d = node->state;
    AUTO_FREE char *secret = options_take(options, "key-secret");
    int ret = open_header(node, options, err);
    Node *at = d->header ? d->header : node->file;

    if (ret == 0)
        ret = luks_read(&d->luks, at, 0, node_size(at), err);
    if (ret == 0)
        ret = set_size(node, err);
    node->sealed = true;
    node->zero_init = false;
    if (ret < 0 || node->flags & OPEN_NO_IO)
        return ret;
    if (!secret)
        return error_set(err, -ENOKEY,
                         "the image is encrypted: option 'key-secret' must name the secret with "
                         "its password (--object secret,id=NAME,...)");
    return luks_unlock(&d->luks, secret, err);
}

static void luks_close(Node *node)
{
    LuksDisk *d = node->state;

    luks_free(&d->luks);
    node_unref(d->header);
}

/* ---- data ---------------------------------------------------------------------------------- */

static int luks_extent(Node *node, uint64_t off, uint64_t len, Extent *ext)
{
    LuksDisk *d = node->state;

    ext->kind = EXTENT_DATA;
    ext->has_pos = true;
    ext->pos = d->luks.payload + off;
    ext->len = len;
    return 0;
}

static int luks_seal(Node *node, void *buf, size_t len, uint64_t off, uint64_t pos)
{
    LuksDisk *d = node->state;

    (void)pos;
    return luks_run(&d->luks, true, buf, len, off);
}

static int luks_unseal(Node *node, void *buf, size_t len, uint64_t off, uint64_t pos)
{
    LuksDisk *d = node->state;

    (void)pos;
    return luks_run(&d->luks, false, buf, len, off);
}

static int luks_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags)
{
    (void)node;
    (void)off;
    (void)len;
    (void)flags;
    return -ENOTSUP; /* a buffer of zeros, encrypted */
}

/* Holes would show which parts of the disk are in use. */
static int luks_discard(Node *node, uint64_t off, uint64_t len)
{
    (void)node;
    (void)off;
    (void)len;
    return -ENOTSUP;
}

/* ---- the image ----------------------------------------------------------------------------- */

static int luks_resize(Node *node, uint64_t size, Prealloc prealloc, Error **err)
{
    LuksDisk *d = node->state;
    uint64_t total;

    if (size % LUKS_SECTOR)
        return error_set(err, -EINVAL,
                         "%" PRIu64 " is not a multiple of 512: the disk is encrypted "
                         "in sectors",
                         size);
    if (prealloc == PREALLOC_METADATA)
        return error_set(err, -EINVAL, "luks images have no metadata to preallocate");
    if (add_overflows(size, d->luks.payload, &total) || total > NODE_MAX_SIZE)
        return error_set(err, -EFBIG, "%" PRIu64 " bytes and the header are more than 2^63-1",
                         size);
    int ret = node_resize(node->file, total, prealloc, true, err);
    if (ret == 0)
        node->size = size;
    return ret;
}

static int luks_image_info(Node *node, ImageInfo *info, Error **err)
{
    (void)node;
    (void)err;
    info->encrypted = true;
    return 0;
}

static json_t *luks_format_info(Node *node)
{
    LuksDisk *d = node->state;
    json_t *info = json_object();

    json_object_set_new(info, "type", json_string("luks"));
    json_object_set_new(info, "data", luks_info(&d->luks, NULL));
    return info;
}

static int luks_amend_image(Node *node, Options *options, bool force, Progress *progress,
                            Error **err)
{
    LuksDisk *d = node->state;

    (void)progress;
    return luks_amend(&d->luks, options, force, err);
}

/* ---- create -------------------------------------------------------------------------------- */

static const OptionDesc luks_create_options[] = {
    { "size", "size", "Virtual disk size", NULL },
    { "key-secret", "str", "ID of the secret that provides the keyslot passphrase", NULL },
    { "cipher-alg", "str", "Name of encryption cipher algorithm", NULL },
    { "cipher-mode", "str", "Name of encryption cipher mode", NULL },
    { "ivgen-alg", "str", "Name of IV generator algorithm", NULL },
    { "ivgen-hash-alg", "str", "Name of IV generator hash algorithm", NULL },
    { "hash-alg", "str", "Name of encryption hash algorithm", NULL },
    { "iter-time", "num", "Time to spend in PBKDF in milliseconds", NULL },
    { "preallocation", "str", "Preallocation mode (allowed values: off, falloc, full)", NULL },
    { "detached-header", "bool (on/off)", "Make only a header, for data in a file of their own",
      NULL },
    { NULL, NULL, NULL, NULL },
};

static const OptionDesc luks_amend_options[] = {
    { "iter-time", "num", "Time to spend in PBKDF in milliseconds", NULL },
    { "keyslot", "num", "Select a single keyslot to modify explicitly", NULL },
    { "new-secret", "str", "New secret to set in the matching keyslots. Empty string to erase",
      NULL },
    { "old-secret", "str", "Select all keyslots that match this password", NULL },
    { "state", "str", "Select new state of affected keyslots (active/inactive)", NULL },
    { NULL, NULL, NULL, NULL },
};

typedef struct {
    uint64_t size;
    int prealloc;
    bool detached;
    LuksParams luks;
} Plan;

static int take_plan(Options *o, Plan *p, Error **err)
{
    int ret = options_take_size(o, "size", &p->size, err);

    if (ret == 0)
        ret = options_take_enum(o, "preallocation", prealloc_names, &p->prealloc, err);
    if (ret == 0)
        ret = options_take_bool(o, "detached-header", &p->detached, err);
    if (ret == 0)
        ret = luks_take_params(o, &p->luks, err);
    if (ret == 0)
        ret = options_end(o, "luks", err);
    if (ret == 0 && p->prealloc == PREALLOC_METADATA)
        ret = error_set(err, -EINVAL, "luks images have no metadata to preallocate");
    if (ret == 0 && p->size > NODE_MAX_SIZE - luks_header_bytes(&p->luks.spec))
        ret = error_set(err, -EFBIG, "%" PRIu64 " bytes and the header are more than 2^63-1",
                        p->size);
    p->size = align_up(p->size, LUKS_SECTOR);
    return ret;
}

static int luks_create(const char *filename, Options *options, Error **err)
{
    AUTO_NODE Node *file = NULL;
    Plan p = { 0 };
    Luks l = { 0 };
    int ret = take_plan(options, &p, err);

    if (ret == 0)
        ret = luks_params_check(&p.luks, err);
    if (ret == 0)
        ret = node_create_file(filename, &file, err);
    l.file = file;
    if (ret == 0)
        ret = luks_make(&l, &p.luks, p.detached, err);
    if (ret == 0 && !p.detached)
        ret = node_resize(file, l.payload + p.size, (Prealloc)p.prealloc, true, err);
    luks_free(&l);
    luks_params_free(&p.luks);
    return ret;
}

static int luks_measure(Options *options, Node *src, MeasureInfo *info, Error **err)
{
    Plan p = { 0 };

    if (src)
        options_set_u64(options, "size", node_size(src));
    int ret = take_plan(options, &p, err);
    luks_params_free(&p.luks);
    if (ret < 0)
        return ret;
    info->required = luks_header_bytes(&p.luks.spec) + (p.detached ? 0 : p.size);
    info->fully_allocated = info->required;
    return 0;
}

const BlockDriver luks_driver = {
    .name = "luks",
    .state_size = sizeof(LuksDisk),
    .create_options = luks_create_options,
    .amend_options = luks_amend_options,
    .probe = luks_probe,
    .open = luks_open,
    .close = luks_close,
    .create = luks_create,
    .measure = luks_measure,
    .extent = luks_extent,
    .seal = luks_seal,
    .unseal = luks_unseal,
    .pwrite_zeroes = luks_pwrite_zeroes,
    .discard = luks_discard,
    .resize = luks_resize,
    .info = luks_image_info,
    .format_info = luks_format_info,
    .amend = luks_amend_image,
};
