/*
 * formats.c - the list of formats, in probing order; raw fits everything and comes last.
 */
#include "block/driver.h"

extern const BlockDriver bzip2_driver, gzip_driver, luks_driver, qcow2_driver, raw_driver,
    xz_driver, zstd_driver;

const BlockDriver *const format_drivers[] = {
    &qcow2_driver, &luks_driver,  &gzip_driver, &xz_driver,
    &zstd_driver,  &bzip2_driver, &raw_driver,  NULL,
};
