/*
 * completion.c - img-tool completion: scripts by which shells complete our arguments.
 *
 * They are made from the same tables as --help: what may follow an option is told by the name of
 * its argument there.
 */
#include "img-tool/cmd.h"

#include <string.h>

/* What an argument of this name can be: words, or a file, or anything. */
static const struct {
    const char *argument, *words;
} values[] = {
    { "cache", "none writeback writethrough directsync unsafe" },
    { "src_cache", "none writeback writethrough directsync unsafe" },
    { "ofmt", "human json" },
    { "prealloc", "off metadata falloc full" },
    { "leaks|all", "leaks all" },
    { "aio", "threads native io_uring" },
    { "discard", "ignore unmap" },
    { "json[,fd=N]", "json" },
    { "objectdef", "secret,id= tls-creds-x509,id= tls-creds-psk,id= tls-creds-anon,id=" },
};

static bool is_format(const char *argument)
{
    size_t len = strlen(argument);

    return len >= 3 && strcmp(argument + len - 3, "fmt") == 0 && strcmp(argument, "ofmt") != 0;
}

static bool is_file(const char *argument)
{
    static const char *const files[] = { "backing_file", "base", "source_file", "input", "output" };

    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (strcmp(files[i], argument) == 0)
            return true;
    return false;
}

static void put_formats(void)
{
    for (size_t i = 0; driver_name_at(i); i++)
        printf("%s%s", i ? " " : "", driver_name_at(i));
}

/* The first driver that has this option. */
static size_t first_with_option(const char *name)
{
    for (size_t i = 0; driver_name_at(i); i++) {
        const OptionDesc *o = driver_create_options(driver_name_at(i));

        for (; o && o->name; o++)
            if (strcmp(o->name, name) == 0)
                return i;
    }
    return SIZE_MAX;
}

/* The names of all options that a new image can have, once each. */
static void put_create_options(void)
{
    bool first = true;

    for (size_t i = 0; driver_name_at(i); i++) {
        const OptionDesc *o = driver_create_options(driver_name_at(i));

        for (; o && o->name; o++)
            if (first_with_option(o->name) == i) {
                printf("%s%s=", first ? "" : " ", o->name);
                first = false;
            }
    }
}

/* The words that may be given for an argument; false if that is not a choice of words. */
static bool put_words(const char *argument)
{
    if (is_format(argument)) {
        put_formats();
        return true;
    }
    if (strcmp(argument, "options") == 0) {
        put_create_options();
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        if (strcmp(values[i].argument, argument) == 0) {
            fputs(values[i].words, stdout);
            return true;
        }
    return false;
}

static bool has_words(const char *argument)
{
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        if (strcmp(values[i].argument, argument) == 0)
            return true;
    return is_format(argument) || strcmp(argument, "options") == 0;
}

/* `text` inside single quotes, with the characters of `special` escaped. */
static void put_quoted(const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\'", stdout);
        else if (strchr(special, *text))
            putchar('\\');
        putchar(*text);
    }
}

/* ---- bash ----------------------------------------------------------------------------------- */

static void bash_option(void *opaque, const Command *cmd, const char *option, const char *argument,
                        const char *text)
{
    const char *name = option_long_name(cmd->name, option);

    (void)opaque, (void)text;
    printf(" %s%s", option, *option != '-' ? "=" : "");
    if (name)
        printf(" %s", name);
    (void)argument;
}

static void bash_value(void *opaque, const Command *cmd, const char *option, const char *argument,
                       const char *text)
{
    const char *name = option_long_name(cmd->name, option);

    (void)opaque, (void)text;
    if (!*argument || is_file(argument + 1))
        return;
    printf("    %s:%s", cmd->name, option);
    if (name)
        printf("|%s:%s", cmd->name, name);
    fputs(") words='", stdout);
    put_words(argument + 1);
    fputs("' files= ;;\n", stdout);
}

/* Words may be split at '=': then the option is two words back. */
static const char bash_head[] =
    "# bash completion for img-tool and qemu-img; made by `img-tool completion bash`\n"
    "_img_tool()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd= words= files=1 "
    "i\n"
    "    if [[ $cur == = ]]; then\n"
    "        cur=\n"
    "    elif [[ $prev == = ]]; then\n"
    "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
    "    fi\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        case ${COMP_WORDS[i]} in\n"
    "        -T|--trace) ((i++)) ;;\n"
    "        -*) ;;\n"
    "        *) cmd=${COMP_WORDS[i]}; break ;;\n"
    "        esac\n"
    "    done\n"
    "    if [[ -z $cmd ]]; then\n"
    "        COMPREPLY=($(compgen -W '--help --version --trace";

static const char bash_tail[] =
    "    esac\n"
    "    if [[ -n $words ]]; then\n"
    "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
    "    elif [[ -n $files ]]; then\n"
    "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
    "    fi\n"
    "    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
    "    return 0\n"
    "}\n"
    "complete -o filenames -F _img_tool img-tool qemu-img\n";

static void bash(void)
{
    fputs(bash_head, stdout);
    for (size_t i = 0; i < n_commands; i++)
        printf(" %s", commands[i].name);
    fputs("' -- \"$cur\"))\n        return 0\n    fi\n    case $cmd:$prev in\n", stdout);
    for (size_t i = 0; i < n_commands; i++)
        command_each_option(&commands[i], bash_value, NULL);
    fputs("    *) case $cmd:$cur in\n", stdout);
    for (size_t i = 0; i < n_commands; i++) {
        bool operands = strcmp(commands[i].name, "dd") == 0;

        printf("       %s:%s*) words='--help", commands[i].name, operands ? "" : "-");
        command_each_option(&commands[i], bash_option, NULL);
        fputs("' files= ;;\n", stdout);
    }
    fputs("       completion:*) words='bash zsh fish' files= ;;\n       esac ;;\n", stdout);
    fputs(bash_tail, stdout);
}

/* ---- zsh ------------------------------------------------------------------------------------ */

static void zsh_action(const char *argument)
{
    if (!*argument)
        return;
    putchar(':');
    put_quoted(argument + 1, ":[]");
    putchar(':');
    if (has_words(argument + 1)) {
        putchar('(');
        put_words(argument + 1);
        putchar(')');
    } else if (is_file(argument + 1)) {
        fputs("_files", stdout);
    }
}

static void zsh_spec(const char *option, const char *argument, const char *text)
{
    bool equals = *argument == '=';

    fputs(" \\\n            '", stdout);
    fputs(option, stdout);
    fputs(equals ? "=[" : "[", stdout);
    put_quoted(text, ":[]");
    putchar(']');
    zsh_action(argument);
    putchar('\'');
}

static void zsh_option(void *opaque, const Command *cmd, const char *option, const char *argument,
                       const char *text)
{
    const char *name = option_long_name(cmd->name, option);

    (void)opaque;
    if (*option != '-')
        return; /* dd's operands are words with '=' */
    zsh_spec(option, argument, text);
    if (name)
        zsh_spec(name, argument, text);
}

static void zsh_operand(void *opaque, const Command *cmd, const char *option, const char *argument,
                        const char *text)
{
    (void)opaque, (void)cmd, (void)argument, (void)text;
    if (*option != '-')
        printf(" %s=", option);
}

static void zsh_command(const Command *cmd)
{
    printf("    %s)\n        _arguments '--help[explain the command]'", cmd->name);
    command_each_option(cmd, zsh_option, NULL);
    if (strcmp(cmd->name, "completion") == 0) {
        fputs(" \\\n            '1:shell:(bash zsh fish)'", stdout);
    } else if (strcmp(cmd->name, "dd") == 0) {
        fputs(" \\\n            '*:operand:(", stdout);
        command_each_option(cmd, zsh_operand, NULL);
        fputs(")'", stdout);
    } else {
        fputs(" \\\n            '*:file:_files'", stdout);
    }
    fputs(" ;;\n", stdout);
}

static void zsh(void)
{
    fputs("#compdef img-tool qemu-img\n# made by `img-tool completion zsh`\n_img_tool()\n{\n"
          "    local -a img_tool_commands\n    img_tool_commands=(\n",
          stdout);
    for (size_t i = 0; i < n_commands; i++) {
        printf("        '%s:", commands[i].name);
        put_quoted(commands[i].summary, ":");
        fputs("'\n", stdout);
    }
    fputs("    )\n    if (( CURRENT == 2 )); then\n"
          "        _describe command img_tool_commands\n        return\n    fi\n"
          "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n"
          "    case $command in\n",
          stdout);
    for (size_t i = 0; i < n_commands; i++)
        zsh_command(&commands[i]);
    fputs("    esac\n}\n"
          "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n    _img_tool \"$@\"\nelse\n"
          "    compdef _img_tool img-tool qemu-img\nfi\n",
          stdout);
}

/* ---- fish ----------------------------------------------------------------------------------- */

static void fish_option(void *opaque, const Command *cmd, const char *option, const char *argument,
                        const char *text)
{
    const char *program = opaque, *name = option_long_name(cmd->name, option);

    printf("complete -c %s -n '__fish_seen_subcommand_from %s' ", program, cmd->name);
    if (*option != '-') {
        printf("-a '%s='", option);
    } else {
        bool is_long = option[1] == '-';

        printf("-%c %s", is_long ? 'l' : 's', option + 1 + is_long);
        if (name)
            printf(" -l %s", name + 2);
        if (*argument)
            fputs(is_file(argument + 1) ? " -r -F" : " -x", stdout);
        if (*argument && has_words(argument + 1)) {
            fputs(" -a '", stdout);
            put_words(argument + 1);
            putchar('\'');
        }
    }
    fputs(" -d '", stdout);
    put_quoted(text, "\\");
    fputs("'\n", stdout);
}

static void fish(void)
{
    static const char *const programs[] = { "img-tool", "qemu-img" };

    puts("# fish completion; made by `img-tool completion fish`");
    for (size_t p = 0; p < ARRAY_LEN(programs); p++)
        for (size_t i = 0; i < n_commands; i++) {
            const Command *cmd = &commands[i];

            printf("complete -c %s -f -n __fish_use_subcommand -a %s -d '", programs[p], cmd->name);
            put_quoted(cmd->summary, "\\");
            fputs("'\n", stdout);
            command_each_option(cmd, fish_option, (void *)programs[p]);
        }
    for (size_t p = 0; p < ARRAY_LEN(programs); p++)
        printf("complete -c %s -f -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n",
               programs[p]);
}

/* --------------------------------------------------------------------------------------------- */

int cmd_completion(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };
    static const struct option long_options[] = { { "help", no_argument, NULL, 'h' }, { 0 } };
    const Command *cmd = command_find("completion");
    Common common = { 0 };
    int opt, code;

    while ((opt = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
        if (common_option(&common, cmd, opt, &code) < 0)
            return code;
    if (argc - optind != 1)
        return usage_error(cmd, "a shell is expected: bash, zsh or fish");
    for (size_t i = 0; i < ARRAY_LEN(shells); i++)
        if (strcmp(shells[i].name, argv[optind]) == 0) {
            shells[i].print();
            return 0;
        }
    return usage_error(cmd, "there is no completion for '%s': bash, zsh or fish", argv[optind]);
}
