/*
 * node.h - the block layer as its callers see it: open images, requests, extents, image operations.
 *
 * A Node is one opened thing: a protocol (`file`) over a path, a format (`qcow2`) over a protocol
 * node, a filter over anything. Formats have a child `file` and maybe a `backing` node.
 *
 * Requests block the calling thread and may be made from any number of threads at once. Offsets and
 * lengths are bytes, of any alignment; a request outside the node is -EINVAL (reads of a protocol
 * file beyond its end give zeros). A transfer is all or nothing: 0 or -errno.
 *
 * Opening, closing, resizing and the snapshot operations need that no request is in flight
 * (aio_drain() first); the node refuses nothing, the caller keeps order.
 */
#ifndef BLOCK_NODE_H
#define BLOCK_NODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/options.h"
#include "base/progress.h"

typedef struct Node Node;

/* ---- opening ------------------------------------------------------------------------------- */

enum {
    OPEN_RDWR = 1 << 0,
    OPEN_NO_BACKING = 1 << 1,   /* holes read as zeros; the backing file is not opened */
    OPEN_FORCE_SHARE = 1 << 2,  /* -U: do not mind a writer elsewhere; read-only */
    OPEN_NO_EXTERNAL = 1 << 3,  /* refuse an image that names other files */
    OPEN_CHECK = 1 << 4,        /* for `check`: accept what a repair could mend, repair nothing */
    OPEN_DIRECT = 1 << 5,       /* O_DIRECT */
    OPEN_WRITETHROUGH = 1 << 6, /* every write is followed by a flush */
    OPEN_NO_FLUSH = 1 << 7,     /* flushes to stable storage are skipped */
    OPEN_UNMAP = 1 << 8,        /* discard reaches the protocol (holes are punched) */
    OPEN_NO_LOCK = 1 << 9,      /* take no image locks at all */
    OPEN_NO_DATA = 1 << 10,     /* guest data will not be read: its own file is not opened */
    OPEN_NO_IO = 1 << 11,       /* guest data are not used: an encrypted image needs no secret */

    OPEN_TRUSTED = 1 << 16,        /* an image may name anything (docs/TRUST.md) */
    OPEN_LOCAL_NAMES = 1 << 17,    /* an image may name plain local files only */
    OPEN_DETECT_ZEROES = 1 << 18,  /* zeros that are written are stored as zeroes */
    OPEN_DETECT_UNMAP = 1 << 19,   /* and their space is given back */
    OPEN_AUTO_READ_ONLY = 1 << 20, /* read-only if it may not be written */
    OPEN_PROTOCOL_LEVEL = 1 << 21, /* inside block/: below a format; nothing is probed */
};

/* none, writeback, writethrough, directsync, unsafe -> flags to add. -EINVAL: unknown name. */
int cache_mode_flags(const char *mode, unsigned *flags);

/*
 * Open an image with its whole backing chain. `filename` may be a path, "file:path",
 * "json:{...}", or NULL if `options` has it all (`driver`, `file.filename`, ...). `format` NULL
 * probes. `options` may be NULL; it is consumed. On error *out is NULL and *err names the file.
 */
int node_open(const char *filename, const char *format, Options *options, unsigned flags,
              Node **out, Error **err);

/* A throw-away overlay over `backing` (takes a reference): writes stay in an unlinked file. */
int node_open_temporary_overlay(Node *backing, Node **out, Error **err);

Node *node_ref(Node *node);
/* Drop a reference; the last one flushes and closes. Errors of that flush are lost: node_flush().
 */
void node_unref(Node *node);

static inline void auto_node_cleanup(Node **node)
{
    node_unref(*node);
}
#define AUTO_NODE __attribute__((cleanup(auto_node_cleanup)))

/* ---- what it is ---------------------------------------------------------------------------- */

const char *node_filename(const Node *node); /* as the user or the overlay gave it */
const char *node_format(const Node *node);   /* the driver's name */
uint64_t node_size(const Node *node);        /* virtual size in bytes */
bool node_writable(const Node *node);
Node *node_file(const Node *node);    /* the child below; NULL for a protocol */
Node *node_backing(const Node *node); /* NULL: none, or not opened */
unsigned node_flags(const Node *node);
bool node_probed(const Node *node); /* the format was guessed, not stated */
/* Does an image of this kind that was just made, in a new file, read as zeros? */
bool node_made_zero(const Node *node);

typedef struct ImageInfo {
    uint64_t virtual_size;
    uint64_t disk_size;      /* bytes on the host, of the node's own files; UINT64_MAX: not known */
    uint32_t cluster_size;   /* 0: the format has none */
    uint64_t vmstate_offset; /* where machine state starts in the mapping; 0: there is none */
    bool dirty, corrupt, encrypted, compressed;
    const char *backing_file;      /* as written in the image; NULL: none */
    const char *backing_format;    /* NULL: not recorded */
    const char *full_backing_file; /* resolved against the image's folder */
} ImageInfo;

/* The strings live as long as the node (or until its backing file is changed). */
int node_info(Node *node, ImageInfo *info, Error **err);

/* `format-specific`: {"type": "qcow2", "data": {...}} in the field's order, or NULL: nothing. */
json_t *node_format_info(Node *node);

/* What suits requests on a node best; any alignment works. 0: there is no such limit. */
typedef struct NodeLimits {
    uint32_t request_alignment;      /* bytes that a transfer is rounded to on its way */
    uint32_t discard_alignment;      /* smaller parts are not given back */
    uint32_t write_zeroes_alignment; /* smaller parts are written as data */
    uint32_t max_iov;                /* buffers that go in one request of the host */
    uint32_t memory_alignment;       /* of buffers, so that nothing is copied */
} NodeLimits;

void node_limits(const Node *node, NodeLimits *limits);

/* ---- requests ------------------------------------------------------------------------------ */

enum {
    REQ_FUA = 1 << 0,         /* on stable storage when the request returns */
    REQ_MAY_UNMAP = 1 << 1,   /* zeroes: space may be given back */
    REQ_NO_FALLBACK = 1 << 2, /* zeroes: -ENOTSUP rather than writing a buffer of zeros */
};

int node_pread(Node *node, void *buf, size_t len, uint64_t off);
int node_preadv(Node *node, const struct iovec *iov, int iovcnt, uint64_t off);
int node_pwrite(Node *node, const void *buf, size_t len, uint64_t off);
int node_pwritev(Node *node, const struct iovec *iov, int iovcnt, uint64_t off, unsigned flags);
int node_pwrite_zeroes(Node *node, uint64_t off, uint64_t len, unsigned flags);

/* A hint: afterwards the range may read as zeros or as before. */
int node_discard(Node *node, uint64_t off, uint64_t len);
int node_flush(Node *node);

/*
 * Store one whole cluster (or the short last one) compressed. `off` is a multiple of the cluster
 * size and `len` at most one cluster, or len may be several clusters. Falls back to a plain write
 * of a cluster that does not shrink. -ENOTSUP: the format cannot.
 */
int node_pwrite_compressed(Node *node, const void *buf, size_t len, uint64_t off);

/*
 * The same in two steps, so that the first can run on many threads while the second keeps an
 * order. node_pack() compresses one cluster (or the short last one) into `packed`, which has room
 * for a cluster; *packed_len is 0 if it does not shrink and should be written plainly.
 */
int node_pack(Node *node, const void *buf, size_t len, void *packed, size_t *packed_len);
int node_pwrite_packed(Node *node, const void *packed, size_t packed_len, uint64_t off);

/* ---- extents ------------------------------------------------------------------------------- */

typedef enum {
    EXTENT_HOLE,   /* this node has nothing here: the backing file decides */
    EXTENT_ZERO,   /* reads as zeros; `pos` if space is kept for it (has_pos) */
    EXTENT_DATA,   /* stored at `pos` of `file` */
    EXTENT_PACKED, /* compressed: `packed_len` bytes at `pos` of `file` are this cluster */
} ExtentKind;

typedef struct Extent {
    ExtentKind kind;
    uint64_t len;        /* how far the answer holds */
    uint64_t pos;        /* valid if has_pos */
    uint32_t packed_len; /* EXTENT_PACKED */
    bool has_pos;
    bool zero;   /* reads as zeros: always for ZERO; HOLE with nothing below; DATA in a hole */
    bool unused; /* DATA of which the server says that no space is used; to be read all the same */
    bool shared; /* DATA that must be copied before it is written (a snapshot has it too) */
    bool kept;   /* reserve(): the range had this space already */
    bool fresh;  /* reserve(): the new space is known to read as zeros */
    unsigned depth; /* chain queries: 0 is the node asked, 1 its backing file, ... */
    Node *node;     /* whose answer it is (borrowed) */
    Node *file;     /* what `pos` is a position in (borrowed); NULL without has_pos */
} Extent;

/*
 * What this node alone says about [off, off+len); neighbours of the same kind and consecutive
 * positions are merged. ext->len is 1..len. `zero` of DATA looks into the child (SEEK_HOLE).
 */
int node_extent(Node *node, uint64_t off, uint64_t len, Extent *ext);

/*
 * The same through the backing chain down to, not including, `base` (NULL: the whole chain):
 * a HOLE is what no node in that part of the chain has. With base NULL, HOLE reads as zeros.
 */
int node_extent_above(Node *node, Node *base, uint64_t off, uint64_t len, Extent *ext);

/*
 * Copy `len` bytes at `pos` of an open file (an extent's) to `off` of `dst` inside the kernel;
 * COPY_SHARE_ONLY: only if the two then share their space on the disk. -ENOTSUP: not here.
 */
enum { COPY_SHARE_ONLY = 1 << 0 };
int node_copy_range(Node *dst, uint64_t off, Node *file, uint64_t pos, uint64_t len,
                    unsigned flags);

/* Are both nodes the same file of the host (or of a server)? */
bool node_same_file(Node *a, Node *b);

/*
 * A text that changes whenever what the node shows may have changed: files with their times and
 * sizes, and what lies on them, down the whole chain. -ENOTSUP: one of its files cannot tell.
 */
int node_identity(Node *node, char **text);

/* ---- image operations ---------------------------------------------------------------------- */

typedef enum { PREALLOC_OFF, PREALLOC_METADATA, PREALLOC_FALLOC, PREALLOC_FULL } Prealloc;
extern const char *const prealloc_names[]; /* "off", "metadata", "falloc", "full", NULL */

int node_resize(Node *node, uint64_t size, Prealloc prealloc, bool shrink, Error **err);

/*
 * Make a new image. All that the format understands comes as options: `size`, `backing_file`,
 * `backing_fmt`, `preallocation`, `cluster_size`, ... (driver_create_options()). `options` is
 * consumed. A backing file is opened to check it and, if there is no `size`, to take its size,
 * unless CREATE_UNSAFE. `created` (may be NULL) receives the options with all defaults filled in
 * that belong on a "Formatting" line. A file that already exists is replaced; on failure nothing
 * that was there before is touched and a file made by us is removed.
 */
enum { CREATE_UNSAFE = 1 << 0 };
int node_create(const char *filename, const char *format, Options *options, unsigned flags,
                Options **created, Error **err);

/* NULL-terminated table for `-o help`; NULL if the format is unknown or cannot create. */
const OptionDesc *driver_create_options(const char *format);
/* The same for `amend`. */
const OptionDesc *driver_amend_options(const char *format);
bool driver_exists(const char *format);
/* Does the format have compressed clusters? */
bool driver_supports_compression(const char *format);
/* The i-th registered driver's name, formats first; NULL after the last. */
const char *driver_name_at(size_t i);

typedef struct MeasureInfo {
    uint64_t required;        /* bytes of a file that holds the content */
    uint64_t fully_allocated; /* and of one in which every cluster was written */
    bool has_bitmaps;         /* both source and new image can have them */
    uint64_t bitmaps;         /* what copies of the source's bitmaps add to both */
} MeasureInfo;

/*
 * How large an image of this format would get that holds the content of `src` or, if that is NULL,
 * nothing yet. `options` as for node_create() with `size`; consumed. An upper bound: zeros that
 * the source stores as data are counted, too.
 */
int node_measure(const char *format, Options *options, Node *src, MeasureInfo *info, Error **err);

/* The format of a file by its first bytes ("raw" if nothing else fits); name is static. */
int node_probe(Node *file, const char **format, Error **err);

typedef struct CheckResult {
    uint64_t corruptions, leaks, check_errors;
    uint64_t corruptions_fixed, leaks_fixed;
    uint64_t image_end;
    uint64_t total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
} CheckResult;

enum { CHECK_FIX_LEAKS = 1 << 0, CHECK_FIX_ERRORS = 1 << 1 };

/* One line for each finding, without newline: "ERROR ...", "Leaked cluster ...", "Repairing ..." */
typedef void CheckReport(void *opaque, const char *line);

/* -ENOTSUP: the format has nothing to check. With a repair, counts are those found before it. */
int node_check(Node *node, unsigned fix, CheckReport *report, void *opaque, CheckResult *result,
               Error **err);

/* NULL file: the image becomes stand-alone. Only the header changes; no data is copied. */
int node_change_backing_file(Node *node, const char *file, const char *format, Error **err);

/* After a commit: drop all data, so that everything comes from the backing file again. */
int node_make_empty(Node *node, Error **err);

/*
 * Change an existing image (`amend`); options as in driver_amend_options(), consumed. `force`
 * allows what may make the image unusable (the last key slot erased).
 */
int node_amend(Node *node, Options *options, bool force, Progress *progress, Error **err);

/* Put `backing` (may be NULL) below the node, in this process only; takes a reference. */
int node_set_backing(Node *node, Node *backing, Error **err);

/* The path of `name` as an image called `base` means it (the caller frees it). */
char *path_resolve(const char *base, const char *name);

/*
 * May `node` open what its image calls `name`? -EPERM and a sentence if docs/TRUST.md forbids it.
 * For backing files the core asks; who opens anything else that an image names has to.
 */
int node_may_open(const Node *node, const char *name, Error **err);

/* ---- internal snapshots -------------------------------------------------------------------- */

typedef struct SnapshotInfo {
    char *id, *name;
    uint64_t vm_state_size;
    uint64_t disk_size;
    uint32_t date_sec, date_nsec;
    uint64_t vm_clock_ns;
    uint64_t icount; /* UINT64_MAX: not recorded */
} SnapshotInfo;

int node_snapshot_list(Node *node, SnapshotInfo **list, size_t *count, Error **err);
void snapshot_list_free(SnapshotInfo *list, size_t count);

/* `info->id` NULL chooses the next free one; name may repeat no existing name. */
int node_snapshot_create(Node *node, const SnapshotInfo *info, Error **err);
int node_snapshot_apply(Node *node, const char *id_or_name, Error **err);
int node_snapshot_delete(Node *node, const char *id_or_name, Error **err);

/* From now on the (read-only) node shows the snapshot's content. */
int node_snapshot_load(Node *node, const char *id_or_name, Error **err);

/* Machine state kept in the image, beyond the guest's disk; belongs to the next snapshot. */
int node_vmstate_pwrite(Node *node, const void *buf, size_t len, uint64_t off);
int node_vmstate_pread(Node *node, void *buf, size_t len, uint64_t off);

#endif
