/*
 * tree.c - whole trees of L1 table, L2 tables and clusters: for snapshots and for a longer L1
 * table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2/entry.h"

int l1_read(Qcow2 *q, uint64_t off, uint32_t size, uint64_t **l1)
{
    size_t bytes = 8 * (size_t)size;
    AUTO_FREE uint64_t *t = malloc(bytes ? bytes : 1);

    if (!t)
        return -ENOMEM;
    int ret = node_pread(q->node->file, t, bytes, off);
    if (ret < 0)
        return ret;
    for (uint32_t i = 0; i < size; i++)
        t[i] = be64toh(t[i]);
    *l1 = take(&t);
    return 0;
}

int l1_write_table(Qcow2 *q, const uint64_t *l1, uint32_t size, uint64_t off)
{
    size_t bytes = align_up(8 * (uint64_t)size, q->cluster);
    AUTO_FREE uint8_t *buf = calloc(1, bytes ? bytes : 1);

    if (!buf)
        return -ENOMEM;
    for (uint32_t i = 0; i < size; i++)
        put_be64(buf + 8 * (size_t)i, l1[i] & ~(l1 == q->l1 ? 0 : ENTRY_COPIED));
    return node_pwrite(q->node->file, buf, bytes, off);
}

int l1_adopt(Qcow2 *q, uint64_t *l1, uint32_t size, uint64_t off)
{
    uint8_t *dirty = calloc(1, size / 64 + 1);

    if (!dirty) {
        free(l1);
        return -ENOMEM;
    }
    free(q->l1);
    free(q->l1_dirty);
    q->l1 = l1;
    q->l1_dirty = dirty;
    q->l1_any_dirty = false;
    q->l1_size = size;
    q->l1_offset = off;
    return 0;
}

int l1_alloc(Qcow2 *q, uint32_t size, uint64_t *off)
{
    *off = 0;
    return size ? alloc_metadata(q, div_round_up(8 * (uint64_t)size, q->cluster), off) : 0;
}

int l1_move(Qcow2 *q, uint32_t size)
{
    uint64_t old = q->l1_offset, old_bytes = 8 * (uint64_t)q->l1_size, off;
    int ret = commit_metadata(q);

    node_event(q->node->file, EVENT_L1_GROW_ALLOC_TABLE);
    if (ret == 0)
        ret = l1_alloc(q, size, &off);
    if (ret < 0)
        return ret;
    uint64_t *l1 = calloc(size ? size : 1, 8);
    if (!l1) {
        free_later(q, off, 8 * (uint64_t)size);
        return -ENOMEM;
    }
    memcpy(l1, q->l1, old_bytes);
    uint64_t *before = q->l1;
    q->l1 = l1; /* keeps the "copied" flags in what is written */
    node_event(q->node->file,
               size < q->l1_size ? EVENT_L1_SHRINK_WRITE_TABLE : EVENT_L1_GROW_WRITE_TABLE);
    ret = l1_write_table(q, l1, size, off);
    q->l1 = before;
    if (ret == 0)
        ret = cache_write(q, &q->ref_cache, false);
    if (ret == 0)
        ret = commit_metadata(q); /* a new refcount block's table entry */
    if (ret == 0)
        ret = barrier(q);
    if (ret == 0)
        ret = l1_adopt(q, l1, size, off);
    else
        free(l1);
    if (ret < 0) {
        free_later(q, off, 8 * (uint64_t)size);
        return ret;
    }
    node_event(q->node->file, EVENT_L1_GROW_ACTIVATE_TABLE);
    ret = header_switch(q);
    if (ret == 0 && old_bytes)
        ret = free_later(q, old, old_bytes);
    return ret;
}
