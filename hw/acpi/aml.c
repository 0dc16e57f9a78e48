/*
 * aml.c - AML terms, packages and resource descriptors (ACPI 6.4, sections 20.2 and 6.4).
 */
#include "hw/acpi/aml.h"

#include <stdlib.h>
#include <string.h>

#include "base/math.h"

/* --- bytes -------------------------------------------------------------------------------- */

void aml_free(Aml *a)
{
    free(a->data);
    *a = (Aml) { 0 };
}

static bool make_room(Aml *a, size_t more)
{
    if (a->failed)
        return false;
    if (a->size + more <= a->capacity)
        return true;
    size_t capacity = MAX(2 * a->capacity, a->size + more + 256);
    uint8_t *data = realloc(a->data, capacity);

    a->failed = !data;
    if (!data)
        return false;
    a->data = data;
    a->capacity = capacity;
    return true;
}

void aml_bytes(Aml *a, const void *data, size_t size)
{
    if (!make_room(a, size) || !size)
        return;
    memcpy(a->data + a->size, data, size);
    a->size += size;
}

void aml_byte(Aml *a, uint8_t value)
{
    aml_bytes(a, &value, 1);
}

void aml_le(Aml *a, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        aml_byte(a, value >> 8 * i);
}

/* --- terms -------------------------------------------------------------------------------- */

static void name_segment(Aml *a, const char *s, size_t len)
{
    for (size_t i = 0; i < 4; i++)
        aml_byte(a, i < len ? s[i] : '_');
}

void aml_name(Aml *a, const char *name)
{
    unsigned segments = 1;

    while (*name == '\\' || *name == '^')
        aml_byte(a, *name++);
    for (const char *p = name; *p; p++)
        segments += *p == '.';
    if (!*name) {
        aml_byte(a, 0); /* the root alone */
        return;
    }
    if (segments == 2) {
        aml_byte(a, 0x2e);
    } else if (segments > 2) {
        aml_byte(a, 0x2f);
        aml_byte(a, segments);
    }
    while (*name) {
        size_t len = strcspn(name, ".");

        name_segment(a, name, len);
        name += len + (name[len] == '.');
    }
}

void aml_int(Aml *a, uint64_t value)
{
    if (value <= 1) {
        aml_byte(a, value);
    } else if (value <= UINT8_MAX) {
        aml_byte(a, 0x0a);
        aml_le(a, value, 1);
    } else if (value <= UINT16_MAX) {
        aml_byte(a, 0x0b);
        aml_le(a, value, 2);
    } else if (value <= UINT32_MAX) {
        aml_byte(a, 0x0c);
        aml_le(a, value, 4);
    } else {
        aml_byte(a, 0x0e);
        aml_le(a, value, 8);
    }
}

void aml_string(Aml *a, const char *text)
{
    aml_byte(a, 0x0d);
    aml_bytes(a, text, strlen(text) + 1);
}

static unsigned hex_digit(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Three letters of five bits, four hex digits; the whole is stored with its bytes swapped. */
void aml_eisa_id(Aml *a, const char *id)
{
    uint32_t v = (id[0] - 0x40) << 26 | (id[1] - 0x40) << 21 | (id[2] - 0x40) << 16;

    for (int i = 0; i < 4; i++)
        v |= hex_digit(id[3 + i]) << 4 * (3 - i);
    aml_byte(a, 0x0c);
    aml_le(a, __builtin_bswap32(v), 4);
}

void aml_name_decl(Aml *a, const char *name)
{
    aml_byte(a, 0x08);
    aml_name(a, name);
}

void aml_name_int(Aml *a, const char *name, uint64_t value)
{
    aml_name_decl(a, name);
    aml_int(a, value);
}

void aml_hid(Aml *a, const char *eisa_id)
{
    aml_name_decl(a, "_HID");
    aml_eisa_id(a, eisa_id);
}

/* --- objects with a length ---------------------------------------------------------------- */

/* PkgLength counts itself when `counts_itself`: 1 byte up to 63, else 4 bits and 1..3 more bytes.
 */
static unsigned encode_length(uint8_t *out, size_t length, bool counts_itself)
{
    unsigned n = 1;

    while (n < 4 && length + (counts_itself ? n : 0) >= (n == 1 ? 64u : 1u << (4 + 8 * (n - 1))))
        n++;
    if (counts_itself)
        length += n;
    if (n == 1) {
        out[0] = length;
        return 1;
    }
    out[0] = (n - 1) << 6 | (length & 15);
    for (unsigned i = 1; i < n; i++)
        out[i] = length >> (4 + 8 * (i - 1));
    return n;
}

void aml_close(Aml *a, size_t open)
{
    uint8_t length[4];
    unsigned n = encode_length(length, a->size - open, true);

    if (!make_room(a, n))
        return;
    memmove(a->data + open + n, a->data + open, a->size - open);
    memcpy(a->data + open, length, n);
    a->size += n;
}

size_t aml_scope(Aml *a, const char *name)
{
    aml_byte(a, 0x10);
    size_t open = a->size;
    aml_name(a, name);
    return open;
}

size_t aml_device(Aml *a, const char *name)
{
    aml_bytes(a, "\x5b\x82", 2);
    size_t open = a->size;
    aml_name(a, name);
    return open;
}

size_t aml_method(Aml *a, const char *name, unsigned args)
{
    enum { SERIALIZED = 8 };

    aml_byte(a, 0x14);
    size_t open = a->size;
    aml_name(a, name);
    aml_byte(a, args | SERIALIZED);
    return open;
}

size_t aml_package(Aml *a, uint8_t elements)
{
    aml_byte(a, 0x12);
    size_t open = a->size;
    aml_byte(a, elements);
    return open;
}

size_t aml_if(Aml *a)
{
    aml_byte(a, 0xa0);
    return a->size;
}

size_t aml_field(Aml *a, const char *region, uint8_t flags)
{
    aml_bytes(a, "\x5b\x81", 2);
    size_t open = a->size;
    aml_name(a, region);
    aml_byte(a, flags);
    return open;
}

void aml_field_unit(Aml *a, const char *name, unsigned bits)
{
    uint8_t length[4];

    name_segment(a, name, strlen(name));
    aml_bytes(a, length, encode_length(length, bits, false));
}

void aml_region(Aml *a, const char *name, uint8_t space, uint64_t offset, uint64_t length)
{
    aml_bytes(a, "\x5b\x80", 2);
    aml_name(a, name);
    aml_byte(a, space);
    aml_int(a, offset);
    aml_int(a, length);
}

/* --- resource descriptors (section 6.4) --------------------------------------------------- */

void aml_resources(Aml *a, Aml *r)
{
    aml_bytes(r, "\x79\x00", 2); /* end tag; checksum 0: do not check */
    aml_byte(a, 0x11);
    size_t open = a->size;
    aml_int(a, r->size);
    aml_bytes(a, r->data, r->size);
    aml_close(a, open);
    a->failed |= r->failed;
    aml_free(r);
}

void res_io(Aml *r, uint16_t base, uint8_t length)
{
    aml_bytes(r, "\x47\x01", 2); /* 16-bit decode */
    aml_le(r, base, 2);
    aml_le(r, base, 2);
    aml_byte(r, 1);
    aml_byte(r, length);
}

void res_irq(Aml *r, unsigned irq)
{
    aml_byte(r, 0x22);
    aml_le(r, 1u << irq, 2);
}

void res_interrupts(Aml *r, const uint32_t *irqs, uint8_t count)
{
    aml_byte(r, 0x89);
    aml_le(r, 2 + 4 * count, 2);
    aml_byte(r, 0x09); /* consumer, level, active high, shared */
    aml_byte(r, count);
    for (unsigned i = 0; i < count; i++)
        aml_le(r, irqs[i], 4);
}

void res_memory32(Aml *r, uint32_t base, uint32_t length, bool writable)
{
    aml_byte(r, 0x86);
    aml_le(r, 9, 2);
    aml_byte(r, writable);
    aml_le(r, base, 4);
    aml_le(r, length, 4);
}

/* Address space descriptor: `type` 0 memory, 1 I/O, 2 bus numbers; both ends fixed, producer. */
static void address_range(Aml *r, unsigned width, uint8_t type, uint8_t flags, uint64_t first,
                          uint64_t last)
{
    aml_byte(r, width == 2 ? 0x88 : 0x87);
    aml_le(r, 3 + 5 * width, 2);
    aml_byte(r, type);
    aml_byte(r, 0x0c);
    aml_byte(r, flags);
    aml_le(r, 0, width); /* granularity */
    aml_le(r, first, width);
    aml_le(r, last, width);
    aml_le(r, 0, width); /* translation */
    aml_le(r, last - first + 1, width);
}

void res_bus_range(Aml *r, uint16_t first, uint16_t last)
{
    address_range(r, 2, 2, 0, first, last);
}

void res_io_range(Aml *r, uint16_t first, uint16_t last)
{
    address_range(r, 2, 1, 3, first, last); /* whole range, ISA and not */
}

void res_memory_range(Aml *r, uint32_t first, uint32_t last)
{
    address_range(r, 4, 0, 1, first, last); /* read-write, not cacheable */
}
