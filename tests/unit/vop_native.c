/*
 * vop_native.c - the C function of every vector operation against the instruction on this host:
 * result and MXCSR, on random and special operands, in every rounding mode with DAZ and FTZ.
 *
 * VOP_ROUNDS in the environment sets the number of operand pairs a row (default 4000).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/compiler.h"
#include "tcg/vop.h"
#include "tests/unit/random.h"

#ifdef __x86_64__
#include <sys/mman.h>

typedef struct {
    VReg v0, a, b, d; /* all within reach of a byte displacement */
    uint64_t g, flags;
    uint32_t mxcsr;
} Native;

typedef void NativeFn(Native *n);

typedef struct {
    uint8_t *p;
} Code;

static void byte(Code *c, unsigned v)
{
    *c->p++ = v;
}

/* prefix 0F opcode with reg and [rdi + off] */
static void op_mem(Code *c, unsigned prefix, unsigned opcode, unsigned reg, size_t off)
{
    if (prefix)
        byte(c, prefix);
    byte(c, 0x0f);
    byte(c, opcode);
    byte(c, 0x80 | reg << 3 | 7);
    memcpy(c->p, &(uint32_t) { off }, 4);
    c->p += 4;
}

static void mov_rax(Code *c, bool store, size_t off)
{
    byte(c, 0x48);
    byte(c, store ? 0x89 : 0x8b);
    byte(c, 0x80 | 7);
    memcpy(c->p, &(uint32_t) { off }, 4);
    c->p += 4;
}

static bool mm_dest(VopId id)
{
    return (vops[id].attr & VOP_MMX) && vops[id].form != G_RM_V && vops[id].form != RM_G_V;
}

static void emit_vop(Code *c, const Vop *v, unsigned imm, bool mem)
{
    static const struct {
        uint8_t reg, rm;
    } fields[] = {
        [V_RM] = { 1, 2 },   [V_RM1] = { 1, 2 }, [V_RM_G] = { 1, 0 }, [G_RM_V] = { 0, 2 },
        [RM_G_V] = { 2, 0 }, [V_IMM] = { 0, 1 }, [F_RM] = { 1, 2 }
    };
    unsigned reg = v->form == V_IMM ? v->ext : fields[v->form].reg;

    if (v->prefix)
        byte(c, v->prefix);
    if (v->attr & VOP_W)
        byte(c, 0x48);
    byte(c, 0x0f);
    if (v->map > 1)
        byte(c, v->map == 2 ? 0x38 : 0x3a);
    byte(c, v->opcode);
    if (mem) {
        byte(c, 0x80 | reg << 3 | 7);
        memcpy(c->p, &(uint32_t) { offsetof(Native, b) }, 4);
        c->p += 4;
    } else {
        byte(c, 0xc0 | reg << 3 | fields[v->form].rm);
    }
    if (v->attr & VOP_IMM8)
        byte(c, imm);
}

/* A function that loads the operands, runs the instruction once and stores what it left. */
static void emit_native(uint8_t *at, VopId id, unsigned imm, bool mem)
{
    const Vop *v = &vops[id];
    Code c = { at };

    op_mem(&c, 0, 0x10, 0, offsetof(Native, v0));
    if (v->attr & VOP_MMX) {
        op_mem(&c, 0, 0x6f, 1, offsetof(Native, a));
        op_mem(&c, 0, 0x6f, 2, offsetof(Native, b));
    } else {
        op_mem(&c, 0, 0x10, 1, offsetof(Native, a));
        op_mem(&c, 0, 0x10, 2, offsetof(Native, b));
    }
    mov_rax(&c, false, offsetof(Native, g));
    op_mem(&c, 0, 0xae, 2, offsetof(Native, mxcsr));
    emit_vop(&c, v, imm, mem);
    op_mem(&c, 0, 0xae, 3, offsetof(Native, mxcsr));
    mov_rax(&c, true, offsetof(Native, g));
    byte(&c, 0x9c); /* pushfq; pop rax */
    byte(&c, 0x58);
    mov_rax(&c, true, offsetof(Native, flags));
    if (v->attr & VOP_MMX) {
        op_mem(&c, 0, 0x7f, 1, offsetof(Native, d));
        byte(&c, 0x0f); /* emms */
        byte(&c, 0x77);
    } else {
        op_mem(&c, 0, 0x11, 1, offsetof(Native, d));
    }
    byte(&c, 0xc3);
}

static bool host_has(unsigned feature)
{
    __builtin_cpu_init();
    return !(feature & HOST_SSE3 && !__builtin_cpu_supports("sse3")) &&
           !(feature & HOST_SSSE3 && !__builtin_cpu_supports("ssse3")) &&
           !(feature & HOST_SSE41 && !__builtin_cpu_supports("sse4.1")) &&
           !(feature & HOST_SSE42 && !__builtin_cpu_supports("sse4.2")) &&
           !(feature & HOST_AES && !__builtin_cpu_supports("aes")) &&
           !(feature & HOST_PCLMUL && !__builtin_cpu_supports("pclmul"));
}

/* -- one comparison */
typedef struct {
    VopId id;
    unsigned imm;
    bool mem;
    Cpu *cpu;
    NativeFn *fn;
} Case;

static void mismatch(const Case *k, const Native *n, const VReg *got, uint32_t mxcsr_in)
{
    const VReg *a = &n->a, *b = &n->b, *d = &n->d;

    fail_msg("%s imm %#x %s mxcsr %#x g %#lx\n a %016lx%016lx b %016lx%016lx\n host %016lx%016lx "
             "mxcsr %#x\n ours %016lx%016lx mxcsr %#x",
             vops[k->id].name, k->imm, k->mem ? "mem" : "reg", mxcsr_in, n->g, a->q[1], a->q[0],
             b->q[1], b->q[0], d->q[1], d->q[0], n->mxcsr, got->q[1], got->q[0], k->cpu->mxcsr);
}

static VReg ours(const Case *k, const Native *n)
{
    const Vop *v = &vops[k->id];
    VReg d = n->a, b = n->b;

    if (v->form == V_RM_G)
        b = (VReg) { .q = { n->g } };
    if (k->mem && v->mem < 16)
        memset(b.b + v->mem, 0, sizeof(b) - v->mem);
    k->cpu->vec[0] = n->v0;
    v->fn(k->cpu, &d, &n->a, &b, k->imm);
    return d;
}

static bool same(const Case *k, const Native *n, const VReg *got)
{
    const Vop *v = &vops[k->id];

    if ((v->attr & VOP_FP) && k->cpu->mxcsr != n->mxcsr)
        return false;
    if (v->form == G_RM_V || v->form == RM_G_V)
        return got->q[0] == n->g;
    if (v->form == F_RM)
        return got->q[0] == (n->flags & FLAGS_ALL);
    return got->q[0] == n->d.q[0] && (mm_dest(k->id) || got->q[1] == n->d.q[1]);
}

static void run_case(const Case *k, Random *r)
{
    Native n = { .v0 = random_vector(r), .a = random_vector(r), .b = random_vector(r) };
    uint32_t mxcsr = random_mxcsr(r);
    VReg got;

    if (vops[k->id].attr & VOP_FP ? random_below(r, 4) == 0 : random_below(r, 16) == 0)
        n.b = n.a;
    if (!(vops[k->id].attr & VOP_FP) && random_below(r, 2))
        n.b.q[0] = random_below(r, 70); /* shift counts */
    n.g = random_below(r, 2) ? random_u64(r) : random_u64(r) >> random_below(r, 64);
    if (vops[k->id].form == V_RM_G && !(vops[k->id].attr & VOP_W))
        n.g = (uint32_t)n.g;
    n.mxcsr = k->cpu->mxcsr = mxcsr;
    got = ours(k, &n);
    k->fn(&n);
    if (!same(k, &n, &got))
        mismatch(k, &n, &got, mxcsr);
}

static bool takes_memory(VopId id)
{
    const Vop *v = &vops[id];

    return v->mem && v->form != V_RM_G && v->form != RM_G_V &&
           !(id + 1 < VOP_COUNT && vops[id + 1].attr & VOP_MEM);
}

static void run_row(VopId id, uint8_t *code, Cpu *cpu, unsigned rounds)
{
    const Vop *v = &vops[id];
    Random r = { 0x9e3779b97f4a7c15 + id };
    Case k = { id, 0, false, cpu, (NativeFn *)code };

    for (unsigned i = 0; i < rounds; i++) {
        if (i % 16 == 0) {
            k.imm = v->attr & VOP_IMM8 ? random_below(&r, i % 32 ? 256 : 40) : 0;
            k.mem = v->attr & VOP_MEM || (takes_memory(id) && i & 32);
            emit_native(code, id, k.imm, k.mem);
        }
        run_case(&k, &r);
    }
}

static void agrees(void **state)
{
    uint8_t *code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    Cpu *cpu = calloc(1, sizeof(*cpu));
    VopId id = *(VopId *)*state;
    const char *rounds = getenv("VOP_ROUNDS");

    assert_true(code != MAP_FAILED && cpu);
    if (host_has(vops[id].host_feature) && !(vops[id].attr & VOP_NO_HOST))
        run_row(id, code, cpu, rounds ? strtoul(rounds, NULL, 0) : 4000);
    free(cpu);
    munmap(code, 4096);
}

int main(void)
{
    static VopId ids[VOP_COUNT];
    static struct CMUnitTest tests[VOP_COUNT];

    for (unsigned i = 0; i < VOP_COUNT; i++) {
        ids[i] = i;
        tests[i] = (struct CMUnitTest) { vops[i].name, agrees, NULL, NULL, &ids[i] };
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    return 0; /* only an x86 host can tell */
}
#endif
