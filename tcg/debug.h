/*
 * debug.h - what a debugger outside the guest may do to a CPU: breakpoints, watchpoints, steps.
 *
 * They are invisible to the guest, whose own debug registers go on working. All functions are
 * called while no CPU runs. Addresses are linear (virtual). A CPU that hits something leaves
 * cpu_run() with RUN_DEBUG before the instruction (breakpoint) or behind it (watchpoint, step).
 */
#ifndef TCG_DEBUG_H
#define TCG_DEBUG_H

#include "tcg/tcg.h"

enum { DEBUG_MAX_BREAKPOINTS = 256, DEBUG_MAX_WATCHPOINTS = 64, DEBUG_MAX_WATCH_LEN = 4096 };

typedef enum { WATCH_WRITE = 1, WATCH_READ = 2, WATCH_ACCESS = 3 } WatchKind;

/* 0, -ENOSPC: too many, -ENOENT: there is none to remove, -EINVAL: too long. */
int tcg_breakpoint_set(Tcg *tcg, uint64_t la, bool on);
int tcg_watchpoint_set(Tcg *tcg, uint64_t la, uint64_t len, WatchKind kind, bool on);
void tcg_debug_clear(Tcg *tcg);

/* The CPU's next cpu_run() ends behind one instruction; interrupts wait meanwhile. */
void cpu_step_set(Cpu *cpu, bool on);

typedef enum { DEBUG_NOTHING, DEBUG_BREAK, DEBUG_WATCH, DEBUG_STEP } DebugStop;

/* Why the last cpu_run() returned RUN_DEBUG; for DEBUG_WATCH also what was touched. */
DebugStop cpu_debug_stop(Cpu *cpu, uint64_t *la, WatchKind *kind);

/* Registers by gdb's numbers: bytes in guest order. The length, or 0: there is no such register. */
size_t cpu_debug_get_reg(Cpu *cpu, unsigned n, uint8_t *buf);
size_t cpu_debug_set_reg(Cpu *cpu, unsigned n, const uint8_t *buf);
enum { DEBUG_REG_BYTES = 16 };

/* The target description that goes with them (gdb's XML). */
const char *cpu_debug_target(Cpu *cpu);

/* -- for guest code */

bool debug_has_breakpoint(Tcg *tcg, uint64_t la);
bool debug_page_has_breakpoint(Tcg *tcg, uint64_t la);
bool debug_page_is_watched(Tcg *tcg, uint64_t la);
bool debug_watches(Tcg *tcg);
/* An access; notes a hit. */
void debug_access(Cpu *cpu, uint64_t la, unsigned len, bool write);
/* At an instruction's start, with exact state: leaves cpu_run() if it is time. */
void debug_check(Cpu *cpu, uint64_t la);

#endif
