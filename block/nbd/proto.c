/*
 * proto.c - see proto.h.
 */
#include "block/nbd/proto.h"

#include <errno.h>

#include "base/compiler.h"
#include "base/endian.h"

void nbd_put_request(uint8_t out[NBD_REQUEST_BYTES], const NbdRequest *r)
{
    put_be32(out, NBD_REQUEST_MAGIC);
    put_be16(out + 4, r->flags);
    put_be16(out + 6, r->type);
    put_be64(out + 8, r->cookie);
    put_be64(out + 16, r->off);
    put_be32(out + 24, r->len);
}

bool nbd_get_request(const uint8_t in[NBD_REQUEST_BYTES], NbdRequest *r)
{
    r->flags = get_be16(in + 4);
    r->type = get_be16(in + 6);
    r->cookie = get_be64(in + 8);
    r->off = get_be64(in + 16);
    r->len = get_be32(in + 24);
    return get_be32(in) == NBD_REQUEST_MAGIC;
}

void nbd_put_option(uint8_t out[NBD_OPTION_BYTES], uint32_t option, uint32_t len)
{
    put_be64(out, NBD_OPTION_MAGIC);
    put_be32(out + 8, option);
    put_be32(out + 12, len);
}

bool nbd_get_option(const uint8_t in[NBD_OPTION_BYTES], uint32_t *option, uint32_t *len)
{
    *option = get_be32(in + 8);
    *len = get_be32(in + 12);
    return get_be64(in) == NBD_OPTION_MAGIC;
}

void nbd_put_option_reply(uint8_t out[NBD_OPTION_REPLY_BYTES], const NbdOptionReply *r)
{
    put_be64(out, NBD_REPLY_MAGIC);
    put_be32(out + 8, r->option);
    put_be32(out + 12, r->type);
    put_be32(out + 16, r->len);
}

bool nbd_get_option_reply(const uint8_t in[NBD_OPTION_REPLY_BYTES], NbdOptionReply *r)
{
    r->option = get_be32(in + 8);
    r->type = get_be32(in + 12);
    r->len = get_be32(in + 16);
    return get_be64(in) == NBD_REPLY_MAGIC;
}

unsigned nbd_put_reply(uint8_t out[NBD_CHUNK_BYTES], const NbdReply *r)
{
    if (!r->structured) {
        put_be32(out, NBD_SIMPLE_MAGIC);
        put_be32(out + 4, r->error);
        put_be64(out + 8, r->cookie);
        return NBD_SIMPLE_BYTES;
    }
    put_be32(out, NBD_CHUNK_MAGIC);
    put_be16(out + 4, r->flags);
    put_be16(out + 6, r->type);
    put_be64(out + 8, r->cookie);
    put_be32(out + 16, r->len);
    return NBD_CHUNK_BYTES;
}

unsigned nbd_reply_bytes(const uint8_t magic[4])
{
    switch (get_be32(magic)) {
    case NBD_SIMPLE_MAGIC: return NBD_SIMPLE_BYTES;
    case NBD_CHUNK_MAGIC: return NBD_CHUNK_BYTES;
    default: return 0;
    }
}

void nbd_get_reply(const uint8_t *in, NbdReply *r)
{
    *r = (NbdReply) { .structured = get_be32(in) == NBD_CHUNK_MAGIC, .cookie = get_be64(in + 8) };
    if (!r->structured) {
        r->error = get_be32(in + 4);
        return;
    }
    r->flags = get_be16(in + 4);
    r->type = get_be16(in + 6);
    r->len = get_be32(in + 16);
}

/* The protocol fixes these numbers; they are Linux's. */
static const struct {
    uint32_t wire;
    int code;
} errors[] = {
    { 1, EPERM },   { 5, EIO },        { 12, ENOMEM },  { 22, EINVAL },
    { 28, ENOSPC }, { 75, EOVERFLOW }, { 95, ENOTSUP }, { 108, ESHUTDOWN },
};

uint32_t nbd_error_from_errno(int ret)
{
    switch (-ret) {
    case 0: return 0;
    case EACCES:
    case EROFS: return 1;
    case EFBIG:
    case EDQUOT: return 28;
    }
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (errors[i].code == -ret)
            return errors[i].wire;
    return 5;
}

int nbd_error_to_errno(uint32_t error)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (errors[i].wire == error)
            return -errors[i].code;
    return -EINVAL; /* as the specification asks for numbers that are not in it */
}

const char *nbd_option_name(uint32_t option)
{
    static const char *const names[] = {
        [NBD_OPT_EXPORT_NAME] = "EXPORT_NAME",
        [NBD_OPT_ABORT] = "ABORT",
        [NBD_OPT_LIST] = "LIST",
        [NBD_OPT_STARTTLS] = "STARTTLS",
        [NBD_OPT_INFO] = "INFO",
        [NBD_OPT_GO] = "GO",
        [NBD_OPT_STRUCTURED_REPLY] = "STRUCTURED_REPLY",
        [NBD_OPT_LIST_META_CONTEXT] = "LIST_META_CONTEXT",
        [NBD_OPT_SET_META_CONTEXT] = "SET_META_CONTEXT",
    };

    return option < ARRAY_LEN(names) && names[option] ? names[option] : "unknown";
}

const char *nbd_command_name(uint16_t type)
{
    static const char *const names[] = { "READ", "WRITE", "DISC",         "FLUSH",
                                         "TRIM", "CACHE", "WRITE_ZEROES", "BLOCK_STATUS" };

    return type < ARRAY_LEN(names) ? names[type] : "unknown";
}
