/*
 * ram.c - RAM blocks: one memfd mapping each.
 *
 * A memfd can be mapped a second time (fast windows for the translator, other processes) and its
 * pages appear only when the guest touches them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/math.h"
#include "hw/core/memmap.h"

int ram_block_init(RamBlock *block, const char *name, uint64_t size, Error **err)
{
    static uint64_t next_ram_addr; /* of this process; never reused, so keys stay unique */

    *block = (RamBlock) { .name = name, .fd = -1 };
    if (!size || size > INT64_MAX || size % MEM_PAGE)
        return error_set(err, -EINVAL, "RAM block %s cannot have %" PRIu64 " bytes", name, size);
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return error_set(err, -errno, "cannot create RAM block %s", name);
    if (ftruncate(fd, size) < 0) {
        int code = -errno;

        close(fd);
        return error_set(err, code, "cannot size RAM block %s to %" PRIu64 " bytes", name, size);
    }
    void *host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (host == MAP_FAILED) {
        int code = -errno;

        close(fd);
        return error_set(err, code, "cannot map %" PRIu64 " bytes of RAM for %s", size, name);
    }
    *block = (RamBlock) { .name = name, .host = host, .size = size, .fd = fd };
    block->ram_addr = __atomic_fetch_add(&next_ram_addr, size, __ATOMIC_RELAXED);
    return 0;
}

void ram_block_destroy(RamBlock *block)
{
    if (!block->host)
        return;
    munmap(block->host, block->size);
    close(block->fd);
    free(block->dirty);
    *block = (RamBlock) { .fd = -1 };
}
