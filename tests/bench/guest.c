/*
 * guest.c - what runs inside the guest: one kernel a kind of code, each between two marker lines.
 *
 * The host takes the time when a marker arrives on the serial line; the checksum on the second one
 * is compared with that of a native run.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t rng = 88172645463325252u;

static uint64_t next(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng;
}

/* Quicksort of pseudo-random numbers, then a hash over them. */
static void sort(uint32_t *a, long lo, long hi)
{
    while (lo < hi) {
        uint32_t pivot = a[(lo + hi) / 2];
        long i = lo, j = hi;

        while (i <= j) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i <= j) {
                uint32_t t = a[i];

                a[i++] = a[j];
                a[j--] = t;
            }
        }
        sort(a, lo, j);
        lo = i;
    }
}

static uint64_t integer(void)
{
    enum { N = 200000 };
    static uint32_t a[N];
    uint64_t hash = 14695981039346656037u;

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < N; i++)
            a[i] = (uint32_t)next();
        sort(a, 0, N - 1);
        for (int i = 0; i < N; i++)
            hash = (hash ^ a[i]) * 1099511628211u;
    }
    return hash;
}

static __attribute__((noinline)) uint64_t fib(unsigned n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t calls(void)
{
    return fib(37);
}

/* Five bodies under gravity, then a Mandelbrot set: doubles with division, square root and compare.
 */
static uint64_t floating(void)
{
    double x[5] = { 0, 4.84, 8.34, 12.89, 15.37 }, y[5] = { 0, -1.16, 4.12, -15.11, -25.91 };
    double vx[5] = { 0, 0.6, -1.01, 1.08, 0.97 }, vy[5] = { 0, 2.81, 1.82, 0.86, 0.59 };
    double m[5] = { 39.47, 0.037, 0.011, 0.0017, 0.002 };
    uint64_t inside = 0, bits;

    for (int step = 0; step < 600000; step++) {
        for (int i = 0; i < 5; i++)
            for (int j = i + 1; j < 5; j++) {
                double dx = x[i] - x[j], dy = y[i] - y[j], d2 = dx * dx + dy * dy;
                double mag = 0.001 / (d2 * sqrt(d2));

                vx[i] -= dx * m[j] * mag;
                vy[i] -= dy * m[j] * mag;
                vx[j] += dx * m[i] * mag;
                vy[j] += dy * m[i] * mag;
            }
        for (int i = 0; i < 5; i++) {
            x[i] += 0.001 * vx[i];
            y[i] += 0.001 * vy[i];
        }
    }
    for (int py = 0; py < 300; py++)
        for (int px = 0; px < 300; px++) {
            double cr = px / 150.0 - 1.5, ci = py / 150.0 - 1.0, zr = 0, zi = 0;
            int n = 0;

            while (n < 200 && zr * zr + zi * zi < 4) {
                double t = zr * zr - zi * zi + cr;

                zi = 2 * zr * zi + ci;
                zr = t;
                n++;
            }
            inside += (uint64_t)n;
        }
    memcpy(&bits, &x[1], sizeof(bits));
    return bits ^ inside;
}

/* Block moves and fills with string instructions, then byte loops. */
static uint64_t strings(void)
{
    enum { N = 1 << 16 };
    static char a[N], b[N];
    uint64_t sum = 0;

    for (int i = 0; i < N; i++)
        a[i] = (char)(next() | 1);
    a[N - 1] = 0;
    for (int round = 0; round < 20000; round++) {
        void *d = b, *s = a;
        size_t n = N - (size_t)(round & 63);

        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
        d = b + 128;
        n = 512;
        __asm__ volatile("rep stosq"
                         : "+D"(d), "+c"(n)
                         : "a"((uint64_t)round * 0x0101010101010101u)
                         : "memory");
        sum += (unsigned char)b[round & (N - 1)];
    }
    for (int round = 0; round < 500; round++) {
        for (const char *p = a; *p; p++)
            sum += (unsigned char)*p;
        a[round] = (char)(a[round] + 2);
    }
    return sum;
}

static const struct {
    const char *name;
    uint64_t (*run)(void);
} kernels[] = {
    { "integer", integer }, { "calls", calls }, { "floating", floating }, { "strings", strings }
};

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
        printf("MARK %s start\n", kernels[i].name);
        uint64_t sum = kernels[i].run();
        printf("MARK %s end %016llx\n", kernels[i].name, (unsigned long long)sum);
    }
    return 0;
}
