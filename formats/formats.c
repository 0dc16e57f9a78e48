/*
 * formats.c - the list of formats, in probing order; raw fits everything and comes last.
 */
#include "block/driver.h"

extern const BlockDriver qcow2_driver, raw_driver;

const BlockDriver *const format_drivers[] = {
    &qcow2_driver,
    &raw_driver,
    NULL,
};
