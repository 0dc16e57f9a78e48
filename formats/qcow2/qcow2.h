/*
 * qcow2.h - what the files of the qcow2 driver share.
 *
 * The format is described in QEMU's docs/interop/qcow2.txt; section names in comments are from
 * there.
 *
 * Who writes what, and when, is docs/BLOCK.md, "What may reach the disk when". The functions here
 * run with the node's change lock and map lock held (change), or with the map lock for reading
 * (look up), or while the image is not shared yet (open), as each declaration says.
 */
#ifndef FORMATS_QCOW2_QCOW2_H
#define FORMATS_QCOW2_QCOW2_H

#include "base/endian.h"
#include "base/math.h"
#include "block/driver.h"

/* "Header" */
enum {
    QCOW2_MAGIC = 0x514649fb,
    QCOW2_V2_HEADER = 72,
    QCOW2_V3_HEADER = 104,
    QCOW2_OWN_HEADER = 112, /* with the compression type, padded to 8 */
    QCOW2_MIN_CLUSTER_BITS = 9,
    QCOW2_MAX_CLUSTER_BITS = 21,
    QCOW2_MIN_EXTENDED_BITS = 14,
    QCOW2_UNITS = 32, /* a cluster has, with extended L2 entries */
    QCOW2_MAX_REFCOUNT_ORDER = 6,
    QCOW2_MAX_BACKING_NAME = 1023,
};

/* Caps on what an image may make us allocate */
enum {
    QCOW2_MAX_L1_BYTES = 128 << 20, /* 8 EiB with the largest clusters */
    QCOW2_MAX_REFTABLE_BYTES = 8 << 20,
    QCOW2_MAX_SNAPSHOTS = 65536,
    QCOW2_MAX_SNAPSHOT_TABLE = 64 << 20,
    QCOW2_MAX_SNAPSHOT_EXTRA = 1024,
    QCOW2_MAX_EXTENSIONS = 256,
    QCOW2_MAX_MENDED = 8,
    QCOW2_MAX_CRYPTO_BYTES = 64 << 20,
    QCOW2_L2_CACHE_BYTES = 32 << 20,
    QCOW2_REFBLOCK_CACHE_BYTES = 16 << 20,
    QCOW2_L2_SLICE_BYTES = 64 << 10,
};

/* "Feature bits" */
#define INCOMPAT_DIRTY       (UINT64_C(1) << 0)
#define INCOMPAT_CORRUPT     (UINT64_C(1) << 1)
#define INCOMPAT_DATA_FILE   (UINT64_C(1) << 2)
#define INCOMPAT_COMPRESSION (UINT64_C(1) << 3)
#define INCOMPAT_EXTENDED_L2 (UINT64_C(1) << 4)
#define INCOMPAT_KNOWN                                                                             \
    (INCOMPAT_DIRTY | INCOMPAT_CORRUPT | INCOMPAT_DATA_FILE | INCOMPAT_COMPRESSION |               \
     INCOMPAT_EXTENDED_L2)
#define COMPAT_LAZY        (UINT64_C(1) << 0)
#define AUTOCLEAR_BITMAPS  (UINT64_C(1) << 0)
#define AUTOCLEAR_DATA_RAW (UINT64_C(1) << 1)
#define AUTOCLEAR_KNOWN    (AUTOCLEAR_BITMAPS | AUTOCLEAR_DATA_RAW)

/* "Cluster mapping" */
#define L1_OFFSET       UINT64_C(0x00fffffffffffe00)
#define L1_RESERVED     UINT64_C(0x7f000000000001ff)
#define L2_OFFSET       UINT64_C(0x00fffffffffffe00)
#define L2_RESERVED     UINT64_C(0x3f000000000001fe) /* extended entries: L2_ZERO, too */
#define L2_ZERO         UINT64_C(1)
#define L2_COMPRESSED   (UINT64_C(1) << 62)
#define ENTRY_COPIED    (UINT64_C(1) << 63)
#define REFTABLE_OFFSET UINT64_C(0xfffffffffffffe00)

typedef enum { COMPRESSION_ZLIB, COMPRESSION_ZSTD } Compression;

/* "Header extensions": those we do not use are kept as they are */
#define EXT_END            UINT32_C(0)
#define EXT_BACKING_FORMAT UINT32_C(0xe2792aca)
#define EXT_FEATURE_NAMES  UINT32_C(0x6803f857)
#define EXT_BITMAPS        UINT32_C(0x23852875)
#define EXT_CRYPTO         UINT32_C(0x0537be77)
#define EXT_DATA_FILE      UINT32_C(0x44415441)

typedef struct Extension {
    uint32_t type, len;
    uint8_t *data;
    struct Extension *next;
} Extension;

typedef struct Snapshot {
    SnapshotInfo info;
    uint64_t l1_offset;
    uint32_t l1_size;
    uint8_t *extra; /* beyond what we know, kept */
    uint32_t extra_len;
} Snapshot;

/* A cached part of an L2 table, or a cached refcount block */
typedef struct {
    uint64_t off; /* 0: free */
    uint8_t *buf; /* as on disk, big endian */
    uint32_t tick;
    int32_t next;      /* in its hash chain, -1 ends */
    uint32_t from, to; /* the bytes that are dirty; from == to: none */
    bool fresh;        /* nothing on disk refers to it yet, so it may be written at any time */
} Slot;

typedef struct Cache {
    pthread_mutex_t lock; /* look-ups load tables on many threads; the L2 cache's: MetaSet, too */
    Slot *slots;
    int32_t *heads;
    uint32_t bytes; /* of one slot: divides the cluster size */
    uint32_t count, max, hash_mask, dirty, tick, hand;
    uint32_t interval;   /* seconds after which what is not used goes; 0: never */
    uint32_t clean_tick; /* nothing was used since the last cleaning if its tick is not larger */
    int64_t clean_at;    /* when the next one is due; 0: not yet known */
} Cache;

/* The clusters that hold metadata, so that nothing else is ever written there. */
typedef struct MetaSet {
    bool watched;   /* somebody asks: else it stays empty */
    uint64_t *keys; /* cluster index plus one; 0 is empty */
    size_t count, room;
} MetaSet;

/* Why space is freed: for each it can be said whether the file below gets it back. */
typedef enum { FREE_OTHER, FREE_REQUEST, FREE_SNAPSHOT } FreeReason;

/* Space whose last reference went away in memory, but not yet on disk. */
typedef struct {
    uint64_t cluster, count;
    FreeReason why;
} Pending;

typedef struct Qcow2 {
    Node *node;
    unsigned version, cluster_bits, l2_bits, refcount_order;
    unsigned entry_log2; /* an L2 entry's size */
    unsigned slice_bits; /* entries of the part of an L2 table that is cached at once */
    unsigned units;      /* a cluster has: 1, or 32 with extended L2 entries */
    bool external;       /* guest data lies in a data file, each cluster at its guest offset */
    bool raw;            /* that file alone must always be the whole disk */
    uint32_t cluster;
    uint32_t header_length;
    uint64_t incompatible, compatible, autoclear;
    Compression compression;
    int level; /* of compressing; 0: the usual one */
    Extension *extensions;
    uint8_t *header_tail; /* header fields behind those that we know */
    uint32_t header_tail_len;

    uint64_t *l1; /* host byte order; guarded by the map lock */
    uint64_t l1_offset;
    uint32_t l1_size;
    uint8_t *l1_dirty; /* one a 512-byte sector of the table */
    bool l1_any_dirty;

    uint64_t *reftable; /* host byte order */
    uint64_t reftable_offset;
    uint32_t reftable_size;     /* entries, in memory */
    uint32_t reftable_clusters; /* on disk */
    bool reftable_dirty;

    Cache l2_cache, ref_cache;
    MetaSet meta;
    Pending *pending;
    size_t pending_count, pending_room;
    uint64_t pending_clusters;
    Pending *discards; /* free space that the file below has not been told of */
    size_t discard_count, discard_room;
    bool keep_discards;  /* whoever set it sends them down */
    uint64_t free_hint;  /* no free cluster before this one */
    uint64_t high_water; /* clusters from here on were never used: they read as zeros */
    uint64_t packed_pos; /* where the next compressed cluster may start; 0: nowhere */

    Snapshot *snapshots;
    uint32_t snapshot_count;
    uint32_t snapshots_stored; /* in the table at snapshots_offset: a repair forgets some before */
    uint64_t snapshots_offset, snapshots_bytes;
    uint32_t snapshots_lost;        /* OPEN_CHECK: entries that cannot be right */
    char *mended[QCOW2_MAX_MENDED]; /* OPEN_CHECK: what was put right while the header was read */
    unsigned mended_count;
    struct Bitmaps *bitmaps; /* bitmap.h */
    uint32_t crypt_method;   /* 0: not encrypted */
    struct Crypto *crypto;   /* crypto.h; NULL: not encrypted */
    bool lazy;
    unsigned pass_discard; /* 1 << FreeReason */
    _Atomic bool broken;   /* damage was found while writing; no more changes */
} Qcow2;

static inline uint32_t l2_entries(const Qcow2 *q)
{
    return UINT32_C(1) << q->l2_bits;
}

static inline uint64_t slice_entries(const Qcow2 *q)
{
    return UINT64_C(1) << q->slice_bits;
}

/* Guest bytes that one slice maps */
static inline uint64_t slice_span(const Qcow2 *q)
{
    return (uint64_t)q->cluster << q->slice_bits;
}

/* Guest bytes that one L2 table maps */
static inline uint64_t l2_span(const Qcow2 *q)
{
    return (uint64_t)q->cluster << q->l2_bits;
}

static inline uint64_t refblock_entries(const Qcow2 *q)
{
    return UINT64_C(1) << (q->cluster_bits + 3 - q->refcount_order);
}

static inline uint64_t refcount_max(const Qcow2 *q)
{
    return q->refcount_order == 6 ? UINT64_MAX : (UINT64_C(1) << (1 << q->refcount_order)) - 1;
}

static inline uint64_t max_l1_entries(const Qcow2 *q, uint64_t size)
{
    return div_round_up(size, l2_span(q));
}

static inline bool is_metadata_aligned(const Qcow2 *q, uint64_t off)
{
    return (off & (q->cluster - 1)) == 0;
}

/* header.c, header-write.c (open, change) */
int header_read(Node *node, Error **err);
int header_write(Qcow2 *q);  /* the whole header cluster, with extensions and names */
int header_update(Qcow2 *q); /* only the fixed fields: small enough to be written at once */
/* The same and a barrier: the image changes over to tables that are stable already. No way back. */
int header_switch(Qcow2 *q);
/* The same for the whole header, with extensions. */
int header_rewrite(Qcow2 *q);
/* What was put right is on disk now. */
void header_mended(Qcow2 *q);
/* Add or replace an extension in memory; len 0: there is none any more. */
int header_set_extension(Qcow2 *q, uint32_t type, const uint8_t *data, uint32_t len);
void header_free(Qcow2 *q);
/* The sizes that follow from the cluster size and the kind of L2 entries */
void header_shape(Qcow2 *q);
static inline void auto_header_cleanup(Qcow2 *q)
{
    header_free(q);
}
#define AUTO_HEADER __attribute__((cleanup(auto_header_cleanup)))

/* cache.c */
int cache_init(Cache *c, uint32_t slot_bytes, uint64_t bytes);
void cache_free(Cache *c);
/* With c->lock held, and still so on return (it is dropped around reading from disk). */
int cache_get_locked(Qcow2 *q, Cache *c, uint64_t off, uint8_t **buf);
/* (change) *buf is good until the next call on this cache */
int cache_get(Qcow2 *q, Cache *c, uint64_t off, uint8_t **buf);
/* (change) a new table, all zeros, dirty and fresh */
int cache_new(Cache *c, uint64_t off, uint8_t **buf);
/* (change) bytes [from, to) of the table were changed */
void cache_dirty(Cache *c, uint64_t off, uint32_t from, uint32_t to);
void cache_forget(Cache *c, uint64_t off);
/* All of one cluster */
void cache_forget_cluster(Qcow2 *q, Cache *c, uint64_t off);
/* Write dirty tables (only_fresh: those that nothing refers to); they become clean. */
int cache_write(Qcow2 *q, Cache *c, bool only_fresh);
/* Forget all, which must be clean. */
void cache_drop(Cache *c);
/* Give back the memory of all tables that are not dirty. */
void cache_release(Cache *c);
bool cache_crowded(const Cache *c); /* too many dirty tables */

/* commit.c (change lock held; look-ups may go on) */
int commit_metadata(Qcow2 *q);
int commit_if_crowded(Qcow2 *q);
/* Everything written so far, counts included, is stable. */
int commit_settle(Qcow2 *q);
/* The counts alone, with data written so far; nothing is freed yet. */
int commit_counts(Qcow2 *q);
int barrier(Qcow2 *q);
void l1_set(Qcow2 *q, uint32_t index, uint64_t entry);

/* refcount.c, refcount-free.c (change) */
int refcount_open(Qcow2 *q, Error **err);
/* The block of counts with this index; *block is NULL if there is none. */
int refcount_block(Qcow2 *q, uint64_t index, uint8_t **block);
/* Nothing refers to these clusters any more, on disk either. */
void refcount_freed(Qcow2 *q, uint64_t first, uint64_t n, FreeReason why);
int refcount_get(Qcow2 *q, uint64_t cluster, uint64_t *count);
int refcount_add(Qcow2 *q, uint64_t cluster, int delta);
/* Where the count of entry `i` of a block lies */
void refcount_bytes(const Qcow2 *q, uint64_t i, uint32_t *from, uint32_t *to);
uint64_t refcount_read(const Qcow2 *q, const uint8_t *block, uint64_t i);
void refcount_write(const Qcow2 *q, uint8_t *block, uint64_t i, uint64_t value);
int alloc_clusters(Qcow2 *q, uint64_t n, uint64_t *off);
int alloc_metadata(Qcow2 *q, uint64_t n, uint64_t *off);
/* Make sure that a block covers `cluster` (the repair of counts needs one) */
int refcount_cover(Qcow2 *q, uint64_t cluster);
int alloc_packed(Qcow2 *q, uint32_t len, uint64_t *pos);
/* References that went away in memory; counted down once that is on disk */
int free_later(Qcow2 *q, uint64_t off, uint64_t bytes);
int free_because(Qcow2 *q, uint64_t off, uint64_t bytes, FreeReason why);
int free_apply_pending(Qcow2 *q);

/* discard.c (change) */
void discard_later(Qcow2 *q, uint64_t first, uint64_t n);
void discard_flush(Qcow2 *q);

/* meta.c (change; meta_hit also while looking up, with the L2 cache's lock held) */
int meta_build(Qcow2 *q);
/* After tables have gone or moved without meta_remove() */
int meta_rebuild(Qcow2 *q);
int meta_add(Qcow2 *q, uint64_t off, uint64_t bytes);
void meta_remove(Qcow2 *q, uint64_t off, uint64_t bytes);
bool meta_hit(const Qcow2 *q, uint64_t off, uint64_t bytes);
void meta_free(Qcow2 *q);
/* Damage was found: say so once, set the corrupt bit, refuse further changes. Returns -EIO. */
int damage(Qcow2 *q, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* map.c */
/* Where the L2 table with this index in the L1 table is; 0: nowhere */
int l2_place(Qcow2 *q, uint64_t index, uint64_t *off);
/* (change) the part of the L2 table at `table` that has its entry `i` */
int l2_slice(Qcow2 *q, uint64_t table, uint64_t i, uint8_t **slice);
int map_extent(Node *node, uint64_t off, uint64_t len, Extent *ext);

/* publish.c (change) */
int map_reserve(Node *node, uint64_t off, uint64_t len, Extent *place);
int map_publish(Node *node, uint64_t off, uint64_t len, const Extent *place, unsigned flags);
int map_release(Node *node, const Extent *place);
/* Nothing is at these whole clusters, beyond the disk's new end (where no backing file shows) */
int map_cut(Qcow2 *q, uint64_t off, uint64_t len);
/* Space for these whole clusters, in which nothing is yet */
int map_preallocate(Qcow2 *q, uint64_t off, uint64_t len, uint64_t *done);
/* Where the compressed cluster of an L2 entry lies */
void packed_place(const Qcow2 *q, uint64_t entry, uint64_t *pos, uint32_t *len);

/* pack.c */
/* The option `compression-level`; without it the format's usual one. */
int pack_take_level(Qcow2 *q, Options *options, Error **err);
int pack_cluster(Node *node, const void *in, size_t len, void *out, size_t *packed_len);
int unpack_cluster(Node *node, const void *packed, size_t packed_len, void *out, size_t len);

/* tree.c, tree-count.c (change): whole L1 trees, with nothing dirty: commit_settle() before */
int l1_read(Qcow2 *q, uint64_t off, uint32_t size, uint64_t **l1);
int l1_write_table(Qcow2 *q, const uint64_t *l1, uint32_t size, uint64_t off);
/* One reference more to everything below; undone if it fails. */
int tree_hold(Qcow2 *q, const uint64_t *l1, uint32_t size);
/* One reference less to everything below: nothing on disk refers to it any more. */
int tree_drop(Qcow2 *q, const uint64_t *l1, uint32_t size);
/* The "copied" flags of the active tree say again what the counts are. */
int tree_fix_copied(Qcow2 *q);
/* The same where all of them are to be cleared. */
int tree_clear_copied(Qcow2 *q);
/* Make `l1` (`size` entries, already written to `off`) the active table in memory. */
int l1_adopt(Qcow2 *q, uint64_t *l1, uint32_t size, uint64_t off);
/* Space for an L1 table; an empty one needs none. */
int l1_alloc(Qcow2 *q, uint32_t size, uint64_t *off);
/* A new, longer place for the active table; commits, and switches the header over. */
int l1_move(Qcow2 *q, uint32_t size);

/* snapshot-table.c */
int snapshots_open(Qcow2 *q, Error **err);
void snapshots_free(Qcow2 *q);
/* (change) For the check: without number `i`; write the table as it is in memory */
void snapshots_forget(Qcow2 *q, uint32_t i);
int snapshots_rewrite(Qcow2 *q);
/*
 * (change) The list as it is in memory becomes the image's; the old table is freed. If it fails and
 * the image is not broken, the caller takes its change of the list back.
 */
int snapshots_replace(Qcow2 *q);
void snapshot_clear(Snapshot *s);

/* snapshot.c */
int snapshot_list(Node *node, SnapshotInfo **list, size_t *count, Error **err);
int snapshot_create(Node *node, const SnapshotInfo *info, Error **err);
int snapshot_apply(Node *node, const char *id_or_name, Error **err);
int snapshot_delete(Node *node, const char *id_or_name, Error **err);
int snapshot_load(Node *node, const char *id_or_name, Error **err);

/* bitmap.c, bitmap-ops.c */
extern const BitmapOps qcow2_bitmap_ops;
int bitmaps_open(Qcow2 *q, Error **err); /* again: anew from the header's extension */
void bitmaps_close(Qcow2 *q);
int bitmaps_meta(Qcow2 *q);
bool bitmaps_any(const Qcow2 *q);
json_t *bitmaps_info(const Qcow2 *q);
/*
 * (change) When the disk's size changes: plan() makes tables of the right length, and switch() the
 * header that names them, the new size and all else that header_switch() writes; cut() forgets what
 * was recorded behind the end.
 */
int bitmaps_plan(Qcow2 *q, uint64_t disk, Error **err);
int bitmaps_switch(Qcow2 *q);
void bitmaps_unplan(Qcow2 *q);
int bitmaps_cut(Qcow2 *q);
/* (change) All of the disk may change: the bitmaps that are enabled have it all. */
int bitmaps_set_all(Qcow2 *q);

/* check.c */
int qcow2_check(Node *node, unsigned fix, CheckReport *report, void *opaque, CheckResult *result,
                Error **err);

/* options.c (open) */
int options_apply(Qcow2 *q, Options *o, Error **err);

/* data.c */
int data_open(Qcow2 *q, Options *options, Error **err);
/* The data file's name as the image has it (the caller frees it); NULL: it has none. */
char *data_file_name(const Qcow2 *q);
/* *record becomes the name for the header. */
int data_create(const char *filename, const char *name, const char *backing, uint64_t size,
                Prealloc prealloc, char **record, Error **err);
int data_resize(Qcow2 *q, uint64_t old, uint64_t size, Prealloc prealloc, Error **err);

/* resize.c */
int qcow2_resize(Node *node, uint64_t size, Prealloc prealloc, Error **err);
int qcow2_preallocate(Node *node, uint64_t from, uint64_t to, Prealloc mode, Error **err);

/* create.c */
extern const OptionDesc qcow2_create_options[];
/* What the options of a new image come to, without making it. */
typedef struct Qcow2Shape {
    uint64_t size, cluster, refcount_bits;
    uint32_t entry;  /* bytes of an L2 entry */
    uint64_t crypto; /* bytes of the encryption header, whole clusters */
    bool v3;
    bool all_data; /* preallocated with data clusters */
    bool overlay;  /* has a backing file */
} Qcow2Shape;
int qcow2_shape(Options *options, Qcow2Shape *shape, Error **err);
int qcow2_measure(Options *options, Node *src, MeasureInfo *info, Error **err);

int qcow2_create(const char *filename, Options *options, Error **err);
int qcow2_change_backing(Node *node, const char *file, const char *format, Error **err);
/* Cut off what lies behind the last cluster in use, with the counts of all others on disk. */
int qcow2_truncate(Qcow2 *q);
int qcow2_make_empty(Node *node, Error **err);

/* amend.c */
extern const OptionDesc qcow2_amend_options[];
int qcow2_amend(Node *node, Options *options, bool force, Progress *progress, Error **err);

#endif
