/*
 * protocols.c - the list of protocols and filters.
 */
#include "block/driver.h"

extern const BlockDriver file_driver, host_device_driver, host_cdrom_driver, memory_driver;
extern const BlockDriver null_co_driver, null_aio_driver, nbd_driver;
extern const BlockDriver blkdebug_driver, blklogwrites_driver, blkverify_driver, compress_driver;
extern const BlockDriver copy_on_read_driver, preallocate_driver, quorum_driver, throttle_driver;
extern const BlockDriver http_driver, https_driver, ftp_driver, ftps_driver;
extern const BlockDriver faults_driver, writelog_driver;

const BlockDriver *const protocol_drivers[] = {
    &file_driver,         &host_device_driver,
    &host_cdrom_driver,   &memory_driver,
    &null_co_driver,      &null_aio_driver,
    &nbd_driver,          &http_driver,
    &https_driver,        &ftp_driver,
    &ftps_driver,         &blkdebug_driver,
    &blklogwrites_driver, &blkverify_driver,
    &compress_driver,     &copy_on_read_driver,
    &preallocate_driver,  &quorum_driver,
    &throttle_driver,     &faults_driver,
    &writelog_driver,     NULL,
};
