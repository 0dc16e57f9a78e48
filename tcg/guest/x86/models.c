/*
 * models.c - the CPU models that `-cpu` names: what CPUID answers and which features exist.
 *
 * A model is data; a feature bit here is what the rest of the guest code looks at, so a model may
 * only promise what is implemented.
 */
#include <errno.h>
#include <string.h>

#include "tcg/guest/x86/system.h"

#define BIT(n) (1u << (n))

/* CPUID leaf 1, EDX */
enum {
    F_FPU = BIT(0),
    F_VME = BIT(1),
    F_DE = BIT(2),
    F_PSE = BIT(3),
    F_TSC = BIT(4),
    F_MSR = BIT(5),
    F_PAE = BIT(6),
    F_MCE = BIT(7),
    F_CX8 = BIT(8),
    F_APIC = BIT(9),
    F_SEP = BIT(11),
    F_MTRR = BIT(12),
    F_PGE = BIT(13),
    F_MCA = BIT(14),
    F_CMOV = BIT(15),
    F_PAT = BIT(16),
    F_PSE36 = BIT(17),
    F_CLFSH = BIT(19),
    F_MMX = BIT(23),
    F_FXSR = BIT(24),
    F_SSE = BIT(25),
    F_SSE2 = BIT(26),
};
enum {
    F_P6 = F_FPU | F_VME | F_DE | F_PSE | F_TSC | F_MSR | F_PAE | F_MCE | F_CX8 | F_APIC | F_SEP |
           F_MTRR | F_PGE | F_MCA | F_CMOV | F_PAT | F_PSE36 | F_MMX | F_FXSR | F_SSE,
    F_K8 = F_P6 | F_CLFSH | F_SSE2,
};

/* leaf 1, ECX: SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT, XSAVE, hypervisor */
#define F_ECX (BIT(0) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(23) | BIT(26) | BIT(31))
/* leaf 7: EBX ERMS; of `max` also FSGSBASE, SMEP, SMAP; ECX UMIP */
#define F_7_EBX     BIT(9)
#define F_7_EBX_MAX (BIT(0) | BIT(7) | BIT(9) | BIT(20))
#define F_7_ECX_MAX BIT(2)
/* leaf 0x80000001: ECX LAHF64, PREFETCHW; EDX SYSCALL, NX, LM and AMD's copy of leaf 1; of `max`
 * also 1 GiB pages and RDTSCP */
#define F_81_ECX     (BIT(0) | BIT(8))
#define F_81_EDX     ((F_K8 & 0x0183f3ffu) | BIT(11) | BIT(20) | BIT(29))
#define F_81_EDX_MAX (F_81_EDX | BIT(26) | BIT(27))

static const struct {
    const char *name;
    X86Model model;
} models[] = {
    { "qemu64",
      { .level = 0xd,
        .xlevel = 0x80000008,
        .family = 15,
        .model = 107,
        .stepping = 1,
        .feat_1_ecx = F_ECX,
        .feat_1_edx = F_K8,
        .feat_7_ebx = F_7_EBX,
        .feat_81_ecx = F_81_ECX,
        .feat_81_edx = F_81_EDX,
        .phys_bits = 40,
        .vendor = "AuthenticAMD",
        .brand = "Onionskin Virtual CPU" } },
    { "max",
      { .level = 0xd,
        .xlevel = 0x80000008,
        .family = 15,
        .model = 107,
        .stepping = 1,
        .feat_1_ecx = F_ECX,
        .feat_1_edx = F_K8,
        .feat_7_ebx = F_7_EBX_MAX,
        .feat_7_ecx = F_7_ECX_MAX,
        .feat_81_ecx = F_81_ECX,
        .feat_81_edx = F_81_EDX_MAX,
        .phys_bits = 40,
        .vendor = "AuthenticAMD",
        .brand = "Onionskin Virtual CPU (max)" } },
    { "pentium3",
      { .level = 2,
        .xlevel = 0x80000000,
        .family = 6,
        .model = 8,
        .stepping = 3,
        .feat_1_edx = F_P6,
        .phys_bits = 36,
        .vendor = "GenuineIntel" } },
    { "486",
      { .level = 1,
        .family = 4,
        .model = 8,
        .feat_1_edx = F_FPU | F_VME | F_PSE,
        .phys_bits = 32,
        .vendor = "GenuineIntel" } },
};

int x86_model_find(X86Cpu *x, const char *name, Error **err)
{
    if (!name)
        name = models[0].name;
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        if (strcmp(models[i].name, name) == 0) {
            x->model = models[i].model;
            x->model.model_id = i;
            return 0;
        }
    }
    return error_set(err, -EINVAL, "unknown CPU model '%s' (there are qemu64, max, pentium3, 486)",
                     name);
}
