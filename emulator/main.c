/*
 * main.c - the emulator's program: the command line decides, machine.c does.
 */
#include <stdio.h>

#include "base/log.h"
#include "emulator/cmdline.h"
#include "emulator/daemon.h"
#include "emulator/machine.h"

static void print_warning(LogLevel level, const char *message, void *opaque)
{
    (void)opaque;
    if (level == LOG_WARNING)
        fprintf(stderr, "emulator: warning: %s\n", message);
}

static int run(const Config *config)
{
    static Machine machine;
    AUTO_ERROR Error *err = NULL;
    int ret = config->daemonize ? daemon_start(&err) : 0;
    int status = 1;

    if (ret == 0)
        ret = machine_init(&machine, config, &err);
    else
        machine_lock();
    if (ret == 0 && config->pidfile)
        ret = pidfile_write(config->pidfile, &err);
    if (ret == 0)
        ret = daemon_ready(&err);
    if (ret == 0)
        status = machine_run(&machine);
    machine_destroy(&machine);
    if (ret < 0)
        fprintf(stderr, "emulator: %s\n", error_message(err, ret));
    else if (config->pidfile)
        pidfile_remove(config->pidfile);
    return status;
}

int main(int argc, char **argv)
{
    AUTO_ERROR Error *err = NULL;
    CmdAction action;
    Config config;
    const char *list;
    int status = 0;
    int ret = cmdline_parse(argc, argv, &config, &action, &list, &err);

    log_set_hook(print_warning, NULL);
    if (ret < 0) {
        fprintf(stderr, "emulator: %s\n", error_message(err, ret));
        status = 1;
    } else if (action == CMDLINE_HELP) {
        emulator_help_print(stdout);
    } else if (action == CMDLINE_MAN) {
        emulator_help_man(stdout);
    } else if (action == CMDLINE_VERSION) {
        printf("Onionskin emulator %s\n", EMULATOR_VERSION);
    } else if (action == CMDLINE_LIST) {
        fputs(list, stdout);
    } else {
        status = run(&config);
    }
    config_free(&config);
    return status;
}
