/*
 * codec.c - how long the bare codec takes to expand a file's 64 KiB clusters, in memory, on all
 * processors: the limit for reading compressed images.
 * usage: codec zlib|zstd FILE; prints seconds
 */
#include <fcntl.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { CLUSTER = 65536, MAX_THREADS = 64 };

typedef struct {
    uint8_t *bytes;
    size_t len;
} Packed;

static Packed *packed;
static size_t count;
static atomic_size_t next;
static bool use_zstd;

static size_t pack(const uint8_t *in, uint8_t *out)
{
    z_stream z = {
        .next_in = (uint8_t *)in, .avail_in = CLUSTER, .next_out = out, .avail_out = CLUSTER
    };

    if (use_zstd) {
        size_t n = ZSTD_compress(out, CLUSTER, in, CLUSTER, 3);
        return ZSTD_isError(n) ? 0 : n;
    }
    deflateInit2(&z, 6, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY);
    bool done = deflate(&z, Z_FINISH) == Z_STREAM_END;
    deflateEnd(&z);
    return done ? z.total_out : 0;
}

static void *pack_some(void *file)
{
    uint8_t *in = malloc(CLUSTER), *out = malloc(CLUSTER);
    static const uint8_t zeros[CLUSTER];

    for (size_t i; (i = atomic_fetch_add(&next, 1)) < count;) {
        ssize_t got = pread(*(int *)file, in, CLUSTER, (off_t)(i * CLUSTER));
        size_t n = got == CLUSTER && memcmp(in, zeros, CLUSTER) ? pack(in, out) : 0;

        packed[i].len = n;
        packed[i].bytes = n ? memcpy(malloc(n), out, n) : NULL;
    }
    return NULL;
}

static void *expand_some(void *unused)
{
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    ZSTD_DCtx *z = ZSTD_createDCtx();
    uint8_t *out = malloc(CLUSTER);
    size_t got;

    for (size_t i; (i = atomic_fetch_add(&next, 1)) < count;) {
        if (packed[i].len && use_zstd)
            got = ZSTD_decompressDCtx(z, out, CLUSTER, packed[i].bytes, packed[i].len);
        else if (packed[i].len)
            libdeflate_deflate_decompress(d, packed[i].bytes, packed[i].len, out, CLUSTER, &got);
    }
    (void)got;
    return unused;
}

static void on_all_processors(void *(*work)(void *), void *arg)
{
    pthread_t ids[MAX_THREADS];
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    atomic_store(&next, 0);
    n = n > MAX_THREADS ? MAX_THREADS : n;
    for (long i = 0; i < n; i++)
        pthread_create(&ids[i], NULL, work, arg);
    for (long i = 0; i < n; i++)
        pthread_join(ids[i], NULL);
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    struct stat st;
    int fd = argc == 3 ? open(argv[2], O_RDONLY) : -1;

    if (fd < 0 || fstat(fd, &st) < 0)
        return 2;
    use_zstd = strcmp(argv[1], "zstd") == 0;
    count = (size_t)st.st_size / CLUSTER;
    packed = calloc(count, sizeof(*packed));
    on_all_processors(pack_some, &fd);
    double best = 1e9;
    for (int i = 0; i < 3; i++) {
        double start = now();
        on_all_processors(expand_some, NULL);
        double t = now() - start;
        best = t < best ? t : best;
    }
    printf("%.6f %.6f 0\n", best, best);
    return 0;
}
