/*
 * pc.c - the i440FX/PIIX3 PC: chips and the wires between them.
 *
 *     ISA interrupt n --> inputs[n] --+--> 8259 pair, input n --> LINT0 of the local APICs
 *     (PIRQs, PIT, RTC, SCI, ...)     +--> I/O APIC, pin n (the timer's 0: pin 2)
 *
 * Inputs 16 to 23 reach the I/O APIC only. RAM is one block: up to 3 GiB from address 0, the rest
 * from 4 GiB on; PCI memory, APICs and the BIOS lie between.
 */
#include "hw/board/pc.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/math.h"
#include "hw/acpi/piix4-pm.h"
#include "hw/board/pc-int.h"
#include "hw/char/uart16550.h"
#include "hw/input/i8042.h"
#include "hw/intc/i8259.h"
#include "hw/pci/i440fx.h"
#include "hw/pci/piix3.h"
#include "hw/timer/hpet.h"
#include "hw/timer/i8254.h"

enum { TIMER_IRQ = 0, KBD_IRQ = 1, CASCADE_IRQ = 2, RTC_IRQ = 8, SCI_IRQ = 9, MOUSE_IRQ = 12 };
enum { FPU_IRQ = 13, TIMER_PIN = 2, BIOS_GRANULE = 0x10000, BIOS_MAX = 0x1000000 };
#define FOUR_GIB    (UINT64_C(1) << 32)
#define LOW_RAM_MAX UINT64_C(0xc0000000)
#define RAM_MIN     UINT64_C(0x100000)
#define RAM_MAX     (UINT64_C(1) << 40)

/* --- wires -------------------------------------------------------------------------------- */

static void set_input(void *opaque, int n, bool level)
{
    Pc *pc = opaque;

    if (n < PC_ISA_IRQS && n != CASCADE_IRQ)
        pic_set_irq(pc->pic, n, level);
    if (n == TIMER_IRQ)
        ioapic_set_irq(pc->ioapic, TIMER_PIN, level);
    else if (n != TIMER_PIN)
        ioapic_set_irq(pc->ioapic, n, level);
}

static void pic_changed(void *opaque, int n, bool level)
{
    Pc *pc = opaque;

    (void)n;
    (void)level;
    if (pc->lapics)
        lapic_ext_changed(pc->lapics);
}

static void route_pirq(void *opaque, int pirq, bool level)
{
    piix3_set_pirq(((Pc *)opaque)->piix3, pirq, level);
}

static void hpet_legacy(void *opaque, bool on)
{
    Pc *pc = opaque;

    pit_set_muted(pc->pit, on);
    rtc_set_muted(pc->rtc, on);
}

static void ioapic_message(void *opaque, const LapicMessage *message)
{
    lapic_deliver(((Pc *)opaque)->lapics, message);
}

static void apic_eoi(void *opaque, uint8_t vector)
{
    ioapic_eoi(((Pc *)opaque)->ioapic, vector);
}

static bool pic_level(void *opaque)
{
    return pic_output(((Pc *)opaque)->pic);
}

static uint8_t pic_inta(void *opaque)
{
    return pic_ack(((Pc *)opaque)->pic);
}

/* --- the emulator's hooks ----------------------------------------------------------------- */

/* CPUs need not exist before the first reset, which makes every line's level known anyway. */
static void cpu_intr(void *opaque, unsigned cpu, bool level)
{
    Pc *pc = opaque;

    if (pc->started)
        pc->config.hooks->intr(pc->config.hooks_opaque, cpu, level);
}

static void cpu_nmi(void *opaque, unsigned cpu)
{
    Pc *pc = opaque;

    pc->config.hooks->nmi(pc->config.hooks_opaque, cpu);
}

static void cpu_smi(void *opaque, unsigned cpu)
{
    Pc *pc = opaque;

    if (pc->config.hooks->smi)
        pc->config.hooks->smi(pc->config.hooks_opaque, cpu);
}

static void cpu_init(void *opaque, unsigned cpu)
{
    Pc *pc = opaque;

    pc->config.hooks->init(pc->config.hooks_opaque, cpu);
}

static void cpu_startup(void *opaque, unsigned cpu, uint8_t vector)
{
    Pc *pc = opaque;

    pc->config.hooks->startup(pc->config.hooks_opaque, cpu, vector);
}

static unsigned current_cpu(void *opaque)
{
    Pc *pc = opaque;

    return pc->config.hooks->current_cpu ? pc->config.hooks->current_cpu(pc->config.hooks_opaque)
                                         : 0;
}

static uint64_t cpu_tsc(void *opaque, unsigned cpu)
{
    Pc *pc = opaque;

    return pc->config.tsc(pc->config.hooks_opaque, cpu);
}

static void a20_changed(void *opaque, bool on)
{
    Pc *pc = opaque;

    if (pc->config.hooks->a20)
        pc->config.hooks->a20(pc->config.hooks_opaque, on);
}

static void request_reset(void *opaque)
{
    Pc *pc = opaque;

    pc->config.hooks->reset_request(pc->config.hooks_opaque);
}

static void request_shutdown(void *opaque)
{
    Pc *pc = opaque;

    pc->config.hooks->shutdown_request(pc->config.hooks_opaque);
}

static void chipset_smi(void *opaque)
{
    cpu_smi(opaque, current_cpu(opaque));
}

static void ignne(void *opaque)
{
    Pc *pc = opaque;

    if (pc->config.hooks->ignne)
        pc->config.hooks->ignne(pc->config.hooks_opaque);
}

static void debug_log(void *opaque, uint8_t byte)
{
    Pc *pc = opaque;

    pc->config.hooks->debug_log(pc->config.hooks_opaque, byte);
}

static void debug_exit(void *opaque, int status)
{
    Pc *pc = opaque;

    pc->config.hooks->debug_exit(pc->config.hooks_opaque, status);
}

/* --- building ----------------------------------------------------------------------------- */

static int check_config(const PcConfig *c, Error **err)
{
    if (c->ram_size < RAM_MIN || c->ram_size > RAM_MAX || c->ram_size % MEM_PAGE)
        return error_set(err, -EINVAL,
                         "RAM of %" PRIu64 " bytes: not 1 MiB to 1 TiB in whole pages",
                         c->ram_size);
    if (!c->bios.size || c->bios.size % BIOS_GRANULE || c->bios.size > BIOS_MAX)
        return error_set(err, -EINVAL,
                         "BIOS image of %zu bytes: not a multiple of 64 KiB up to 16 MiB",
                         c->bios.size);
    if (!c->cpus || c->cpus > PC_MAX_CPUS || c->max_cpus < c->cpus || c->max_cpus > PC_MAX_CPUS)
        return error_set(err, -EINVAL, "%u CPUs (at most %u): not 1 to %u", c->cpus, c->max_cpus,
                         PC_MAX_CPUS);
    if (c->debug_exit_iosize > 4 || c->debug_exit_iobase > 0x10000 - 4)
        return error_set(err, -EINVAL, "debug exit port 0x%x with %u bytes is out of range",
                         c->debug_exit_iobase, c->debug_exit_iosize);
    return 0;
}

static int build_memory(Pc *pc, Error **err)
{
    const PcConfig *c = &pc->config;
    int ret = ram_block_init(&pc->ram, "pc.ram", c->ram_size, err);

    if (ret == 0)
        ret = ram_block_init(&pc->bios, "pc.bios", c->bios.size, err);
    if (ret < 0)
        return ret;
    memcpy(pc->bios.host, c->bios.data, c->bios.size);
    pc->low_ram = c->ram_size > LOW_RAM_MAX ? LOW_RAM_MAX : c->ram_size;
    region_init_ram(&pc->ram_low, "ram-low", &pc->ram, 0, pc->low_ram);
    memmap_add(pc->memory, &pc->ram_low, 0, MEM_PRIO_RAM);
    if (c->ram_size > pc->low_ram) {
        region_init_ram(&pc->ram_high, "ram-high", &pc->ram, pc->low_ram,
                        c->ram_size - pc->low_ram);
        memmap_add(pc->memory, &pc->ram_high, FOUR_GIB, MEM_PRIO_RAM);
    }
    region_init_rom(&pc->bios_region, "bios", &pc->bios, 0, pc->bios.size, NULL, NULL);
    memmap_add(pc->memory, &pc->bios_region, FOUR_GIB - pc->bios.size, MEM_PRIO_CHIPSET);
    return 0;
}

static bool build_interrupts(Pc *pc)
{
    LapicHooks hooks = {
        .intr = cpu_intr,
        .nmi = cpu_nmi,
        .smi = cpu_smi,
        .init = cpu_init,
        .startup = cpu_startup,
        .eoi = apic_eoi,
        .ext_level = pic_level,
        .ext_ack = pic_inta,
        .current_cpu = current_cpu,
        .tsc = pc->config.tsc ? cpu_tsc : NULL,
        .tsc_hz = pc->config.tsc_hz,
        .opaque = pc,
    };

    for (int n = 0; n < PC_INPUTS; n++)
        irq_input_init(&pc->inputs[n], set_input, pc, n);
    irq_input_init(&pc->pic_output, pic_changed, pc, 0);
    pc->pic = pic_new(&pc->devices, pc->io, &pc->pic_output);
    pc->ioapic = ioapic_new(&pc->devices, pc->memory, ioapic_message, pc);
    if (!pc->pic || !pc->ioapic)
        return false;
    pc->lapics =
        lapic_bus_new(&pc->devices, pc->memory, &pc->config.clocks->virt, pc->config.cpus, &hooks);
    return pc->lapics != NULL;
}

static bool build_timers(Pc *pc)
{
    Clocks *clocks = pc->config.clocks;

    pc->pit = pit_new(&pc->devices, pc->io, &clocks->virt, &pc->inputs[TIMER_IRQ]);
    pc->rtc = rtc_new(&pc->devices, pc->io, &clocks->virt, &clocks->rtc, &pc->inputs[RTC_IRQ]);
    if (!pc->pit || !pc->rtc)
        return false;
    return pc->config.no_hpet ||
           hpet_new(&pc->devices, pc->memory, &clocks->virt, pc->inputs, hpet_legacy, pc);
}

static bool build_chipset(Pc *pc)
{
    pc->pci = pci_bus_new(pc->memory, pc->io, route_pirq, pc, -1);
    if (!pc->pci)
        return false;
    pc->piix3 = piix3_new(&pc->devices, pc->pci, PC_DEVFN_ISA, pc->inputs, request_reset, pc);
    if (!pc->piix3)
        return false;
    I440fxWiring host = {
        .bus = pc->pci,
        .ram = &pc->ram,
        .bios = &pc->bios,
        .reset_control_write = piix3_reset_control_write,
        .reset_control_read = piix3_reset_control_read,
        .opaque = pc->piix3,
    };
    Piix4PmWiring pm = {
        .bus = pc->pci,
        .devfn = PC_DEVFN_PM,
        .clock = &pc->config.clocks->virt,
        .sci = &pc->inputs[SCI_IRQ],
        .smm = pc->config.smm,
        .shutdown = request_shutdown,
        .smi = chipset_smi,
        .opaque = pc,
    };
    if (!i440fx_new(&pc->devices, &host))
        return false;
    if (!pc->config.no_acpi)
        pc->pm = piix4_pm_new(&pc->devices, &pm);
    return pc->config.no_acpi || pc->pm;
}

static bool build_serial(Pc *pc)
{
    static const struct {
        uint16_t base;
        uint8_t irq;
    } ports[PC_SERIALS] = { { 0x3f8, 4 }, { 0x2f8, 3 }, { 0x3e8, 4 }, { 0x2e8, 3 } };

    for (int i = 0; i < PC_SERIALS; i++) {
        if (!pc_has_serial(pc, i))
            continue;
        if (!uart_new(&pc->devices, pc->io, ports[i].base, &pc->config.clocks->virt,
                      &pc->inputs[ports[i].irq], pc->config.serial[i]))
            return false;
    }
    return true;
}

static bool build_isa(Pc *pc)
{
    const PcConfig *c = &pc->config;
    I8042Wiring kbd = {
        .io = pc->io,
        .kbd_irq = &pc->inputs[KBD_IRQ],
        .mouse_irq = &pc->inputs[MOUSE_IRQ],
        .input = &pc->input,
        .a20 = &pc->a20,
        .reset = request_reset,
        .opaque = pc,
    };
    IsaPortsWiring ports = {
        .io = pc->io,
        .a20 = &pc->a20,
        .fpu_irq = &pc->inputs[FPU_IRQ],
        .reset = request_reset,
        .ignne = ignne,
        .debug_log = c->hooks->debug_log ? debug_log : NULL,
        .debug_exit = debug_exit,
        .debug_exit_base = c->debug_exit_iobase,
        .debug_exit_size = c->debug_exit_iosize,
        .opaque = pc,
    };

    pc->a20 = (A20Gate) { .on = true, .changed = a20_changed, .opaque = pc };
    pc->dma = dma8237_new(&pc->devices, pc->io, pc->memory);
    pc->isa_ports = isa_ports_new(&pc->devices, &ports);
    pc->fw_cfg = fw_cfg_new(&pc->devices, pc->io, pc->memory);
    return pc->dma && pc->isa_ports && pc->fw_cfg && i8042_new(&pc->devices, &kbd) &&
           build_serial(pc);
}

Pc *pc_new(const PcConfig *config, Error **err)
{
    int ret = check_config(config, err);
    Pc *pc = ret == 0 ? calloc(1, sizeof(*pc)) : NULL;

    if (!pc)
        return NULL;
    pc->config = *config;
    device_list_init(&pc->devices);
    pc->memory = memmap_new("memory", UINT64_C(1) << 52);
    pc->io = memmap_new("io", 1 << 16);
    memmap_begin(pc->memory);
    memmap_begin(pc->io);
    ret = build_memory(pc, err);
    if (ret == 0 &&
        !(build_interrupts(pc) && build_timers(pc) && build_chipset(pc) && build_isa(pc)))
        ret = error_set(err, -ENOMEM, "no memory for the machine's devices");
    memmap_commit(pc->io);
    memmap_commit(pc->memory);
    if (ret < 0) {
        pc_free(pc);
        return NULL;
    }
    return pc;
}

void pc_free(Pc *pc)
{
    if (!pc)
        return;
    pc->started = false;
    memmap_clear(pc->memory);
    memmap_clear(pc->io);
    device_destroy_all(&pc->devices);
    memmap_free(pc->memory);
    memmap_free(pc->io);
    pci_bus_free(pc->pci);
    ram_block_destroy(&pc->ram);
    ram_block_destroy(&pc->bios);
    free(pc->boot_order);
    free(pc);
}

void pc_reset(Pc *pc)
{
    pc->started = true;
    memmap_begin(pc->memory);
    memmap_begin(pc->io);
    device_reset_all(&pc->devices);
    memmap_commit(pc->io);
    memmap_commit(pc->memory);
}

void pc_power_button(Pc *pc)
{
    if (pc->pm)
        piix4_pm_power_button(pc->pm);
    else
        request_shutdown(pc); /* without ACPI the button cuts the power */
}

/* --- CPU glue ----------------------------------------------------------------------------- */

int pc_intr_ack(Pc *pc, unsigned cpu)
{
    return lapic_ack(pc->lapics, cpu);
}

uint64_t pc_apic_base(Pc *pc, unsigned cpu)
{
    return lapic_base(pc->lapics, cpu);
}

int pc_set_apic_base(Pc *pc, unsigned cpu, uint64_t value)
{
    return lapic_set_base(pc->lapics, cpu, value);
}

uint8_t pc_cr8(Pc *pc, unsigned cpu)
{
    return lapic_tpr(pc->lapics, cpu) >> 4;
}

void pc_set_cr8(Pc *pc, unsigned cpu, uint8_t value)
{
    lapic_set_tpr(pc->lapics, cpu, value << 4);
}

uint64_t pc_tsc_deadline(Pc *pc, unsigned cpu)
{
    return lapic_tsc_deadline(pc->lapics, cpu);
}

void pc_set_tsc_deadline(Pc *pc, unsigned cpu, uint64_t value)
{
    lapic_set_tsc_deadline(pc->lapics, cpu, value);
}

void pc_cpu_reset(Pc *pc, unsigned cpu)
{
    lapic_cpu_init(pc->lapics, cpu);
}

void pc_fpu_error(Pc *pc, bool level)
{
    isa_ports_set_ferr(pc->isa_ports, level);
}

/* --- attach points ------------------------------------------------------------------------ */

MemMap *pc_memory(Pc *pc)
{
    return pc->memory;
}

MemMap *pc_io(Pc *pc)
{
    return pc->io;
}

PciBus *pc_pci_bus(Pc *pc)
{
    return pc->pci;
}

IrqInput *pc_isa_irq(Pc *pc, unsigned irq)
{
    assert(irq < PC_ISA_IRQS && irq != CASCADE_IRQ);
    return &pc->inputs[irq];
}

Clocks *pc_clocks(Pc *pc)
{
    return pc->config.clocks;
}

Input *pc_input(Pc *pc)
{
    return &pc->input;
}

DeviceList *pc_devices(Pc *pc)
{
    return &pc->devices;
}

struct Dma8237 *pc_isa_dma(Pc *pc)
{
    return pc->dma;
}

bool pc_has_serial(const Pc *pc, unsigned n)
{
    return pc->config.serial[n] || pc->config.serial_present[n];
}
