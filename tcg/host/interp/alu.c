/*
 * alu.c - arithmetic of the IR on plain numbers (ir-ops.def gives the meanings).
 *
 * Where an architecture manual leaves a flag undefined, the value is the one that current AMD
 * processors produce, so that an x86 host's own instructions agree: shifts set AF, and OF as if the
 * last of their single-bit steps had set it; products keep all flags but CF and OF; scans set PF
 * from the result.
 */
#include "tcg/host/interp/alu.h"

static unsigned bits_of(unsigned size)
{
    return 8u << size;
}

static bool top_bit(uint64_t v, unsigned size)
{
    return v >> (bits_of(size) - 1) & 1;
}

static uint32_t flag_if(bool on, uint32_t flag)
{
    return on ? flag : 0;
}

static void set_flags(uint32_t *flags, uint32_t mask, uint32_t value)
{
    *flags = (*flags & ~mask) | (value & mask);
}

bool alu_cond(uint32_t f, unsigned cc)
{
    bool sf = f & FLAG_SF, of = f & FLAG_OF;
    bool yes = false;

    switch (cc & ~1u) {
    case CC_O: yes = of; break;
    case CC_B: yes = f & FLAG_CF; break;
    case CC_E: yes = f & FLAG_ZF; break;
    case CC_BE: yes = f & (FLAG_CF | FLAG_ZF); break;
    case CC_S: yes = sf; break;
    case CC_P: yes = f & FLAG_PF; break;
    case CC_L: yes = sf != of; break;
    case CC_LE: yes = (f & FLAG_ZF) || sf != of; break;
    }
    return yes != (cc & 1);
}

/* -- addition and subtraction */

static uint64_t add(unsigned size, uint64_t a, uint64_t b, bool carry, uint32_t *flags)
{
    uint64_t mask = alu_mask(size), r = (a + b + carry) & mask;
    uint32_t f = flags_compute(LAZY(LAZY_LOGIC, size), r, 0);

    f |= flag_if(r < a || (carry && r == a), FLAG_CF) | ((a ^ b ^ r) & FLAG_AF);
    f |= flag_if(top_bit(~(a ^ b) & (a ^ r), size), FLAG_OF);
    *flags = f;
    return r;
}

static uint64_t sub(unsigned size, uint64_t a, uint64_t b, bool borrow, uint32_t *flags)
{
    uint64_t mask = alu_mask(size), r = (a - b - borrow) & mask;
    uint32_t f = flags_compute(LAZY(LAZY_LOGIC, size), r, 0);

    f |= flag_if(a < b || (borrow && a == b), FLAG_CF) | ((a ^ b ^ r) & FLAG_AF);
    f |= flag_if(top_bit((a ^ b) & (a ^ r), size), FLAG_OF);
    *flags = f;
    return r;
}

static uint64_t logic(unsigned size, uint64_t r, uint32_t *flags)
{
    r &= alu_mask(size);
    *flags = flags_compute(LAZY(LAZY_LOGIC, size), r, 0);
    return r;
}

static uint64_t keep_carry(uint64_t r, uint32_t before, uint32_t *flags)
{
    set_flags(flags, FLAG_CF, before);
    return r;
}

/* -- shifts; `n` is the count after masking, not zero */

static uint64_t shift_flags(unsigned size, uint64_t r, bool cf, bool of, uint32_t *flags)
{
    *flags = flags_compute(LAZY(LAZY_LOGIC, size), r, 0) | FLAG_AF | flag_if(cf, FLAG_CF) |
             flag_if(of, FLAG_OF);
    return r;
}

static uint64_t shl(unsigned size, uint64_t a, unsigned n, uint32_t *flags)
{
    unsigned bits = bits_of(size);
    uint64_t r = a << n & alu_mask(size);
    bool cf = n <= bits && (a >> (bits - n) & 1);

    return shift_flags(size, r, cf, cf != top_bit(r, size), flags);
}

static uint64_t shr(unsigned size, uint64_t a, unsigned n, uint32_t *flags)
{
    uint64_t r = a >> n;

    return shift_flags(size, r, a >> (n - 1) & 1, top_bit(r << 1, size), flags);
}

static uint64_t sar(unsigned size, uint64_t a, unsigned n, uint32_t *flags)
{
    int64_t wide = alu_sign_extend(a, size);

    return shift_flags(size, wide >> n & alu_mask(size), wide >> (n - 1) & 1, false, flags);
}

/* A 16-bit double shift by more than 16 goes on with the bits of `b` once more. */
static uint64_t shld(unsigned size, uint64_t a, uint64_t b, unsigned n, uint32_t *flags)
{
    unsigned bits = bits_of(size);
    unsigned __int128 wide = (unsigned __int128)a << bits | b;
    unsigned extra = n > bits ? n - bits : 0;
    uint64_t r = (uint64_t)(wide << (n - extra) >> bits) & alu_mask(size);
    bool cf = (uint64_t)(wide >> (2 * bits - (n - extra))) & 1;

    if (extra) {
        cf = b >> (bits - extra) & 1;
        r = (b << extra | b >> (bits - extra)) & alu_mask(size);
    }
    return shift_flags(size, r, cf, cf != top_bit(r, size), flags);
}

static uint64_t shrd(unsigned size, uint64_t a, uint64_t b, unsigned n, uint32_t *flags)
{
    unsigned __int128 wide = (unsigned __int128)b << bits_of(size) | a;
    uint64_t r = (uint64_t)(wide >> n) & alu_mask(size);

    return shift_flags(size, r, (uint64_t)(wide >> (n - 1)) & 1, top_bit(r ^ r << 1, size), flags);
}

/* -- rotations */

static uint64_t rol(unsigned size, uint64_t a, unsigned n, uint32_t *flags)
{
    unsigned bits = bits_of(size), k = n % bits;
    uint64_t r = k ? (a << k | a >> (bits - k)) & alu_mask(size) : a;
    bool cf = r & 1;

    set_flags(flags, FLAGS_CO, flag_if(cf, FLAG_CF) | flag_if(cf != top_bit(r, size), FLAG_OF));
    return r;
}

static uint64_t ror(unsigned size, uint64_t a, unsigned n, uint32_t *flags)
{
    unsigned bits = bits_of(size), k = n % bits;
    uint64_t r = k ? (a >> k | a << (bits - k)) & alu_mask(size) : a;

    set_flags(flags, FLAGS_CO,
              flag_if(top_bit(r, size), FLAG_CF) | flag_if(top_bit(r ^ r << 1, size), FLAG_OF));
    return r;
}

static uint64_t rcl(unsigned size, uint64_t a, unsigned n, uint32_t *flags)
{
    bool cf = *flags & FLAG_CF;

    for (n %= bits_of(size) + 1; n; n--) {
        bool out = top_bit(a, size);

        a = (a << 1 | cf) & alu_mask(size);
        cf = out;
    }
    set_flags(flags, FLAGS_CO, flag_if(cf, FLAG_CF) | flag_if(cf != top_bit(a, size), FLAG_OF));
    return a;
}

static uint64_t rcr(unsigned size, uint64_t a, unsigned n, uint32_t *flags)
{
    bool cf = *flags & FLAG_CF;

    for (n %= bits_of(size) + 1; n; n--) {
        bool out = a & 1;

        a = a >> 1 | (uint64_t)cf << (bits_of(size) - 1);
        cf = out;
    }
    set_flags(flags, FLAGS_CO, flag_if(cf, FLAG_CF) | flag_if(top_bit(a ^ a << 1, size), FLAG_OF));
    return a;
}

static uint64_t shift(IrOpcode op, unsigned size, uint64_t a, uint64_t b, uint64_t c,
                      uint32_t *flags)
{
    bool is_double = op == IR_shld || op == IR_shrd;
    unsigned n = (is_double ? c : b) & (size == IR_64 ? 63 : 31);

    if (!n)
        return a;
    switch (op) {
    case IR_shl: return shl(size, a, n, flags);
    case IR_shr: return shr(size, a, n, flags);
    case IR_sar: return sar(size, a, n, flags);
    case IR_rol: return rol(size, a, n, flags);
    case IR_ror: return ror(size, a, n, flags);
    case IR_rcl: return rcl(size, a, n, flags);
    case IR_rcr: return rcr(size, a, n, flags);
    case IR_shld: return shld(size, a, b, n, flags);
    default: return shrd(size, a, b, n, flags);
    }
}

/* -- bits */

static uint64_t bit_test(IrOpcode op, unsigned size, uint64_t a, uint64_t b, uint32_t *flags)
{
    uint64_t bit = UINT64_C(1) << (b & (bits_of(size) - 1));

    set_flags(flags, FLAG_CF, flag_if(a & bit, FLAG_CF));
    switch (op) {
    case IR_bts: return a | bit;
    case IR_btr: return a & ~bit;
    case IR_btc: return a ^ bit;
    default: return a;
    }
}

static uint64_t scan(IrOpcode op, uint64_t a, uint64_t old, uint32_t *flags)
{
    uint64_t r;

    if (!a) {
        *flags = FLAG_ZF | FLAG_PF;
        return old;
    }
    r = op == IR_bsf ? __builtin_ctzll(a) : 63 - __builtin_clzll(a);
    *flags = flags_compute(LAZY(LAZY_LOGIC, IR_8), r, 0) & FLAG_PF;
    return r;
}

static uint64_t count_zeros(IrOpcode op, unsigned size, uint64_t a, uint32_t *flags)
{
    unsigned bits = bits_of(size);
    uint64_t r = !a               ? bits
                 : op == IR_tzcnt ? (unsigned)__builtin_ctzll(a)
                                  : (unsigned)__builtin_clzll(a) - (64 - bits);

    *flags = flag_if(!a, FLAG_CF) | flag_if(!r, FLAG_ZF);
    return r;
}

static uint64_t bswap(unsigned size, uint64_t a)
{
    switch (size) {
    case IR_16: return 0; /* undefined for programs; this is what processors do */
    case IR_32: return __builtin_bswap32(a);
    default: return __builtin_bswap64(a);
    }
}

uint64_t alu_do(IrOpcode op, unsigned size, uint64_t a, uint64_t b, uint64_t c, uint32_t *flags)
{
    uint32_t before = *flags;

    switch (op) {
    case IR_mov: return a;
    case IR_add: return add(size, a, b, false, flags);
    case IR_adc: return add(size, a, b, before & FLAG_CF, flags);
    case IR_sub:
    case IR_cmp: return sub(size, a, b, false, flags);
    case IR_sbb: return sub(size, a, b, before & FLAG_CF, flags);
    case IR_neg: return sub(size, 0, a, false, flags);
    case IR_inc: return keep_carry(add(size, a, 1, false, flags), before, flags);
    case IR_dec: return keep_carry(sub(size, a, 1, false, flags), before, flags);
    case IR_and:
    case IR_test: return logic(size, a & b, flags);
    case IR_or: return logic(size, a | b, flags);
    case IR_xor: return logic(size, a ^ b, flags);
    case IR_andn: return logic(size, ~a & b, flags);
    case IR_not: return ~a & alu_mask(size);
    case IR_bswap: return bswap(size, a);
    case IR_bt:
    case IR_bts:
    case IR_btr:
    case IR_btc: return bit_test(op, size, a, b, flags);
    case IR_bsf:
    case IR_bsr: return scan(op, a, c, flags);
    case IR_lzcnt:
    case IR_tzcnt: return count_zeros(op, size, a, flags);
    case IR_popcnt: *flags = flag_if(!a, FLAG_ZF); return __builtin_popcountll(a);
    default: return shift(op, size, a, b, c, flags);
    }
}

/* -- products */

void alu_mul(bool is_signed, unsigned size, uint64_t a, uint64_t b, uint64_t *low, uint64_t *high,
             uint32_t *flags)
{
    uint64_t mask = alu_mask(size);
    unsigned __int128 wide;
    bool fits;

    if (is_signed)
        wide = (__int128)alu_sign_extend(a, size) * alu_sign_extend(b, size);
    else
        wide = (unsigned __int128)a * b;
    *low = (uint64_t)wide & mask;
    *high = (uint64_t)(wide >> bits_of(size)) & mask;
    fits = *high == (is_signed && top_bit(*low, size) ? mask : 0);
    set_flags(flags, FLAGS_CO, fits ? 0 : FLAGS_CO);
}

/* CRC-32C, reflected polynomial 0x82f63b78. */
uint32_t alu_crc32c(uint32_t crc, uint64_t data, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        crc ^= data >> 8 * i & 0xff;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return crc;
}
