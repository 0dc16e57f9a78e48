/*
 * machine.h - one running machine: board, CPUs, disks, consoles, and the state it is in.
 *
 * All of it is guarded by the machine lock (emulator/mainloop.h) but what the comments say.
 */
#ifndef EMULATOR_MACHINE_H
#define EMULATOR_MACHINE_H

#include "block/aio.h"
#include "emulator/char/char.h"
#include "emulator/config.h"
#include "emulator/mainloop.h"
#include "hw/board/pc.h"
#include "hw/core/display.h"
#include "hw/ide/ide.h"
#include "tcg/tcg.h"

enum { TSC_HZ = 1000000000, MACHINE_BACKENDS = CONFIG_SERIALS + CONFIG_MONITORS + 2 };

/* What the machine does, see docs/EMULATOR.md. */
typedef enum {
    STATE_RUNNING,
    STATE_PAUSED,   /* -S, or the monitor's stop */
    STATE_SHUTDOWN, /* the guest powered off, with -no-shutdown */
} RunState;

/* What somebody wants the main loop to do; vCPUs stand still from RESET, SHUTDOWN or QUIT on. */
enum {
    WANT_RESET = 1,
    WANT_SHUTDOWN = 2,
    WANT_POWERDOWN = 4,
    WANT_QUIT = 8,
    WANT_RECLAIM = 16,
    WANT_DEBUG = 32
};

typedef struct Machine Machine;
typedef struct Monitor Monitor;

typedef struct VCpu {
    Machine *machine;
    Cpu *cpu;
    unsigned index;
    pthread_t thread;
    bool started; /* the thread exists */
    bool in_run;  /* inside cpu_run(), without the lock */
    bool idle;    /* halted: waits on `wake` until it has work */
    pthread_cond_t wake;
} VCpu;

typedef struct Drive {
    const DriveConfig *config;
    char name[32]; /* "ide0-hd0" as the monitor calls it */
    Node *node;    /* NULL: no medium */
} Drive;

struct Machine {
    const Config *config;
    Clocks clocks;
    Pc *pc;
    Tcg *tcg;
    unsigned log_mask; /* TCG_LOG_* that were asked for */
    MemListener memory_changed, io_changed;
    unsigned map_changes;
    VCpu *cpus;
    unsigned n_cpus;
    pthread_cond_t cpu_left; /* a vCPU left cpu_run() */
    int only_cpu;            /* the only one that may run, for a debugger; -1: all may */
    int debug_cpu;           /* WANT_DEBUG: whose cpu_run() ended with RUN_DEBUG */
    struct Gdb *gdb;         /* NULL: no -gdb */
    unsigned holds;          /* vcpus_hold() minus vcpus_release() */
    bool ending;             /* vCPU threads shall end */

    RunState state;
    unsigned wants; /* WANT_* */
    int exit_status;
    unsigned resets;
    bool done; /* leave the main loop */

    AioContext *aio;
    Watch aio_watch;
    IdeController *ide;
    struct Fdc *fdc; /* NULL: no floppy drives */
    Drive drives[CONFIG_DRIVES];
    unsigned n_drives;

    Display *display; /* NULL: -vga none */
    Chardev *serial[CONFIG_SERIALS];
    CharBackend *backends[MACHINE_BACKENDS];
    unsigned n_backends;
    CharMux *muxes[MACHINE_BACKENDS];
    unsigned n_muxes;
    Monitor *monitors[CONFIG_MONITORS + 1];
    unsigned n_monitors;
    CharBackend *debugcon;

    PcBytes bios, kernel, initrd; /* file contents */
    Watch signals;
};

/* machine.c */
int machine_init(Machine *m, const Config *config, Error **err);
int machine_run(Machine *m); /* returns the exit status */
void machine_destroy(Machine *m);

/* runstate.c */
const char *run_state_name(RunState state);
void machine_want(Machine *m, unsigned wants);
void machine_exit(Machine *m, int status);
void machine_stop(Machine *m);
void machine_cont(Machine *m);
void machine_reset(Machine *m); /* on the main loop, as the next two */
void machine_serve_wants(Machine *m);
int machine_watch_signals(Machine *m, Error **err);

/* vcpu.c: threads. Nobody runs guest code between hold and release. */
int vcpus_init(Machine *m, Error **err);
int vcpus_start(Machine *m, Error **err);
void vcpus_end(Machine *m);
void vcpus_hold(Machine *m);
void vcpus_release(Machine *m);
void vcpus_look(Machine *m); /* the run state changed */
void vcpu_request(VCpu *v, uint32_t req);
unsigned vcpu_current(void);

/* bus.c: what the translator and the board need of each other. */
extern const PcHooks machine_pc_hooks;
void machine_fill_bus(Machine *m, TcgBus *bus);
void machine_connect_memory(Machine *m);

/* firmware.c */
int firmware_load(const Config *config, const char *name, PcBytes *out, Error **err);
int file_load(const char *path, PcBytes *out, Error **err);

/* drives.c */
int drives_open(Machine *m, Error **err);
int drives_attach(Machine *m, Error **err);
void drives_close(Machine *m);
Drive *drive_find(Machine *m, const char *name);
int drive_change(Machine *m, Drive *d, const char *file, bool force, Error **err);

/* consoles.c */
int consoles_open(Machine *m, Error **err);
void consoles_close(Machine *m);

#endif
