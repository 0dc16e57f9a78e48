/*
 * x86_guest.c - runs the bare-metal tests of tests/guest/x86 (NASM sources) on every back end.
 *
 * A test is loaded at 0x8000 and starts there in real mode; see tests/guest/x86/check.inc.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/tcg_machine.h"

enum { LOAD_AT = 0x8000, PORT_FAIL = 0xf4, PORT_END = 0xf5, PORT_TEXT = 0xe9 };

typedef struct {
    const char *name;
    const char *model;
    RunResult result; /* how the run must end */
} GuestTest;

typedef struct {
    const char *name, *backend;
    unsigned failures;
    bool ended;
} Progress;

static void port_write(Machine *m, uint16_t port, uint64_t value, UNUSED unsigned size)
{
    Progress *p = m->test;

    if (port == PORT_FAIL && ++p->failures <= 20)
        print_error("%s (%s): the check at 0x%llx failed\n", p->name, p->backend,
                    (unsigned long long)value);
    if (port == PORT_END)
        p->ended = true;
}

/* Assemble to `image`; the size, or 0 if there is no assembler. */
static size_t assemble(const char *name, uint8_t *image, size_t max)
{
    char path[] = "/tmp/x86-guest-XXXXXX", command[512];
    int fd = mkstemp(path);
    size_t size = 0;

    assert_true(fd >= 0);
    snprintf(command, sizeof(command),
             "nasm -f bin -i tests/guest/x86/ -o %s tests/guest/x86/%s.asm", path, name);
    if (system(command) == 0) {
        FILE *f = fdopen(fd, "rb");

        size = fread(image, 1, max, f);
        fclose(f);
    } else {
        close(fd);
    }
    unlink(path);
    return size;
}

static void run_on(const GuestTest *test, const char *backend, const uint8_t *image, size_t size)
{
    Progress p = { .name = test->name, .backend = backend };
    Machine *m = machine_new(backend, 16);

    m->test = &p;
    m->io_write = port_write;
    machine_x86(m, test->model);
    machine_load(m, LOAD_AT, image, size);
    machine_real_mode(m, 0, LOAD_AT);
    RunResult result = machine_run(m);
    if (result != test->result || (!p.ended && result != RUN_SHUTDOWN)) {
        print_error("%s (%s): the run ended wrongly (%d)\n", p.name, p.backend, result);
        cpu_dump(m->cpu, stderr);
        p.failures++;
    }
    machine_free(m);
    assert_int_equal(p.failures, 0);
}

static void run_guest(void **state)
{
    static const char *const backends[] = { "interp", "x86_64" };
    const GuestTest *test = *state;
    static uint8_t image[64 << 10];

    if (system("nasm -v >/dev/null 2>&1") != 0)
        skip();
    size_t size = assemble(test->name, image, sizeof(image));
    assert_true(size > 0);
    for (size_t i = 0; i < ARRAY_LEN(backends); i++)
        run_on(test, backends[i], image, size);
}

static const GuestTest tests[] = {
    { "segments", "max", RUN_HALTED }, { "descriptors", "max", RUN_HALTED },
    { "paging", "max", RUN_HALTED },   { "tasks", "max", RUN_HALTED },
    { "real", "max", RUN_HALTED },     { "v86", "max", RUN_HALTED },
    { "long", "max", RUN_HALTED },     { "debug", "max", RUN_HALTED },
    { "smc", "max", RUN_HALTED },      { "triple", "max", RUN_SHUTDOWN },
};

int main(int argc, char **argv)
{
    struct CMUnitTest cases[ARRAY_LEN(tests)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        if (argc < 2 || strcmp(argv[1], tests[i].name) == 0)
            cases[n++] =
                (struct CMUnitTest) { tests[i].name, run_guest, NULL, NULL, (void *)&tests[i] };
    }
    return _cmocka_run_group_tests("x86_guest", cases, n, NULL, NULL);
}
