/*
 * machine.c - from a Config to a machine that runs, and back to nothing.
 */
#include "emulator/machine.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/endian.h"
#include "emulator/cmdline.h"
#include "emulator/display.h"
#include "emulator/gdb/gdb.h"
#include "emulator/log.h"
#include "emulator/monitor/monitor.h"

/* ---- clocks -------------------------------------------------------------------------------- */

static int64_t virtual_source(void *opaque)
{
    return clock_now(opaque);
}

static int64_t realtime_now(void)
{
    return clock_source_realtime(NULL);
}

/* Nanoseconds to add to UTC for what the guest's clock shall show. */
static int64_t rtc_shift(const Config *c)
{
    time_t now = realtime_now() / NS_PER_S;
    struct tm tm;

    if (c->rtc_base == RTC_DATE)
        return (c->rtc_date - now) * NS_PER_S;
    if (c->rtc_base == RTC_LOCALTIME && localtime_r(&now, &tm))
        return tm.tm_gmtoff * NS_PER_S;
    return 0;
}

static void init_clocks(Machine *m)
{
    Clocks *c = &m->clocks;

    clock_init(&c->virt, "virtual", clock_source_monotonic, NULL);
    clock_set(&c->virt, 0);
    clock_pause(&c->virt);
    clock_init(&c->host, "host", clock_source_monotonic, NULL);
    if (m->config->rtc_vm_clock)
        clock_init(&c->rtc, "rtc", virtual_source, &c->virt);
    else
        clock_init(&c->rtc, "rtc", clock_source_realtime, NULL);
    clock_set(&c->rtc, realtime_now() + rtc_shift(m->config));
}

/* ---- translator ---------------------------------------------------------------------------- */

static int make_translator(Machine *m, Error **err)
{
    TcgConfig config = { .backend = m->config->tcg_backend,
                         .cache_size = m->config->tcg_cache,
                         .cores = m->config->cores,
                         .threads = m->config->threads };
    TcgBus bus;

    if (m->config->log_items)
        log_parse_items(m->config->log_items, &m->log_mask, NULL);
    config.log_mask = m->log_mask;
    machine_fill_bus(m, &bus);
    m->tcg = tcg_new(&config, &bus, err);
    return m->tcg ? 0 : -EINVAL;
}

/* ---- board --------------------------------------------------------------------------------- */

static uint64_t read_tsc(void *opaque, unsigned cpu)
{
    Machine *m = opaque;

    (void)cpu;
    return clock_now(&m->clocks.virt);
}

static int load_files(Machine *m, Error **err)
{
    const Config *c = m->config;
    int ret = firmware_load(c, c->bios ? c->bios : "bios-256k.bin", &m->bios, err);

    if (ret == 0 && c->kernel)
        ret = file_load(c->kernel, &m->kernel, err);
    if (ret == 0 && c->initrd)
        ret = file_load(c->initrd, &m->initrd, err);
    return ret;
}

static const char *boot_letters(const Config *c)
{
    return c->boot_once[0] ? c->boot_once : c->boot_order[0] ? c->boot_order : NULL;
}

static int make_board(Machine *m, Error **err)
{
    const Config *c = m->config;
    PcConfig pc = {
        .ram_size = c->ram_size,
        .cpus = m->n_cpus,
        .max_cpus = m->n_cpus,
        .bios = m->bios,
        .clocks = &m->clocks,
        .hooks = &machine_pc_hooks,
        .hooks_opaque = m,
        .tsc_hz = TSC_HZ,
        .tsc = read_tsc,
        .no_hpet = c->no_hpet,
        .no_acpi = c->no_acpi,
        .rtc_localtime = c->rtc_base == RTC_LOCALTIME,
        .boot_order = boot_letters(c),
        .boot_menu = c->boot_menu,
        .boot_menu_timeout_ms = c->boot_menu_timeout_ms,
        .boot_fail_wait_set = c->boot_reboot_timeout_set,
        .boot_fail_wait_ms = c->boot_reboot_timeout_ms,
        .kernel = m->kernel,
        .initrd = m->initrd,
        .append = c->append,
        .debug_exit_iobase = c->debug_exit_iobase,
        .debug_exit_iosize = c->debug_exit ? c->debug_exit_iosize : 0,
    };

    memcpy(pc.uuid, c->uuid, sizeof(pc.uuid));
    memcpy(pc.serial, m->serial, sizeof(pc.serial));
    pc.serial_present[0] = !c->n_serials || strcmp(c->serials[0], "none") != 0;
    for (unsigned i = 1; i < PC_SERIALS; i++)
        pc.serial_present[i] = m->serial[i] != NULL;
    m->pc = pc_new(&pc, err);
    if (!m->pc)
        return -EINVAL;
    machine_connect_memory(m);
    return 0;
}

/* Without a display, the firmware's text goes to the first serial port, too. */
static int add_serial_console(Machine *m, Error **err)
{
    uint8_t port[2];

    if (!m->config->nographic && (m->config->display_none || m->n_muxes == 0))
        return 0;
    put_le16(port, 0x3f8);
    return pc_add_fw_file(m->pc, "etc/sercon-port", port, sizeof(port), err);
}

/* What can be wrong there comes from the kernel's file. */
static int setup_firmware(Machine *m, Error **err)
{
    int ret = pc_setup_firmware(m->pc, err);

    return ret < 0 && m->config->kernel ? error_prefix(err, ret, "-kernel %s", m->config->kernel)
                                        : ret;
}

static int attach_all(Machine *m, Error **err)
{
    int ret = drives_attach(m, err);

    if (ret == 0 && m->config->vga == VGA_STD)
        ret = display_attach(m, err);
    if (ret == 0)
        ret = add_serial_console(m, err);
    if (ret == 0)
        ret = setup_firmware(m, err);
    return ret;
}

/* ---- the whole ----------------------------------------------------------------------------- */

int machine_init(Machine *m, const Config *config, Error **err)
{
    *m = (Machine) { .config = config, .state = STATE_PAUSED };
    init_clocks(m);
    int ret = mainloop_init(&m->clocks, err);
    unsigned traces;

    machine_lock();
    if (config->trace && log_parse_traces(config->trace, &traces, NULL) == 0)
        log_traces = traces;
    if (ret == 0 && (config->log_file || config->log_items || config->trace))
        ret = log_open(config->log_file, err);
    if (ret == 0)
        ret = load_files(m, err);
    if (ret == 0)
        ret = drives_open(m, err);
    if (ret == 0)
        ret = make_translator(m, err);
    if (ret == 0)
        ret = vcpus_init(m, err);
    if (ret == 0)
        ret = machine_watch_signals(m, err);
    if (ret == 0)
        ret = consoles_open(m, err);
    if (ret == 0)
        ret = make_board(m, err);
    if (ret == 0)
        ret = attach_all(m, err);
    if (ret == 0)
        ret = vcpus_start(m, err);
    return ret;
}

int machine_run(Machine *m)
{
    machine_reset(m);
    if (!m->config->paused && !(m->gdb && gdb_connected(m->gdb)))
        machine_cont(m);
    while (!m->done) {
        mainloop_step();
        if (m->wants)
            machine_serve_wants(m);
    }
    vcpus_hold(m);
    aio_drain(m->aio);
    return m->exit_status;
}

void machine_destroy(Machine *m)
{
    vcpus_end(m);
    drives_close(m);
    if (m->pc)
        pc_free(m->pc);
    if (m->display)
        display_free(m->display);
    consoles_close(m);
    if (m->tcg)
        tcg_free(m->tcg);
    free((void *)m->bios.data);
    free((void *)m->kernel.data);
    free((void *)m->initrd.data);
    machine_unlock();
    log_close();
}
