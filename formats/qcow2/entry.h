/*
 * entry.h - one L2 entry, of 8 bytes or ("Extended L2 Entries") of 16.
 *
 * An extended entry has a bitmap behind the cluster's word: for each of 32 units of the cluster
 * whether it is allocated (bits 0..31) and whether it reads as zeros (bits 32..63). Elsewhere a
 * cluster is one unit and the word has the zero flag. A compressed cluster's bitmap is 0.
 */
#ifndef FORMATS_QCOW2_ENTRY_H
#define FORMATS_QCOW2_ENTRY_H

#include "formats/qcow2/qcow2.h"

typedef struct {
    uint64_t word, bits;
} L2Entry;

static inline L2Entry entry_get(const Qcow2 *q, const uint8_t *slice, uint64_t i)
{
    const uint8_t *at = slice + (i << q->entry_log2);

    return (L2Entry) { get_be64(at), q->units > 1 ? get_be64(at + 8) : 0 };
}

static inline void entry_put(const Qcow2 *q, uint8_t *slice, uint64_t i, L2Entry e)
{
    uint8_t *at = slice + (i << q->entry_log2);

    put_be64(at, e.word);
    if (q->units > 1)
        put_be64(at + 8, e.bits);
}

static inline bool entry_same(L2Entry a, L2Entry b)
{
    return a.word == b.word && a.bits == b.bits;
}

static inline bool entry_packed(L2Entry e)
{
    return e.word & L2_COMPRESSED;
}

static inline uint32_t entry_alloc(L2Entry e)
{
    return (uint32_t)e.bits;
}

static inline uint32_t entry_zero(L2Entry e)
{
    return (uint32_t)(e.bits >> 32);
}

static inline uint64_t entry_bits(uint32_t alloc, uint32_t zero)
{
    return (uint64_t)zero << 32 | alloc;
}

/* Does it have a cluster? (In a data file that may be the one at 0.) */
static inline bool entry_has_pos(const Qcow2 *q, L2Entry e)
{
    return !entry_packed(e) && (e.word & L2_OFFSET || (q->external && e.word & ENTRY_COPIED));
}

static inline ExtentKind entry_kind(const Qcow2 *q, L2Entry e, unsigned unit)
{
    if (entry_packed(e))
        return EXTENT_PACKED;
    if (q->units > 1)
        return entry_alloc(e) >> unit & 1  ? EXTENT_DATA
               : entry_zero(e) >> unit & 1 ? EXTENT_ZERO
                                           : EXTENT_HOLE;
    if (e.word & L2_ZERO && q->version >= 3)
        return EXTENT_ZERO;
    return entry_has_pos(q, e) ? EXTENT_DATA : EXTENT_HOLE;
}

/* How many units from `unit` on are of the same kind, within the cluster. */
static inline unsigned entry_run(const Qcow2 *q, L2Entry e, unsigned unit)
{
    uint32_t alloc = entry_alloc(e), zero = entry_zero(e), same;

    if (q->units == 1 || entry_packed(e))
        return q->units - unit;
    switch (entry_kind(q, e, unit)) {
    case EXTENT_DATA: same = alloc; break;
    case EXTENT_ZERO: same = zero & ~alloc; break;
    default: same = ~(alloc | zero);
    }
    return (unsigned)__builtin_ctzll(~(uint64_t)(same >> unit));
}

/* A unit cannot be allocated and zero, nor allocated in no cluster. */
static inline bool entry_contradicts(const Qcow2 *q, L2Entry e)
{
    return q->units > 1 && !entry_packed(e) &&
           (entry_alloc(e) & entry_zero(e) || (entry_alloc(e) && !entry_has_pos(q, e)));
}

#endif
