/*
 * lazy.h - libraries that are loaded when one of their functions is first called.
 *
 * libcrypto's 20 000 relocations are half of the time that a short command takes, and few commands
 * need it. So the programs are not linked against it: base/lazy-symbols writes, for each of its
 * functions that ours call, a jump through a slot; the slot first leads to lazy_first_call
 * (base/lazy-x86_64.S), which asks lazy_resolve() and goes on in the library. On other processors
 * the programs are linked in the usual way.
 */
#ifndef BASE_LAZY_H
#define BASE_LAZY_H

/* From base/lazy-symbols: one slot a function, in the order of the names; texts one after another.
 */
extern void *lazy_slots[];
extern const char lazy_names[], lazy_libraries[];

/* The address of function `index`; its slot has it from now on. The program ends if it is missing.
 */
void *lazy_resolve(unsigned long index);

#endif
