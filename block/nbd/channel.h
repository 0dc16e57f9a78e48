/*
 * channel.h - a byte stream to the other side: a connected socket, plain or under TLS.
 *
 * One thread may read while another writes. Transfers are whole or an error: -ETIMEDOUT when
 * nothing moved for the timeout (or the deadline has come), -ENODATA when the other side ended the
 * stream before the first byte, -ECONNRESET when it ended within. After an error the channel is of
 * no further use.
 */
#ifndef BLOCK_NBD_CHANNEL_H
#define BLOCK_NBD_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

typedef struct NbdChannel NbdChannel;
typedef struct NbdTls NbdTls;

/* Owns the connected socket `fd` from now on, whatever it returns. NULL: no memory. */
NbdChannel *nbd_channel_new(int fd);
void nbd_channel_free(NbdChannel *ch);
/* Ends a plain channel but not its socket, which is returned. Nothing was read ahead. */
int nbd_channel_release(NbdChannel *ch);

/* How long to wait when nothing moves; 0: for ever. */
void nbd_channel_set_timeout(NbdChannel *ch, unsigned timeout_ms);
/* All transfers until the next call end in so many milliseconds, together; 0: no such limit. */
void nbd_channel_set_deadline(NbdChannel *ch, unsigned in_ms);

int nbd_channel_read(NbdChannel *ch, void *buf, size_t len);
int nbd_channel_readv(NbdChannel *ch, const struct iovec *iov, int iovcnt);
int nbd_channel_skip(NbdChannel *ch, uint64_t len);
/* Changes what `iov` says as it goes. */
int nbd_channel_writev(NbdChannel *ch, struct iovec *iov, int iovcnt);
int nbd_channel_write(NbdChannel *ch, const void *buf, size_t len);

/* From any thread: no more is read, or nothing moves any more; who waits for it gets an error. */
void nbd_channel_shutdown_read(NbdChannel *ch);
void nbd_channel_shutdown(NbdChannel *ch);

/*
 * Go on under TLS: as the server, or as a client that wants to talk to `hostname` (NULL: nobody to
 * verify). Nothing may have been read ahead: -EPROTO if the other side already sent more.
 */
int nbd_channel_start_tls(NbdChannel *ch, const NbdTls *tls, const char *hostname, Error **err);
/* The distinguished name of the other side's verified certificate, or NULL (the caller frees it).
 */
char *nbd_channel_peer_name(NbdChannel *ch);
/* Tell the other side that the stream ends here on purpose. */
void nbd_channel_bye(NbdChannel *ch);

#endif
