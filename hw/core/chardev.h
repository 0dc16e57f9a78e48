/*
 * chardev.h - a stream of bytes between a device (the front) and the outside (the back).
 *
 * Back ends (stdio, file, pty, socket, ...) live in emulator/ and embed a Chardev; devices get a
 * pointer to it, or NULL for a line that nobody listens to. Each side fills its own half.
 */
#ifndef HW_CORE_CHARDEV_H
#define HW_CORE_CHARDEV_H

#include <stddef.h>
#include <stdint.h>

typedef enum { CHARDEV_OPENED, CHARDEV_CLOSED, CHARDEV_BREAK } ChardevEvent;

typedef struct ChardevFront {
    size_t (*can_receive)(void *front); /* how many bytes would be taken now */
    void (*receive)(void *front, const uint8_t *buf, size_t len);
    void (*event)(void *front, ChardevEvent event);
    void (*writable)(void *front); /* after a short write: there is room again */
} ChardevFront;

typedef struct Chardev Chardev;

typedef struct ChardevBack {
    size_t (*write)(Chardev *chr, const uint8_t *buf, size_t len); /* how many were taken */
    void (*accept_input)(Chardev *chr);                            /* the front can receive again */
    void (*set_break)(Chardev *chr, int on);
} ChardevBack;

struct Chardev {
    const ChardevBack *back;
    const ChardevFront *front; /* NULL until a device attaches itself */
    void *front_opaque;
};

/* For devices; each accepts NULL. chardev_write() into nothing takes everything. */
void chardev_attach(Chardev *chr, const ChardevFront *front, void *opaque);
size_t chardev_write(Chardev *chr, const uint8_t *buf, size_t len);
void chardev_accept_input(Chardev *chr);
void chardev_set_break(Chardev *chr, int on);

/* For back ends. Never hand over more than chardev_can_receive() says. */
size_t chardev_can_receive(Chardev *chr);
void chardev_receive(Chardev *chr, const uint8_t *buf, size_t len);
void chardev_event(Chardev *chr, ChardevEvent event);
void chardev_writable(Chardev *chr);

#endif
