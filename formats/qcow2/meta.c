/*
 * meta.c - the set of clusters that hold metadata, and what happens when something else claims one.
 *
 * A damaged or hostile image can map guest data onto its own tables. The set is asked before data
 * is written in place and before space is given out.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "formats/qcow2/crypto.h"

static size_t slot_of(const MetaSet *m, uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (m->room - 1);
}

static size_t probe(const MetaSet *m, uint64_t key)
{
    size_t i = slot_of(m, key);

    while (m->keys[i] && m->keys[i] != key)
        i = (i + 1) & (m->room - 1);
    return i;
}

static int grow(MetaSet *m)
{
    MetaSet more = { .watched = m->watched, .room = m->room ? 2 * m->room : 256 };

    more.keys = calloc(more.room, sizeof(*more.keys));
    if (!more.keys)
        return -ENOMEM;
    for (size_t i = 0; i < m->room; i++)
        if (m->keys[i])
            more.keys[probe(&more, m->keys[i])] = m->keys[i];
    more.count = m->count;
    free(m->keys);
    *m = more;
    return 0;
}

static int add_key(MetaSet *m, uint64_t key)
{
    int ret = 2 * (m->count + 1) > m->room ? grow(m) : 0;

    if (ret < 0)
        return ret;
    size_t i = probe(m, key);
    m->count += !m->keys[i];
    m->keys[i] = key;
    return 0;
}

/* A flush frees tables without the map lock: look-ups are kept out by the lock that they hold. */
int meta_add(Qcow2 *q, uint64_t off, uint64_t bytes)
{
    uint64_t first = off >> q->cluster_bits, n = div_round_up(bytes, q->cluster);
    int ret = 0;

    if (!q->meta.watched)
        return 0;
    pthread_mutex_lock(&q->l2_cache.lock);
    for (uint64_t key = first + 1; key <= first + n && ret == 0; key++)
        ret = add_key(&q->meta, key);
    pthread_mutex_unlock(&q->l2_cache.lock);
    return ret;
}

/* Close the gap: later entries of the same cluster of slots move up. */
static void remove_key(MetaSet *m, uint64_t key)
{
    size_t gap = probe(m, key);

    if (!m->keys[gap])
        return;
    m->count--;
    for (size_t i = (gap + 1) & (m->room - 1); m->keys[i]; i = (i + 1) & (m->room - 1)) {
        size_t home = slot_of(m, m->keys[i]);

        if (((i - home) & (m->room - 1)) >= ((i - gap) & (m->room - 1))) {
            m->keys[gap] = m->keys[i];
            gap = i;
        }
    }
    m->keys[gap] = 0;
}

void meta_remove(Qcow2 *q, uint64_t off, uint64_t bytes)
{
    uint64_t first = off >> q->cluster_bits, n = div_round_up(bytes, q->cluster);

    pthread_mutex_lock(&q->l2_cache.lock);
    for (uint64_t key = first + 1; q->meta.room && key <= first + n; key++)
        remove_key(&q->meta, key);
    pthread_mutex_unlock(&q->l2_cache.lock);
}

bool meta_hit(const Qcow2 *q, uint64_t off, uint64_t bytes)
{
    uint64_t first = off >> q->cluster_bits, last = (off + bytes - 1) >> q->cluster_bits;

    for (uint64_t key = first + 1; q->meta.room && key <= last + 1; key++)
        if (q->meta.keys[probe(&q->meta, key)])
            return true;
    return false;
}

int meta_build(Qcow2 *q)
{
    uint64_t crypto, crypto_len;
    int ret = meta_add(q, 0, q->cluster);

    crypto_header(q, &crypto, &crypto_len);
    if (ret == 0 && crypto_len)
        ret = meta_add(q, crypto, crypto_len);
    if (ret == 0)
        ret = meta_add(q, q->l1_offset, 8 * (uint64_t)q->l1_size);
    if (ret == 0)
        ret = meta_add(q, q->reftable_offset, (uint64_t)q->reftable_clusters << q->cluster_bits);
    for (uint32_t i = 0; i < q->l1_size && ret == 0; i++)
        if (q->l1[i] & L1_OFFSET)
            ret = meta_add(q, q->l1[i] & L1_OFFSET, q->cluster);
    for (uint32_t i = 0; i < q->reftable_size && ret == 0; i++)
        if (q->reftable[i] & REFTABLE_OFFSET)
            ret = meta_add(q, q->reftable[i] & REFTABLE_OFFSET, q->cluster);
    if (ret == 0 && q->snapshots_bytes)
        ret = meta_add(q, q->snapshots_offset, q->snapshots_bytes);
    for (uint32_t i = 0; i < q->snapshot_count && ret == 0; i++)
        ret = meta_add(q, q->snapshots[i].l1_offset, 8 * (uint64_t)q->snapshots[i].l1_size);
    return ret == 0 ? bitmaps_meta(q) : ret;
}

int meta_rebuild(Qcow2 *q)
{
    free(q->meta.keys);
    q->meta = (MetaSet) { .watched = q->meta.watched };
    return meta_build(q);
}

void meta_free(Qcow2 *q)
{
    free(q->meta.keys);
}

int damage(Qcow2 *q, const char *fmt, ...)
{
    AUTO_FREE char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    if (atomic_exchange(&q->broken, true)) /* look-ups may find damage on several threads */
        return -EIO;
    log_warning("%s: qcow2 image is damaged: %s", node_filename(q->node), text ? text : fmt);
    if (q->node->writable && q->version >= 3) {
        q->incompatible |= INCOMPAT_CORRUPT;
        if (header_update(q) < 0)
            log_warning("%s: cannot set the corrupt bit", node_filename(q->node));
    }
    return -EIO;
}
