/*
 * header-write.c - writing the header cluster: only the fixed fields, or all of it with extensions
 * and names; and changing over to new tables by it.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "formats/qcow2/qcow2.h"

static const struct {
    uint8_t type, bit;
    const char *name;
} feature_names[] = {
    { 0, 0, "dirty bit" },        { 0, 1, "corrupt bit" },         { 0, 2, "external data file" },
    { 0, 3, "compression type" }, { 0, 4, "extended L2 entries" }, { 1, 0, "lazy refcounts" },
    { 2, 0, "bitmaps" },          { 2, 1, "raw external data" },
};

static uint32_t own_header_length(const Qcow2 *q)
{
    return q->version == 2 ? QCOW2_V2_HEADER : QCOW2_OWN_HEADER + q->header_tail_len;
}

static void fixed_fields(const Qcow2 *q, uint8_t *h)
{
    put_be32(h, QCOW2_MAGIC);
    put_be32(h + 4, q->version);
    put_be32(h + 20, q->cluster_bits);
    put_be64(h + 24, q->node->size);
    put_be32(h + 32, q->crypt_method);
    put_be32(h + 36, q->l1_size);
    put_be64(h + 40, q->l1_offset);
    put_be64(h + 48, q->reftable_offset);
    put_be32(h + 56, q->reftable_clusters);
    put_be32(h + 60, q->snapshots_stored);
    put_be64(h + 64, q->snapshots_offset);
    if (q->version == 2)
        return;
    put_be64(h + 72, q->incompatible);
    put_be64(h + 80, q->compatible);
    put_be64(h + 88, q->autoclear);
    put_be32(h + 96, q->refcount_order);
}

int header_update(Qcow2 *q)
{
    uint8_t h[QCOW2_V3_HEADER];
    size_t len = q->version == 2 ? QCOW2_V2_HEADER : 100;
    int ret = node_pread(q->node->file, h, sizeof(h), 0);

    if (ret < 0)
        return ret;
    fixed_fields(q, h);
    return node_pwrite(q->node->file, h, len, 0);
}

/* After a failure nobody knows which tables the header on disk names: nothing may change any more.
 */
static int switched(Qcow2 *q, int ret)
{
    if (ret == 0)
        ret = barrier(q);
    if (ret < 0) {
        q->broken = true;
        log_warning("%s: cannot write the header (%s): no more changes until it is opened again",
                    node_filename(q->node), strerror(-ret));
    }
    return ret;
}

int header_switch(Qcow2 *q)
{
    return q->broken ? -EIO : switched(q, header_update(q));
}

/* False if it does not fit before `end`. */
static bool put_extension(uint8_t *cluster, uint32_t *at, uint32_t end, uint32_t type,
                          const void *data, uint32_t len)
{
    uint64_t room = 8 + align_up(len, 8);

    if (*at + room + 8 > end) /* the end mark must fit, too */
        return false;
    put_be32(cluster + *at, type);
    put_be32(cluster + *at + 4, len);
    memcpy(cluster + *at + 8, data, len);
    *at += (uint32_t)room;
    return true;
}

static void put_feature_names(const Qcow2 *q, uint8_t *cluster, uint32_t *at, uint32_t end)
{
    uint8_t table[48 * ARRAY_LEN(feature_names)] = { 0 };

    if (q->version == 2)
        return;
    for (size_t i = 0; i < ARRAY_LEN(feature_names); i++) {
        table[48 * i] = feature_names[i].type;
        table[48 * i + 1] = feature_names[i].bit;
        strncpy((char *)table + 48 * i + 2, feature_names[i].name, 46);
    }
    put_extension(cluster, at, end, EXT_FEATURE_NAMES, table, sizeof(table)); /* only a help */
}

/* Fill the header cluster `c` (zeros); *len is how much of it is used. */
static int header_build(Qcow2 *q, uint8_t *c, size_t *len)
{
    const char *name = q->node->backing_file, *format = q->node->backing_format;
    uint32_t name_len = name ? (uint32_t)strlen(name) : 0, at = own_header_length(q);

    if (name_len > QCOW2_MAX_BACKING_NAME || at + 8 + name_len > q->cluster)
        return -ENAMETOOLONG;
    uint32_t end = q->cluster - name_len;
    q->header_length = at;
    fixed_fields(q, c);
    if (q->version == 3) {
        put_be32(c + 100, q->header_length);
        c[104] = (uint8_t)q->compression;
        if (q->header_tail_len)
            memcpy(c + QCOW2_OWN_HEADER, q->header_tail, q->header_tail_len);
    }
    if (name && format &&
        !put_extension(c, &at, end, EXT_BACKING_FORMAT, format, (uint32_t)strlen(format)))
        return -ENAMETOOLONG;
    for (const Extension *e = q->extensions; e; e = e->next)
        if (e->type != EXT_BACKING_FORMAT && e->type != EXT_FEATURE_NAMES &&
            !put_extension(c, &at, end, e->type, e->data, e->len))
            return -ENOSPC;
    put_feature_names(q, c, &at, end);
    at += 8; /* the end mark */
    if (name) {
        put_be64(c + 8, at);
        put_be32(c + 16, name_len);
        memcpy(c + at, name, name_len);
    }
    *len = MIN(align_up(at + name_len, 512), (uint64_t)q->cluster);
    return 0;
}

int header_write(Qcow2 *q)
{
    AUTO_FREE uint8_t *c = calloc(1, q->cluster);
    size_t len;
    int ret = c ? header_build(q, c, &len) : -ENOMEM;

    return ret < 0 ? ret : node_pwrite(q->node->file, c, len, 0);
}

/* What does not fit is refused before anything is written. */
int header_rewrite(Qcow2 *q)
{
    AUTO_FREE uint8_t *c = calloc(1, q->cluster);
    size_t len;
    int ret = !c ? -ENOMEM : q->broken ? -EIO : header_build(q, c, &len);

    return ret < 0 ? ret : switched(q, node_pwrite(q->node->file, c, len, 0));
}
