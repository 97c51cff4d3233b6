#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "auth/jwt.h"
#include "base/alloc.h"
#include "event/json.h"
#include "rgate/args.h"
#include "rgate/cmd.h"

static const char help[] =
    "Usage: rgate token [options]\n"
    "\n"
    "Makes a JSON Web Token for development and prints it.\n"
    "\n"
    "  --secret SECRET     key of the signature (default: JWT_SECRET_KEY, which other\n"
    "                      users of this machine cannot see)\n"
    "  --alg ALG           HS256, HS384 or HS512 (default: JWT_ALG, else HS256)\n"
    "  --sub SUBJECT       the claim sub\n"
    "  --jti ID            the claim jti, which names the session\n"
    "  --claim NAME=VALUE  any claim; VALUE may be JSON; may be repeated\n"
    "  --exp SECONDS       seconds until the token expires (default: 3600)\n"
    "  -h, --help          this text\n"
    "\n"
    "Examples:\n"
    "  JWT_SECRET_KEY=mysecret rgate token --sub john --jti session1\n"
    "  rgate token --secret mysecret --claim name=John --claim 'roles=[\"admin\"]'\n"
    "  rgate subscribe --type greeting --jwt \"$(rgate token --secret mysecret)\"\n";

enum {
    SECRET = 256,
    ALG,
    SUB,
    JTI,
    CLAIM,
    EXP
};

static const struct option options[] = {
    {"secret", required_argument, NULL, SECRET},
    {"alg", required_argument, NULL, ALG},
    {"sub", required_argument, NULL, SUB},
    {"jti", required_argument, NULL, JTI},
    {"claim", required_argument, NULL, CLAIM},
    {"exp", required_argument, NULL, EXP},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct token {
    const char *alg;
    const char *secret;
    struct rg_buf claims; /* without the closing brace */
    int64_t exp_s;        /* from now */
    bool has_exp;         /* given as a claim */
};

/* Strings by RFC 7519, also where they look like a number. */
static void add_text(struct rg_buf *claims, const char *name, const char *value)
{
    rg_buf_addf(claims, "%s\"%s\":", claims->p[claims->n - 1] != '{' ? "," : "", name);
    rg_json_add_string(claims, rg_str_c(value));
}

static int take_option(struct token *token, int option)
{
    switch (option) {
    case SECRET:
        token->secret = optarg;
        return 0;
    case ALG:
        token->alg = optarg;
        return 0;
    case SUB:
        add_text(&token->claims, "sub", optarg);
        return 0;
    case JTI:
        add_text(&token->claims, "jti", optarg);
        return 0;
    case CLAIM:
        token->has_exp |= strncmp(optarg, "exp=", 4) == 0;
        if (rg_args_add_member(&token->claims, optarg) == 0)
            return 0;
        return rg_args_wrong("token", "--claim needs NAME=VALUE, not \"%s\"", optarg);
    case EXP:
        if (rg_str_to_i64(rg_str_c(optarg), &token->exp_s) == 0)
            return 0;
        return rg_args_wrong("token", "--exp needs a number of seconds, not \"%s\"", optarg);
    default:
        return 2; /* rg_args_next() has told */
    }
}

static int print_token(struct token *token)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    struct rg_why why;
    char exp[48];

    if (token->secret == NULL || token->secret[0] == '\0')
        return rg_args_wrong("token", "a secret is needed: set JWT_SECRET_KEY or use --secret");
    if (!token->has_exp) {
        snprintf(exp, sizeof(exp), "exp=%lld", (long long)time(NULL) + token->exp_s);
        rg_args_add_member(&token->claims, exp);
    }
    rg_buf_add_char(&token->claims, '}');
    if (rg_jwt_mint(token->alg, rg_str_c(token->secret), rg_buf_str(&token->claims), &out, &why) <
        0)
        return rg_args_wrong("token", "%s", why.text);
    printf("%.*s\n", RG_STR_ARG(rg_buf_str(&out)));
    return 0;
}

int rg_cmd_token(int argc, char **argv)
{
    const char *alg = getenv("JWT_ALG");
    struct token token = {.alg = alg != NULL && alg[0] != '\0' ? alg : "HS256",
                          .secret = getenv("JWT_SECRET_KEY"),
                          .exp_s = 3600};
    int option;
    int status = 0;

    rg_buf_add_char(&token.claims, '{');
    optind = 0;
    while (status == 0 && (option = rg_args_next(argc, argv, options)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            goto out;
        }
        status = take_option(&token, option);
    }
    if (status == 0 && optind < argc)
        status = rg_args_wrong("token", "unexpected argument \"%s\"", argv[optind]);
    if (status == 0)
        status = print_token(&token);
out:
    rg_buf_done(&token.claims);
    return status;
}
