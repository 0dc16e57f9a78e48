/*
 * aml.h - a small emitter for ACPI Machine Language (ACPI 6.4, section 20.2).
 *
 * Everything appends to a growing buffer. Objects that carry a length are opened and closed; close
 * puts the length in. After an allocation failed, the buffer stays as it is and `failed` is set:
 * checked once, at the end.
 */
#ifndef HW_ACPI_AML_H
#define HW_ACPI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Aml {
    uint8_t *data;
    size_t size, capacity;
    bool failed;
} Aml;

void aml_free(Aml *a);
void aml_bytes(Aml *a, const void *data, size_t size);
void aml_byte(Aml *a, uint8_t value);
void aml_le(Aml *a, uint64_t value, unsigned size); /* raw, not a term */

/* Terms. A name is up to many segments: "\\_SB.PCI0", "LNKA", each padded to four characters. */
void aml_name(Aml *a, const char *name);
void aml_int(Aml *a, uint64_t value);
void aml_string(Aml *a, const char *text);
void aml_eisa_id(Aml *a, const char *id); /* "PNP0A03" as an integer */

void aml_name_decl(Aml *a, const char *name); /* Name (name, <the term that follows>) */
void aml_name_int(Aml *a, const char *name, uint64_t value);
void aml_hid(Aml *a, const char *eisa_id);

/* Objects with a length: what open returned goes to aml_close(). */
size_t aml_scope(Aml *a, const char *name);
size_t aml_device(Aml *a, const char *name);
size_t aml_method(Aml *a, const char *name, unsigned args);
size_t aml_package(Aml *a, uint8_t elements);
size_t aml_if(Aml *a);
size_t aml_field(Aml *a, const char *region, uint8_t flags);
void aml_close(Aml *a, size_t open);
void aml_field_unit(Aml *a, const char *name, unsigned bits); /* name up to 4 characters */
void aml_region(Aml *a, const char *name, uint8_t space, uint64_t offset, uint64_t length);

/* Operators; operands follow as terms. */
enum {
    AML_ARG0 = 0x68,
    AML_LOCAL0 = 0x60,
    AML_STORE = 0x70, /* source, destination */
    AML_AND = 0x7b,   /* a, b, target (0: none) */
    AML_OR = 0x7d,
    AML_CREATE_DWORD_FIELD = 0x8a, /* buffer, byte index, name */
    AML_RETURN = 0xa4,
    AML_NO_TARGET = 0x00,
};

/*
 * Resource templates: collected in a buffer of their own and then emitted as one Buffer term.
 * aml_resources() frees `r`.
 */
void aml_resources(Aml *a, Aml *r);
void res_io(Aml *r, uint16_t base, uint8_t length);
void res_irq(Aml *r, unsigned irq);                               /* edge, exclusive */
void res_interrupts(Aml *r, const uint32_t *irqs, uint8_t count); /* level, shared */
void res_memory32(Aml *r, uint32_t base, uint32_t length, bool writable);
void res_bus_range(Aml *r, uint16_t first, uint16_t last);
void res_io_range(Aml *r, uint16_t first, uint16_t last);
void res_memory_range(Aml *r, uint32_t first, uint32_t last);

#endif
