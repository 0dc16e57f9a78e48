/*
 * code.c - memory for host code: one memfd mapped twice, writable here and executable there, so no
 * page is ever both. Hosts that forbid it get one mapping with all rights, as the last resort.
 */
#include <cpuid.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tcg/host/x86_64/jit.h"

static bool map_twice(X64 *x, size_t size)
{
    int fd = memfd_create("translated code", MFD_CLOEXEC);
    void *rw = MAP_FAILED, *rx = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0) {
        rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        rx = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    if (fd >= 0)
        close(fd);
    if (rw != MAP_FAILED && rx != MAP_FAILED) {
        x->rw = rw;
        x->rx = rx;
        return true;
    }
    if (rw != MAP_FAILED)
        munmap(rw, size);
    if (rx != MAP_FAILED)
        munmap(rx, size);
    return false;
}

static bool map_once(X64 *x, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return false;
    x->rw = x->rx = p;
    return true;
}

int code_alloc(X64 *x, size_t size, Error **err)
{
    if (!map_twice(x, size) && !map_once(x, size))
        return error_set(err, -errno, "cannot map %zu bytes for translated code", size);
    x->size = size;
    return 0;
}

void code_free(X64 *x)
{
    if (x->rx && x->rx != x->rw)
        munmap(x->rx, x->size);
    if (x->rw)
        munmap(x->rw, x->size);
}

void host_detect(X64 *x)
{
    unsigned a, b, c, d;

    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        x->has_bmi2 = b & bit_BMI2;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return;
    x->vop_features = (c & bit_SSE3 ? HOST_SSE3 : 0) | (c & bit_SSSE3 ? HOST_SSSE3 : 0) |
                      (c & bit_SSE4_1 ? HOST_SSE41 : 0) | (c & bit_SSE4_2 ? HOST_SSE42 : 0) |
                      (c & bit_AES ? HOST_AES : 0) | (c & bit_PCLMUL ? HOST_PCLMUL : 0);
}
