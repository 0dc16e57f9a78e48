/*
 * display.h - what a display adapter draws into and what screens, VNC and screendump look at.
 *
 * A Display is one console. The adapter (producer) draws into its surface when asked by
 * display_refresh(); in text mode it also keeps the characters, for consumers that want letters.
 * Consumers are told what changed.
 */
#ifndef HW_CORE_DISPLAY_H
#define HW_CORE_DISPLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { DISPLAY_MAX_WIDTH = 8192, DISPLAY_MAX_HEIGHT = 8192 };

typedef struct Display Display;

typedef struct DisplayProducer {
    void (*refresh)(void *adapter);    /* draw what changed, then display_changed() */
    void (*invalidate)(void *adapter); /* the next refresh draws everything */
} DisplayProducer;

typedef struct DisplayConsumer {
    void (*changed)(void *opaque, int x, int y, int width, int height);
    void (*resized)(void *opaque); /* size or text mode; the surface was replaced */
    void *opaque;
    struct DisplayConsumer *next;
} DisplayConsumer;

struct Display {
    int width, height; /* pixels */
    int stride;        /* pixels from one line to the next */
    uint32_t *pixels;  /* 0x00RRGGBB, host byte order */
    bool text;         /* the fields below hold a text screen */
    int columns, rows;
    uint16_t *cells; /* character in bits 0-7 (code page 437), VGA attribute in 8-15 */
    int cursor;      /* cell, or -1 when it is hidden */
    const DisplayProducer *producer;
    void *adapter;
    DisplayConsumer *consumers;
};

Display *display_new(void); /* starts as 640x400, black */
void display_free(Display *d);

/* For the adapter. Resizing keeps nothing; -ENOMEM or -EINVAL leaves the old surface. */
void display_set_producer(Display *d, const DisplayProducer *producer, void *adapter);
int display_resize(Display *d, int width, int height);
int display_set_text(Display *d, int columns, int rows); /* 0, 0: a graphics mode */
void display_changed(Display *d, int x, int y, int width, int height);

/* For consumers. */
void display_add_consumer(Display *d, DisplayConsumer *consumer);
void display_remove_consumer(Display *d, DisplayConsumer *consumer);
void display_refresh(Display *d);
int display_write_ppm(Display *d, FILE *out); /* screendump: refreshes first */

#endif
