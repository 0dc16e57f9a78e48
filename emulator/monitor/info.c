/*
 * info.c - what `info` shows of the machine; registers and page tables are in examine.c, paging.c.
 */
#include <inttypes.h>
#include <string.h>

#include "base/size.h"
#include "emulator/cmdline.h"
#include "emulator/monitor/monitor.h"

static int info_status(Monitor *mon, char *args, Error **err)
{
    (void)args, (void)err;
    monitor_printf(mon, "VM status: %s\n", run_state_name(monitor_machine(mon)->state));
    return 0;
}

static int info_version(Monitor *mon, char *args, Error **err)
{
    (void)args, (void)err;
    monitor_printf(mon, "Onionskin emulator %s\n", EMULATOR_VERSION);
    return 0;
}

static int info_name(Monitor *mon, char *args, Error **err)
{
    const char *name = monitor_machine(mon)->config->name;

    (void)args, (void)err;
    if (name)
        monitor_printf(mon, "%s\n", name);
    return 0;
}

static int info_cpus(Monitor *mon, char *args, Error **err)
{
    Machine *m = monitor_machine(mon);

    (void)args, (void)err;
    for (unsigned i = 0; i < m->n_cpus; i++)
        monitor_printf(mon, "* CPU #%u: %s%s\n", i, m->config->cpu,
                       m->cpus[i].idle ? " (halted)" : "");
    return 0;
}

static void show_drive(Monitor *mon, const Drive *d)
{
    ImageInfo info;

    if (!d->node) {
        monitor_printf(mon, "%s: [not inserted]\n    Removable device: not locked\n", d->name);
        return;
    }
    monitor_printf(mon, "%s: %s (%s%s%s)\n", d->name, node_filename(d->node), node_format(d->node),
                   node_writable(d->node) ? "" : ", read-only",
                   d->config->snapshot ? ", snapshot" : "");
    if (d->config->interface == DRIVE_IF_IDE)
        monitor_printf(mon, "    Attached to:      ide.%d, unit %d\n", d->config->bus,
                       d->config->unit);
    monitor_printf(mon, "    Size:             %" PRIu64 " bytes\n", node_size(d->node));
    if (node_info(d->node, &info, NULL) == 0 && info.backing_file)
        monitor_printf(mon, "    Backing file:     %s\n", info.backing_file);
}

static int info_block(Monitor *mon, char *args, Error **err)
{
    Machine *m = monitor_machine(mon);

    (void)args, (void)err;
    for (unsigned i = 0; i < m->n_drives; i++)
        show_drive(mon, &m->drives[i]);
    return 0;
}

static const char *kind_name(const MemRange *r)
{
    switch (r->region->kind) {
    case MEM_RAM: return r->readonly ? "rom" : "ram";
    case MEM_ROM: return "romd";
    default: return "i/o";
    }
}

static void show_map(Monitor *mon, const char *title, MemMap *map)
{
    MemRange r;

    monitor_printf(mon, "%s\n", title);
    for (unsigned i = 0; memmap_range(map, i, &r); i++)
        monitor_printf(mon, "  %016" PRIx64 "-%016" PRIx64 " (%s): %s%s%s @%016" PRIx64 "\n",
                       r.start, r.end - 1, kind_name(&r), r.name,
                       r.name != r.region->name ? " -> " : "",
                       r.name != r.region->name ? r.region->name : "", r.offset);
}

static int info_mtree(Monitor *mon, char *args, Error **err)
{
    Machine *m = monitor_machine(mon);

    (void)args, (void)err;
    show_map(mon, "memory", pc_memory(m->pc));
    show_map(mon, "I/O ports", pc_io(m->pc));
    return 0;
}

static int info_qtree(Monitor *mon, char *args, Error **err)
{
    (void)args, (void)err;
    for (const Device *d = pc_devices(monitor_machine(mon)->pc)->first; d; d = d->next)
        monitor_printf(mon, "dev: %s\n", d->cls->name);
    return 0;
}

static void show_pci_bars(Monitor *mon, PciDevice *dev)
{
    for (unsigned i = 0; i < PCI_BARS; i++) {
        const PciBar *bar = &dev->bars[i];

        if (bar->region)
            monitor_printf(mon, "      BAR%u: %s at %#" PRIx64 ", %" PRIu64 " bytes%s\n", i,
                           bar->flags & PCI_BAR_IO ? "I/O" : "memory", bar->region->base,
                           bar->region->size, bar->region->enabled ? "" : " (off)");
    }
}

static int info_pci(Monitor *mon, char *args, Error **err)
{
    PciBus *bus = pc_pci_bus(monitor_machine(mon)->pc);

    (void)args, (void)err;
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        PciDevice *dev = pci_bus_device(bus, devfn);

        if (!dev)
            continue;
        monitor_printf(mon, "  Bus 0, device %2u, function %u: %04x:%04x %s, IRQ %u\n", devfn >> 3,
                       devfn & 7, pci_config_read(dev, PCI_VENDOR_ID, 2),
                       pci_config_read(dev, PCI_DEVICE_ID, 2), dev->name,
                       pci_config_read(dev, PCI_INTERRUPT_LINE, 1));
        show_pci_bars(mon, dev);
    }
    return 0;
}

const MonitorCommand monitor_infos[] = {
    { "block", NULL, "drives and their images", info_block },
    { "cpus", NULL, "CPUs", info_cpus },
    { "mem", NULL, "virtual memory that is mapped", info_mem },
    { "mtree", NULL, "memory map and I/O ports", info_mtree },
    { "name", NULL, "name of the machine", info_name },
    { "pci", NULL, "PCI devices", info_pci },
    { "qtree", NULL, "devices", info_qtree },
    { "registers", NULL, "registers of the CPU", info_registers },
    { "status", NULL, "running or paused", info_status },
    { "tlb", NULL, "each mapped page", info_tlb },
    { "version", NULL, "version of the emulator", info_version },
    { NULL, NULL, NULL, NULL },
};
