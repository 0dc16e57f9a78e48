/*
 * create.c - new images, and changes of an image's outline: backing file, options.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/qcow2/crypto.h"

const OptionDesc qcow2_create_options[] = {
    { "encryption", "bool (on/off)",
      "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)", NULL },
    { "encrypt.format", "str", "Encrypt the image, format choices: 'aes', 'luks'", NULL },
    { "encrypt.key-secret", "str", "ID of secret providing qcow AES key or LUKS passphrase", NULL },
    { "encrypt.cipher-alg", "str", "Name of encryption cipher algorithm", NULL },
    { "encrypt.cipher-mode", "str", "Name of encryption cipher mode", NULL },
    { "encrypt.ivgen-alg", "str", "Name of IV generator algorithm", NULL },
    { "encrypt.ivgen-hash-alg", "str", "Name of IV generator hash algorithm", NULL },
    { "encrypt.hash-alg", "str", "Name of encryption hash algorithm", NULL },
    { "encrypt.iter-time", "num", "Time to spend in PBKDF in milliseconds", NULL },
    { "cluster_size", "size", "qcow2 cluster size", "65536" },
    { "extended_l2", "bool (on/off)", "Extended L2 tables", "off" },
    { "preallocation", "str", "Preallocation mode (allowed values: off, metadata, falloc, full)",
      NULL },
    { "compression_type", "str", "Compression method used for image cluster compression", "zlib" },
    { "size", "size", "Virtual disk size", NULL },
    { "compat", "str", "Compatibility level (v2 [0.10] or v3 [1.1])", NULL },
    { "backing_file", "str", "File name of a base image", NULL },
    { "backing_fmt", "str", "Image format of the base image", NULL },
    { "data_file", "str", "File name of an external data file", NULL },
    { "data_file_raw", "bool (on/off)", "The external data file must stay valid as a raw image",
      NULL },
    { "lazy_refcounts", "bool (on/off)", "Postpone refcount updates", "off" },
    { "refcount_bits", "num", "Width of a reference count entry in bits", "16" },
    { NULL, NULL, NULL, NULL },
};

enum { SECTOR = 512 };

static const char *const compat_names[] = { "0.10", "v2", "1.1", "v3", NULL };
static const char *const compression_names[] = { "zlib", "zstd", NULL };

typedef struct {
    uint64_t size, cluster_size, refcount_bits;
    int compat, prealloc, compression;
    bool lazy, extended, raw;
    char *backing_file, *backing_format, *data_file;
    char *data_record; /* the data file's name in the header */
    CryptoPlan crypto;
} Plan;

/* ---- options ------------------------------------------------------------------------------- */

static int take_options(Plan *p, Options *o, Error **err)
{
    int ret = options_take_size(o, "size", &p->size, err);

    if (ret == 0)
        ret = options_take_size(o, "cluster_size", &p->cluster_size, err);
    if (ret == 0)
        ret = options_take_u64(o, "refcount_bits", &p->refcount_bits, err);
    if (ret == 0)
        ret = options_take_enum(o, "compat", compat_names, &p->compat, err);
    if (ret == 0)
        ret = options_take_enum(o, "preallocation", prealloc_names, &p->prealloc, err);
    if (ret == 0)
        ret = options_take_enum(o, "compression_type", compression_names, &p->compression, err);
    if (ret == 0)
        ret = options_take_bool(o, "lazy_refcounts", &p->lazy, err);
    if (ret == 0)
        ret = options_take_bool(o, "extended_l2", &p->extended, err);
    if (ret == 0)
        ret = options_take_bool(o, "data_file_raw", &p->raw, err);
    if (ret == 0)
        ret = crypto_take_plan(o, &p->crypto, err);
    if (ret == 0 && p->size <= NODE_MAX_SIZE)
        p->size = align_up(p->size, SECTOR); /* other readers would not see the rest of one */
    p->data_file = options_take(o, "data_file");
    p->backing_file = options_take(o, "backing_file");
    p->backing_format = options_take(o, "backing_fmt");
    return ret == 0 ? options_end(o, "qcow2", err) : ret;
}

static int check_shape(const Plan *p, Error **err)
{
    bool v2 = p->compat < 2;

    if (v2 && p->extended)
        return error_set(err, -EINVAL,
                         "Extended L2 entries are only supported with compatibility level 1.1 and "
                         "above (use version=v3 or greater)");
    if (p->extended && p->cluster_size < 1u << QCOW2_MIN_EXTENDED_BITS)
        return error_set(err, -EINVAL,
                         "Extended L2 entries are only supported with cluster sizes of at least "
                         "16384 bytes");
    if (v2 && p->data_file)
        return error_set(err, -EINVAL,
                         "External data files are only supported with compatibility level 1.1 and "
                         "above (use version=v3 or greater)");
    if (p->raw && !p->data_file)
        return error_set(err, -EINVAL, "data-file-raw requires data-file");
    if (p->raw && p->crypto.method)
        return error_set(err, -EINVAL, "a raw data file cannot be encrypted");
    if (v2 && p->crypto.method && p->prealloc != PREALLOC_OFF)
        return error_set(err, -EINVAL,
                         "Preallocation of encrypted images is only supported with compatibility "
                         "level 1.1 and above (use version=v3 or greater)");
    if (p->raw && p->backing_file)
        return error_set(err, -EINVAL,
                         "Backing file and data-file-raw cannot be used at the same time");
    if (p->backing_file && p->prealloc != PREALLOC_OFF && !p->extended)
        return error_set(err, -EINVAL,
                         "Backing file and preallocation can only be used at the same time if "
                         "extended_l2 is on");
    return 0;
}

/* Guest bytes that one L2 table maps */
static uint64_t table_span(const Plan *p)
{
    return p->cluster_size * (p->cluster_size >> (p->extended ? 4 : 3));
}

static int check_plan(const Plan *p, Error **err)
{
    bool v2 = p->compat < 2;

    if (!is_pow2(p->cluster_size) || p->cluster_size < 512 || p->cluster_size > 2 << 20)
        return error_set(err, -EINVAL, "Cluster size must be a power of two between 512 and 2048k");
    if (!is_pow2(p->refcount_bits) || p->refcount_bits > 64)
        return error_set(err, -EINVAL,
                         "Refcount width must be a power of two and may not exceed 64 bits");
    if (v2 && p->refcount_bits != 16)
        return error_set(err, -EINVAL,
                         "Different refcount widths than 16 bits require compatibility level 1.1 "
                         "or above (use version=v3 or greater)");
    if (v2 && (p->lazy || p->compression != COMPRESSION_ZLIB))
        return error_set(err, -EINVAL,
                         "Lazy refcounts and zstd are only supported with compatibility level 1.1 "
                         "and above (use version=v3 or greater)");
    if (div_round_up(p->size, table_span(p)) > QCOW2_MAX_L1_BYTES / 8)
        return error_set(err, -EFBIG,
                         "Image size too large for file format (try using a larger "
                         "cluster size)");
    if (p->backing_file && strlen(p->backing_file) > QCOW2_MAX_BACKING_NAME)
        return error_set(err, -EINVAL, "Backing file name too long");
    return check_shape(p, err);
}

/* ---- creating ------------------------------------------------------------------------------ */

/* Clusters that the L1 table of a disk needs. */
static uint64_t l1_clusters(const Plan *p)
{
    return div_round_up(div_round_up(p->size, table_span(p)) * 8, p->cluster_size);
}

/* The counts of the outline's clusters, in the one refcount block that it has. */
static int write_counts(Node *file, const Qcow2 *q, uint64_t clusters)
{
    AUTO_FREE uint8_t *block = calloc(1, q->cluster);

    if (!block)
        return -ENOMEM;
    for (uint64_t i = 0; i < clusters; i++)
        refcount_write(q, block, i, 1);
    return node_pwrite(file, block, MIN(align_up(clusters * 8, 512), (uint64_t)q->cluster),
                       2 * (uint64_t)q->cluster);
}

/*
 * In this order: header, refcount table, one refcount block, L1 table. If one block is not enough
 * for that, the disk has size 0 for now and is grown when the image is open (*whole is false).
 */
static int write_outline(Node *file, const Plan *p, bool *whole, Error **err)
{
    unsigned order = (unsigned)__builtin_ctzll(p->refcount_bits);
    uint64_t l1 = l1_clusters(p), clusters = 3 + l1;
    uint8_t table[8];
    Node image = { .file = file,
                   .backing_file = p->backing_file,
                   .backing_format = p->backing_format };
    AUTO_HEADER Qcow2 q = {
        .node = &image,
        .version = p->compat < 2 ? 2 : 3,
        .cluster_bits = (unsigned)__builtin_ctzll(p->cluster_size),
        .cluster = (uint32_t)p->cluster_size,
        .refcount_order = order,
        .compression = (Compression)p->compression,
        .incompatible = (p->compression ? INCOMPAT_COMPRESSION : 0) |
                        (p->extended ? INCOMPAT_EXTENDED_L2 : 0) |
                        (p->data_file ? INCOMPAT_DATA_FILE : 0),
        .autoclear = p->raw ? AUTOCLEAR_DATA_RAW : 0,
        .compatible = p->lazy ? COMPAT_LAZY : 0,
        .reftable_offset = p->cluster_size,
        .reftable_clusters = 1,
    };

    header_shape(&q);
    *whole = clusters <= refblock_entries(&q) && clusters <= p->cluster_size && !p->crypto.method;
    if (*whole && l1) {
        image.size = p->size;
        q.l1_offset = 3 * p->cluster_size;
        q.l1_size = (uint32_t)max_l1_entries(&q, p->size);
    } else {
        clusters = 3;
        *whole = p->size == 0 && !p->crypto.method;
    }
    put_be64(table, 2 * p->cluster_size);
    int ret =
        node_pwrite_zeroes(file, 0, clusters * p->cluster_size, 0); /* a device has old bytes */
    if (ret == 0 && p->data_record)
        ret = header_set_extension(&q, EXT_DATA_FILE, (const uint8_t *)p->data_record,
                                   (uint32_t)strlen(p->data_record));
    if (ret == 0)
        ret = header_write(&q);
    if (ret == 0)
        ret = node_pwrite(file, table, sizeof(table), p->cluster_size);
    if (ret == 0)
        ret = write_counts(file, &q, clusters);
    if (ret == -ENAMETOOLONG || ret == -ENOSPC)
        return error_set(err, ret,
                         "the backing or data file's name does not fit into the header cluster");
    return ret < 0 ? error_set(err, ret, "cannot write the header: %s", strerror(-ret)) : 0;
}

/* With the image open: what the outline alone could not do. */
static int complete_image(const char *filename, const Plan *p, bool whole, Error **err)
{
    AUTO_NODE Node *node = NULL;
    int ret =
        node_open(filename, "qcow2", NULL, OPEN_RDWR | OPEN_NO_BACKING | OPEN_NO_FLUSH, &node, err);

    if (ret == 0 && p->crypto.method)
        ret = crypto_make(node->state, &p->crypto, err);
    if (ret == 0 && !whole)
        ret = qcow2_resize(node, p->size, PREALLOC_OFF, err); /* the backing file shows */
    if (ret == 0 && p->prealloc != PREALLOC_OFF)
        ret = qcow2_preallocate(node, 0, p->size, (Prealloc)p->prealloc, err);
    return ret == 0 ? node_flush(node) : ret;
}

static int create_image(const char *filename, const Plan *p, Error **err)
{
    AUTO_NODE Node *file = NULL;
    bool whole;
    int ret = node_create_file(filename, &file, err);

    if (ret == 0)
        ret = write_outline(file, p, &whole, err);
    if (ret < 0 || (whole && p->prealloc == PREALLOC_OFF))
        return ret;
    node_unref(take(&file)); /* its lock goes with it */
    return complete_image(filename, p, whole, err);
}

static int create_with_data(const char *filename, Plan *p, Error **err)
{
    bool existed = access(p->data_file, F_OK) == 0;
    int ret = data_create(filename, p->data_file, p->backing_file, p->size, (Prealloc)p->prealloc,
                          &p->data_record, err);

    if (ret < 0)
        return ret;
    ret = create_image(filename, p, err);
    if (ret < 0 && !existed)
        unlink(p->data_file);
    return ret;
}

int qcow2_create(const char *filename, Options *options, Error **err)
{
    Plan p = { .cluster_size = 65536, .refcount_bits = 16, .compat = 2 };
    int ret = take_options(&p, options, err);

    if (ret == 0)
        ret = check_plan(&p, err);
    if (ret == 0)
        ret = crypto_plan_check(&p.crypto, err);
    if (p.raw && p.prealloc == PREALLOC_OFF) /* a complete table: nobody need look at it */
        p.prealloc = PREALLOC_METADATA;
    if (ret == 0)
        ret = p.data_file ? create_with_data(filename, &p, err) : create_image(filename, &p, err);
    free(p.data_file);
    free(p.data_record);
    crypto_plan_free(&p.crypto);
    free(p.backing_file);
    free(p.backing_format);
    return ret;
}

int qcow2_shape(Options *options, Qcow2Shape *shape, Error **err)
{
    Plan p = { .cluster_size = 65536, .refcount_bits = 16, .compat = 2 };
    int ret = take_options(&p, options, err);

    if (ret == 0)
        ret = check_plan(&p, err);
    *shape = (Qcow2Shape) {
        .size = p.size,
        .cluster = p.cluster_size,
        .refcount_bits = p.refcount_bits,
        .entry = p.extended ? 16 : 8,
        .v3 = p.compat >= 2,
        .all_data = p.prealloc == PREALLOC_FALLOC || p.prealloc == PREALLOC_FULL,
        .overlay = p.backing_file != NULL,
        .crypto = align_up(crypto_plan_bytes(&p.crypto), p.cluster_size),
    };
    crypto_plan_free(&p.crypto);
    free(p.data_file);
    free(p.backing_file);
    free(p.backing_format);
    return ret;
}

/* ---- other changes ------------------------------------------------------------------------- */

int qcow2_change_backing(Node *node, const char *file, const char *format, Error **err)
{
    Qcow2 *q = node->state;
    char *old_file = node->backing_file, *old_format = node->backing_format;

    if (file && !*file)
        file = NULL;
    node->backing_file = (char *)file;
    node->backing_format = file ? (char *)format : NULL;
    int ret = q->broken ? -EIO : header_write(q);
    node->backing_file = old_file;
    node->backing_format = old_format;
    if (ret == 0)
        ret = barrier(q);
    if (ret < 0)
        return error_set(err, ret, "cannot write the backing file's name: %s", strerror(-ret));
    return 0;
}

int qcow2_make_empty(Node *node, Error **err)
{
    Qcow2 *q = node->state;
    AUTO_FREE uint64_t *old = malloc(8 * (size_t)q->l1_size + 1);
    int ret = old ? commit_metadata(q) : -ENOMEM;

    q->keep_discards = true;
    if (ret == 0) {
        memcpy(old, q->l1, 8 * (size_t)q->l1_size);
        for (uint32_t i = 0; i < q->l1_size; i++)
            if (q->l1[i])
                l1_set(q, i, 0);
        ret = commit_settle(q);
    }
    if (ret == 0)
        ret = tree_drop(q, old, q->l1_size);
    if (ret == 0)
        ret = commit_metadata(q);
    if (ret == 0)
        ret = barrier(q);
    q->keep_discards = false;
    if (ret == 0) /* what lies at the end is cut off: no need to wait for dirty pages of it */
        ret = qcow2_truncate(q);
    discard_flush(q);
    return ret < 0 ? error_set(err, ret, "cannot drop the image's data: %s", strerror(-ret)) : 0;
}
