/*
 * vop.c - the table of vector operations, made from vop.def.
 */
#include "base/compiler.h"
#include "tcg/vop/vops.h"

const Vop vops[VOP_COUNT] = {
#define V_OP(name, form, prefix, map, opcode, ext, mem, attr, feature)                             \
    [VOP_##name] = { #name, vop_##name, form, prefix, map, opcode, ext, mem, attr, feature },
#include "tcg/vop.def"
#undef V_OP
};
