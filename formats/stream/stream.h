/*
 * stream.h - files that hold one compressed stream (gzip, xz, zstd, bzip2), shown unpacked.
 *
 * Such a node lies between the file and the image's format. It is read-only. There are two ways:
 *
 *   parts.c  The codec can say where independent parts begin and how long they are (blocks of xz,
 *            frames of zstd) and none is large: a read unpacks what it needs, on several threads,
 *            and the parts used last stay in memory.
 *   spool.c  Otherwise the stream is unpacked once, from the start, into a nameless temporary file
 * by a thread of its own; a read waits until the thread has come that far.
 */
#ifndef FORMATS_STREAM_H
#define FORMATS_STREAM_H

#include "block/driver.h"

enum {
    STREAM_INPUT = 256 << 10,        /* bytes read at once */
    STREAM_PART_MAX = 64 << 20,      /* a larger part is not kept in memory whole */
    STREAM_PARTS_MEMORY = 256 << 20, /* all kept parts together */
    STREAM_MAX_PARTS = 16 << 20,
    STREAM_DECODER_MEMORY = 512 << 20, /* what a decoder may ask for (xz dictionaries) */
};

/* A part that can be unpacked on its own. */
typedef struct Part {
    uint64_t off, len;    /* in the unpacked data */
    uint64_t pos, packed; /* in the file */
    uint64_t aux;         /* the codec's own */
} Part;

typedef struct PartList {
    Part *list; /* by `off`, without gaps */
    size_t count, room;
    uint64_t size;    /* of the unpacked data, if it is known */
    bool size_known;  /* the file says so for all of it */
    uint64_t largest; /* unpacked part */
} PartList;

/* What the decoder takes from and gives to. */
typedef struct Feed {
    const uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_len;
    bool last; /* there is no more input behind `in` */
} Feed;

typedef struct Codec {
    const char *name;
    uint8_t magic[6];
    uint8_t magic_len;

    /* Find the parts and the size, cheaply. Without it, or if it finds none: a spool. */
    int (*index)(Node *file, PartList *parts, Error **err);
    /* One whole part; -EINVAL: damaged. Called on any thread. */
    int (*unpack)(const Part *part, const uint8_t *packed, uint8_t *out);

    /* The whole stream from its start. step() moves what it can: 1 at the end, 0 more to do. */
    int (*begin)(void **decoder);
    int (*step)(void *decoder, Feed *feed);
    void (*end)(void *decoder);
} Codec;

extern const Codec gzip_codec, xz_codec, zstd_codec, bzip2_codec;

/* Says what is wrong with the data behind `off`, if `ret` is a codec's; returns the code for
 * readers. */
int stream_damaged(const Codec *codec, const Node *file, uint64_t off, int ret);

/* Appends a part behind those that are there; -EFBIG beyond the caps. */
int part_add(PartList *parts, uint64_t len, uint64_t pos, uint64_t packed, uint64_t aux);

/* parts.c; takes the list over */
typedef struct Unpacker Unpacker;
Unpacker *unpacker_new(const Codec *codec, Node *file, PartList *parts);
void unpacker_free(Unpacker *u);
int unpacker_read(Unpacker *u, const struct iovec *iov, int iovcnt, uint64_t off, size_t len);

/* spool.c; with a known size it returns at once, else when all is unpacked and *size is known */
typedef struct Spool Spool;
int spool_open(const Codec *codec, Node *file, bool size_known, uint64_t *size, Spool **out,
               Error **err);
void spool_close(Spool *s);
int spool_read(Spool *s, const struct iovec *iov, int iovcnt, uint64_t off, size_t len);

#endif
