/*
 * devices.c - fuzz target: a guest that does anything to the devices of a PC with an IDE disk and a
 * CD-ROM drive. The input is a row of accesses: ports, device memory, RAM for DMA, and time.
 */
#include "tests/unit/hw_fixture.h"

#include <stdlib.h>

#include "base/math.h"
#include "hw/ide/ide.h"

typedef struct {
    const uint8_t *at, *end;
} Script;

static uint32_t next(Script *in, unsigned bytes)
{
    uint32_t value = 0;

    while (bytes-- && in->at < in->end)
        value = value << 8 | *in->at++;
    return value;
}

static Node *memory_node(uint64_t size)
{
    Options *o = options_new();
    Node *node;

    options_set(o, "driver", "raw");
    options_set(o, "file.driver", "memory");
    options_set_u64(o, "file.size", size);
    if (node_open(NULL, NULL, o, OPEN_RDWR | OPEN_UNMAP, &node, NULL) < 0)
        abort();
    return node;
}

static void attach(Fixture *f, AioContext *aio)
{
    IdeController *ide = piix_ide_new(f->pc, NULL);
    IdeDriveConfig disk = { .node = memory_node(1 << 20), .aio = aio };
    IdeDriveConfig cd = { .cdrom = true, .node = memory_node(1 << 18), .aio = aio };

    if (!ide || ide_attach(ide, 0, 0, &disk, NULL) < 0 || ide_attach(ide, 1, 0, &cd, NULL) < 0)
        abort();
    node_unref(disk.node);
    node_unref(cd.node);
    pc_reset(f->pc);
    config_write(f, PC_DEVFN_IDE, 0x20, 0xc000);
    config_write(f, PC_DEVFN_IDE, 4, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
}

/* Ports where much happens; the others are reached by number. */
static uint16_t port_of(uint32_t n)
{
    static const uint16_t often[] = { 0x1f0, 0x1f7, 0x170, 0x177, 0xc000, 0xc004, 0xcf8, 0xcfc,
                                      0x510, 0x514, 0x518, 0x60,  0x64,   0x3c4,  0x3c5, 0x3ce,
                                      0x3d4, 0x3f8, 0x70,  0x1ce, 0x1cf,  0x20,   0x40,  0x00,
                                      0x08,  0x80,  0xb2,  0x600, 0x3c0,  0x608,  0x92,  0xf4 };

    return n & 0x8000 ? n : often[n % ARRAY_LEN(often)] + (n >> 8 & 7);
}

static void access_one(Fixture *f, AioContext *aio, Script *in)
{
    static const uint32_t bases[] = { 0xfee00000, 0xfec00000, 0xfed00000, 0xa0000, 0xe0000000 };
    uint32_t op = next(in, 1), size = 1 << (op >> 4) % 3;

    switch (op % 7) {
    case 0: memmap_write(f->io, port_of(next(in, 2)), next(in, size), size); break;
    case 1: memmap_read(f->io, port_of(next(in, 2)), size); break;
    case 2: memmap_write(f->mem, bases[(op >> 4) % 5] + next(in, 2), next(in, 4), 4); break;
    case 3: memmap_read(f->mem, bases[(op >> 4) % 5] + next(in, 2), 4); break;
    case 4:
        size = MIN((uint32_t)(in->end - in->at), 32u);
        dma_write(f->mem, next(in, 1) << 9, in->at, MIN((size_t)(in->end - in->at), (size_t)size));
        next(in, size);
        break;
    case 5: pass(f, next(in, 2) * INT64_C(1000)); break;
    case 6: aio_poll(aio); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Script in = { data, data + size };
    Fixture *f = fixture_new(&(PcConfig) { .ram_size = 4 << 20 });
    AioContext *aio = aio_new(1, NULL);

    attach(f, aio);
    while (in.at < in.end)
        access_one(f, aio, &in);
    aio_drain(aio);
    fixture_free(f);
    aio_free(aio);
    return 0;
}
