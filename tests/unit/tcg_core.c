/*
 * tcg_core.c - the translator's core (block cache, TLB, run loop) under a guest that is made up
 * here: sixteen 64-bit registers, a few instructions, and a page map that the test writes. Every
 * test runs on every back end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "tests/unit/tcg_machine.h"

/* -- the guest
 *     A r i8    r += i8              M r i64   r = i64           J rel8    jump
 *     L r s n   r = n bytes at [s]   S r s n   n bytes at [s] = r
 *     B r rel8  jump if r != 0       R r       jump to r         H         halt
 *     F         flush the TLB        P r       flush the page of address r
 *     I         count an instruction by a helper that may fault
 */
enum { MAP_PAGES = 1 << 14, MAP_READ = 1, MAP_WRITE = 2, MAP_GLOBAL = 4 };

typedef struct {
    Cpu c;
    uint64_t map[MAP_PAGES / 64]; /* gpa | MAP_* of the first pages; the others map to themselves */
    unsigned faults, interrupts, helped, walks;
    uint64_t fault_va, fault_pc;
    bool pending, masked;
    uint64_t handler; /* where faults go */
} Fake;

static Fake *fake(Cpu *cpu)
{
    return (Fake *)cpu;
}

static int fake_init(Cpu *cpu, const char *model, Error **err)
{
    (void)model, (void)err;
    for (unsigned i = 0; i < ARRAY_LEN(fake(cpu)->map); i++)
        fake(cpu)->map[i] = (uint64_t)i << 12 | MAP_READ | MAP_WRITE;
    return 0;
}

static void fake_reset(Cpu *cpu)
{
    cpu->pc = 0;
}

static uint64_t fake_code_address(Cpu *cpu, unsigned *mmu)
{
    *mmu = 0;
    return cpu->pc;
}

static bool fake_walk(Cpu *cpu, uint64_t va, Access access, unsigned mmu, bool raise, bool peek,
                      PageMap *map)
{
    Fake *f = fake(cpu);
    uint64_t page = va >> 12;
    uint64_t e = page < ARRAY_LEN(f->map) ? f->map[page] : page << 12 | MAP_READ | MAP_WRITE;

    (void)mmu;
    f->walks += !peek;
    if (e & (access == ACCESS_WRITE ? MAP_WRITE : MAP_READ)) {
        *map = (PageMap) { .gpa = e & ~UINT64_C(0xfff),
                           .read = e & MAP_READ,
                           .write = e & MAP_WRITE,
                           .global = e & MAP_GLOBAL,
                           .page_size = 4096 };
        return true;
    }
    if (!raise)
        return false;
    cpu_restore_state(cpu);
    f->faults++;
    f->fault_va = va;
    f->fault_pc = cpu->pc;
    f->pending = true;
    cpu_unwind(cpu);
}

static uint32_t fake_deliverable(Cpu *cpu)
{
    return fake(cpu)->masked ? 0 : atomic_load(&cpu->requests) & CPU_REQ_INTR;
}

static void fake_deliver(Cpu *cpu)
{
    Fake *f = fake(cpu);

    if (f->pending) {
        f->pending = false;
        cpu->pc = f->handler;
    }
    if (fake_deliverable(cpu)) {
        cpu_unrequest(cpu, CPU_REQ_INTR);
        f->interrupts++;
        cpu->halted = false;
    }
}

static uint64_t do_halt(Cpu *cpu, uint64_t next)
{
    cpu_restore_state(cpu);
    cpu->pc = cpu->rip_page + next;
    cpu->halted = true;
    cpu_unwind(cpu);
}

static uint64_t do_flush(Cpu *cpu)
{
    tlb_flush(cpu);
    return 0;
}

static uint64_t do_flush_page(Cpu *cpu, uint64_t va)
{
    tlb_flush_page(cpu, va);
    return 0;
}

static uint64_t do_count(Cpu *cpu)
{
    fake(cpu)->helped++;
    return 0;
}

static const IrHelper h_halt = { "halt", do_halt, HELPER_FAULTS };
static const IrHelper h_flush = { "flush", do_flush, 0 };
static const IrHelper h_flush_page = { "flush_page", do_flush_page, 0 };
static const IrHelper h_count = { "count", do_count, HELPER_FAULTS };

static unsigned insn_length(uint8_t op)
{
    switch (op) {
    case 'A':
    case 'B': return 3;
    case 'M': return 10;
    case 'J':
    case 'R':
    case 'P': return 2;
    case 'L':
    case 'S': return 4;
    default: return 1;
    }
}

static IrRef mem_at(IrBlock *b, unsigned reg)
{
    return ir_mem(b, &(IrMem) { .base = ir_g(reg), .asize = IR_64, .lsize = IR_64 });
}

static void emit_end(IrBlock *b, IrOpcode op, int64_t target)
{
    ir_emit(b, op, IR_64, REF_NONE, REF_NONE, REF_NONE, REF_NONE)->imm = target;
}

/* One instruction; true if it ends the block. */
static bool translate_one(IrBlock *b, const uint8_t *in, int64_t next)
{
    unsigned size = in[0] == 'L' || in[0] == 'S' ? __builtin_ctz(in[3]) : IR_64;
    uint64_t k;

    switch (in[0]) {
    case 'A':
        ir_emit(b, IR_add, IR_64, ir_g(in[1]), ir_g(in[1]), ir_k(b, (int64_t)(int8_t)in[2]), 0)
            ->attr |= IR_SETF;
        return false;
    case 'M':
        memcpy(&k, in + 2, 8);
        ir_emit(b, IR_mov, IR_64, ir_g(in[1]), ir_k(b, k), 0, 0);
        return false;
    case 'L': ir_emit(b, IR_ld, size, ir_g(in[1]), mem_at(b, in[2]), 0, 0); return false;
    case 'S': ir_emit(b, IR_st, size, 0, mem_at(b, in[2]), ir_g(in[1]), 0); return false;
    case 'B':
        ir_emit(b, IR_jnz, IR_64, 0, ir_g(in[1]), 0, 0)->imm = next + (int8_t)in[2];
        emit_end(b, IR_jmp, next);
        return true;
    case 'J': emit_end(b, IR_jmp, next + (int8_t)in[1]); return true;
    case 'R': ir_emit(b, IR_jmpr, IR_64, 0, ir_g(in[1]), 0, 0); return true;
    case 'F': ir_call(b, &h_flush, 0, 0, 0, 0); break;
    case 'P': ir_call(b, &h_flush_page, 0, ir_g(in[1]), 0, 0); break;
    case 'I': ir_call(b, &h_count, 0, 0, 0, 0); return false;
    default: ir_call(b, &h_halt, 0, ir_k(b, next), 0, 0); break;
    }
    emit_end(b, IR_exit, next);
    return true;
}

static void fake_translate(Cpu *cpu, IrBlock *b, CodeWindow *code, unsigned max_insns)
{
    uint32_t at = code->start;
    bool end = false;

    (void)cpu;
    for (unsigned n = 0; n < max_insns && at < 4096 && ir_has_room(b) && !end; n++) {
        unsigned len = insn_length(code->page[at]);
        uint8_t bytes[10];

        if (at + len > 4096 && !code_next_page(code, n == 0))
            break;
        for (unsigned i = 0; i < len; i++)
            bytes[i] = at + i < 4096 ? code->page[at + i] : code->next[at + i - 4096];
        ir_insn(b, at);
        at += len;
        end = translate_one(b, bytes, at);
    }
    b->end = at;
    if (!end)
        emit_end(b, IR_jmp, at);
}

static void fake_dump(Cpu *cpu, FILE *out)
{
    fprintf(out, "pc %llx\n", (unsigned long long)cpu->pc);
}

static const GuestArch fake_guest = {
    .name = "fake",
    .state_size = sizeof(Fake),
    .n_globals = 16,
    .init = fake_init,
    .reset = fake_reset,
    .code_address = fake_code_address,
    .translate = fake_translate,
    .walk = fake_walk,
    .deliver = fake_deliver,
    .deliverable = fake_deliverable,
    .dump = fake_dump,
};

/* -- tools of the tests */

static Machine *start(void **state, unsigned mib)
{
    Machine *m = machine_new(*state, mib);

    machine_cpu(m, &fake_guest, NULL);
    return m;
}

static void run_from(Machine *m, uint64_t pc)
{
    m->cpu->pc = pc;
    m->cpu->halted = false;
    assert_int_equal(machine_run(m), RUN_HALTED);
}

#define LOAD(m, at, ...)                                                                           \
    machine_load(m, at, (const uint8_t[]) { __VA_ARGS__ },                                         \
                 sizeof((const uint8_t[]) { __VA_ARGS__ }))
#define IMM64(v)                                                                                   \
    (uint8_t)(v), (uint8_t)((uint64_t)(v) >> 8), (uint8_t)((uint64_t)(v) >> 16),                   \
        (uint8_t)((uint64_t)(v) >> 24), (uint8_t)((uint64_t)(v) >> 32), 0, 0, 0

/* -- tests */

static void counts_in_a_loop(void **state)
{
    Machine *m = start(state, 1);

    LOAD(m, 0x1000, 'M', 0, IMM64(100000), 'M', 1, IMM64(0), /* at 20: */ 'A', 1, 3, 'A', 0, -1,
         'B', 0, -9, 'H');
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[1], 300000);
    assert_int_equal(m->cpu->pc, 0x1000 + 30);
    machine_free(m);
}

static void jumps_through_registers_and_pages(void **state)
{
    Machine *m = start(state, 1);

    LOAD(m, 0x1000, 'M', 0, IMM64(1000), 'M', 2, IMM64(0x3000), 'M', 3, IMM64(0x101e), 'R', 2);
    LOAD(m, 0x101e, 'J', 0, 'R', 2);
    LOAD(m, 0x3000, 'A', 1, 1, 'A', 0, -1, 'B', 0, 1, 'H', 'R', 3);
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[1], 1000);
    machine_free(m);
}

/* A store into the block that does it, ahead of the store and over the store itself. */
static void changes_its_own_block(void **state)
{
    Machine *m = start(state, 1);

    m->cpu->gpr[2] = 0x1008 + 2;
    m->cpu->gpr[3] = 77;
    LOAD(m, 0x1000, 'A', 5, 1, 'S', 3, 2, 1, 'I', 'A', 1, 1, 'H');
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[1], 77);
    assert_int_equal(m->cpu->gpr[5], 1);
    assert_int_equal(fake(m->cpu)->helped, 1);

    m->cpu->gpr[2] = 0x2000;
    m->cpu->gpr[3] = 'H';
    LOAD(m, 0x2000, 'S', 3, 2, 1, 'A', 1, 1, 'J', -9);
    run_from(m, 0x2000);
    assert_int_equal(m->cpu->gpr[1], 78);
    assert_int_equal(m->cpu->pc, 0x2001);
    machine_free(m);
}

static void changes_other_blocks(void **state)
{
    Machine *m = start(state, 1);

    /* 0x1100 is called through r7 three times; each time its increment is one more */
    m->cpu->gpr[0] = 3;
    m->cpu->gpr[2] = 0x1102;
    m->cpu->gpr[7] = 0x1100;
    m->cpu->gpr[8] = 0x1002;
    LOAD(m, 0x1000, 'R', 7, 'A', 3, 1, 'S', 3, 2, 1, 'A', 0, -1, 'B', 0, -15, 'H');
    LOAD(m, 0x1100, 'A', 1, 0, 'R', 8);
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[1], 0 + 1 + 2);
    machine_free(m);
}

static void sees_writes_through_another_address(void **state)
{
    Machine *m = start(state, 1);

    fake(m->cpu)->map[9] = 0x1000 | MAP_READ | MAP_WRITE;
    m->cpu->gpr[2] = 0x9012;
    m->cpu->gpr[3] = 5;
    m->cpu->gpr[0] = 2;
    LOAD(m, 0x1000, 'S', 4, 2, 1, 'J', 10, [0x10] = 'A', 1, 1, 'A', 0, -1, 'B', 0, 1, 'H', 'S', 3,
         2, 1, 'J', -16);
    run_from(m, 0x1000); /* the first store fills the TLB with 0, then it becomes 5 */
    assert_int_equal(m->cpu->gpr[1], 0 + 5);
    machine_free(m);
}

static void data_beside_code_is_plain(void **state)
{
    Machine *m = start(state, 1);

    m->cpu->gpr[0] = 1000;
    m->cpu->gpr[2] = 0x1020; /* the same granule */
    LOAD(m, 0x1000, 'S', 0, 2, 8, 'L', 4, 2, 8, 'A', 0, -1, 'B', 0, -14, 'H');
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[4], 1);
    machine_free(m);
}

static void code_crosses_pages(void **state)
{
    Machine *m = start(state, 1);

    LOAD(m, 0x1ffb, 'J', 0, 'M', 1, IMM64(0x1234567), 'H');
    run_from(m, 0x1ffb);
    assert_int_equal(m->cpu->gpr[1], 0x1234567);
    /* the second half somewhere else: the same first half is another instruction now */
    machine_load(m, 0x5000, m->ram + 0x2000, 16);
    m->ram[0x5000] = 0x11;
    fake(m->cpu)->map[2] = 0x5000 | MAP_READ;
    tlb_flush_page(m->cpu, 0x2000);
    run_from(m, 0x1ffb);
    assert_int_equal(m->cpu->gpr[1], 0x1231167);
    /* and its second page is watched */
    LOAD(m, 0x5000, 0x22);
    run_from(m, 0x1ffb);
    assert_int_equal(m->cpu->gpr[1], 0x1232267);
    /* absent: the fault is that of the second page, before the instruction */
    fake(m->cpu)->map[2] = 0;
    tlb_flush_page(m->cpu, 0x2000);
    fake(m->cpu)->handler = 0x8000;
    LOAD(m, 0x8000, 'H');
    run_from(m, 0x1ffb);
    assert_int_equal(fake(m->cpu)->fault_va, 0x2000);
    assert_int_equal(fake(m->cpu)->fault_pc, 0x1ffd);
    machine_free(m);
}

static void faults_are_exact(void **state)
{
    Machine *m = start(state, 1);
    Fake *f = fake(m->cpu);

    f->map[6] = 0;
    f->handler = 0x8000;
    LOAD(m, 0x8000, 'A', 9, 1, 'H');
    m->cpu->gpr[1] = 1;
    m->cpu->gpr[2] = 0x6008;
    LOAD(m, 0x1000, 'A', 1, -1, 'L', 1, 2, 8, 'A', 1, 100, 'H');
    run_from(m, 0x1000);
    assert_int_equal(f->fault_pc, 0x1003);
    assert_int_equal(f->fault_va, 0x6008);
    assert_int_equal(m->cpu->gpr[1], 0);
    assert_int_equal(m->cpu->gpr[9], 1);
    machine_free(m);
}

static void fault_keeps_flags(void **state)
{
    Machine *m = start(state, 1);
    Fake *f = fake(m->cpu);

    f->map[6] = 0;
    f->handler = 0x8000;
    LOAD(m, 0x8000, 'H');
    m->cpu->gpr[1] = 1;
    m->cpu->gpr[2] = 0x6008;
    LOAD(m, 0x1000, 'A', 1, -1, 'L', 1, 2, 8, 'A', 1, 100, 'H');
    run_from(m, 0x1000);
    assert_int_equal(cpu_flags(m->cpu), FLAG_ZF | FLAG_CF | FLAG_PF | FLAG_AF);
    machine_free(m);
}

static void crossing_store_is_all_or_nothing(void **state)
{
    Machine *m = start(state, 1);
    Fake *f = fake(m->cpu);

    f->handler = 0x8000;
    LOAD(m, 0x8000, 'H');
    m->cpu->gpr[1] = 0x8877665544332211;
    m->cpu->gpr[2] = 0x6ffd;
    LOAD(m, 0x1000, 'S', 1, 2, 8, 'L', 3, 2, 8, 'H');
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[3], 0x8877665544332211);
    assert_int_equal(m->ram[0x6fff], 0x33);
    assert_int_equal(m->ram[0x7000], 0x44);
    memset(m->ram + 0x6ff0, 0, 0x20);
    f->map[7] = 0x7000 | MAP_READ;
    tlb_flush(m->cpu);
    run_from(m, 0x1000);
    assert_int_equal(f->fault_va, 0x7000);
    assert_int_equal(f->fault_pc, 0x1000);
    assert_int_equal(m->ram[0x6ffd], 0);
    machine_free(m);
}

static void flushes_make_new_maps_visible(void **state)
{
    Machine *m = start(state, 1);
    Fake *f = fake(m->cpu);

    m->ram[0x6000] = 6;
    m->ram[0x7000] = 7;
    m->cpu->gpr[2] = 0x6000;
    LOAD(m, 0x1000, 'L', 1, 2, 1, 'H', [0x10] = 'P', 2, 'L', 1, 2, 1, 'H', [0x20] = 'F', 'L', 1, 2,
         1, 'H');
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[1], 6);
    f->map[6] = 0x7000 | MAP_READ | MAP_GLOBAL;
    run_from(m, 0x1000); /* no flush yet: a TLB may be stale, and ours is */
    assert_int_equal(m->cpu->gpr[1], 6);
    run_from(m, 0x1010);
    assert_int_equal(m->cpu->gpr[1], 7);
    run_from(m, 0x1020);
    f->map[6] = 0x6000 | MAP_READ;
    tlb_flush_non_global(m->cpu); /* global entries stay */
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[1], 7);
    run_from(m, 0x1020);
    assert_int_equal(m->cpu->gpr[1], 6);
    tlb_flush_non_global(m->cpu);
    f->map[6] = 0x7000 | MAP_READ;
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[1], 7);
    machine_free(m);
}

static void code_follows_its_map(void **state)
{
    Machine *m = start(state, 1);
    Fake *f = fake(m->cpu);

    LOAD(m, 0x4000, 'A', 1, 1, 'H');
    LOAD(m, 0x5000, 'A', 1, 10, 'H');
    f->map[3] = 0x4000 | MAP_READ;
    run_from(m, 0x3000);
    run_from(m, 0x3000);
    f->map[3] = 0x5000 | MAP_READ;
    tlb_flush_page(m->cpu, 0x3000);
    run_from(m, 0x3000);
    assert_int_equal(m->cpu->gpr[1], 12);
    machine_free(m);
}

static void global_code_stays_until_its_page_is_flushed(void **state)
{
    Machine *m = start(state, 1);
    Fake *f = fake(m->cpu);

    LOAD(m, 0x4000, 'A', 1, 1, 'H');
    LOAD(m, 0x5000, 'A', 1, 10, 'H');
    f->map[3] = 0x4000 | MAP_READ | MAP_GLOBAL;
    run_from(m, 0x3000);
    f->map[3] = 0x5000 | MAP_READ | MAP_GLOBAL;
    tlb_flush_non_global(m->cpu);
    run_from(m, 0x3000);
    assert_int_equal(m->cpu->gpr[1], 2);
    tlb_flush_page(m->cpu, 0x3000);
    run_from(m, 0x3000);
    assert_int_equal(m->cpu->gpr[1], 12);
    machine_free(m);
}

static void devices_rom_and_video(void **state)
{
    Machine *m = start(state, 1);

    m->rom_at = 0x20000;
    m->rom_end = 0x21000;
    m->video_at = 0x30000;
    m->video_end = 0x31000;
    m->ram[0x20000] = 0x5a;
    m->mmio_answer = 0x1122334455667788;
    m->cpu->gpr[1] = 0xabcd;
    m->cpu->gpr[2] = 0xfee00010;
    m->cpu->gpr[3] = 0x20000;
    m->cpu->gpr[4] = 0x30000;
    LOAD(m, 0x1000, 'L', 5, 2, 4, 'S', 1, 2, 2, 'S', 1, 3, 1, 'L', 6, 3, 1, 'S', 1, 4, 2, 'S', 1, 4,
         2, 'L', 7, 4, 2, 'H');
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[5], 0x55667788);
    assert_int_equal(m->mmio_reads, 1);
    assert_int_equal(m->mmio_writes, 2);
    assert_int_equal(m->mmio_at, 0x20000);
    assert_int_equal(m->mmio_value & 0xff, 0xcd);
    assert_int_equal(m->cpu->gpr[6], 0x5a);
    assert_int_equal(m->cpu->gpr[7], 0xabcd);
    assert_int_equal(m->dirty_calls, 2);
    machine_free(m);
}

/* The first two bytes are RAM, the others belong to a device. */
static void access_crosses_into_a_device(void **state)
{
    Machine *m = start(state, 1);

    m->mmio_answer = 0x77;
    m->ram[0xffffe] = 0x11;
    m->ram[0xfffff] = 0x22;
    m->cpu->gpr[1] = 0x44332211;
    m->cpu->gpr[2] = 0xffffe;
    LOAD(m, 0x1000, 'L', 3, 2, 4, 'S', 1, 2, 4, 'H');
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[3] & 0xffffff, 0x772211);
    assert_int_equal(m->mmio_at & ~UINT64_C(1), 0x100000);
    assert_int_equal(m->ram[0xfffff], 0x22);
    machine_free(m);
}

static void runs_code_of_a_device(void **state)
{
    Machine *m = start(state, 1);

    m->mmio_answer = 'H';
    run_from(m, 0x200000);
    assert_int_equal(m->cpu->pc, 0x200001);
    m->mmio_answer = 'I';
    m->cpu->pc = 0x200000; /* nothing is kept of it */
    m->cpu->halted = false;
    assert_int_equal(machine_run_ms(m, 20), RUN_STOPPED);
    assert_true(fake(m->cpu)->helped > 1);
    machine_free(m);
}

static void dma_replaces_code(void **state)
{
    Machine *m = start(state, 1);

    LOAD(m, 0x1000, 'A', 1, 1, 'H');
    run_from(m, 0x1000);
    LOAD(m, 0x1000, 'A', 1, 10, 'H');
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[1], 11);
    cpu_debug_write(m->cpu, 0x1002, "\x64", 1);
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[1], 111);
    machine_free(m);
}

static void map_change_replaces_code(void **state)
{
    Machine *m = start(state, 1);
    uint8_t *other = aligned_alloc(4096, m->ram_size);
    uint8_t *first = m->ram;

    LOAD(m, 0x1000, 'A', 1, 1, 'H');
    memcpy(other, m->ram, m->ram_size);
    other[0x1002] = 50;
    run_from(m, 0x1000);
    m->ram = other;
    tcg_map_changed(m->tcg);
    run_from(m, 0x1000);
    assert_int_equal(m->cpu->gpr[1], 51);
    machine_free(m);
    free(first);
}

static void *kick(void *opaque)
{
    Cpu *cpu = opaque;

    usleep(5000);
    cpu_request(cpu, CPU_REQ_INTR);
    /* A stop may be taken before an interrupt that is pending with it: wait until that was taken.
     */
    for (int ms = 0; ms < 10000 && !__atomic_load_n(&fake(cpu)->interrupts, __ATOMIC_RELAXED); ms++)
        usleep(1000);
    cpu_request(cpu, CPU_REQ_STOP);
    return NULL;
}

static void an_endless_loop_can_be_interrupted(void **state)
{
    Machine *m = start(state, 1);
    pthread_t thread;

    LOAD(m, 0x1000, 'A', 1, 1, 'J', -5);
    m->cpu->pc = 0x1000;
    pthread_create(&thread, NULL, kick, m->cpu);
    assert_int_equal(machine_run(m), RUN_STOPPED);
    pthread_join(thread, NULL);
    assert_int_equal(fake(m->cpu)->interrupts, 1);
    assert_true(m->cpu->pc == 0x1000 || m->cpu->pc == 0x1003);
    assert_true(m->cpu->gpr[1] > 10);
    machine_free(m);
}

static void halted_until_something_is_deliverable(void **state)
{
    Machine *m = start(state, 1);

    LOAD(m, 0x1000, 'H', 'A', 1, 1, 'H');
    run_from(m, 0x1000);
    assert_false(cpu_has_work(m->cpu));
    fake(m->cpu)->masked = true;
    cpu_request(m->cpu, CPU_REQ_INTR);
    assert_false(cpu_has_work(m->cpu));
    assert_int_equal(machine_run(m), RUN_HALTED);
    assert_int_equal(m->cpu->gpr[1], 0);
    fake(m->cpu)->masked = false;
    assert_true(cpu_has_work(m->cpu));
    assert_int_equal(machine_run(m), RUN_HALTED);
    assert_int_equal(m->cpu->gpr[1], 1);
    machine_free(m);
}

/* More code than the smallest cache holds, twice. */
static void cache_fills_and_starts_again(void **state)
{
    Machine *m = machine_new_config((TcgConfig) { .backend = *state, .cache_size = 1 }, 4);

    machine_cpu(m, &fake_guest, NULL);
    memset(m->ram + 0x1000, 'I', 0x300000);
    m->ram[0x301000] = 'H';
    run_from(m, 0x1000);
    run_from(m, 0x1000);
    assert_int_equal(fake(m->cpu)->helped, 2 * 0x300000);
    machine_free(m);
}

static void tlb_grows_when_it_is_too_small(void **state)
{
    Machine *m = start(state, 16);

    /* 2048 loads, one a page, from r2; r0 rounds */
    m->cpu->gpr[0] = 20;
    LOAD(m, 0x1000, 'M', 2, IMM64(0x200000), 'M', 3, IMM64(2048), /* 20: */ 'L', 4, 2, 8, 'M', 5,
         IMM64(0), 'R', 6, [0x40] = 'A', 3, -1, 'B', 3, -50, 'A', 0, -1, 'B', 0, -76, 'H');
    m->cpu->gpr[6] = 0x1080;
    LOAD(m, 0x1080, 'A', 2, 127, 'A', 5, 127, 'M', 7, IMM64(0), 'R', 8);
    m->cpu->gpr[8] = 0x1100;
    LOAD(m, 0x1100, 'M', 9, IMM64(32), /* 10: */ 'A', 2, 124, 'A', 2, 3, 'A', 9, -1, 'B', 9, -12,
         'R', 10);
    m->cpu->gpr[10] = 0x1040;
    run_from(m, 0x1000);
    assert_true(m->cpu->tlb_mask[0] / sizeof(TlbEntry) + 1 > 1024);
    machine_free(m);
}

static void probe_and_host_pointers(void **state)
{
    Machine *m = start(state, 1);
    Cpu *cpu = m->cpu;

    assert_ptr_equal(cpu_host_ptr(cpu, 0x6010, ACCESS_WRITE, 0), m->ram + 0x6010);
    assert_null(cpu_host_ptr(cpu, 0x200000, ACCESS_READ, 0));
    LOAD(m, 0x1000, 'H');
    run_from(m, 0x1000);
    assert_null(cpu_host_ptr(cpu, 0x1000, ACCESS_WRITE, 0));
    assert_ptr_equal(cpu_host_ptr(cpu, 0x1080, ACCESS_WRITE, 0), m->ram + 0x1080);
    cpu_probe(cpu, 0x1000, 1, ACCESS_WRITE, 0); /* forgets the block */
    assert_ptr_equal(cpu_host_ptr(cpu, 0x1000, ACCESS_WRITE, 0), m->ram + 0x1000);

    char text[0x2000], back[0x2000];
    memset(text, 'x', sizeof(text));
    cpu_st_bytes(cpu, 0x6800, text, sizeof(text), 0);
    cpu_ld_bytes(cpu, 0x6800, back, sizeof(back), 0);
    assert_memory_equal(text, back, sizeof(text));
    assert_int_equal(cpu_debug_read(cpu, 0xfff00, back, 0x200), -EFAULT);
    machine_free(m);
}

static void compares_and_exchanges_16_bytes(void **state)
{
    Machine *m = start(state, 1);
    uint64_t expect[2] = { 0, 0 }, desired[2] = { 5, 6 }, old[2];

    assert_true(cpu_cmpxchg16(m->cpu, 0x6010, expect, desired, old, 0));
    assert_false(cpu_cmpxchg16(m->cpu, 0x6010, expect, desired, old, 0));
    assert_int_equal(old[0], 5);
    assert_int_equal(old[1], 6);
    assert_int_equal(m->ram[0x6018], 6);
    assert_true(cpu_cmpxchg16(m->cpu, 0x6ff8, expect, desired, old, 0));
    assert_int_equal(m->ram[0x7000], 6);
    machine_free(m);
}

static bool have_backend(const char *name)
{
    TcgBus bus = { 0 };
    Tcg *tcg = tcg_new(&(TcgConfig) { .backend = name }, &bus, NULL);

    tcg_free(tcg);
    return tcg != NULL;
}

#define T(test)                                                                                    \
    {                                                                                              \
#test, test, NULL, NULL, NULL                                                              \
    }

int main(void)
{
    static const char *const backends[] = { "interp", "x86_64" };
    struct CMUnitTest tests[] = {
        T(counts_in_a_loop),
        T(jumps_through_registers_and_pages),
        T(changes_its_own_block),
        T(changes_other_blocks),
        T(sees_writes_through_another_address),
        T(data_beside_code_is_plain),
        T(code_crosses_pages),
        T(faults_are_exact),
        T(fault_keeps_flags),
        T(crossing_store_is_all_or_nothing),
        T(flushes_make_new_maps_visible),
        T(code_follows_its_map),
        T(global_code_stays_until_its_page_is_flushed),
        T(devices_rom_and_video),
        T(access_crosses_into_a_device),
        T(runs_code_of_a_device),
        T(dma_replaces_code),
        T(map_change_replaces_code),
        T(an_endless_loop_can_be_interrupted),
        T(halted_until_something_is_deliverable),
        T(cache_fills_and_starts_again),
        T(tlb_grows_when_it_is_too_small),
        T(probe_and_host_pointers),
        T(compares_and_exchanges_16_bytes),
    };
    struct CMUnitTest all[ARRAY_LEN(tests) * ARRAY_LEN(backends)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        for (size_t j = 0; have_backend(backends[i]) && j < ARRAY_LEN(tests); j++) {
            all[n] = tests[j];
            all[n++].initial_state = (void *)backends[i];
        }
    }
    return _cmocka_run_group_tests("tcg_core", all, n, NULL, NULL);
}
