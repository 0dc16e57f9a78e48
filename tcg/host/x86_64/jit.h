/*
 * jit.h - inside the x86-64 back end: register convention, the state of one compilation, and what
 * its files offer one another.
 *
 *   rbp          Cpu + CPU_BIAS                rsp   host stack, 16-byte aligned
 *   rax rcx rdx rbx rsi rdi r8 r9              guest registers of the same name
 *   r10 r11      guest RSP and RBP
 *   r12 r13      temporaries of the IR         r14 r15   scratch within one operation
 *   xmm0..15     guest vector registers, while Cpu.vec_live
 *   EFLAGS       guest flags, as far as FlagState.host says
 */
#ifndef TCG_HOST_X86_64_JIT_H
#define TCG_HOST_X86_64_JIT_H

#include "tcg/guest.h"
#include "tcg/host.h"
#include "tcg/host/x86_64/emit.h"
#include "tcg/vop.h"

enum {
    CPU_BIAS = 128,
    N_PINNED = 10,
    S0 = H_R14, /* scratch */
    S1 = H_R15,
};

/* Cpu.spill: temporaries first, then places of fixed use. */
enum {
    N_SPILL_TEMPS = 16,
    SLOT_R12 = 16, /* temporaries' registers while C code runs */
    SLOT_R13,
    SLOT_ARG,       /* 3: arguments of a helper */
    SLOT_FLAG = 21, /* source of the operation whose flags are a recipe */
    SLOT_HIGH,      /* a byte on its way to or from AH CH DH BH */
    SLOT_SAVE,      /* 3: guest registers that an operation borrows */
    SLOT_EFLAGS = 26,
    SLOT_RMW_VA,        /* read-modify-write through the bounce buffer */
    SLOT_BOUNCE_A = 32, /* VRegs: operands and result of a vop's C function */
    SLOT_BOUNCE_B = 36,
    SLOT_BOUNCE_D = 40,
    SLOT_GROUP = 48, /* addends of groups, N_GROUPS */
};

/* Displacement from rbp of a field of Cpu. */
#define CPU_DISP(field)  ((int32_t)offsetof(Cpu, field) - CPU_BIAS)
#define CPU_RM(field)    rm_mem(H_RBP, CPU_DISP(field))
#define SPILL_DISP(slot) (CPU_DISP(spill) + 8 * (int32_t)(slot))
#define SPILL_RM(slot)   rm_mem(H_RBP, SPILL_DISP(slot))
#define VEC_DISP(n)      (CPU_DISP(vec) + (int32_t)sizeof(VReg) * (int32_t)(n))

/* Where a value is. */
typedef enum { L_NONE, L_REG, L_MEM, L_IMM } LocKind;
typedef struct {
    uint8_t kind;
    uint8_t reg;  /* L_REG: host register, maybe H_HIGH */
    bool temp;    /* an IR temporary: a write sets all 64 bits */
    int32_t disp; /* L_MEM: from rbp */
    int64_t imm;
} Loc;

/*
 * Where the guest's flags are. They can be in several places at once; while anybody needs them, at
 * least one of host == FLAGS_ALL, in_cpu, recipe holds.
 */
typedef enum {
    R_NONE,
    R_ADD, /* a = result, b = operand */
    R_SUB,
    R_CMP, /* a - b */
    R_LOGIC,
    R_TEST, /* a & b */
    R_SHL,  /* of SLOT_FLAG by count */
    R_SHR,
    R_SAR,
    /* over Cpu: the other flags are those of Cpu.cc_* */
    R_INC, /* all but CF: a = result */
    R_DEC,
    R_MUL,   /* CF = OF = SLOT_FLAG */
    R_CARRY, /* CF = SLOT_FLAG */
} Recipe;

typedef struct {
    uint16_t host;    /* flags that EFLAGS hold */
    bool in_cpu;      /* Cpu.cc_* hold all */
    int16_t cpu_lazy; /* what Cpu.cc_lazy is, -1: unknown; also under R_INC, R_DEC */
    uint8_t recipe, width, count;
    Loc a, b;
} FlagState;

/* A place where C code may raise: enough to restore pc and flags. Sorted by `host`. */
typedef struct {
    uint8_t kind;  /* L_MEM or L_IMM: registers are in Cpu then */
    int32_t value; /* displacement or constant */
} SiteLoc;
typedef struct {
    uint32_t host;   /* return address - start of the code cache */
    int16_t pc;      /* of the instruction - rip_page */
    uint8_t pc_size; /* it is cut to this */
    uint8_t recipe, width, count;
    SiteLoc a, b;
} Site;

/* Accesses that share a check (group.c): [base + lo, base + hi). */
enum { N_GROUPS = 4 };
typedef struct {
    bool active, write;
    uint8_t mmu;
    IrRef base;
    int32_t lo, hi;
} Group;

typedef struct Jit Jit;
typedef struct Stub Stub;

/* Code emitted after the block's end. */
struct Stub {
    void (*emit)(Jit *j, const Stub *s);
    uint8_t *from;   /* rel32 of the jump to it */
    uint8_t *resume; /* where it goes back to */
    const IrOp *op;
    FlagState flags;
    int16_t pc;
    uint8_t pc_size;
    uint16_t at;
    uint32_t arg;
    int64_t imm;
    Loc d, b, c;
    bool plain; /* the address is base + disp, else it follows from the TLB entry */
    uint8_t base;
    int32_t disp;
    uint8_t groups; /* active ones */
    int8_t leads;   /* the group whose first access it is, or -1 */
    uint8_t bytes;
    uint8_t *access; /* of a group: where S1 = addend goes on, else NULL */
    Group group;
};

/* Code that every block shares. */
typedef enum {
    T_EXIT_SLOT, /* Cpu.pc is set, S0 = jump slot */
    T_EXIT_PC,   /* S0 = pc */
    T_EXIT,      /* Cpu.pc is set */
    T_CALL,      /* helper S0(cpu, SLOT_ARG...); result in S0 */
    T_LIMIT,     /* S0 = offset, S1 = segment | bytes << 8 | write << 16; S0 is kept */
    T_MISALIGNED,
    T_LDV, /* S0 = address, S1 = register | bytes << 8 | class << 16 */
    T_STV,
    T_LD_BOUNCE, /* into SLOT_BOUNCE_B */
    T_RMW,       /* S0 = address, S1 = bytes | class << 8: S0 = host pointer, maybe SLOT_BOUNCE_D */
    T_RMW_DONE,
    T_LOAD_FLAGS, /* Cpu.cc_* to EFLAGS; only S1 is lost */
    T_LOAD_VEC,
    T_ENSURE_VEC, /* unless they are live */
    T_SAVE_VEC,
    T_VOP,                               /* C function of a vop, S0 = operands (slow_vop) */
    T_LD,                                /* + 4 * class + log2 bytes: S0 = address; S0 = value */
    T_LD_WRITE = T_LD + 4 * MMU_CLASSES, /* the same, checked for writing */
    T_ST = T_LD_WRITE + 4 * MMU_CLASSES, /* S0 = address, S1 = value */
    T_COUNT = T_ST + 4 * MMU_CLASSES,
} Thunk;

/* The code cache and what belongs to it. One a Tcg. */
typedef struct {
    uint8_t *rw, *rx; /* two views of the same memory; equal if the host allows no better */
    size_t size, used, thunks_end;
    const uint8_t *thunk[T_COUNT]; /* in the rw view, for relative jumps */
    void *(*enter)(Cpu *cpu, void *host, uint64_t pc);
    bool has_bmi2;
    uint32_t vop_features; /* HOST_* */
    Site *sites;
    _Atomic size_t n_sites;
    size_t max_sites;
    struct Link *links;
    size_t n_links, max_links;
    Jit *jit;
} X64;

typedef struct Link {
    uint8_t *slot; /* rel32, in the rw view */
    struct Link *next;
} Link;

enum {
    MAX_STUBS = 4096,
    MAX_BLOCK_SITES = 4096,
    OP_BYTES = 1024, /* more than one operation or one stub ever needs */
    FAR_ENTRY = 21,  /* bytes from Block.host to the entry of linked jumps */
};

struct Jit {
    Emit e;
    X64 *x;
    const IrBlock *b;
    const IrOp *op;
    unsigned at;
    int16_t pc; /* of the current instruction - rip_page */
    uint8_t pc_size;
    FlagState f;
    uint8_t *start;
    bool vectors;        /* the block has operations on host vector registers */
    bool overflow;       /* out of stubs or sites: give up */
    uint8_t free_regs;   /* bit 0: r12, bit 1: r13 */
    uint16_t free_slots; /* Cpu.spill temporaries */
    unsigned n_stubs;
    Group groups[N_GROUPS];
    uint16_t need[IR_MAX_OPS + 1]; /* flags that operation i or a later one looks at: NEED_* */
    uint16_t last_use[IR_MAX_TEMPS];
    uint8_t home[IR_MAX_TEMPS]; /* HOME_* */
    Stub stubs[MAX_STUBS];
};

enum { NEED_READ = 1 << 12, NEED_OUT = 1 << 13, NEED_FAULT = 1 << 14 };
enum { HOME_NONE = 0xff, HOME_R12 = 0, HOME_R13 = 1, HOME_SLOT = 2 };

typedef void LowerFn(Jit *j, const IrOp *op);
#define IR_OP(name, sig, fw, fr, attr) LowerFn lower_##name;
#include "tcg/ir-ops.def"
#undef IR_OP

/* -- regs.c: locations */
extern const uint8_t pinned_host[N_PINNED];
Loc loc_of(Jit *j, IrRef r);
Loc loc_reg(unsigned reg);
Loc loc_slot(unsigned slot);
Loc loc_imm(int64_t imm);
bool loc_same(Loc a, Loc b);           /* the same register or memory */
bool loc_touches(Loc a, unsigned reg); /* in that host register */
Rm loc_rm(Loc l);                      /* not L_IMM */
/* The location of a result; saves the flags' recipe if it would be overwritten. */
Loc dst_of(Jit *j, IrRef r);
void free_temps(Jit *j, const IrOp *op);
int find_temp_reg(Jit *j); /* a register no temporary is in (not kept), or -1 */
/* reg = value, zero-extended from `size` */
void load_reg(Jit *j, unsigned reg, Loc l, IrSize size);
/* Write `size` of `reg` (zero-extended to 64 bits already unless 64) as ir.h says. */
void store_reg(Jit *j, Loc d, IrSize size, unsigned reg);
/* d = src: a move of `size`. May use S0. */
void move_loc(Jit *j, Loc d, IrSize size, Loc src);
/* A form of `l` that an instruction can have as source: itself, or `scratch` loaded with it. */
Loc as_operand(Jit *j, Loc l, IrSize size, bool mem_ok, unsigned scratch);

/* -- flags.c */
void flags_entry(Jit *j);
bool flags_needed_after(const Jit *j, uint32_t mask);
bool sets_flags(const Jit *j, const IrOp *op);
/* The next operation sets only some flags. True: the others (`kept`) are left in Cpu, and it makes
 * a recipe over them; false: nobody needs them, or EFLAGS hold all. */
bool flags_keep_in_cpu(Jit *j, uint32_t kept);
void flags_clobber(Jit *j);                /* EFLAGS are about to be lost */
void flags_before_write(Jit *j, Loc d);    /* `d` is about to be overwritten */
void flags_to_host(Jit *j, uint32_t mask); /* EFLAGS hold those in `mask`; uses S1 */
void flags_to_cpu(Jit *j);                 /* Cpu.cc_* hold all; uses S1 unless there is a recipe */
void flags_in_host(Jit *j, uint32_t mask); /* just set by an instruction */
/* After an operation that changes EFLAGS as the IR says; `maybe`: unless its count is 0. */
void flags_after(Jit *j, const IrOp *op, bool setf, bool maybe);
void flags_in_cpu(Jit *j, int lazy); /* just stored */
void flags_recipe(Jit *j, Recipe r, IrSize width, Loc a, Loc b);
void flags_store_packed(Jit *j, unsigned reg); /* Cpu.cc_* = the packed flags in reg */

/* -- mem.c */
typedef struct {
    Rm rm;         /* the checked host address */
    unsigned free; /* S0 or S1: not part of it */
} HostPlace;
typedef enum { ACC_FORM_ANY, ACC_FORM_S0 } AccessForm;
/* Emit the check; the slow stub (returned, to be filled in) is entered with r14 = offset in page.
 */
Stub *mem_check(Jit *j, const IrOp *op, IrRef m, unsigned bytes, bool write, AccessForm form,
                HostPlace *out);
/* S0 = linear address of the access, segment checked. */
void linear_address(Jit *j, const IrMem *m, unsigned bytes, bool write);
void stub_address(Jit *j, const Stub *s); /* in a slow stub: S0 = the linear address */

/* -- group.c: numbers of groups, -1: none */
int group_find(const Jit *j, const IrMem *m, unsigned bytes, bool write);
int group_start(Jit *j, const IrMem *m, unsigned bytes, bool write);
void groups_before_write(Jit *j, IrRef d);
void groups_end(Jit *j);
unsigned groups_active(const Jit *j);
void groups_forget(Jit *j, unsigned mask); /* their members are checked one by one */
void stub_refill(Jit *j, const Stub *s);   /* try the check of the group again */

/* -- stubs and sites: compile.c */
Stub *new_stub(Jit *j, void (*emit)(Jit *, const Stub *));
void call_thunk(Jit *j, Thunk t);
void call_thunk_site(Jit *j, Thunk t); /* C code behind it may raise: notes the site */
void jump_thunk(Jit *j, Thunk t);
void jcc_thunk(Jit *j, unsigned cc, Thunk t);
void stub_resume(Jit *j, const Stub *s);

/* -- vec.c, call.c, ctl.c */
void vec_entry(Jit *j);
bool op_uses_xmm(const X64 *x, const IrOp *op);
bool vop_native(const X64 *x, const IrOp *op);

/* -- thunks.c, slow.c, side.c, code.c */
void thunks_emit(X64 *x);
uint64_t slow_ld_write(Cpu *cpu, uint64_t va, unsigned size, unsigned mmu);
void slow_limit(Cpu *cpu, uint64_t offset, uint32_t what);
void slow_misaligned(Cpu *cpu, uint64_t va);
void slow_ldv(Cpu *cpu, uint64_t va, uint32_t what);
void slow_stv(Cpu *cpu, uint64_t va, uint32_t what);
void slow_ld_bounce(Cpu *cpu, uint64_t va, uint32_t what);
void *slow_rmw(Cpu *cpu, uint64_t va, uint32_t what);
void slow_rmw_done(Cpu *cpu);
void slow_vop(Cpu *cpu, uint64_t what);
void side_add(Jit *j, uint8_t *return_address);
void side_restore(X64 *x, Cpu *cpu);
bool x64_compile(X64 *x, IrBlock *ir, Block *block);
int code_alloc(X64 *x, size_t size, Error **err);
void code_free(X64 *x);
void host_detect(X64 *x);

#endif
