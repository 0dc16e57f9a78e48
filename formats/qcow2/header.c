/*
 * header.c - reading the header cluster: fixed fields, extensions, backing file name.
 *
 * "Header" and "Header extensions". Extensions and header fields that we do not know are kept and
 * written back in their order.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2/qcow2.h"

/* ---- reading ------------------------------------------------------------------------------- */

static int bad(Error **err, const char *field, unsigned at, uint64_t value, const char *must)
{
    return error_set(err, -EINVAL, "qcow2 header: %s at offset %u is %" PRIu64 ", %s", field, at,
                     value, must);
}

/* For the check only: this will be put right, and told as a corruption. False: it cannot be. */
static bool mend(Qcow2 *q, const char *field, unsigned at, uint64_t value, const char *done)
{
    char *text;

    if (!(q->node->flags & OPEN_CHECK) || q->mended_count == QCOW2_MAX_MENDED ||
        asprintf(&text, "header: %s at offset %u is %" PRIu64 ": %s", field, at, value, done) < 0)
        return false;
    q->mended[q->mended_count++] = text;
    return true;
}

void header_mended(Qcow2 *q)
{
    while (q->mended_count)
        free(q->mended[--q->mended_count]);
}

/* A table of `bytes` at `off` must be aligned and end within 63 bits. */
static int check_table(const Qcow2 *q, const char *field, unsigned at, uint64_t off, uint64_t bytes,
                       Error **err)
{
    if (!is_metadata_aligned(q, off))
        return bad(err, field, at, off, "not a multiple of the cluster size");
    if (off > NODE_MAX_SIZE || bytes > NODE_MAX_SIZE - off)
        return bad(err, field, at, off, "beyond 2^63");
    if (off + bytes > align_up(node_size(q->node->file), q->cluster) &&
        !(q->node->flags & OPEN_CHECK))
        return bad(err, field, at, off, "but the file ends before the table does");
    return 0;
}

static int read_geometry(Qcow2 *q, const uint8_t *h, Error **err)
{
    q->version = get_be32(h + 4);
    if (q->version != 2 && q->version != 3)
        return bad(err, "version", 4, q->version, "only 2 and 3 are known");
    q->cluster_bits = get_be32(h + 20);
    if (q->cluster_bits < QCOW2_MIN_CLUSTER_BITS || q->cluster_bits > QCOW2_MAX_CLUSTER_BITS)
        return bad(err, "cluster_bits", 20, q->cluster_bits, "not in 9..21");
    q->cluster = UINT32_C(1) << q->cluster_bits;
    q->node->cluster = q->cluster;
    q->node->size = get_be64(h + 24);
    if (q->node->size > NODE_MAX_SIZE)
        return bad(err, "size", 24, q->node->size, "more than 2^63-1");
    q->crypt_method = get_be32(h + 32);
    return 0;
}

static bool in_file(const Qcow2 *q, uint64_t off, uint64_t bytes)
{
    uint64_t file = align_up(node_size(q->node->file), q->cluster);

    return is_metadata_aligned(q, off) && bytes <= file && off <= file - bytes;
}

/*
 * The length of the L1 table follows from the size of the disk, and refcounts can be counted anew.
 * Of snapshots without a table nothing is left.
 */
static void mend_tables(Qcow2 *q)
{
    uint64_t need = max_l1_entries(q, q->node->size);
    uint64_t bytes = (uint64_t)q->reftable_clusters << q->cluster_bits;
    bool short_l1 = q->l1_size < need,
         long_l1 = !in_file(q, q->l1_offset, 8 * (uint64_t)q->l1_size);

    if ((short_l1 || long_l1) && q->l1_size != need && need <= QCOW2_MAX_L1_BYTES / 8 &&
        in_file(q, q->l1_offset, 8 * need) &&
        mend(q, "l1_size", 36, q->l1_size, "it follows from the size of the disk"))
        q->l1_size = (uint32_t)need;
    if (q->reftable_clusters &&
        (bytes > QCOW2_MAX_REFTABLE_BYTES || !in_file(q, q->reftable_offset, bytes) ||
         q->refcount_order > QCOW2_MAX_REFCOUNT_ORDER) &&
        mend(q, "refcount_table_offset", 48, q->reftable_offset, "all is counted anew"))
        q->reftable_offset = q->reftable_clusters = 0;
    if (q->refcount_order > QCOW2_MAX_REFCOUNT_ORDER &&
        mend(q, "refcount_order", 96, q->refcount_order, "all is counted anew, in 16 bits"))
        q->refcount_order = 4;
    if (q->snapshot_count &&
        (q->snapshot_count > QCOW2_MAX_SNAPSHOTS || q->snapshots_offset == 0 ||
         !in_file(q, q->snapshots_offset, q->snapshot_count)) &&
        mend(q, "snapshots_offset", 64, q->snapshots_offset, "all snapshots are lost"))
        q->snapshot_count = 0;
    if (q->snapshot_count == 0 && q->node->flags & OPEN_CHECK)
        q->snapshots_offset = 0;
}

static int read_tables(Qcow2 *q, const uint8_t *h, Error **err)
{
    q->l1_size = get_be32(h + 36);
    q->l1_offset = get_be64(h + 40);
    q->reftable_offset = get_be64(h + 48);
    q->reftable_clusters = get_be32(h + 56);
    q->snapshot_count = get_be32(h + 60);
    q->snapshots_offset = get_be64(h + 64);
    mend_tables(q);
    q->snapshots_stored = q->snapshot_count;
    if (q->refcount_order > QCOW2_MAX_REFCOUNT_ORDER)
        return bad(err, "refcount_order", 96, q->refcount_order, "more than 6");
    if (q->l1_size > QCOW2_MAX_L1_BYTES / 8)
        return bad(err, "l1_size", 36, q->l1_size, "more than 4194304");
    if (q->l1_size < max_l1_entries(q, q->node->size))
        return bad(err, "l1_size", 36, q->l1_size, "too small for the size of the disk");
    if (q->l1_size && q->l1_offset == 0)
        return bad(err, "l1_table_offset", 40, 0, "where the header is");
    int ret = check_table(q, "l1_table_offset", 40, q->l1_offset, 8 * (uint64_t)q->l1_size, err);
    if (ret < 0)
        return ret;
    if (!in_file(q, q->l1_offset, 8 * (uint64_t)q->l1_size)) /* the check cannot do without, too */
        return bad(err, "l1_table_offset", 40, q->l1_offset,
                   "but the file ends before the table does");
    if (q->reftable_clusters > (uint32_t)QCOW2_MAX_REFTABLE_BYTES >> q->cluster_bits)
        return bad(err, "refcount_table_clusters", 56, q->reftable_clusters, "more than 8 MiB");
    if (q->reftable_clusters == 0 && !(q->node->flags & OPEN_CHECK))
        return bad(err, "refcount_table_clusters", 56, 0, "there is no refcount table");
    ret = check_table(q, "refcount_table_offset", 48, q->reftable_offset,
                      (uint64_t)q->reftable_clusters << q->cluster_bits, err);
    if (ret < 0)
        return ret;
    if (q->snapshot_count > QCOW2_MAX_SNAPSHOTS)
        return bad(err, "nb_snapshots", 60, q->snapshot_count, "more than 65536");
    return check_table(q, "snapshots_offset", 64, q->snapshots_offset, q->snapshot_count, err);
}

void header_shape(Qcow2 *q)
{
    bool extended = q->incompatible & INCOMPAT_EXTENDED_L2;

    q->units = extended ? QCOW2_UNITS : 1;
    q->entry_log2 = extended ? 4 : 3;
    q->l2_bits = q->cluster_bits - q->entry_log2;
    q->slice_bits = q->l2_bits; /* options.c: smaller */
    q->node->unit = q->cluster / q->units;
}

/* What follows from the feature bits for L2 tables and for the data */
static int set_entries(Qcow2 *q, Error **err)
{
    bool extended = q->incompatible & INCOMPAT_EXTENDED_L2;

    if (extended && q->cluster_bits < QCOW2_MIN_EXTENDED_BITS)
        return bad(err, "cluster_bits", 20, q->cluster_bits, "not in 14..21 (extended L2 entries)");
    header_shape(q);
    q->external = q->incompatible & INCOMPAT_DATA_FILE;
    q->raw = q->external && q->autoclear & AUTOCLEAR_DATA_RAW;
    return 0;
}

/* Does a list of extensions that ends as it must begin at `at`? */
static bool extensions_fit(const uint8_t *cluster, uint64_t at, uint64_t end)
{
    while (at + 8 <= end && get_be32(cluster + at) != EXT_END)
        at += 8 + align_up(get_be32(cluster + at + 4), 8);
    return at <= end;
}

/* Only two lengths were ever written; which of them it was shows what follows. */
static void mend_length(Qcow2 *q, const uint8_t *cluster)
{
    static const uint8_t padding[QCOW2_OWN_HEADER - QCOW2_V3_HEADER - 1];
    uint64_t name = get_be64(cluster + 8);
    uint64_t end = name >= QCOW2_V3_HEADER && name < q->cluster ? name : q->cluster;
    uint8_t type = q->incompatible & INCOMPAT_COMPRESSION ? COMPRESSION_ZSTD : COMPRESSION_ZLIB;
    bool own = cluster[QCOW2_V3_HEADER] == type &&
               memcmp(cluster + QCOW2_V3_HEADER + 1, padding, sizeof(padding)) == 0 &&
               extensions_fit(cluster, QCOW2_OWN_HEADER, end);
    bool first = !own && extensions_fit(cluster, QCOW2_V3_HEADER, end);

    if ((own || first) &&
        mend(q, "header_length", 100, q->header_length, "it follows from the fields behind it"))
        q->header_length = own ? QCOW2_OWN_HEADER : QCOW2_V3_HEADER;
}

static int read_v3(Qcow2 *q, const uint8_t *h, Error **err)
{
    q->refcount_order = 4;
    q->header_length = QCOW2_V2_HEADER;
    if (q->version == 2)
        return set_entries(q, err);
    q->incompatible = get_be64(h + 72);
    q->compatible = get_be64(h + 80);
    q->autoclear = get_be64(h + 88);
    q->refcount_order = get_be32(h + 96);
    q->header_length = get_be32(h + 100);
    if (q->header_length < QCOW2_V3_HEADER || q->header_length > q->cluster)
        mend_length(q, h);
    if (q->header_length < QCOW2_V3_HEADER || q->header_length > q->cluster)
        return bad(err, "header_length", 100, q->header_length, "not in 104..cluster size");
    if (q->header_length > QCOW2_V3_HEADER)
        q->compression = h[104];
    if (q->compression > COMPRESSION_ZSTD)
        return bad(err, "compression_type", 104, q->compression, "only 0 (zlib) and 1 (zstd)");
    if ((q->compression != COMPRESSION_ZLIB) != !!(q->incompatible & INCOMPAT_COMPRESSION) &&
        mend(q, "compression_type", 104, q->compression, "the feature bit 3 follows"))
        q->incompatible ^= INCOMPAT_COMPRESSION;
    if ((q->compression != COMPRESSION_ZLIB) != !!(q->incompatible & INCOMPAT_COMPRESSION))
        return bad(err, "compression_type", 104, q->compression,
                   "but the incompatible feature bit 3 says otherwise");
    return set_entries(q, err);
}

/* The name of an unknown bit, from the image's own table ("Feature name table"). */
static void feature_name(const Qcow2 *q, unsigned bit, char name[47])
{
    snprintf(name, 47, "bit %u", bit);
    for (const Extension *e = q->extensions; e; e = e->next)
        for (uint32_t at = 0; e->type == EXT_FEATURE_NAMES && at + 48 <= e->len; at += 48)
            if (e->data[at] == 0 && e->data[at + 1] == bit && e->data[at + 2])
                snprintf(name, 47, "%.46s", (const char *)e->data + at + 2);
}

static int check_features(const Qcow2 *q, Error **err)
{
    uint64_t unknown = q->incompatible & ~INCOMPAT_KNOWN;
    char name[47];

    if (unknown) {
        feature_name(q, (unsigned)__builtin_ctzll(unknown), name);
        return error_set(err, -ENOTSUP, "Unsupported qcow2 feature(s): %s", name);
    }
    if (q->incompatible & INCOMPAT_CORRUPT && q->node->writable && !(q->node->flags & OPEN_CHECK))
        return error_set(err, -EACCES,
                         "qcow2: Image is corrupt; cannot be opened read/write (repair it: check "
                         "-r all)");
    return 0;
}

static int add_extension(Qcow2 *q, uint32_t type, const uint8_t *data, uint32_t len)
{
    Extension **at = &q->extensions, *e = calloc(1, sizeof(*e));
    unsigned n = 0;

    if (!e || !(e->data = malloc(len ? len : 1))) {
        free(e);
        return -ENOMEM;
    }
    e->type = type;
    e->len = len;
    memcpy(e->data, data, len);
    while (*at && ++n)
        at = &(*at)->next;
    *at = e;
    return n < QCOW2_MAX_EXTENSIONS ? 0 : -E2BIG;
}

int header_set_extension(Qcow2 *q, uint32_t type, const uint8_t *data, uint32_t len)
{
    Extension **at = &q->extensions;

    while (*at && (*at)->type != type)
        at = &(*at)->next;
    Extension *old = *at;
    uint8_t *copy = malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, data, len);
    if (old && len) {
        free(old->data);
        old->data = copy;
        old->len = len;
        return 0;
    }
    free(copy);
    if (!old)
        return len ? add_extension(q, type, data, len) : 0;
    *at = old->next;
    free(old->data);
    free(old);
    return 0;
}

static int read_extensions(Qcow2 *q, const uint8_t *cluster, uint32_t end, Error **err)
{
    uint32_t at = q->header_length;

    while (at + 8 <= end && get_be32(cluster + at) != EXT_END) {
        uint32_t type = get_be32(cluster + at), len = get_be32(cluster + at + 4);

        at += 8;
        if (len > end - at)
            return error_set(err, -EINVAL,
                             "qcow2 header: extension 0x%08" PRIx32 " at offset %" PRIu32
                             " has length %" PRIu32 ", beyond the header's end %" PRIu32,
                             type, at - 8, len, end);
        if (type == EXT_BACKING_FORMAT) {
            free(q->node->backing_format);
            q->node->backing_format = strndup((const char *)cluster + at, len);
        }
        int ret = add_extension(q, type, cluster + at, len);
        if (ret < 0)
            return error_set(err, ret, "qcow2 header: too many extensions");
        at += (uint32_t)align_up(len, 8);
    }
    return 0;
}

/* Extensions end where the name begins: *end is made that. */
static int read_backing_name(Qcow2 *q, const uint8_t *cluster, uint32_t *end, Error **err)
{
    static const char lost[] = "the backing file's name is dropped, what lies there reads as zeros";
    uint64_t off = get_be64(cluster + 8);
    uint32_t len = get_be32(cluster + 16);

    if (off == 0)
        return 0;
    bool outside = off < q->header_length || off > q->cluster || len > q->cluster - off;
    if (len > QCOW2_MAX_BACKING_NAME && mend(q, "backing_file_size", 16, len, lost))
        return 0;
    if (outside && mend(q, "backing_file_offset", 8, off, lost))
        return 0;
    if (!outside && memchr(cluster + off, 0, len) &&
        mend(q, "backing_file", (unsigned)off, 0, lost))
        return 0;
    if (len > QCOW2_MAX_BACKING_NAME)
        return bad(err, "backing_file_size", 16, len, "more than 1023");
    if (outside)
        return bad(err, "backing_file_offset", 8, off, "outside the first cluster");
    if (memchr(cluster + off, 0, len))
        return bad(err, "backing_file", (unsigned)off, 0, "a NUL byte inside the name");
    *end = (uint32_t)off;
    q->node->backing_file = len ? strndup((const char *)cluster + off, len) : NULL;
    return 0;
}

int header_read(Node *node, Error **err)
{
    Qcow2 *q = node->state;
    uint8_t h[QCOW2_OWN_HEADER];
    int ret = node_pread(node->file, h, sizeof(h), 0);

    if (ret < 0)
        return error_set(err, ret, "cannot read the qcow2 header: %s", strerror(-ret));
    if (get_be32(h) != QCOW2_MAGIC)
        return bad(err, "magic", 0, get_be32(h), "this is not a qcow2 image");
    if ((ret = read_geometry(q, h, err)) < 0)
        return ret;
    AUTO_FREE uint8_t *cluster = malloc(q->cluster);
    if (!cluster)
        return error_set(err, -ENOMEM, "no memory for the header");
    ret = node_pread(node->file, cluster, q->cluster, 0);
    if (ret < 0)
        return error_set(err, ret, "cannot read the qcow2 header: %s", strerror(-ret));
    if ((ret = read_v3(q, cluster, err)) < 0)
        return ret;
    if (q->header_length > QCOW2_OWN_HEADER) {
        q->header_tail_len = q->header_length - QCOW2_OWN_HEADER;
        q->header_tail = malloc(q->header_tail_len);
        if (q->header_tail)
            memcpy(q->header_tail, cluster + QCOW2_OWN_HEADER, q->header_tail_len);
    }
    uint32_t end = q->cluster;
    if ((ret = read_backing_name(q, cluster, &end, err)) < 0 ||
        (ret = read_extensions(q, cluster, end, err)) < 0 || (ret = check_features(q, err)) < 0)
        return ret;
    return read_tables(q, h, err);
}

void header_free(Qcow2 *q)
{
    for (Extension *e = q->extensions, *next; e; e = next) {
        next = e->next;
        free(e->data);
        free(e);
    }
    free(q->header_tail);
    header_mended(q);
}
