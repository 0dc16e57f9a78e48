/*
 * vga.c - the adapter on the PCI bus: 1234:1111, as drivers for the Bochs display interface know
 * it.
 *
 * BAR 0 is video memory; BAR 2 repeats the registers in memory: VGA ports 3C0h..3DFh at 400h, the
 * DISPI registers at 500h.
 */
#include "hw/display/vga-state.h"

#include <errno.h>
#include <string.h>

#include "base/math.h"

enum {
    DEFAULT_VRAM = 16 << 20,
    MIN_VRAM = 1 << 20,
    MAX_VRAM = 512 << 20,
    MMIO_SIZE = 4096,
    MMIO_VGA = 0x400,
    MMIO_DISPI = 0x500
};

/* --- ports ---- */

static uint64_t ports_read(Vga *v, uint16_t port, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)vga_port_read(v, (uint16_t)(port + i)) << 8 * i;
    return value;
}

static void ports_write(Vga *v, uint16_t port, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        vga_port_write(v, (uint16_t)(port + i), (uint8_t)(value >> 8 * i));
}

static uint64_t ports_3b0_read(void *v, uint64_t offset, unsigned size)
{
    return ports_read(v, (uint16_t)(0x3b0 + offset), size);
}

static void ports_3b0_write(void *v, uint64_t offset, uint64_t value, unsigned size)
{
    ports_write(v, (uint16_t)(0x3b0 + offset), value, size);
}

static uint64_t ports_3c0_read(void *v, uint64_t offset, unsigned size)
{
    return ports_read(v, (uint16_t)(0x3c0 + offset), size);
}

static void ports_3c0_write(void *v, uint64_t offset, uint64_t value, unsigned size)
{
    ports_write(v, (uint16_t)(0x3c0 + offset), value, size);
}

/* 1CEh: index, 1CFh (and 1D0h): data; words. */
static uint64_t dispi_ports_read(void *opaque, uint64_t offset, unsigned size)
{
    Vga *v = opaque;

    (void)size;
    return offset == 0 ? v->dispi_index : dispi_read(v, v->dispi_index);
}

static void dispi_ports_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Vga *v = opaque;

    (void)size;
    if (offset == 0)
        v->dispi_index = (uint16_t)value;
    else
        dispi_write(v, v->dispi_index, (uint16_t)value);
}

static const MemOps ops_3b0 = { ports_3b0_read, ports_3b0_write, 0 };
static const MemOps ops_3c0 = { ports_3c0_read, ports_3c0_write, 0 };
static const MemOps ops_dispi = { dispi_ports_read, dispi_ports_write, 2 };

/* --- the registers in memory ---- */

static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    Vga *v = opaque;

    if (offset >= MMIO_VGA && offset < MMIO_VGA + 0x20)
        return ports_read(v, (uint16_t)(0x3c0 + offset - MMIO_VGA), size);
    if (offset >= MMIO_DISPI && offset < MMIO_DISPI + 2 * DISPI_COUNT)
        return dispi_read(v, (unsigned)(offset - MMIO_DISPI) / 2);
    return size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1;
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Vga *v = opaque;

    if (offset >= MMIO_VGA && offset < MMIO_VGA + 0x20)
        ports_write(v, (uint16_t)(0x3c0 + offset - MMIO_VGA), value, size);
    else if (offset >= MMIO_DISPI && offset < MMIO_DISPI + 2 * DISPI_COUNT)
        dispi_write(v, (unsigned)(offset - MMIO_DISPI) / 2, (uint16_t)value);
}

static const MemOps ops_mmio = { mmio_read, mmio_write, 2 };

/* --- the device ---- */

static void vga_reset(void *opaque)
{
    Vga *v = opaque;

    pci_device_reset(&v->pci);
    vga_regs_reset(v);
}

static int vga_loaded(void *opaque)
{
    Vga *v = opaque;

    if (v->dac_part > 2 || v->dispi[DISPI_XRES] > DISPI_MAX_XRES ||
        v->dispi[DISPI_YRES] > DISPI_MAX_YRES)
        return -EINVAL;
    pci_device_loaded(&v->pci);
    return 0;
}

static void vga_destroy(void *opaque)
{
    Vga *v = opaque;

    display_set_producer(v->display, NULL, NULL);
    ram_block_destroy(&v->vram_block);
    if (v->rom_block.host)
        ram_block_destroy(&v->rom_block);
    free(v);
}

static const SavedField vga_fields[] = {
    SAVED_BYTES(Vga, pci.config),
    SAVED(Vga, misc),
    SAVED(Vga, feature),
    SAVED(Vga, seq_index),
    SAVED_BYTES(Vga, seq),
    SAVED(Vga, crtc_index),
    SAVED_BYTES(Vga, crtc),
    SAVED(Vga, gfx_index),
    SAVED_BYTES(Vga, gfx),
    SAVED(Vga, attr_index),
    SAVED_BYTES(Vga, attr),
    SAVED(Vga, attr_data),
    SAVED(Vga, dac_mask),
    SAVED(Vga, dac_state),
    SAVED(Vga, dac_read),
    SAVED(Vga, dac_write),
    SAVED(Vga, dac_part),
    SAVED_BYTES(Vga, dac_latch),
    SAVED_BYTES(Vga, dac),
    SAVED(Vga, latch),
    SAVED(Vga, dispi_index),
    SAVED_ARRAY(Vga, dispi),
    SAVED_END,
};

static const DeviceClass vga_class = {
    .name = "vga",
    .version = 1,
    .reset = vga_reset,
    .loaded = vga_loaded,
    .destroy = vga_destroy,
    .fields = vga_fields,
};

static int add_rom(Vga *v, const PcBytes *rom, Error **err)
{
    uint64_t size = MEM_PAGE;

    while (size < rom->size)
        size <<= 1;
    int ret = ram_block_init(&v->rom_block, "vga-rom", size, err);
    if (ret < 0)
        return ret;
    memcpy(v->rom_block.host, rom->data, rom->size);
    region_init_rom(&v->rom_bar, "vga-rom", &v->rom_block, 0, size, NULL, NULL);
    pci_register_bar(&v->pci, PCI_ROM_BAR, PCI_BAR_MEM, &v->rom_bar);
    return 0;
}

static void add_regions(Vga *v, Pc *pc)
{
    region_init_io(&v->window, "vga-window", &vga_window_ops, v, 0x20000);
    region_init_io(&v->ports_3b0, "vga-3b0", &ops_3b0, v, 0x0c);
    region_init_io(&v->ports_3c0, "vga-3c0", &ops_3c0, v, 0x20);
    region_init_io(&v->ports_dispi, "vga-dispi", &ops_dispi, v, 4);
    memmap_add(pc_memory(pc), &v->window, 0xa0000, MEM_PRIO_ISA);
    memmap_add(pc_io(pc), &v->ports_3b0, 0x3b0, MEM_PRIO_ISA);
    memmap_add(pc_io(pc), &v->ports_3c0, 0x3c0, MEM_PRIO_ISA);
    memmap_add(pc_io(pc), &v->ports_dispi, 0x1ce, MEM_PRIO_ISA);
}

static int vga_init(Vga *v, Pc *pc, const VgaConfig *config, Error **err)
{
    static const PciIds ids = { .vendor = 0x1234,
                                .device = 0x1111,
                                .class_code = 0x030000,
                                .revision = 2,
                                .subsystem_vendor = 0x1af4,
                                .subsystem = 0x1100 };
    int ret;

    v->vram_size = config->vram_size ? config->vram_size : DEFAULT_VRAM;
    if (!is_pow2(v->vram_size) || v->vram_size < MIN_VRAM || v->vram_size > MAX_VRAM)
        return error_set(err, -EINVAL,
                         "video memory of %llu bytes: it must be a power of two, 1 to 512 MiB",
                         (unsigned long long)v->vram_size);
    ret = ram_block_init(&v->vram_block, "vga", v->vram_size, err);
    if (ret < 0)
        return ret;
    v->vram = v->vram_block.host;
    pci_device_init(&v->pci, "vga", &ids);
    region_init_ram(&v->vram_bar, "vga-vram", &v->vram_block, 0, v->vram_size);
    region_init_io(&v->mmio_bar, "vga-mmio", &ops_mmio, v, MMIO_SIZE);
    pci_register_bar(&v->pci, 0, PCI_BAR_MEM | PCI_BAR_PREFETCH, &v->vram_bar);
    pci_register_bar(&v->pci, 2, PCI_BAR_MEM, &v->mmio_bar);
    ret = config->rom.data ? add_rom(v, &config->rom, err) : 0;
    return ret < 0 ? ret : pci_bus_add(pc_pci_bus(pc), &v->pci, PC_DEVFN_VGA, err);
}

Vga *vga_new(Pc *pc, const VgaConfig *config, Display *display, Error **err)
{
    Vga *v = calloc(1, sizeof(*v));

    if (!v) {
        error_set(err, -ENOMEM, "no memory for the display adapter");
        return NULL;
    }
    v->memory = pc_memory(pc);
    v->clock = &pc_clocks(pc)->virt;
    v->display = display;
    if (vga_init(v, pc, config, err) < 0) {
        if (v->vram)
            ram_block_destroy(&v->vram_block);
        if (v->rom_block.host)
            ram_block_destroy(&v->rom_block);
        free(v);
        return NULL;
    }
    add_regions(v, pc);
    vga_regs_reset(v);
    display_set_producer(display, &vga_producer, v);
    device_add(pc_devices(pc), &v->device, &vga_class, v);
    return v;
}
