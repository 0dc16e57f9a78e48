/*
 * packet.h - frames of gdb's remote protocol: $data#checksum, acknowledged or not, with escapes.
 */
#ifndef EMULATOR_GDB_PACKET_H
#define EMULATOR_GDB_PACKET_H

#include <stdbool.h>

#include "hw/core/chardev.h"

enum { PACKET_MAX = 64 << 10 };

typedef struct PacketLine {
    Chardev *chr;
    bool no_ack;
    enum { PACKET_IDLE, PACKET_DATA, PACKET_ESCAPED, PACKET_SUM1, PACKET_SUM2 } state;
    uint8_t data[PACKET_MAX + 1]; /* a 0 follows */
    size_t len;
    uint8_t sum, told; /* computed, and the first digit that came */
    char *out;         /* what the back end did not take yet, and the last packet for a NAK */
    size_t out_len, out_sent;
} PacketLine;

typedef enum { PACKET_NONE, PACKET_READY, PACKET_BREAK } PacketEvent;

/* One byte came. PACKET_READY: `data` is a whole packet; PACKET_BREAK: Ctrl-C. */
PacketEvent packet_byte(PacketLine *line, uint8_t byte);

/* Send `len` bytes as a packet; bytes that need it are escaped. */
void packet_send(PacketLine *line, const void *data, size_t len);
void packet_text(PacketLine *line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The back end has room again. */
void packet_flush(PacketLine *line);
void packet_reset(PacketLine *line);

#endif
