/*
 * emulator_cmdline.c - what the command line accepts, refuses, and where it puts it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "block/node.h"
#include "emulator/cmdline.h"

enum { MAX_ARGS = 16 };

/* Words separated by single spaces. */
static int parse(const char *line, Config *c, CmdAction *action, Error **err)
{
    static char copy[512];
    char *argv[MAX_ARGS] = { "emulator" }, *rest = strcpy(copy, line), *word;
    const char *list;
    int argc = 1;

    while ((word = strsep(&rest, " ")) && argc < MAX_ARGS)
        if (*word)
            argv[argc++] = word;
    return cmdline_parse(argc, argv, c, action, &list, err);
}

static const struct {
    const char *line, *message; /* a part of the message */
} refused[] = {
    { "-bogus", "unknown option '-bogus'" },
    { "--m", "needs a value" },
    { "-m", "option '-m' needs a value" },
    { "-m abc", "abc" },
    { "-m 0", "not between 1M and 1T" },
    { "-m 12E", "too large" },
    { "-m 2T", "not between" },
    { "-m size=64,slots=2", "slots" },
    { "-M q35", "machine 'q35' is not supported" },
    { "-machine pc,frob=on", "frob" },
    { "-accel kvm", "'kvm' is not supported" },
    { "-accel tcg,backend=fast", "fast" },
    { "-smp 17", "1 to 16" },
    { "-smp 4,maxcpus=8", "cannot be added later" },
    { "-smp 8,sockets=2,cores=3", "are not 2 sockets of 3 cores" },
    { "-smp 6,sockets=2,cores=3", "powers of two" },
    { "-hda a -hda b", "two drives at IDE bus 0, unit 0" },
    { "-hdc a -cdrom b", "two drives at IDE bus 1, unit 0" },
    { "-fda a -fda b", "two floppy drives 0" },
    { "-drive file=a,if=floppy,index=2", "number 0 and 1" },
    { "-net user", "'user' is not supported" },
    { "-drive file=a,aio=fast", "fast" },
    { "-drive if=ide", "a disk needs file=" },
    { "-drive file=a,if=scsi", "scsi" },
    { "-drive file=a,index=4", "index is at most 3" },
    { "-drive file=a,index=1,unit=1", "not both" },
    { "-drive file=a,cache=fast", "unknown cache mode 'fast'" },
    { "-drive file=a,media=tape", "tape" },
    { "-drive file=a,snapshot=maybe", "maybe" },
    { "-boot order=cz", "'z'" },
    { "-boot cc", "'c'" },
    { "-boot order=c,menu=2", "menu" },
    { "-initrd x", "-initrd needs -kernel" },
    { "-append x", "-append needs -kernel" },
    { "-serial tape", "'tape' is not a character device" },
    { "-serial file:", "names no file" },
    { "-serial tcp:host", "no port" },
    { "-serial unix:/x,frob", "frob" },
    { "-display gtk", "display 'gtk' is not supported" },
    { "-vga cirrus", "'cirrus' is not supported" },
    { "-device e1000", "device 'e1000' is not supported" },
    { "-device isa-debug-exit,iobase=0x10000", "iobase" },
    { "-d everything", "unknown log item 'everything'" },
    { "-trace frob*", "unknown trace event 'frob*'" },
    { "-rtc base=yesterday", "yesterday" },
    { "-uuid 1234", "is not a UUID" },
    { "a.img b.img", "two images" },
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        AUTO_ERROR Error *err = NULL;
        CmdAction action;
        Config c;
        int ret = parse(refused[i].line, &c, &action, &err);

        if (ret >= 0 || !strstr(error_message(err, ret), refused[i].message))
            fail_msg("%s: %s", refused[i].line, ret < 0 ? error_message(err, ret) : "accepted");
        if (strchr(err->message, '\n'))
            fail_msg("%s: more than one line", refused[i].line);
        config_free(&c);
    }
}

static void accept(const char *line, Config *c)
{
    AUTO_ERROR Error *err = NULL;
    CmdAction action;
    int ret = parse(line, c, &action, &err);

    if (ret < 0)
        fail_msg("%s: %s", line, error_message(err, ret));
}

static void memory_sizes(void **state)
{
    static const struct {
        const char *line;
        uint64_t size;
    } cases[] = {
        { "", UINT64_C(512) << 20 },
        { "-m 64", 64 << 20 },
        { "-m 64M", 64 << 20 },
        { "-m 2G", UINT64_C(2) << 30 },
        { "-m size=1G", UINT64_C(1) << 30 },
        { "-m 65536k", 64 << 20 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Config c;

        accept(cases[i].line, &c);
        assert_int_equal(c.ram_size, cases[i].size);
        config_free(&c);
    }
}

static void drives_find_their_places(void **state)
{
    Config c;

    (void)state;
    accept("-cdrom cd.iso -drive file=a -hdb b -drive file=d,index=3,format=qcow2,readonly=on", &c);
    assert_int_equal(c.n_drives, 4);
    assert_true(c.drives[0].cdrom);
    assert_int_equal(c.drives[0].bus, 1);
    assert_int_equal(c.drives[1].bus, 0);
    assert_int_equal(c.drives[1].unit, 0);
    assert_int_equal(c.drives[2].unit, 1);
    assert_int_equal(c.drives[3].bus, 1);
    assert_int_equal(c.drives[3].unit, 1);
    assert_string_equal(c.drives[3].format, "qcow2");
    assert_true(c.drives[3].readonly);
    config_free(&c);
}

static void drive_options_are_shared_out(void **state)
{
    Config c;

    (void)state;
    accept("-drive file=a,,b.img,if=none,id=x,cache=none,discard=unmap,lazy-refcounts=on", &c);
    assert_string_equal(c.drives[0].file, "a,b.img");
    assert_int_equal(c.drives[0].interface, DRIVE_IF_NONE);
    assert_true(c.drives[0].flags & OPEN_DIRECT);
    assert_true(c.drives[0].flags & OPEN_UNMAP);
    assert_int_equal(options_count(c.drives[0].options), 1);
    assert_string_equal(options_peek(c.drives[0].options, "lazy-refcounts"), "on");
    config_free(&c);
}

static void scripts_say_none(void **state)
{
    Config c;

    (void)state;
    accept("-nodefaults -no-user-config -nic none -net none -parallel none "
           "-drive file=a,format=raw,aio=native",
           &c);
    assert_true(c.no_defaults);
    assert_int_equal(c.vga, VGA_NONE);
    config_free(&c);
    accept("-vga std -nodefaults", &c);
    assert_int_equal(c.vga, VGA_STD);
    config_free(&c);
}

static void image_alone(void **state)
{
    Config c;

    (void)state;
    accept("disk.qcow2", &c);
    assert_false(c.drives[0].cdrom);
    assert_int_equal(c.drives[0].bus, 0);
    config_free(&c);
    accept("-m 64 boot.iso", &c);
    assert_true(c.drives[0].cdrom);
    assert_int_equal(c.drives[0].bus, 1);
    config_free(&c);
}

static void only_prints(void **state)
{
    static const struct {
        const char *line;
        CmdAction action;
    } cases[] = {
        { "-help", CMDLINE_HELP },         { "-h", CMDLINE_HELP },
        { "--help=man", CMDLINE_MAN },     { "-version", CMDLINE_VERSION },
        { "-machine help", CMDLINE_LIST }, { "-cpu help", CMDLINE_LIST },
        { "-d help", CMDLINE_LIST },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CmdAction action;
        Config c;

        assert_int_equal(parse(cases[i].line, &c, &action, NULL), 0);
        assert_int_equal(action, cases[i].action);
        config_free(&c);
    }
}

static void other_values(void **state)
{
    Config c;

    (void)state;
    accept("-rtc base=2006-06-17T16:01:21 -boot order=dc,menu=on,splash-time=2000 -S -no-reboot "
           "-device isa-debug-exit,iobase=0xf4,iosize=4",
           &c);
    assert_int_equal(c.rtc_date, 1150560081);
    assert_string_equal(c.boot_order, "dc");
    assert_true(c.boot_menu);
    assert_int_equal(c.boot_menu_timeout_ms, 2000);
    assert_true(c.paused && c.no_reboot && c.debug_exit);
    assert_int_equal(c.debug_exit_iobase, 0xf4);
    config_free(&c);
    accept("-uuid 550e8400-e29b-41d4-a716-446655440000 -accel tcg,backend=interp", &c);
    assert_int_equal(c.uuid[0], 0x55);
    assert_int_equal(c.uuid[5], 0x9b);
    assert_string_equal(c.tcg_backend, "interp");
    config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(memory_sizes),
        cmocka_unit_test(drives_find_their_places),
        cmocka_unit_test(drive_options_are_shared_out),
        cmocka_unit_test(scripts_say_none),
        cmocka_unit_test(image_alone),
        cmocka_unit_test(only_prints),
        cmocka_unit_test(other_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
