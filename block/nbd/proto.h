/*
 * proto.h - the NBD protocol's numbers and its fixed-size messages, for client and server.
 *
 * From the protocol's public specification (doc/proto.md of the NetworkBlockDevice project), which
 * all integers follow in network order. Decoding judges the magic number only; who receives a
 * message bounds its fields before using them.
 */
#ifndef BLOCK_NBD_PROTO_H
#define BLOCK_NBD_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#define NBD_PORT "10809"

/* ---- handshake and options ---- */

#define NBD_MAGIC        UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_OLD_MAGIC    UINT64_C(0x0000420281861253) /* oldstyle: no options */
#define NBD_REPLY_MAGIC  UINT64_C(0x0003e889045565a9)

/* both sides' handshake flags */
enum { NBD_FIXED_NEWSTYLE = 1 << 0, NBD_NO_ZEROES = 1 << 1 };

enum {
    NBD_OPT_EXPORT_NAME = 1,
    NBD_OPT_ABORT = 2,
    NBD_OPT_LIST = 3,
    NBD_OPT_STARTTLS = 5,
    NBD_OPT_INFO = 6,
    NBD_OPT_GO = 7,
    NBD_OPT_STRUCTURED_REPLY = 8,
    NBD_OPT_LIST_META_CONTEXT = 9,
    NBD_OPT_SET_META_CONTEXT = 10,
};

#define NBD_REP_ERROR (UINT32_C(1) << 31)
enum {
    NBD_REP_ACK = 1,
    NBD_REP_SERVER = 2,
    NBD_REP_INFO = 3,
    NBD_REP_META_CONTEXT = 4,
};
#define NBD_REP_ERR_UNSUP           (NBD_REP_ERROR + 1)
#define NBD_REP_ERR_POLICY          (NBD_REP_ERROR + 2)
#define NBD_REP_ERR_INVALID         (NBD_REP_ERROR + 3)
#define NBD_REP_ERR_PLATFORM        (NBD_REP_ERROR + 4)
#define NBD_REP_ERR_TLS_REQD        (NBD_REP_ERROR + 5)
#define NBD_REP_ERR_UNKNOWN         (NBD_REP_ERROR + 6)
#define NBD_REP_ERR_SHUTDOWN        (NBD_REP_ERROR + 7)
#define NBD_REP_ERR_BLOCK_SIZE_REQD (NBD_REP_ERROR + 8)
#define NBD_REP_ERR_TOO_BIG         (NBD_REP_ERROR + 9)

enum {
    NBD_INFO_EXPORT = 0,
    NBD_INFO_NAME = 1,
    NBD_INFO_DESCRIPTION = 2,
    NBD_INFO_BLOCK_SIZE = 3,
};

/* what an export can do */
enum {
    NBD_FLAG_HAS_FLAGS = 1 << 0,
    NBD_FLAG_READ_ONLY = 1 << 1,
    NBD_FLAG_SEND_FLUSH = 1 << 2,
    NBD_FLAG_SEND_FUA = 1 << 3,
    NBD_FLAG_ROTATIONAL = 1 << 4,
    NBD_FLAG_SEND_TRIM = 1 << 5,
    NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6,
    NBD_FLAG_SEND_DF = 1 << 7,
    NBD_FLAG_CAN_MULTI_CONN = 1 << 8,
    NBD_FLAG_SEND_RESIZE = 1 << 9,
    NBD_FLAG_SEND_CACHE = 1 << 10,
    NBD_FLAG_SEND_FAST_ZERO = 1 << 11,
};

/* ---- transmission ---- */

enum {
    NBD_REQUEST_MAGIC = 0x25609513,
    NBD_SIMPLE_MAGIC = 0x67446698,
    NBD_CHUNK_MAGIC = 0x668e33ef
};

typedef enum {
    NBD_CMD_READ = 0,
    NBD_CMD_WRITE = 1,
    NBD_CMD_DISC = 2,
    NBD_CMD_FLUSH = 3,
    NBD_CMD_TRIM = 4,
    NBD_CMD_CACHE = 5,
    NBD_CMD_WRITE_ZEROES = 6,
    NBD_CMD_BLOCK_STATUS = 7,
} NbdCommand;

enum {
    NBD_CMD_FLAG_FUA = 1 << 0,
    NBD_CMD_FLAG_NO_HOLE = 1 << 1,
    NBD_CMD_FLAG_DF = 1 << 2,
    NBD_CMD_FLAG_REQ_ONE = 1 << 3,
    NBD_CMD_FLAG_FAST_ZERO = 1 << 4,
};

enum { NBD_CHUNK_DONE = 1 << 0 };
#define NBD_CHUNK_ERROR_BIT (1 << 15)
enum {
    NBD_CHUNK_NONE = 0,
    NBD_CHUNK_DATA = 1,
    NBD_CHUNK_HOLE = 2,
    NBD_CHUNK_STATUS = 5,
    NBD_CHUNK_ERROR = NBD_CHUNK_ERROR_BIT + 1,
    NBD_CHUNK_ERROR_OFFSET = NBD_CHUNK_ERROR_BIT + 2,
};

/* base:allocation */
enum { NBD_STATE_HOLE = 1 << 0, NBD_STATE_ZERO = 1 << 1 };
/* qemu:dirty-bitmap:NAME */
enum { NBD_STATE_DIRTY = 1 << 0 };

/* ---- bounds: what either side takes from the other ---- */

enum {
    NBD_MAX_STRING = 4096,       /* names of exports and contexts, descriptions, error texts */
    NBD_MAX_PAYLOAD = 32 << 20,  /* that we send or ask for at once, and tell others */
    NBD_TAKE_PAYLOAD = 64 << 20, /* that we take from clients that do not ask */
    NBD_MAX_STATUS = 1 << 17,    /* extents in one answer */
};

/* ---- fixed-size messages ---- */

enum { NBD_REQUEST_BYTES = 28, NBD_SIMPLE_BYTES = 16, NBD_CHUNK_BYTES = 20 };
enum { NBD_OPTION_BYTES = 16, NBD_OPTION_REPLY_BYTES = 20 };

typedef struct NbdRequest {
    uint16_t flags, type;
    uint64_t cookie, off;
    uint32_t len;
} NbdRequest;

typedef struct NbdOptionReply {
    uint32_t option, type, len;
} NbdOptionReply;

/* The head of an answer: a simple one, or a chunk of a structured one. */
typedef struct NbdReply {
    bool structured;
    uint64_t cookie;
    uint32_t error; /* simple */
    uint16_t flags, type;
    uint32_t len;
} NbdReply;

void nbd_put_request(uint8_t out[NBD_REQUEST_BYTES], const NbdRequest *r);
bool nbd_get_request(const uint8_t in[NBD_REQUEST_BYTES], NbdRequest *r);

void nbd_put_option(uint8_t out[NBD_OPTION_BYTES], uint32_t option, uint32_t len);
bool nbd_get_option(const uint8_t in[NBD_OPTION_BYTES], uint32_t *option, uint32_t *len);

void nbd_put_option_reply(uint8_t out[NBD_OPTION_REPLY_BYTES], const NbdOptionReply *r);
bool nbd_get_option_reply(const uint8_t in[NBD_OPTION_REPLY_BYTES], NbdOptionReply *r);

/* Simple answers have NBD_SIMPLE_BYTES, chunks NBD_CHUNK_BYTES. The number of bytes written. */
unsigned nbd_put_reply(uint8_t out[NBD_CHUNK_BYTES], const NbdReply *r);
/* How long the head is by its first four bytes; 0: it is neither. */
unsigned nbd_reply_bytes(const uint8_t magic[4]);
/* `in` has nbd_reply_bytes(). */
void nbd_get_reply(const uint8_t *in, NbdReply *r);

/* The protocol's error for -errno, and back (always negative). */
uint32_t nbd_error_from_errno(int ret);
int nbd_error_to_errno(uint32_t error);

const char *nbd_option_name(uint32_t option);
const char *nbd_command_name(uint16_t type);

#endif
