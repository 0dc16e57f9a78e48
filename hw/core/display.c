/*
 * display.c - one console: surface, text cells, consumers, screendump.
 */
#include "hw/core/display.h"

#include <errno.h>
#include <stdlib.h>

Display *display_new(void)
{
    Display *d = calloc(1, sizeof(*d));

    if (d && display_resize(d, 640, 400) < 0) {
        free(d);
        d = NULL;
    }
    return d;
}

void display_free(Display *d)
{
    if (!d)
        return;
    free(d->pixels);
    free(d->cells);
    free(d);
}

void display_set_producer(Display *d, const DisplayProducer *producer, void *adapter)
{
    d->producer = producer;
    d->adapter = adapter;
}

static void notify_resized(Display *d)
{
    for (DisplayConsumer *c = d->consumers; c; c = c->next)
        if (c->resized)
            c->resized(c->opaque);
}

int display_resize(Display *d, int width, int height)
{
    if (width < 1 || height < 1 || width > DISPLAY_MAX_WIDTH || height > DISPLAY_MAX_HEIGHT)
        return -EINVAL;
    if (d->pixels && width == d->width && height == d->height)
        return 0;
    uint32_t *pixels = calloc((size_t)width * height, sizeof(*pixels));
    if (!pixels)
        return -ENOMEM;
    free(d->pixels);
    d->pixels = pixels;
    d->width = d->stride = width;
    d->height = height;
    notify_resized(d);
    return 0;
}

int display_set_text(Display *d, int columns, int rows)
{
    if (columns < 0 || rows < 0 || columns > 256 || rows > 256)
        return -EINVAL;
    if (columns == d->columns && rows == d->rows)
        return 0;
    uint16_t *cells = calloc((size_t)columns * rows + 1, sizeof(*cells));
    if (!cells)
        return -ENOMEM;
    free(d->cells);
    d->cells = cells;
    d->columns = columns;
    d->rows = rows;
    d->text = columns && rows;
    d->cursor = -1;
    notify_resized(d);
    return 0;
}

void display_changed(Display *d, int x, int y, int width, int height)
{
    for (DisplayConsumer *c = d->consumers; c; c = c->next)
        if (c->changed)
            c->changed(c->opaque, x, y, width, height);
}

void display_add_consumer(Display *d, DisplayConsumer *consumer)
{
    consumer->next = d->consumers;
    d->consumers = consumer;
    if (d->producer && d->producer->invalidate)
        d->producer->invalidate(d->adapter);
}

void display_remove_consumer(Display *d, DisplayConsumer *consumer)
{
    for (DisplayConsumer **p = &d->consumers; *p; p = &(*p)->next) {
        if (*p == consumer) {
            *p = consumer->next;
            return;
        }
    }
}

void display_refresh(Display *d)
{
    if (d->producer && d->producer->refresh)
        d->producer->refresh(d->adapter);
}

int display_write_ppm(Display *d, FILE *out)
{
    display_refresh(d);
    fprintf(out, "P6\n%d %d\n255\n", d->width, d->height);
    for (int y = 0; y < d->height; y++) {
        const uint32_t *line = d->pixels + (size_t)y * d->stride;

        for (int x = 0; x < d->width; x++) {
            fputc(line[x] >> 16 & 0xff, out);
            fputc(line[x] >> 8 & 0xff, out);
            fputc(line[x] & 0xff, out);
        }
    }
    return fflush(out) || ferror(out) ? -EIO : 0;
}
