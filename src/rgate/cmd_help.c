#include <stdio.h>

#include "base/alloc.h"
#include "rgate/args.h"
#include "rgate/cmd.h"
#include "rgate/completion.h"

static const struct {
    const char *shell;
    const char *script;
} completions[] = {
    {"bash", rg_completion_bash},
    {"zsh", rg_completion_zsh},
    {"fish", rg_completion_fish},
};

static const char about[] =
    "Usage: rgate [command] [options]\n"
    "\n"
    "Pushes events from Kafka to browsers over SSE, WebSocket and long polling.\n"
    "\n"
    "Commands:\n";

static const char more[] =
    "\n"
    "Help:\n"
    "  rgate <command> --help            options and examples of a command\n"
    "  rgate help variables              the environment variables; --markdown for Markdown\n"
    "  rgate help completion <shell>     completion script for bash, zsh or fish\n"
    "\n"
    "Examples:\n"
    "  rgate dev                         try it without a Kafka of your own\n"
    "  KAFKA_BROKERS=kafka:9092 rgate    run it\n"
    "  rgate subscribe --type greeting   see what a client sees\n"
    "  rgate publish --type greeting --data '{\"name\":\"John\"}'\n";

static int print_overview(void)
{
    fputs(about, stdout);
    for (const struct rg_cmd *cmd = rg_cmds; cmd->name != NULL; cmd++)
        printf("  %-10s %s\n", cmd->name, cmd->summary);
    fputs(more, stdout);
    return 0;
}

static int print_variables(int argc, char **argv)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    bool is_markdown = argc > 2 && strcmp(argv[2], "--markdown") == 0;

    if (argc > 2 + is_markdown)
        return rg_args_wrong("help", "unexpected argument \"%s\"", argv[2 + is_markdown]);
    rg_config_describe(is_markdown, &out);
    fwrite(out.p, 1, out.n, stdout);
    return 0;
}

static int print_completion(int argc, char **argv)
{
    for (size_t i = 0; argc == 3 && i < RG_COUNT_OF(completions); i++) {
        if (strcmp(argv[2], completions[i].shell) == 0) {
            fputs(completions[i].script, stdout);
            return 0;
        }
    }
    return rg_args_wrong("help", "completion needs the name of a shell: bash, zsh or fish");
}

static int print_command_help(char *name)
{
    static char option[] = "--help";
    char *argv[] = {name, option, NULL};

    for (const struct rg_cmd *cmd = rg_cmds; cmd->name != NULL; cmd++) {
        if (strcmp(cmd->name, name) == 0 && cmd->run != rg_cmd_help)
            return cmd->run(2, argv);
    }
    return rg_args_wrong("help", "there is nothing about \"%s\"", name);
}

int rg_cmd_help(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-' || strcmp(argv[1], "help") == 0)
        return print_overview();
    if (strcmp(argv[1], "variables") == 0)
        return print_variables(argc, argv);
    if (strcmp(argv[1], "completion") == 0)
        return print_completion(argc, argv);
    return print_command_help(argv[1]);
}

int rg_cmd_version(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        puts("Usage: rgate version\n\nPrints the name of the program and its version.");
    else if (argc > 1)
        return rg_args_wrong(argv[0], "unexpected argument \"%s\"", argv[1]);
    else
        puts("rgate " RG_VERSION);
    return 0;
}
