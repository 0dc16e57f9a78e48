/*
 * device.h - what all devices have in common: a name, a reset, and one table of saved fields.
 *
 * The table lists what reset and snapshots cover; wiring (lines, clocks, maps) is not in it.
 * VM snapshots write fields by name, so a field may be added later with a higher `since`.
 * All device state is guarded by one machine lock, owned by the emulator: every function of hw/
 * assumes that its caller holds it.
 */
#ifndef HW_CORE_DEVICE_H
#define HW_CORE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef enum { FIELD_UINT, FIELD_BOOL, FIELD_BYTES, FIELD_TIMER } FieldKind;

typedef struct SavedField {
    const char *name;
    size_t offset;
    size_t size;  /* of one element: 1, 2, 4, 8 for integers; the array for FIELD_BYTES */
    size_t count; /* elements of an array, or 1 */
    FieldKind kind;
    unsigned since; /* version of the device that brought it; 0: always there */
} SavedField;

#define FIELD_SIZE_(type, field) sizeof(((type *)NULL)->field)
#define FIELD_KIND_(type, field)                                                                   \
    (__builtin_types_compatible_p(__typeof__(((type *)NULL)->field), bool) ? FIELD_BOOL            \
                                                                           : FIELD_UINT)

/* An integer or bool; an array of them; raw bytes; a Timer (its expiry, or not armed). */
#define SAVED(type, field)                                                                         \
    {                                                                                              \
#field, offsetof(type, field), FIELD_SIZE_(type, field), 1, FIELD_KIND_(type, field), 0    \
    }
#define SAVED_ARRAY(type, field)                                                                   \
    {                                                                                              \
#field, offsetof(type, field), FIELD_SIZE_(type, field[0]),                                \
            FIELD_SIZE_(type, field) / FIELD_SIZE_(type, field[0]), FIELD_UINT, 0                  \
    }
#define SAVED_BYTES(type, field)                                                                   \
    {                                                                                              \
#field, offsetof(type, field), FIELD_SIZE_(type, field), 1, FIELD_BYTES, 0                 \
    }
#define SAVED_TIMER(type, field)                                                                   \
    {                                                                                              \
#field, offsetof(type, field), FIELD_SIZE_(type, field), 1, FIELD_TIMER, 0                 \
    }
#define SAVED_END                                                                                  \
    {                                                                                              \
        NULL, 0, 0, 0, FIELD_UINT, 0                                                               \
    }

typedef struct DeviceClass {
    const char *name;
    unsigned version;
    void (*reset)(void *dev);   /* to the state after power-on; lines follow */
    int (*loaded)(void *dev);   /* fields came from a snapshot: check them, drive the lines */
    void (*destroy)(void *dev); /* free what the device allocated, and itself */
    const SavedField *fields;   /* ends with SAVED_END; NULL: nothing to save */
} DeviceClass;

typedef struct Device {
    const DeviceClass *cls;
    void *state; /* what the functions of cls get */
    struct Device *next;
} Device;

/* The devices of a machine, in the order in which they were added. */
typedef struct DeviceList {
    Device *first, **end;
} DeviceList;

void device_list_init(DeviceList *list);
void device_add(DeviceList *list, Device *dev, const DeviceClass *cls, void *state);
void device_reset_all(DeviceList *list);
void device_destroy_all(DeviceList *list);

/*
 * Saved fields as bytes: little-endian integers in table order. device_save() returns how many
 * bytes the state takes, and fills `buf` if that many fit into `size`. device_load() refuses
 * another length.
 */
size_t device_save(const Device *dev, uint8_t *buf, size_t size);
int device_load(Device *dev, const uint8_t *buf, size_t size, Error **err);

#endif
