#include "rgate/args.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "event/json.h"

int rg_args_next(int argc, char **argv, const struct option *options)
{
    int at = optind > 0 ? optind : 1;
    int c;

    opterr = 0;
    c = getopt_long(argc, argv, ":h", options, NULL);
    if (c != '?' && c != ':')
        return c;
    /* After a long option optind is one further; after a short one it may not be. */
    const char *arg = argv[optind > at ? optind - 1 : at];
    rg_args_wrong(argv[0], c == ':' ? "%s needs a value" : "there is no option %s", arg);
    return '?';
}

__attribute__((format(printf, 2, 0))) static void print_line(const char *command, const char *fmt,
                                                             va_list ap)
{
    fflush(stdout);
    fprintf(stderr, "rgate %s: ", command);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

int rg_args_wrong(const char *command, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    print_line(command, fmt, ap);
    va_end(ap);
    fprintf(stderr, "Try `rgate %s --help`.\n", command);
    return 2;
}

int rg_args_failed(const char *command, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    print_line(command, fmt, ap);
    va_end(ap);
    return 1;
}

void rg_args_add_json(struct rg_buf *out, struct rg_str value)
{
    struct rg_json json;

    if (rg_json_check(value, &json, NULL) == 0)
        rg_buf_add_str(out, json.text);
    else
        rg_json_add_string(out, value);
}

int rg_args_add_member(struct rg_buf *out, const char *pair)
{
    const char *equals = strchr(pair, '=');

    if (equals == NULL || equals == pair)
        return RG_ESYNTAX;
    if (out->n > 0 && out->p[out->n - 1] != '{')
        rg_buf_add_char(out, ',');
    rg_json_add_string(out, rg_str_n(pair, (size_t)(equals - pair)));
    rg_buf_add_char(out, ':');
    rg_args_add_json(out, rg_str_c(equals + 1));
    return 0;
}

static int read_stream(FILE *file, const char *name, struct rg_buf *out, struct rg_why *why)
{
    size_t n;

    while ((n = fread(rg_buf_reserve(out, 65536), 1, 65536, file)) > 0)
        out->n += n;
    if (ferror(file))
        return rg_why_set(why, -errno, "", "cannot read %s: %s", name, strerror(errno));
    return 0;
}

int rg_args_read(const char *arg, struct rg_buf *out, struct rg_why *why)
{
    if (strcmp(arg, "-") == 0)
        return read_stream(stdin, "standard input", out, why);
    if (arg[0] != '@') {
        rg_buf_add_c(out, arg);
        return 0;
    }
    FILE *file = fopen(arg + 1, "re");
    if (file == NULL)
        return rg_why_set(why, -errno, "", "cannot open %s: %s", arg + 1, strerror(errno));
    int err = read_stream(file, arg + 1, out, why);
    fclose(file);
    return err;
}

void rg_args_add_url(struct rg_buf *out, const char *base, const char *path)
{
    size_t n = strlen(base);

    while (n > 0 && base[n - 1] == '/')
        n--;
    rg_buf_add(out, base, n);
    rg_buf_add_c(out, path);
}

/* Levenshtein's distance; words are as short as names of commands. */
static size_t distance(const char *a, const char *b)
{
    enum {
        MAX = 32
    };
    size_t row[MAX + 1];
    size_t n = strlen(b);

    if (n > MAX || strlen(a) > MAX)
        return MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

const char *rg_args_nearest(const char *word, const char *const *candidates)
{
    const char *nearest = NULL;
    size_t best = strlen(word) / 3 + 2; /* further away is a guess, not a correction */

    for (; *candidates != NULL; candidates++) {
        size_t d = distance(word, *candidates);
        bool is_start = strlen(word) >= 2 && strncmp(word, *candidates, strlen(word)) == 0;
        if (is_start)
            d = 1;
        if (d < best) {
            best = d;
            nearest = *candidates;
        }
    }
    return nearest;
}
