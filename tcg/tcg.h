/*
 * tcg.h - the translator as a library: what a machine provides, and how it runs a virtual CPU.
 */
#ifndef TCG_TCG_H
#define TCG_TCG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "tcg/cpu.h"

/* One page of guest-physical memory as the machine maps it. */
typedef struct {
    uint8_t *host;  /* NULL: not memory, use mmio */
    bool writable;  /* false: ROM, writes go to mmio_write */
    bool log_dirty; /* writes go through `dirty` first (video memory) */
} TcgPage;

/* The machine around the CPUs. Every callback may be called from any vCPU thread; it locks for
 * itself. */
typedef struct {
    void *opaque;
    void (*page)(void *opaque, uint64_t gpa, TcgPage *out);
    uint64_t (*mmio_read)(void *opaque, uint64_t gpa, unsigned size);
    void (*mmio_write)(void *opaque, uint64_t gpa, uint64_t value, unsigned size);
    void (*dirty)(void *opaque, uint64_t gpa, unsigned len);
    uint64_t (*io_read)(void *opaque, uint16_t port, unsigned size);
    void (*io_write)(void *opaque, uint16_t port, uint64_t value, unsigned size);
    int (*irq_acknowledge)(void *opaque,
                           unsigned cpu); /* vector, or -1: spurious, nothing to take */
    uint64_t (*tsc)(void *opaque);        /* cycles since power-on */
    uint64_t (*apic_base)(void *opaque, unsigned cpu); /* IA32_APIC_BASE */
    void (*set_apic_base)(void *opaque, unsigned cpu, uint64_t value);
    uint8_t (*tpr)(void *opaque, unsigned cpu); /* CR8: priority class 0..15 */
    void (*set_tpr)(void *opaque, unsigned cpu, uint8_t value);
    void (*set_tsc_deadline)(void *opaque, unsigned cpu, uint64_t tsc);
    void (*set_a20)(void *opaque, bool on); /* unused by the CPU itself; may be NULL */
    void (*ferr)(void *opaque);             /* x87 FERR# (IRQ 13) */
    void (*log)(void *opaque, unsigned mask, const char *text);
} TcgBus;

enum {
    TCG_LOG_IN_ASM = 1,
    TCG_LOG_OP = 2,
    TCG_LOG_OUT_ASM = 4,
    TCG_LOG_INT = 8,
    TCG_LOG_EXEC = 16,
    TCG_LOG_CPU = 32,
    TCG_LOG_MMU = 64,
    TCG_LOG_GUEST_ERRORS = 128
};

typedef struct {
    const char *backend; /* "x86_64", "interp", or NULL: the best for this host */
    size_t cache_size;   /* bytes of host code; 0: default */
    unsigned log_mask;
    unsigned max_insns;      /* a block; 0: default. 1: single instructions, for tests */
    unsigned cores, threads; /* a socket, a core: what the CPUs say of themselves; 0: 1 */
    bool verify;             /* check the IR of every block, for tests: abort() on a mistake */
} TcgConfig;

Tcg *tcg_new(const TcgConfig *config, const TcgBus *bus, Error **err);
void tcg_free(Tcg *tcg);

/* For guest code: the machine around, and which TCG_LOG_* somebody wants. */
const TcgBus *tcg_bus(const Tcg *tcg);
unsigned tcg_log_mask(const Tcg *tcg);
const TcgConfig *tcg_config(const Tcg *tcg);
/* More than one CPU may run at the same time. */
bool tcg_is_smp(const Tcg *tcg);

Cpu *tcg_cpu_new(Tcg *tcg, const GuestArch *guest, const char *model, unsigned index, Error **err);
void tcg_cpu_free(Cpu *cpu);
void tcg_cpu_reset(Cpu *cpu);

/* Lines and events a CPU can be asked to look at; edge events clear when taken. */
enum {
    CPU_REQ_INTR = 1, /* level: the interrupt controller has a vector */
    CPU_REQ_NMI = 2,
    CPU_REQ_INIT = 4,
    CPU_REQ_SIPI = 8,
    CPU_REQ_RESET = 16,
    CPU_REQ_SMI = 32,
    CPU_REQ_STOP = 64,    /* leave cpu_run() */
    CPU_REQ_FLUSH = 128,  /* the memory map changed */
    CPU_REQ_FORGET = 256, /* translated code was thrown away */
};
void cpu_request(Cpu *cpu, uint32_t req);   /* any thread */
void cpu_unrequest(Cpu *cpu, uint32_t req); /* any thread; for CPU_REQ_INTR */

typedef enum {
    RUN_STOPPED,  /* CPU_REQ_STOP */
    RUN_HALTED,   /* HLT: nothing to do until a request is deliverable */
    RUN_SHUTDOWN, /* triple fault */
    RUN_DEBUG,    /* a breakpoint, watchpoint or step of debug.h */
} RunResult;

/* Run until one of the above; from the CPU's own thread. */
RunResult cpu_run(Cpu *cpu);
/* A halted CPU should be run again. */
bool cpu_has_work(Cpu *cpu);

/* [gpa, gpa+len) was written by somebody else (DMA): forget translations of it. Any thread. */
void tcg_invalidate(Tcg *tcg, uint64_t gpa, uint64_t len);
/* The memory map changed: all CPUs drop their TLBs. Any thread. */
void tcg_map_changed(Tcg *tcg);

/* Monitor and debugger: read or write guest-virtual memory without side effects; -EFAULT if
 * unmapped. */
int cpu_debug_read(Cpu *cpu, uint64_t va, void *buf, size_t len);
int cpu_debug_write(Cpu *cpu, uint64_t va, const void *buf, size_t len);
void cpu_dump(Cpu *cpu, FILE *out);

#endif
