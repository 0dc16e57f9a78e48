/*
 * runstate.c - running, paused, shut down; and the ways from one to the other.
 *
 * Devices, signals and monitors only say what they want; the main loop does it between two steps,
 * with all vCPUs standing still.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "emulator/gdb/gdb.h"
#include "emulator/log.h"
#include "emulator/machine.h"

const char *run_state_name(RunState state)
{
    static const char *const names[] = { "running", "paused", "paused (shutdown)" };

    return names[state];
}

void machine_want(Machine *m, unsigned wants)
{
    m->wants |= wants;
    vcpus_look(m);
    mainloop_wake();
}

void machine_exit(Machine *m, int status)
{
    if (!(m->wants & WANT_QUIT))
        m->exit_status = status;
    machine_want(m, WANT_QUIT);
}

static void leave_running(Machine *m, RunState state)
{
    if (m->state == STATE_RUNNING) {
        vcpus_hold(m);
        clock_pause(&m->clocks.virt);
        aio_drain(m->aio);
        vcpus_release(m);
    }
    m->state = state;
    log_trace(TRACE_STATE, "state: %s", run_state_name(state));
}

void machine_stop(Machine *m)
{
    if (m->state == STATE_RUNNING)
        leave_running(m, STATE_PAUSED);
}

void machine_cont(Machine *m)
{
    if (m->state == STATE_RUNNING)
        return;
    if (m->state == STATE_SHUTDOWN)
        machine_reset(m);
    clock_resume(&m->clocks.virt);
    m->state = STATE_RUNNING;
    log_trace(TRACE_STATE, "state: running");
    vcpus_look(m);
}

/* -boot once= holds until the first reset. */
static void restore_boot_order(Machine *m)
{
    const char *order = m->config->boot_order;

    if (m->config->boot_once[0] && m->resets++ > 0)
        pc_set_boot_order(m->pc, order[0] ? order : "cdn", NULL);
}

/* What map changes left behind goes; nobody looks anything up meanwhile. */
static void reclaim_maps(Machine *m)
{
    vcpus_hold(m);
    memmap_reclaim(pc_memory(m->pc));
    memmap_reclaim(pc_io(m->pc));
    vcpus_release(m);
}

void machine_reset(Machine *m)
{
    log_trace(TRACE_STATE, "state: reset");
    vcpus_hold(m);
    aio_drain(m->aio);
    restore_boot_order(m);
    pc_reset(m->pc);
    for (unsigned i = 0; i < m->n_cpus; i++) {
        tcg_cpu_reset(m->cpus[i].cpu);
        m->cpus[i].idle = false;
    }
    reclaim_maps(m);
    vcpus_release(m);
}

/* The guest turned the power off, or may not reboot. */
static void power_off(Machine *m)
{
    if (m->config->no_shutdown)
        leave_running(m, STATE_SHUTDOWN);
    else
        m->done = true;
}

static void stop_for_debugger(Machine *m)
{
    machine_stop(m);
    if (m->gdb)
        gdb_stopped(m->gdb, m->debug_cpu);
}

void machine_serve_wants(Machine *m)
{
    while (m->wants && !m->done) {
        unsigned wants = m->wants;

        m->wants = 0;
        if (wants & WANT_RECLAIM)
            reclaim_maps(m);
        if (wants & WANT_DEBUG)
            stop_for_debugger(m);
        if (wants & WANT_QUIT)
            m->done = true;
        else if (wants & WANT_SHUTDOWN)
            power_off(m);
        else if (wants & WANT_RESET && m->config->no_reboot)
            power_off(m);
        else if (wants & WANT_RESET)
            machine_reset(m);
        else if (wants & WANT_POWERDOWN)
            pc_power_button(m->pc);
    }
    vcpus_look(m);
}

static void got_signal(void *opaque, short revents)
{
    Machine *m = opaque;
    struct signalfd_siginfo info;

    (void)revents;
    if (read(m->signals.fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo == SIGCONT) {
        char_stdio_reapply();
        return;
    }
    char_stdio_restore();
    fprintf(stderr, "emulator: terminating on signal %u\n", info.ssi_signo);
    machine_exit(m, 0);
}

/* A crash must not leave the terminal in raw mode. */
static void fatal_signal(int signo)
{
    char_stdio_restore();
    signal(signo, SIG_DFL);
    raise(signo);
}

int machine_watch_signals(Machine *m, Error **err)
{
    static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP };
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCONT);
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
        signal(fatal[i], fatal_signal);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0)
        return error_set(err, -errno, "cannot watch signals: %s", strerror(errno));
    watch_start(&m->signals, fd, POLLIN, got_signal, m);
    return 0;
}
