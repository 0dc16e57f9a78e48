/*
 * fw-cfg.c - firmware configuration (QEMU's documented interface: docs/specs/fw_cfg): selector port
 * 510h, data port 511h, DMA address register 514h..51Bh.
 *
 * All items are read-only for the guest. A DMA request is one 16-byte structure in guest memory,
 * handled at once when the low half of its address is written.
 */
#include "hw/firmware/fw-cfg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/math.h"
#include "hw/core/dma.h"

enum { ARCH_LOCAL = 0x8000, ARCH_ITEMS = 16, ITEMS = FW_FILE_FIRST + FW_FILES };
enum { DIR_HEADER = 4, DIR_ENTRY = 64, NAME_SIZE = 56, ID_TRADITIONAL = 1, ID_DMA = 2 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16, DMA_SIZE = 16 };
#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG" */

typedef struct Item {
    const uint8_t *data;
    uint8_t *owned;
    size_t size;
    char name[NAME_SIZE]; /* of a file */
} Item;

struct FwCfg {
    Device device;
    MemMap *memory;
    MemRegion ports, dma_ports;
    Item items[ITEMS], arch_items[ARCH_ITEMS];
    unsigned files;
    uint16_t selected;
    uint64_t position; /* in the selected item */
    uint32_t dma_high; /* upper half of the DMA address */
};

static Item *item_at(FwCfg *fw, unsigned key)
{
    if (key < ITEMS)
        return &fw->items[key];
    if (key >= ARCH_LOCAL && key < ARCH_LOCAL + ARCH_ITEMS)
        return &fw->arch_items[key - ARCH_LOCAL];
    return NULL;
}

/* --- contents ----------------------------------------------------------------------------- */

void fw_cfg_add_borrowed(FwCfg *fw, unsigned key, const void *data, size_t size)
{
    Item *item = item_at(fw, key);

    free(item->owned);
    item->owned = NULL;
    item->data = data;
    item->size = size;
}

int fw_cfg_add(FwCfg *fw, unsigned key, const void *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        return -ENOMEM;
    if (size)
        memcpy(copy, data, size);
    fw_cfg_add_borrowed(fw, key, copy, size);
    item_at(fw, key)->owned = copy;
    return 0;
}

int fw_cfg_add_u16(FwCfg *fw, unsigned key, uint16_t value)
{
    uint8_t bytes[2];

    put_le16(bytes, value);
    return fw_cfg_add(fw, key, bytes, sizeof(bytes));
}

int fw_cfg_add_u32(FwCfg *fw, unsigned key, uint32_t value)
{
    uint8_t bytes[4];

    put_le32(bytes, value);
    return fw_cfg_add(fw, key, bytes, sizeof(bytes));
}

int fw_cfg_add_u64(FwCfg *fw, unsigned key, uint64_t value)
{
    uint8_t bytes[8];

    put_le64(bytes, value);
    return fw_cfg_add(fw, key, bytes, sizeof(bytes));
}

/* The directory is big-endian: count, then size, selector, reserved, name of each file. */
static int build_directory(FwCfg *fw)
{
    size_t size = DIR_HEADER + fw->files * DIR_ENTRY;
    AUTO_FREE uint8_t *dir = calloc(1, size);

    if (!dir)
        return -ENOMEM;
    put_be32(dir, fw->files);
    for (unsigned i = 0; i < fw->files; i++) {
        const Item *item = &fw->items[FW_FILE_FIRST + i];
        uint8_t *entry = dir + DIR_HEADER + i * DIR_ENTRY;

        put_be32(entry, item->size);
        put_be16(entry + 4, FW_FILE_FIRST + i);
        memcpy(entry + 8, item->name, NAME_SIZE);
    }
    return fw_cfg_add(fw, FW_FILE_DIR, dir, size);
}

int fw_cfg_add_file(FwCfg *fw, const char *name, const void *data, size_t size)
{
    unsigned i = 0;

    if (strlen(name) >= NAME_SIZE)
        return -ENAMETOOLONG;
    while (i < fw->files && strcmp(fw->items[FW_FILE_FIRST + i].name, name))
        i++;
    if (i == FW_FILES || size > UINT32_MAX)
        return -ENOSPC;
    int ret = fw_cfg_add(fw, FW_FILE_FIRST + i, data, size);
    if (ret < 0)
        return ret;
    strcpy(fw->items[FW_FILE_FIRST + i].name, name);
    fw->files = MAX(fw->files, i + 1);
    return build_directory(fw);
}

/* --- ports -------------------------------------------------------------------------------- */

static void select_item(FwCfg *fw, uint16_t key)
{
    fw->selected = key;
    fw->position = 0;
}

static size_t item_left(FwCfg *fw, const Item *item)
{
    return item && fw->position < item->size ? item->size - fw->position : 0;
}

static uint64_t port_read(void *opaque, uint64_t port, unsigned size)
{
    FwCfg *fw = opaque;
    const Item *item = item_at(fw, fw->selected);
    uint64_t value = 0;

    if (port != 1)
        return UINT64_MAX;
    for (unsigned i = 0; i < size; i++) /* past the end reads zeroes */
        if (item_left(fw, item))
            value |= (uint64_t)item->data[fw->position++] << 8 * i;
    return value;
}

static void port_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    if (port == 0 && size >= 2)
        select_item(opaque, value);
}

/* --- DMA ---------------------------------------------------------------------------------- */

/* Copy `len` bytes of the item to guest memory; what is past its end reads as zeroes. */
static int dma_copy(FwCfg *fw, const Item *item, uint64_t address, uint32_t len)
{
    static const uint8_t zeroes[4096];
    size_t n = MIN((size_t)len, item_left(fw, item));
    int ret = n ? dma_write(fw->memory, address, item->data + fw->position, n) : 0;

    fw->position += n;
    for (len -= n, address += n; ret == 0 && len; len -= n, address += n) {
        n = MIN((size_t)len, sizeof(zeroes));
        ret = dma_write(fw->memory, address, zeroes, n);
    }
    return ret;
}

static void dma_run(FwCfg *fw, uint64_t request)
{
    uint8_t bytes[DMA_SIZE];
    int ret = 0;

    if (dma_read(fw->memory, request, bytes, sizeof(bytes)) < 0)
        return; /* there is no place to report the error */
    uint32_t control = get_be32(bytes), len = get_be32(bytes + 4);

    if (control & DMA_SELECT)
        select_item(fw, control >> 16);
    if (control & DMA_READ)
        ret = dma_copy(fw, item_at(fw, fw->selected), get_be64(bytes + 8), len);
    else if (control & DMA_SKIP)
        fw->position += len;
    else if (control & DMA_WRITE)
        ret = -EROFS;
    put_be32(bytes, ret < 0 ? DMA_ERROR : 0);
    dma_write(fw->memory, request, bytes, 4);
}

static uint64_t dma_port_read(void *opaque, uint64_t port, unsigned size)
{
    uint8_t bytes[16] = { 0 };

    (void)opaque;
    (void)size;
    put_be64(bytes, DMA_SIGNATURE);
    return get_le64(bytes + (port & 7));
}

static void dma_port_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    FwCfg *fw = opaque;

    if (size == 8 && port == 0) {
        dma_run(fw, be64toh(value));
    } else if (size == 4 && port == 0) {
        fw->dma_high = be32toh(value);
    } else if (size == 4 && port == 4) {
        uint64_t request = (uint64_t)fw->dma_high << 32 | be32toh(value);

        fw->dma_high = 0;
        dma_run(fw, request);
    }
}

static const MemOps port_ops = { .read = port_read, .write = port_write };
static const MemOps dma_ops = { .read = dma_port_read, .write = dma_port_write };

/* --- device ------------------------------------------------------------------------------- */

static void fw_cfg_reset(void *opaque)
{
    FwCfg *fw = opaque;

    select_item(fw, 0);
    fw->dma_high = 0;
}

static void fw_cfg_destroy(void *opaque)
{
    FwCfg *fw = opaque;

    for (int i = 0; i < ITEMS; i++)
        free(fw->items[i].owned);
    for (int i = 0; i < ARCH_ITEMS; i++)
        free(fw->arch_items[i].owned);
    free(fw);
}

static const SavedField fw_cfg_fields[] = { SAVED(FwCfg, selected), SAVED(FwCfg, position),
                                            SAVED(FwCfg, dma_high), SAVED_END };

static const DeviceClass fw_cfg_class = {
    .name = "fw_cfg", .reset = fw_cfg_reset, .destroy = fw_cfg_destroy, .fields = fw_cfg_fields
};

FwCfg *fw_cfg_new(DeviceList *devices, MemMap *io, MemMap *memory)
{
    FwCfg *fw = calloc(1, sizeof(*fw));

    if (!fw)
        return NULL;
    fw->memory = memory;
    fw_cfg_add(fw, FW_SIGNATURE, "QEMU", 4); /* what firmware looks for */
    fw_cfg_add_u32(fw, FW_ID, ID_TRADITIONAL | ID_DMA);
    build_directory(fw);
    region_init_io(&fw->ports, "fw_cfg", &port_ops, fw, 2);
    memmap_add(io, &fw->ports, 0x510, 0);
    region_init_io(&fw->dma_ports, "fw_cfg-dma", &dma_ops, fw, 8);
    memmap_add(io, &fw->dma_ports, 0x514, 0);
    device_add(devices, &fw->device, &fw_cfg_class, fw);
    return fw;
}
