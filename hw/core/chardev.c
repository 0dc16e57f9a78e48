/*
 * chardev.c - forwarding between the two halves of a character device.
 */
#include "hw/core/chardev.h"

void chardev_attach(Chardev *chr, const ChardevFront *front, void *opaque)
{
    if (!chr)
        return;
    chr->front = front;
    chr->front_opaque = opaque;
    chardev_accept_input(chr);
}

size_t chardev_write(Chardev *chr, const uint8_t *buf, size_t len)
{
    return chr && chr->back->write ? chr->back->write(chr, buf, len) : len;
}

void chardev_accept_input(Chardev *chr)
{
    if (chr && chr->back->accept_input)
        chr->back->accept_input(chr);
}

void chardev_set_break(Chardev *chr, int on)
{
    if (chr && chr->back->set_break)
        chr->back->set_break(chr, on);
}

size_t chardev_can_receive(Chardev *chr)
{
    return chr->front && chr->front->can_receive ? chr->front->can_receive(chr->front_opaque) : 0;
}

void chardev_receive(Chardev *chr, const uint8_t *buf, size_t len)
{
    if (chr->front && chr->front->receive)
        chr->front->receive(chr->front_opaque, buf, len);
}

void chardev_event(Chardev *chr, ChardevEvent event)
{
    if (chr->front && chr->front->event)
        chr->front->event(chr->front_opaque, event);
}

void chardev_writable(Chardev *chr)
{
    if (chr->front && chr->front->writable)
        chr->front->writable(chr->front_opaque);
}
