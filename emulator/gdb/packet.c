/*
 * packet.c - see packet.h ("Overview" and "Packet Acknowledgment" of the protocol).
 */
#include "emulator/gdb/packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/hex.h"

enum { CTRL_C = 3, ESCAPE = '}', ESCAPE_XOR = 0x20 };

/* -- sending */

static void send_raw(PacketLine *line, const char *text, size_t len)
{
    char *grown = realloc(line->out, line->out_len + len + 1);

    if (!grown)
        return;
    line->out = grown;
    memcpy(line->out + line->out_len, text, len);
    line->out_len += len;
    packet_flush(line);
}

void packet_flush(PacketLine *line)
{
    if (line->out_sent < line->out_len)
        line->out_sent += chardev_write(line->chr, (const uint8_t *)line->out + line->out_sent,
                                        line->out_len - line->out_sent);
}

void packet_send(PacketLine *line, const void *data, size_t len)
{
    AUTO_FREE char *frame = malloc(2 * len + 5);
    const uint8_t *in = data;
    size_t n = 0;
    uint8_t sum = 0;

    if (!frame)
        return;
    if (line->out_sent == line->out_len) /* what is left is only kept for a NAK */
        line->out_len = line->out_sent = 0;
    frame[n++] = '$';
    for (size_t i = 0; i < len; i++) {
        if (memchr("#$}*", in[i], 4)) {
            frame[n++] = ESCAPE;
            frame[n++] = (char)(in[i] ^ ESCAPE_XOR);
        } else {
            frame[n++] = (char)in[i];
        }
    }
    for (size_t i = 1; i < n; i++)
        sum = (uint8_t)(sum + (uint8_t)frame[i]);
    n += (size_t)sprintf(frame + n, "#%02x", sum);
    send_raw(line, frame, n);
}

void packet_text(PacketLine *line, const char *fmt, ...)
{
    AUTO_FREE char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n >= 0)
        packet_send(line, text, (size_t)n);
    else
        text = NULL;
}

void packet_reset(PacketLine *line)
{
    line->state = PACKET_IDLE;
    line->no_ack = false;
    line->out_len = line->out_sent = 0;
}

/* -- receiving */

static PacketEvent idle_byte(PacketLine *line, uint8_t byte)
{
    if (byte == CTRL_C)
        return PACKET_BREAK;
    if (byte == '-' && !line->no_ack) { /* the last packet again */
        line->out_sent = 0;
        packet_flush(line);
    }
    if (byte == '$') {
        line->state = PACKET_DATA;
        line->len = 0;
        line->sum = 0;
    }
    return PACKET_NONE;
}

static PacketEvent data_byte(PacketLine *line, uint8_t byte)
{
    bool escaped = line->state == PACKET_ESCAPED;

    if (byte == '#' && !escaped) {
        line->state = PACKET_SUM1;
        return PACKET_NONE;
    }
    line->sum = (uint8_t)(line->sum + byte);
    line->state = PACKET_DATA;
    if (byte == ESCAPE && !escaped)
        line->state = PACKET_ESCAPED;
    else if (line->len < PACKET_MAX)
        line->data[line->len++] = escaped ? byte ^ ESCAPE_XOR : byte;
    return PACKET_NONE;
}

PacketEvent packet_byte(PacketLine *line, uint8_t byte)
{
    switch (line->state) {
    case PACKET_IDLE: return idle_byte(line, byte);
    case PACKET_DATA:
    case PACKET_ESCAPED: return data_byte(line, byte);
    case PACKET_SUM1:
        line->told = (uint8_t)hex_digit((char)byte);
        line->state = PACKET_SUM2;
        return PACKET_NONE;
    default: break;
    }
    line->state = PACKET_IDLE;
    line->data[line->len] = '\0';
    bool good = (uint8_t)(line->told << 4 | (hex_digit((char)byte) & 15)) == line->sum;
    if (!line->no_ack) {
        if (line->out_sent == line->out_len)
            line->out_len = line->out_sent = 0;
        send_raw(line, good ? "+" : "-", 1);
    }
    return good || line->no_ack ? PACKET_READY : PACKET_NONE;
}
