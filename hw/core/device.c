/*
 * device.c - the machine's list of devices, and their saved fields as bytes.
 */
#include "hw/core/device.h"

#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "hw/core/clock.h"

void device_list_init(DeviceList *list)
{
    list->first = NULL;
    list->end = &list->first;
}

void device_add(DeviceList *list, Device *dev, const DeviceClass *cls, void *state)
{
    *dev = (Device) { .cls = cls, .state = state };
    *list->end = dev;
    list->end = &dev->next;
}

void device_reset_all(DeviceList *list)
{
    for (Device *dev = list->first; dev; dev = dev->next)
        dev->cls->reset(dev->state);
}

void device_destroy_all(DeviceList *list)
{
    for (Device *dev = list->first, *next; dev; dev = next) {
        next = dev->next;
        if (dev->cls->destroy)
            dev->cls->destroy(dev->state);
    }
    device_list_init(list);
}

/* --- saved fields ------------------------------------------------------------------------- */

static uint64_t load_uint(const void *p, size_t size)
{
    switch (size) {
    case 1: return *(const uint8_t *)p;
    case 2: return *(const uint16_t *)p;
    case 4: return *(const uint32_t *)p;
    default: return *(const uint64_t *)p;
    }
}

static void store_uint(void *p, size_t size, uint64_t value)
{
    switch (size) {
    case 1: *(uint8_t *)p = value; break;
    case 2: *(uint16_t *)p = value; break;
    case 4: *(uint32_t *)p = value; break;
    default: *(uint64_t *)p = value; break;
    }
}

static size_t field_bytes(const SavedField *f)
{
    return f->kind == FIELD_TIMER ? 8 : f->size * f->count;
}

static void field_save(const SavedField *f, const void *state, uint8_t *out)
{
    const uint8_t *p = (const uint8_t *)state + f->offset;
    const Timer *timer = (const Timer *)(const void *)p;
    uint8_t bytes[8];

    if (f->kind == FIELD_BYTES) {
        memcpy(out, p, f->size);
    } else if (f->kind == FIELD_TIMER) {
        put_le64(out, timer->armed ? timer->expires : CLOCK_NO_TIMER);
    } else {
        for (size_t i = 0; i < f->count; i++) {
            put_le64(bytes, load_uint(p + i * f->size, f->size));
            memcpy(out + i * f->size, bytes, f->size);
        }
    }
}

static void field_load(const SavedField *f, void *state, const uint8_t *in)
{
    uint8_t *p = (uint8_t *)state + f->offset;
    Timer *timer = (Timer *)(void *)p;

    if (f->kind == FIELD_BYTES) {
        memcpy(p, in, f->size);
    } else if (f->kind == FIELD_TIMER) {
        int64_t expires = get_le64(in);

        if (expires == CLOCK_NO_TIMER)
            timer_del(timer);
        else
            timer_mod(timer, expires);
    } else {
        for (size_t i = 0; i < f->count; i++) {
            uint8_t bytes[8] = { 0 };

            memcpy(bytes, in + i * f->size, f->size);
            uint64_t value = get_le64(bytes);
            store_uint(p + i * f->size, f->size, f->kind == FIELD_BOOL ? value != 0 : value);
        }
    }
}

static size_t saved_size(const DeviceClass *cls)
{
    size_t total = 0;

    for (const SavedField *f = cls->fields; f && f->name; f++)
        total += field_bytes(f);
    return total;
}

size_t device_save(const Device *dev, uint8_t *buf, size_t size)
{
    size_t total = saved_size(dev->cls);

    if (total > size)
        return total;
    for (const SavedField *f = dev->cls->fields; f && f->name; f++) {
        field_save(f, dev->state, buf);
        buf += field_bytes(f);
    }
    return total;
}

int device_load(Device *dev, const uint8_t *buf, size_t size, Error **err)
{
    size_t total = saved_size(dev->cls);

    if (size != total)
        return error_set(err, -EINVAL, "state of %s has %zu bytes, not %zu", dev->cls->name, size,
                         total);
    for (const SavedField *f = dev->cls->fields; f && f->name; f++) {
        field_load(f, dev->state, buf);
        buf += field_bytes(f);
    }
    int ret = dev->cls->loaded ? dev->cls->loaded(dev->state) : 0;
    return ret < 0 ? error_set(err, ret, "state of %s is not valid", dev->cls->name) : 0;
}
