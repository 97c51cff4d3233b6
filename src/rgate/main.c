#include <stdio.h>

#include "base/alloc.h"
#include "rgate/args.h"
#include "rgate/cmd.h"

const struct rg_cmd rg_cmds[] = {
    {"serve", "run the gateway (the default)", rg_cmd_serve},
    {"dev", "run the gateway with a Kafka of its own and a demo, for trying things out",
     rg_cmd_dev},
    {"check", "check the configuration and the way to Kafka", rg_cmd_check},
    {"publish", "publish an event, to Kafka or over HTTP", rg_cmd_publish},
    {"subscribe", "print events as a client receives them", rg_cmd_subscribe},
    {"token", "make a JSON Web Token for development", rg_cmd_token},
    {"version", "print the version", rg_cmd_version},
    {"help", "explain commands and variables", rg_cmd_help},
    {0},
};

static const struct rg_cmd *find(const char *name)
{
    for (const struct rg_cmd *cmd = rg_cmds; cmd->name != NULL; cmd++) {
        if (strcmp(cmd->name, name) == 0)
            return cmd;
    }
    return NULL;
}

static int tell_unknown(const char *name)
{
    const char *names[RG_COUNT_OF(rg_cmds)] = {0};
    const char *nearest;

    for (size_t i = 0; rg_cmds[i].name != NULL; i++)
        names[i] = rg_cmds[i].name;
    nearest = rg_args_nearest(name, names);
    fprintf(stderr, "rgate: there is no command \"%s\"", name);
    if (nearest != NULL)
        fprintf(stderr, "; did you mean \"rgate %s\"?\n", nearest);
    else
        fputs("; `rgate help` lists them\n", stderr);
    return 2;
}

static bool is_any(const char *arg, const char *a, const char *b)
{
    return strcmp(arg, a) == 0 || strcmp(arg, b) == 0;
}

int main(int argc, char **argv)
{
    static char serve[] = "serve";
    const struct rg_cmd *cmd;

    if (argc > 1 && is_any(argv[1], "--help", "-h"))
        return rg_cmd_help(1, argv + 1);
    if (argc > 1 && is_any(argv[1], "--version", "-V"))
        return rg_cmd_version(1, argv + 1);
    if (argc < 2 || argv[1][0] == '-') {
        argv[0] = serve;
        return rg_cmd_serve(argc, argv);
    }
    cmd = find(argv[1]);
    return cmd != NULL ? cmd->run(argc - 1, argv + 1) : tell_unknown(argv[1]);
}
