/*
 * smbios.c - SMBIOS 2.8 structures (DMTF DSP0134, section 7) and their entry point (5.2.1).
 *
 * A structure is type, length, handle, fixed fields, then its strings, each with a zero, and one
 * more zero. String fields hold the number of a string, counted from 1.
 */
#include "hw/firmware/smbios.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"

enum { TABLES_MAX = 64 * 1024, ANCHOR_SIZE = 31, HEADER = 4 };
enum { HANDLE_SYSTEM = 0x100, HANDLE_CHASSIS = 0x300, HANDLE_CPU = 0x400, HANDLE_ARRAY = 0x1000 };
enum { HANDLE_DIMM = 0x1100, HANDLE_MAPPED = 0x1300, HANDLE_BOOT = 0x2000, HANDLE_END = 0x7f00 };
enum { MAX_CPU_ENTRIES = 64, MAX_DIMMS = 64 };
#define DIMM_SIZE (UINT64_C(16) << 30)

typedef struct Smbios {
    uint8_t data[TABLES_MAX];
    size_t size;
    unsigned count, largest;
} Smbios;

static const char maker[] = "Onionskin";
static const char product[] = "Standard PC (i440FX + PIIX)";

/* `fixed` starts with the type; `strings` are separated by '\n'. */
static void add(Smbios *s, uint8_t *fixed, size_t size, uint16_t handle, const char *strings)
{
    size_t text = strlen(strings), total = size + text + 2;

    if (total > sizeof(s->data) - s->size)
        return; /* cannot happen: the caps above bound the sum */
    fixed[1] = size;
    put_le16(fixed + 2, handle);
    memcpy(s->data + s->size, fixed, size);
    for (size_t i = 0; i < text; i++)
        s->data[s->size + size + i] = strings[i] == '\n' ? 0 : strings[i];
    memset(s->data + s->size + size + text, 0, 2);
    s->size += total;
    s->count++;
    s->largest = MAX(s->largest, total);
}

static void add_system(Smbios *s, const uint8_t uuid[16])
{
    uint8_t f[27] = { 1 };
    char strings[sizeof(maker) + sizeof(product)];

    f[4] = 1;
    f[5] = 2;
    /* The first three fields of a UUID are little-endian here. */
    put_le32(f + 8, get_be32(uuid));
    put_le16(f + 12, get_be16(uuid + 4));
    put_le16(f + 14, get_be16(uuid + 6));
    memcpy(f + 16, uuid + 8, 8);
    f[24] = 6; /* wake-up: power switch */
    memcpy(strings, maker, sizeof(maker) - 1);
    strings[sizeof(maker) - 1] = '\n';
    memcpy(strings + sizeof(maker), product, sizeof(product));
    add(s, f, sizeof(f), HANDLE_SYSTEM, strings);
}

static void add_chassis(Smbios *s)
{
    uint8_t f[22] = { 3 };

    f[4] = 1;
    f[5] = 1;                 /* other */
    f[9] = f[10] = f[11] = 3; /* safe */
    f[12] = 2;
    add(s, f, sizeof(f), HANDLE_CHASSIS, maker);
}

static void add_cpu(Smbios *s, unsigned n)
{
    uint8_t f[42] = { 4 };

    f[4] = 1;
    f[5] = 3; /* central processor */
    f[6] = 1; /* family: other */
    f[7] = 2;
    f[24] = 0x41; /* populated, enabled */
    f[25] = 1;
    put_le16(f + 26, 0xffff); /* no cache information */
    put_le16(f + 28, 0xffff);
    put_le16(f + 30, 0xffff);
    f[35] = f[36] = f[37] = 1; /* cores, enabled, threads */
    put_le16(f + 38, 2);
    put_le16(f + 40, 1);
    add(s, f, sizeof(f), HANDLE_CPU + n, "CPU\nOnionskin");
}

static void add_memory(Smbios *s, uint64_t ram_size)
{
    uint8_t array[23] = { 16 }, mapped[31] = { 19 };
    unsigned dimms = MIN(div_round_up(ram_size, DIMM_SIZE), (uint64_t)MAX_DIMMS);

    array[4] = 1;
    array[5] = 3; /* system memory */
    array[6] = 6; /* multi-bit ECC */
    put_le32(array + 7, 0x80000000);
    put_le16(array + 11, 0xfffe);
    put_le16(array + 13, dimms);
    put_le64(array + 15, ram_size);
    add(s, array, sizeof(array), HANDLE_ARRAY, "");
    for (unsigned i = 0; i < dimms; i++) {
        uint8_t f[40] = { 17 };
        uint64_t mib = MIN(ram_size - i * DIMM_SIZE, DIMM_SIZE) >> 20;

        put_le16(f + 4, HANDLE_ARRAY);
        put_le16(f + 6, 0xfffe);
        put_le16(f + 8, 0xffff); /* widths unknown */
        put_le16(f + 10, 0xffff);
        put_le16(f + 12, mib); /* at most 16 GiB: fits */
        f[14] = 9;             /* DIMM */
        f[16] = 1;
        f[18] = 7; /* RAM */
        put_le16(f + 19, 2);
        f[23] = 2;
        add(s, f, sizeof(f), HANDLE_DIMM + i, "DIMM\nOnionskin");
    }
    put_le32(mapped + 4, UINT32_MAX); /* see the extended addresses */
    put_le32(mapped + 8, UINT32_MAX);
    put_le16(mapped + 12, HANDLE_ARRAY);
    mapped[14] = MAX(dimms, 1u);
    put_le64(mapped + 23, ram_size - 1);
    add(s, mapped, sizeof(mapped), HANDLE_MAPPED, "");
}

static uint8_t checksum(const uint8_t *p, size_t size)
{
    uint8_t sum = 0;

    while (size--)
        sum += *p++;
    return -sum;
}

/* The firmware fills in the tables' address and corrects both checksums. */
static void build_anchor(uint8_t *a, const Smbios *s)
{
    memcpy(a, "_SM_", 4);
    a[5] = ANCHOR_SIZE;
    a[6] = 2;
    a[7] = 8;
    put_le16(a + 8, s->largest);
    memcpy(a + 16, "_DMI_", 5);
    put_le16(a + 22, s->size);
    put_le16(a + 28, s->count);
    a[30] = 0x28;
    a[21] = checksum(a + 16, 15);
    a[4] = checksum(a, ANCHOR_SIZE);
}

int smbios_add_tables(FwCfg *fw, uint64_t ram_size, unsigned cpus, const uint8_t uuid[16])
{
    uint8_t anchor[ANCHOR_SIZE] = { 0 }, boot[11] = { 32 }, end[HEADER] = { 127 };
    AUTO_FREE Smbios *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    add_system(s, uuid);
    add_chassis(s);
    for (unsigned n = 0; n < MIN(cpus, (unsigned)MAX_CPU_ENTRIES); n++)
        add_cpu(s, n);
    add_memory(s, ram_size);
    add(s, boot, sizeof(boot), HANDLE_BOOT, "");
    add(s, end, sizeof(end), HANDLE_END, "");
    build_anchor(anchor, s);
    int ret = fw_cfg_add_file(fw, "etc/smbios/smbios-tables", s->data, s->size);
    return ret < 0 ? ret : fw_cfg_add_file(fw, "etc/smbios/smbios-anchor", anchor, sizeof(anchor));
}
