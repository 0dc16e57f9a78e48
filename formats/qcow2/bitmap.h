/*
 * bitmap.h - what the files of the dirty bitmaps share ("Bitmaps extension"): bitmap.c (directory),
 * bitmap-bits.c (tables and bits), bitmap-ops.c (what block/bitmap.h promises).
 *
 * A bitmap is recorded in memory. Before its first bit changes, "in use" is set on disk (and
 * stable); it is taken back when all bits and the table are stable. So whoever finds it set knows
 * that the bits on disk are not to be trusted, and they may be written in place meanwhile.
 */
#ifndef FORMATS_QCOW2_BITMAP_H
#define FORMATS_QCOW2_BITMAP_H

#include <pthread.h>

#include "block/bitmap.h"
#include "formats/qcow2/qcow2.h"

/* "Bitmap directory", "Bitmap table" */
enum {
    BITMAP_EXTENSION = 24,
    BITMAP_ENTRY = 24,
    BITMAP_IN_USE = 1 << 0,
    BITMAP_AUTO = 1 << 1,
    BITMAP_EXTRA_COMPATIBLE = 1 << 2,
    BITMAP_KNOWN_FLAGS = BITMAP_IN_USE | BITMAP_AUTO | BITMAP_EXTRA_COMPATIBLE,
    BITMAP_DIRTY_TRACKING = 1,
    BITMAP_MIN_BITS = 9,
    BITMAP_MAX_BITS = 31,
};
#define BITMAP_TABLE_OFFSET   UINT64_C(0x00fffffffffffe00)
#define BITMAP_TABLE_RESERVED UINT64_C(0xff000000000001fe)
#define BITMAP_ALL_ONES       UINT64_C(1) /* a table entry without a place */

/* Caps */
enum {
    BITMAP_MAX_COUNT = 65535,
    BITMAP_MAX_NAME = 1023,
    BITMAP_MAX_EXTRA = 1024,
    BITMAP_MAX_DIRECTORY = 64 << 20,
    BITMAP_MAX_DATA = 512 << 20, /* bytes of bits */
    BITMAP_MAX_TABLE = 8 << 20,  /* bytes of table */
};

/* One cluster of bits. */
typedef struct BitmapChunk {
    uint64_t entry;            /* as the table on disk has it */
    _Atomic uint64_t now;      /* what it should be, as long as there are no words */
    _Atomic(uint64_t *) words; /* the bits in memory, as on disk (little endian); NULL: none */
    atomic_bool changed;       /* the words are not what is on disk */
} BitmapChunk;

typedef struct Bitmap {
    char *name;
    unsigned bits;          /* log2 of the granularity */
    _Atomic uint32_t flags; /* as on disk */
    uint8_t *extra;         /* kept */
    uint32_t extra_len;
    uint64_t table_off;
    uint32_t table_size; /* entries, on disk and in memory */
    uint64_t at;         /* of its entry in the directory */
    BitmapChunk *chunks; /* NULL: the table was not read yet */
    atomic_bool usable;  /* false: was in use, or has extra data that must be understood */
    _Atomic bool marked; /* we have set "in use" */
} Bitmap;

/* Tables of another length and a directory that names them, on disk but not in the header yet. */
typedef struct BitmapPlan {
    uint64_t dir_off, dir_bytes;
    struct BitmapPlace {
        uint64_t off;
        uint32_t size;
    } * tables; /* by bitmap; size 0: it keeps its table */
} BitmapPlan;

typedef struct Bitmaps {
    Bitmap *list;
    uint32_t count;
    uint64_t dir_off, dir_bytes;
    BitmapPlan plan;
    pthread_mutex_t lock; /* chunks, the "in use" mark; taken last of all locks */
} Bitmaps;

/* bitmap.c (change) */
/* A whole new directory from the list in memory, and the header that names it. */
int bitmap_dir_replace(Qcow2 *q);
/* Only write it, with the tables of the plan where that has some. */
int bitmap_dir_write(Qcow2 *q, const BitmapPlan *plan, uint64_t *off, uint64_t *bytes);
/* It is written and stable: name it in the header. The caller frees the old one. */
int bitmap_dir_adopt(Qcow2 *q, uint64_t off, uint64_t bytes);
/* One entry's flags, in place; stable on return. */
int bitmap_write_flags(Qcow2 *q, Bitmap *b, uint32_t flags);
Bitmap *bitmap_find(Qcow2 *q, const char *name);
void bitmap_clear(Bitmap *b);
/* Does the node have to tell us of writes? */
void bitmap_records(Qcow2 *q);
/* The entries that the table of a bitmap of this granularity needs. */
uint64_t bitmap_table_need(const Qcow2 *q, unsigned bits, uint64_t disk);
/* What is wrong with a directory entry (24 bytes), or NULL; caps included. */
const char *bitmap_entry_fault(const Qcow2 *q, const uint8_t *e);

/* bitmap-bits.c */
int bitmap_load_table(Qcow2 *q, Bitmap *b);                      /* (bitmaps' lock) */
int bitmap_set(Qcow2 *q, Bitmap *b, uint64_t off, uint64_t len); /* (none) */
int bitmap_run(Qcow2 *q, Bitmap *b, uint64_t off, uint64_t len, bool *dirty, uint64_t *run);
void bitmap_zero(Bitmap *b); /* (change) */
/* Nothing behind the disk's end is set any more. */
int bitmap_cut(Qcow2 *q, Bitmap *b, uint64_t disk); /* (change) */
int bitmap_mark(Qcow2 *q, Bitmap *b);               /* (change) */
/* All bits to disk, and "in use" taken back. */
int bitmap_store(Qcow2 *q, Bitmap *b); /* (change) */
/* A table of `size` entries with what the disk has of the old one, in new space. */
int bitmap_new_table(Qcow2 *q, const Bitmap *b, uint32_t size, uint64_t *off); /* (change) */
void bitmap_free_chunks(Bitmap *b);
/* The space of table and bits is not needed any more. */
void bitmap_free_space(Qcow2 *q, const Bitmap *b);

#endif
