/*
 * link.h - a client's way to one export: its connections, and what happens when they are lost.
 *
 * Several connections are used when the server says that they see the same (CAN_MULTI_CONN). When
 * one is lost, all are given up, so that a server that came back is never mistaken for the old one.
 *
 * With a reconnect delay, requests wait for a new connection and are made again; writes that were
 * not flushed are made again before them. Without, what was on its way fails, and so does every
 * later flush if acknowledged writes had not been flushed: nobody knows whether they survived.
 */
#ifndef BLOCK_NBD_LINK_H
#define BLOCK_NBD_LINK_H

#include "block/nbd/address.h"
#include "block/nbd/conn.h"

typedef struct NbdLink NbdLink;

enum { NBD_MAX_CONNS = 16 };

typedef struct NbdLinkOptions {
    NbdAddress address;
    char *export, *context, *hostname;
    const NbdTls *tls;
    bool writable;
    unsigned max_conns;
    uint64_t reconnect_ms, open_ms; /* how long to try again */
    unsigned timeout_ms;            /* no answer for so long: the connection is lost; 0: never */
} NbdLinkOptions;

/* `options` and what it points to must outlive the link. */
int nbd_link_open(const NbdLinkOptions *options, NbdLink **out, Error **err);
/* No request is on its way. */
void nbd_link_close(NbdLink *l);

const NbdExport *nbd_link_export(const NbdLink *l);

/* 0 or the server's -errno; -EIO: the server is lost. */
int nbd_link_call(NbdLink *l, NbdCall *call);
int nbd_link_flush(NbdLink *l);

#endif
