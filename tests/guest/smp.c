/*
 * smp.c - runs in a guest with several CPUs: what they may and may not see of each other.
 *
 * usage: smp THREADS ROUNDS. Prints a line for each property; exit code 1 if one is broken.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_THREADS = 16 };

static unsigned n_threads, rounds;
static pthread_barrier_t barrier;
static _Atomic unsigned wrong;

static void run(const char *what, void *(*body)(void *))
{
    pthread_t ids[MAX_THREADS];

    wrong = 0;
    pthread_barrier_init(&barrier, NULL, n_threads);
    for (uintptr_t i = 0; i < n_threads; i++)
        pthread_create(&ids[i], NULL, body, (void *)i);
    for (unsigned i = 0; i < n_threads; i++)
        pthread_join(ids[i], NULL);
    printf("%s - %s (%u wrong)\n", wrong ? "not ok" : "ok", what, wrong);
    fflush(stdout);
    if (wrong)
        exit(1);
}

/* -- LOCKed instructions of every width, on one cache line and across two */

static struct {
    _Alignas(64) uint8_t b;
    _Alignas(64) uint16_t w;
    _Alignas(64) uint32_t d;
    _Alignas(64) uint64_t q;
    _Alignas(64) unsigned __int128 pair;
    _Alignas(64) uint8_t line[128];
    _Alignas(64) uint32_t bits;
} shared;

static void cmpxchg16_add(unsigned __int128 *p)
{
    uint64_t low = 0, high = 0;
    uint8_t done;

    do {
        uint64_t new_low = low + 1, new_high = high + 3;

        __asm__ volatile("lock cmpxchg16b %1; sete %0"
                         : "=q"(done), "+m"(*p), "+a"(low), "+d"(high)
                         : "b"(new_low), "c"(new_high)
                         : "memory", "cc");
    } while (!done);
}

static void *atomics(void *arg)
{
    uint64_t *split = (uint64_t *)(void *)(shared.line + 60);
    unsigned bit = (unsigned)(uintptr_t)arg, before;
    uint8_t had;

    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < rounds; i++) {
        __asm__ volatile("lock incb %0" : "+m"(shared.b)::"cc");
        __asm__ volatile("lock addw $3, %0" : "+m"(shared.w)::"cc");
        before = 5;
        __asm__ volatile("lock xaddl %1, %0" : "+m"(shared.d), "+r"(before)::"cc");
        __asm__ volatile("lock subq $-7, %0" : "+m"(shared.q)::"cc");
        __asm__ volatile("lock addq $1, %0" : "+m"(*split)::"cc");
        cmpxchg16_add(&shared.pair);
        __asm__ volatile("lock btsl %2, %0; setc %1"
                         : "+m"(shared.bits), "=q"(had)
                         : "r"(bit)
                         : "cc");
        wrong += had;
        __asm__ volatile("lock btrl %2, %0; setc %1"
                         : "+m"(shared.bits), "=q"(had)
                         : "r"(bit)
                         : "cc");
        wrong += !had;
    }
    pthread_barrier_wait(&barrier);
    if (bit == 0) {
        uint64_t n = (uint64_t)n_threads * rounds;

        wrong += shared.b != (uint8_t)n;
        wrong += shared.w != (uint16_t)(3 * n);
        wrong += shared.d != (uint32_t)(5 * n);
        wrong += shared.q != 7 * n;
        wrong += *split != n;
        wrong += (uint64_t)shared.pair != n || (uint64_t)(shared.pair >> 64) != 3 * n;
    }
    return NULL;
}

/* -- order: stores are seen in order; a store is seen before a later load only behind a fence */

static struct {
    _Alignas(64) volatile uint64_t x;
    _Alignas(64) volatile uint64_t y;
    _Alignas(64) volatile uint64_t seen[2];
} order;

static void *stores_in_order(void *arg)
{
    pthread_barrier_wait(&barrier);
    for (uint64_t i = 1; i <= rounds; i++) {
        if (!arg) {
            order.x = i;
            __asm__ volatile("" ::: "memory");
            order.y = i;
        } else {
            uint64_t y = order.y;

            __asm__ volatile("" ::: "memory");
            wrong += order.x < y;
        }
    }
    return NULL;
}

static void *fences(void *arg)
{
    uintptr_t me = (uintptr_t)arg;

    for (uint64_t i = 1; i <= rounds / 16; i++) {
        pthread_barrier_wait(&barrier);
        if (me < 2) {
            volatile uint64_t *mine = me ? &order.y : &order.x, *other = me ? &order.x : &order.y;

            *mine = i << 32;
            __asm__ volatile("mfence" ::: "memory");
            order.seen[me] = *other;
        }
        pthread_barrier_wait(&barrier);
        if (me == 0)
            wrong += order.seen[0] != i << 32 && order.seen[1] != i << 32;
    }
    return NULL;
}

/* -- code that another CPU changes: who was told of the change runs the new code */

static uint8_t *code;
static _Atomic uint32_t written;

static void serialize(void)
{
    unsigned a = 0, c = 0;

    __asm__ volatile("cpuid" : "+a"(a), "+c"(c)::"ebx", "edx", "memory");
}

static void *cross_modifying(void *arg)
{
    uint32_t (*call)(void) = (uint32_t(*)(void))(void *)(code + 3);

    pthread_barrier_wait(&barrier);
    if (!arg) {
        for (uint32_t i = 1; i <= rounds / 8; i++) {
            *(volatile uint32_t *)(void *)(code + 4) = i; /* mov eax, imm32: aligned */
            atomic_store(&written, i);
        }
        atomic_store(&written, UINT32_MAX);
        return NULL;
    }
    for (uint32_t told, last = 0; (told = atomic_load(&written)) != UINT32_MAX;) {
        serialize();
        uint32_t got = call();

        wrong += got < told || got < last;
        last = got;
    }
    return NULL;
}

/* Each thread makes and calls functions of its own; all are in the same few pages. */
static void *own_functions(void *arg)
{
    uint8_t *mine = code + 64 * (1 + (uintptr_t)arg);

    pthread_barrier_wait(&barrier);
    for (uint32_t i = 0; i < rounds / 8; i++) {
        uint8_t text[] = {
            0xb8, 0, 0, 0, 0, 0x05, 0, 0, 0, 0, 0xc3
        }; /* mov eax, a; add eax, b; ret */
        uint32_t a = i * 3, b = (uint32_t)(uintptr_t)arg << 24;

        memcpy(text + 1, &a, 4);
        memcpy(text + 6, &b, 4);
        memcpy(mine, text, sizeof(text));
        wrong += ((uint32_t(*)(void))(void *)mine)() != a + b;
    }
    return NULL;
}

/* -- pages that go and come: no CPU keeps an old translation */

static void *shootdowns(void *arg)
{
    static uint8_t *volatile page;

    for (unsigned i = 1; i <= rounds / 64; i++) {
        if (!arg) {
            page = mmap(page, 4096, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | (page ? MAP_FIXED : 0), -1, 0);
            page[100] = (uint8_t)i;
        }
        pthread_barrier_wait(&barrier);
        wrong += page[100] != (uint8_t)i;
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void *forks(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < rounds / 2048 + 1; i++) {
        pid_t pid = fork();
        int status = 0;

        if (pid == 0)
            _exit(42);
        wrong += pid < 0 || waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 42;
    }
    return NULL;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static uint64_t guarded, turn;

static void *mutexes(void *arg)
{
    uint64_t me = (uintptr_t)arg;

    for (unsigned i = 0; i < rounds / 8; i++) {
        pthread_mutex_lock(&mutex);
        guarded++;
        pthread_mutex_unlock(&mutex);
    }
    for (unsigned i = 0; i < rounds / 256; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % n_threads != me)
            pthread_cond_wait(&turn_changed, &mutex);
        turn++;
        pthread_cond_broadcast(&turn_changed);
        pthread_mutex_unlock(&mutex);
    }
    pthread_barrier_wait(&barrier);
    if (me == 0)
        wrong += guarded != (uint64_t)n_threads * (rounds / 8) ||
                 turn != (uint64_t)n_threads * (rounds / 256);
    return NULL;
}

int main(int argc, char **argv)
{
    n_threads = argc > 1 ? (unsigned)atoi(argv[1]) : 4;
    rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 20000;
    if (n_threads < 2 || n_threads > MAX_THREADS)
        return 2;
    code = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        return 2;
    memcpy(code + 3, "\xb8\0\0\0\0\xc3", 6);
    run("LOCKed instructions", atomics);
    run("stores are seen in order", stores_in_order);
    run("fences", fences);
    run("mutexes and condition variables", mutexes);
    run("code changed by another CPU", cross_modifying);
    run("functions made side by side", own_functions);
    run("mappings that change", shootdowns);
    run("processes", forks);
    puts("SMP-DONE");
    return 0;
}
