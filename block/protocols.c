/*
 * protocols.c - the list of protocols and filters.
 */
#include "block/driver.h"

extern const BlockDriver faults_driver, file_driver, memory_driver, writelog_driver;
extern const BlockDriver blkdebug_driver;

const BlockDriver *const protocol_drivers[] = {
    &file_driver, &memory_driver, &faults_driver, &writelog_driver, &blkdebug_driver, NULL,
};
