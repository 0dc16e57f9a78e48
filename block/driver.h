/*
 * driver.h - what a driver is to the block core. docs/BLOCK.md is the contract in prose.
 *
 * A format is a mapping: it answers extent() and publishes new answers; the core does the reading,
 * writing, copy-on-write, zeroing and compressed writing over that. Protocols and filters have
 * preadv and pwritev instead. A missing operation means the default.
 *
 * Locks, taken by the core around the driver's functions:
 *   extent                                  map_lock for reading; may run on many threads at once
 *   reserve publish release                 change_lock, and map_lock for writing
 *   flush (of a mapped format) resize check snapshot_* amend ...   change_lock
 *   preadv pwritev pack unpack seal unseal; all of protocols and filters   none
 */
#ifndef BLOCK_DRIVER_H
#define BLOCK_DRIVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "block/bitmap.h"
#include "block/event.h"
#include "block/node.h"
#include "block/range.h"
#include "block/unpacked.h"

typedef struct BlockDriver BlockDriver;

enum { PROBE_BYTES = 2048, MAX_CHAIN_DEPTH = 1024, NODE_MAX_SIZE_LOG2 = 63, SEAL_SECTOR = 512 };
#define NODE_MAX_SIZE ((uint64_t)INT64_MAX)

struct Node {
    const BlockDriver *driver;
    void *state;    /* driver->state_size bytes, zeroed before open */
    char *filename; /* for messages and as the origin of relative names */
    unsigned flags; /* OPEN_* */
    atomic_int refs;
    bool writable, probed, opened;

    Node *file; /* what the format or filter sits on */
    Node *data; /* where DATA lies, if that is not `file`; opened by the driver */
    Node *backing;
    Node *listener; /* who hears node_event() of this node; NULL: nobody */

    /* Set by the driver's open(); the core reads them. */
    _Atomic uint64_t size; /* virtual size; changed under change_lock */
    uint32_t cluster;      /* the unit of allocation, a power of two; 0: none */
    uint32_t unit;         /* the unit of mapping, a power of two; 0: as `cluster` */
    uint32_t align;        /* protocols: what a request is best aligned to; 0 or 1: any */
    _Atomic bool records;  /* writes are told to the driver's bitmaps->record() first */
    bool zero_init;        /* protocols: bytes never written read as zeros */
    bool sealed;           /* DATA is encrypted in the file: seal(), unseal() */
    char *backing_file;    /* as the image has it; NULL: none */
    char *backing_format;
    char *full_backing_file; /* resolved by the core */

    pthread_mutex_t change_lock; /* one changer of the mapping at a time; flush holds it too */
    pthread_rwlock_t map_lock;
    RangeLocks ranges; /* requests in flight on this node */
    Unpacked unpacked;
};

/*
 * What a format that keeps dirty bitmaps does (block/bitmap.h). The change lock is held, but around
 * `extent` and `record`, which run on many threads. Changes are on stable storage on return, but
 * what `set` did: that needs `store`.
 */
typedef struct BitmapOps {
    int (*list)(Node *node, BitmapInfo **list, size_t *count, Error **err);
    int (*add)(Node *node, const char *name, uint64_t granularity, bool enabled, Error **err);
    int (*remove)(Node *node, const char *name, Error **err);
    int (*clear)(Node *node, const char *name, Error **err);
    int (*enable)(Node *node, const char *name, bool enabled, Error **err);
    int (*set)(Node *node, const char *name, uint64_t off, uint64_t len, Error **err);
    int (*store)(Node *node, Error **err);
    int (*extent)(Node *node, const char *name, uint64_t off, uint64_t len, bool *dirty,
                  uint64_t *run);
    /* The range is about to change; the write is refused if this fails. */
    int (*record)(Node *node, uint64_t off, uint64_t len);
} BitmapOps;

struct BlockDriver {
    const char *name;
    size_t state_size;
    bool is_protocol;    /* has no child; opens `filename` */
    bool is_filter;      /* passes everything it does not define on to `file`, at the same offset */
    bool is_wrapper;     /* read-only, between a file and its format: compressed files */
    bool is_passthrough; /* extents are the child's, shifted (raw) */
    bool is_remote;      /* protocols: the bytes come from another host (docs/TRUST.md) */
    bool no_child;       /* open() opens its children itself, there is no `file` */
    bool plain_child;    /* filters: the child is a protocol, no format is looked for */
    bool has_size;       /* filters: node->size counts, not the child's */
    const char *child_key; /* the option that names the child; NULL: `file` */
    bool has_backing;
    const OptionDesc *create_options;
    const OptionDesc *amend_options;
    const BitmapOps *bitmaps; /* NULL: keeps none */

    /*
     * Names that start with "SCHEME:" mean this driver: a protocol's own name always does, and
     * those listed here. parse_name() turns such a name into options (below those given
     * explicitly); for a filter it must name the child (`file.filename`). Without it a protocol
     * gets the whole name.
     */
    const char *const *schemes;
    int (*parse_name)(const char *name, Options *options, Error **err);

    /* 0..100: how surely these first bytes (zero padded to PROBE_BYTES) are this format */
    int (*probe)(const uint8_t *buf, size_t len);

    /* node->file is open already, unless is_protocol. Takes the options it knows. */
    int (*open)(Node *node, Options *options, Error **err);
    void (*close)(Node *node); /* after a last flush; accepts what a failed open left */

    /*
     * Make a new image (or plain file) called `filename`: judge every option first, then make the
     * file with node_create_file().
     */
    int (*create)(const char *filename, Options *options, Error **err);

    /* See node_measure(); `size` is among the options. Takes the options that it knows. */
    int (*measure)(Options *options, Node *src, MeasureInfo *info, Error **err);

    /* --- the mapping --- */
    int (*extent)(Node *node, uint64_t off, uint64_t len, Extent *ext);
    int (*reserve)(Node *node, uint64_t off, uint64_t len, Extent *place);
    int (*publish)(Node *node, uint64_t off, uint64_t len, const Extent *place, unsigned flags);
    int (*release)(Node *node, const Extent *place);

    /* Compressed clusters. pack: -ENOSPC if the result would not be shorter than `len`. */
    int (*unpack)(Node *node, const void *packed, size_t packed_len, void *out, size_t len);
    int (*pack)(Node *node, const void *in, size_t len, void *out, size_t *packed_len);

    /*
     * Encrypt and decrypt, in place, what is at `off` of the node and stored at `pos` of the file:
     * whole sectors of SEAL_SECTOR bytes. Called for DATA of nodes that are `sealed`; compressed
     * clusters are not encrypted. A format whose extents never change (no publish()) is mapped all
     * the same if it has these. -ENOKEY: the image was opened without its secret.
     */
    int (*seal)(Node *node, void *buf, size_t len, uint64_t off, uint64_t pos);
    int (*unseal)(Node *node, void *buf, size_t len, uint64_t off, uint64_t pos);

    /* --- whole requests, where the mapping is not used --- */
    int (*preadv)(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len);
    int (*pwritev)(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, size_t len);
    int (*pwrite_zeroes)(Node *node, uint64_t off, uint64_t len, unsigned flags);
    int (*discard)(Node *node, uint64_t off, uint64_t len);
    int (*flush)(Node *node); /* mapped formats: write metadata down; the core flushes `file` */
    uint64_t (*disk_size)(Node *node);
    void (*event)(Node *node, BlockEvent event); /* something above is about to do this */

    /*
     * Files only, and what passes through to one: take over bytes of another open file without
     * reading them (COPY_SHARE_ONLY: only if both then share the space). -ENOTSUP: do it by hand.
     */
    int (*copy_range)(Node *node, uint64_t off, Node *from, uint64_t pos, uint64_t len,
                      unsigned flags);
    bool (*same_file)(Node *node, Node *other); /* the same driver's: is it the same file? */
    /* Print words that change when the content may have changed. -ENOTSUP: cannot tell. */
    int (*identity)(Node *node, FILE *out);

    /* --- image operations --- */
    int (*resize)(Node *node, uint64_t size, Prealloc prealloc, Error **err);
    int (*info)(Node *node, ImageInfo *info, Error **err);
    json_t *(*format_info)(Node *node);
    int (*check)(Node *node, unsigned fix, CheckReport *report, void *opaque, CheckResult *result,
                 Error **err);
    int (*change_backing)(Node *node, const char *file, const char *format, Error **err);
    int (*make_empty)(Node *node, Error **err);
    /* Takes the options it knows, but judges all before it changes anything. */
    int (*amend)(Node *node, Options *options, bool force, Progress *progress, Error **err);
    int (*snapshot_list)(Node *node, SnapshotInfo **list, size_t *count, Error **err);
    int (*snapshot_create)(Node *node, const SnapshotInfo *info, Error **err);
    int (*snapshot_apply)(Node *node, const char *id_or_name, Error **err);
    int (*snapshot_delete)(Node *node, const char *id_or_name, Error **err);
    int (*snapshot_load)(Node *node, const char *id_or_name, Error **err);
    uint64_t (*vmstate_offset)(Node *node); /* where machine state starts in the mapping */
};

/* Where the bytes of DATA are */
static inline Node *node_data(const Node *node)
{
    return node->data ? node->data : node->file;
}

/* All drivers; formats/formats.c and block/protocols.c define the two lists. */
extern const BlockDriver *const format_drivers[];   /* in probing order, NULL at the end */
extern const BlockDriver *const protocol_drivers[]; /* protocols and filters */

const BlockDriver *driver_find(const char *name);
/* The protocol or filter that names starting with "SCHEME:" mean, or NULL. */
const BlockDriver *driver_for_scheme(const char *scheme);

/*
 * Open a further node for a driver: what the option `key` names or the options `key.*` describe,
 * else `filename`. With `probe` a format is looked for on top of the protocol. The driver's close()
 * drops it.
 */
int node_open_child(Node *parent, Options *options, const char *key, const char *filename,
                    bool probe, unsigned flags, Node **child, Error **err);

/* The driver is about to do `event` with this child. */
static inline void node_event(Node *child, BlockEvent event)
{
    if (child->listener)
        child->listener->driver->event(child->listener, event);
}

/* The node below all filters. */
Node *node_skip_filters(Node *node);

/* For create(): make or empty the file and open it for writing. */
int node_create_file(const char *filename, Node **out, Error **err);

/* One answer of the driver, checked, without merging and without looking into children. */
int node_map(Node *node, uint64_t off, uint64_t len, Extent *ext);

/* Before guest data changes: the dirty bitmaps that are enabled get their bits. */
static inline int node_record(Node *node, uint64_t off, uint64_t len)
{
    return atomic_load_explicit(&node->records, memory_order_relaxed)
               ? node->driver->bitmaps->record(node, off, len)
               : 0;
}

/* Reading the mapped content while the caller holds the range (docs/BLOCK.md, "A write"). */
int node_read_mapped(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, uint64_t len);

/* The three kinds of change that a mapped node knows; block/cow.c */
int node_write_mapped(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, uint64_t len);
int node_zero_mapped(Node *node, uint64_t off, uint64_t len, unsigned flags);
int node_discard_mapped(Node *node, uint64_t off, uint64_t len);

/* Does the node grow when it is written beyond its end? (protocols, and filters on them) */
bool node_grows(const Node *node);

#endif
