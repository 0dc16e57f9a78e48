/*
 * formats.c - the list of formats, in probing order; raw fits everything and comes last.
 */
#include "block/driver.h"

extern const BlockDriver raw_driver;

const BlockDriver *const format_drivers[] = {
    &raw_driver,
    NULL,
};
