#include "base/option.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

enum {
    SHOWN_VALUE_BYTES = 200, /* EXTRACTORS may hold pages of JSON; a message names it, no more */
    HELP_COLUMNS = 78
};

/* ------------------------------------------------------------------ problems */

static void add_escaped(struct rg_buf *out, struct rg_str s, size_t max)
{
    size_t end = out->n + max;

    for (size_t i = 0; i < s.n;) {
        size_t len = rg_utf8_sequence(s.p + i, s.n - i);
        if (out->n >= end) {
            rg_buf_add_c(out, "...");
            return;
        }
        if (len == 0 || (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
            rg_buf_addf(out, "\\x%02x", (unsigned char)s.p[i]);
            i++;
        } else {
            rg_buf_add(out, s.p + i, len);
            i += len;
        }
    }
}

void rg_problem_add(struct rg_problems *problems, const char *variable, const char *value,
                    const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    rg_buf_addf(&problems->lines, "rgate: configuration error: %s: ", variable);
    add_escaped(&problems->lines, rg_str_c(text), SIZE_MAX / 2); /* may quote the value */
    if (value != NULL) {
        rg_buf_add_c(&problems->lines, " (got \"");
        add_escaped(&problems->lines, rg_str_c(value), SHOWN_VALUE_BYTES);
        rg_buf_add_c(&problems->lines, "\")");
    }
    rg_buf_add_char(&problems->lines, '\n');
    problems->n++;
}

void rg_problems_done(struct rg_problems *problems)
{
    rg_buf_done(&problems->lines);
    problems->n = 0;
}

/* ------------------------------------------------------------------- parsing */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Unlike rg_str_trim() also without line ends: values come from files and here-documents. */
static struct rg_str trim(struct rg_str s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

static void *field_of(const struct rg_option *row, void *out)
{
    return (char *)out + row->offset;
}

static const char *unit_of(enum rg_option_type type)
{
    if (type == RG_OPT_MS)
        return "number of milliseconds";
    return type == RG_OPT_BYTES ? "number of bytes" : "whole number";
}

static int parse_number(const struct rg_option *row, struct rg_str value, int64_t *field,
                        struct rg_why *why)
{
    int64_t number;

    if (rg_str_to_i64(value, &number) < 0 || number < row->min || number > row->max)
        return rg_why_set(why, RG_EINVAL, "", "must be a %s between %lld and %lld",
                          unit_of(row->type), (long long)row->min, (long long)row->max);
    *field = number;
    return 0;
}

static int parse_bool(struct rg_str value, bool *field, struct rg_why *why)
{
    static const char *const words[] = {"false", "true", "0", "1", "no", "yes"};

    for (size_t i = 0; i < RG_COUNT_OF(words); i++) {
        if (rg_str_eq_nocase(value, rg_str_c(words[i]))) {
            *field = i % 2 == 1;
            return 0;
        }
    }
    return rg_why_set(why, RG_EINVAL, "", "must be true, 1 or yes, or false, 0 or no");
}

static void parse_list(struct rg_str value, struct rg_option_list *field)
{
    while (value.p != NULL) {
        struct rg_str item = trim(rg_str_split(&value, ','));
        if (item.n == 0)
            continue;
        field->items = rg_realloc_array(field->items, field->n + 1, sizeof(field->items[0]));
        field->items[field->n++] = rg_strndup(item.p, item.n);
    }
}

/* Appends the choices, each by the first of its synonyms. */
static void add_choices(struct rg_buf *out, const char *choices, const char *quote)
{
    struct rg_str rest = rg_str_c(choices);
    const char *separator = "";

    while (rest.p != NULL) {
        struct rg_str synonyms = rg_str_split(&rest, '|');
        struct rg_str first = rg_str_split(&synonyms, ',');
        rg_buf_addf(out, "%s%s%.*s%s", separator, quote, RG_STR_ARG(first), quote);
        separator = ", ";
    }
}

static int parse_choice(const struct rg_option *row, struct rg_str value, int *field,
                        struct rg_why *why)
{
    struct rg_str rest = rg_str_c(row->choices);

    for (int i = 0; rest.p != NULL; i++) {
        struct rg_str synonyms = rg_str_split(&rest, '|');
        while (synonyms.p != NULL) {
            if (rg_str_eq_nocase(value, rg_str_split(&synonyms, ','))) {
                *field = i;
                return 0;
            }
        }
    }
    RG_CLEANUP(rg_buf_done) struct rg_buf known = {0};
    add_choices(&known, row->choices, "");
    return rg_why_set(why, RG_EINVAL, "", "must be one of %.*s", RG_STR_ARG(rg_buf_str(&known)));
}

/* value is NULL when the variable is unset and has no default. */
static int parse_value(const struct rg_option *row, const char *value, void *out,
                       struct rg_why *why)
{
    struct rg_str trimmed = trim(rg_str_c(value));
    void *field = field_of(row, out);

    switch (row->type) {
    case RG_OPT_STRING:
        /* A password may well start or end with a space. */
        if (value != NULL)
            *(char **)field = (row->flags & RG_OPT_SECRET) && trimmed.n > 0
                                  ? rg_strndup(value, strlen(value))
                                  : rg_strndup(trimmed.p, trimmed.n);
        return 0;
    case RG_OPT_LIST:
        parse_list(trimmed, field);
        return 0;
    case RG_OPT_BOOL:
        return value != NULL ? parse_bool(trimmed, field, why) : 0;
    case RG_OPT_CHOICE:
        return value != NULL ? parse_choice(row, trimmed, field, why) : 0;
    case RG_OPT_INT:
    case RG_OPT_MS:
    case RG_OPT_BYTES:
        return value != NULL ? parse_number(row, trimmed, field, why) : 0;
    }
    rg_assert(false);
}

static void clear_field(const struct rg_option *row, void *out)
{
    void *field = field_of(row, out);

    switch (row->type) {
    case RG_OPT_STRING:
        *(char **)field = NULL;
        break;
    case RG_OPT_LIST:
        *(struct rg_option_list *)field = (struct rg_option_list){0};
        break;
    case RG_OPT_BOOL:
        *(bool *)field = false;
        break;
    case RG_OPT_CHOICE:
        *(int *)field = 0;
        break;
    case RG_OPT_INT:
    case RG_OPT_MS:
    case RG_OPT_BYTES:
        *(int64_t *)field = 0;
        break;
    }
}

static void parse_row(const struct rg_option *row, const char *value, void *out,
                      struct rg_problems *problems)
{
    bool counts =
        value != NULL && (trim(rg_str_c(value)).n > 0 || (row->flags & RG_OPT_EMPTY_COUNTS));
    struct rg_why why;
    int err;

    clear_field(row, out);
    if (counts) {
        if (parse_value(row, value, out, &why) == 0)
            return;
        rg_problem_add(problems, row->name, row->flags & RG_OPT_SECRET ? NULL : value, "%s",
                       why.text);
    }
    err = parse_value(row, row->def, out, &why);
    rg_assert(err == 0);
}

void rg_options_parse(const struct rg_option *rows, size_t n, rg_getenv_fn *env, void *out,
                      struct rg_problems *problems)
{
    for (size_t i = 0; i < n; i++)
        parse_row(&rows[i], env(rows[i].name), out, problems);
}

static void free_list(struct rg_option_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        rg_free(list->items[i]);
    rg_free(list->items);
}

void rg_options_done(const struct rg_option *rows, size_t n, void *out)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].type == RG_OPT_STRING)
            rg_free(*(char **)field_of(&rows[i], out));
        else if (rows[i].type == RG_OPT_LIST)
            free_list(field_of(&rows[i], out));
        clear_field(&rows[i], out);
    }
}

/* ------------------------------------------------------------------- showing */

static void add_choice_name(struct rg_buf *out, const char *choices, int index)
{
    struct rg_str rest = rg_str_c(choices);

    for (int i = 0; rest.p != NULL; i++) {
        struct rg_str synonyms = rg_str_split(&rest, '|');
        if (i == index)
            rg_buf_add_str(out, rg_str_split(&synonyms, ','));
    }
}

static void add_list(struct rg_buf *out, const struct rg_option_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (i > 0)
            rg_buf_add_char(out, ',');
        add_escaped(out, rg_str_c(list->items[i]), SHOWN_VALUE_BYTES);
    }
}

static void add_value(const struct rg_option *row, const void *field, struct rg_buf *out)
{
    switch (row->type) {
    case RG_OPT_STRING:
        if (*(char *const *)field != NULL)
            add_escaped(out, rg_str_c(*(char *const *)field), SHOWN_VALUE_BYTES);
        break;
    case RG_OPT_LIST:
        add_list(out, field);
        break;
    case RG_OPT_BOOL:
        rg_buf_add_c(out, *(const bool *)field ? "true" : "false");
        break;
    case RG_OPT_CHOICE:
        add_choice_name(out, row->choices, *(const int *)field);
        break;
    case RG_OPT_INT:
    case RG_OPT_MS:
    case RG_OPT_BYTES:
        rg_buf_addf(out, "%lld", (long long)*(const int64_t *)field);
        break;
    }
}

void rg_options_dump(const struct rg_option *rows, size_t n, const void *from, struct rg_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        const void *field = (const char *)from + rows[i].offset;
        rg_buf_addf(out, "%s=", rows[i].name);
        if (!(rows[i].flags & RG_OPT_SECRET))
            add_value(&rows[i], field, out);
        else if (*(char *const *)field != NULL)
            rg_buf_add_c(out, "***");
        rg_buf_add_char(out, '\n');
    }
}

static bool starts_section(const struct rg_option *rows, size_t i)
{
    return i == 0 || strcmp(rows[i].section, rows[i - 1].section) != 0;
}

/* What may be written there: "integer, 1 to 65535". quote goes around literal values. */
static void add_type(const struct rg_option *row, const char *quote, struct rg_buf *out)
{
    switch (row->type) {
    case RG_OPT_STRING:
        rg_buf_add_c(out, row->flags & RG_OPT_SECRET ? "secret" : "text");
        break;
    case RG_OPT_LIST:
        rg_buf_add_c(out, "comma-separated list");
        break;
    case RG_OPT_BOOL:
        rg_buf_addf(out, "%strue%s or %sfalse%s", quote, quote, quote, quote);
        break;
    case RG_OPT_CHOICE:
        rg_buf_add_c(out, "one of ");
        add_choices(out, row->choices, quote);
        break;
    case RG_OPT_INT:
    case RG_OPT_MS:
    case RG_OPT_BYTES:
        rg_buf_addf(out, "%s, %lld to %lld",
                    row->type == RG_OPT_INT  ? "integer"
                    : row->type == RG_OPT_MS ? "milliseconds"
                                             : "bytes",
                    (long long)row->min, (long long)row->max);
        break;
    }
}

/* Appends text in lines of at most HELP_COLUMNS, each after indent spaces. */
static void add_wrapped(struct rg_buf *out, int indent, struct rg_str text)
{
    size_t column = 0;

    while (text.p != NULL) {
        struct rg_str word = rg_str_split(&text, ' ');
        if (column == 0 || column + 1 + word.n > HELP_COLUMNS) {
            rg_buf_addf(out, "%s%*s", column > 0 ? "\n" : "", indent, "");
            column = (size_t)indent;
        } else {
            rg_buf_add_char(out, ' ');
            column++;
        }
        rg_buf_add_str(out, word);
        column += word.n;
    }
    rg_buf_add_char(out, '\n');
}

static void describe_text(const struct rg_option *row, struct rg_buf *out)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};

    rg_buf_addf(&text, "%s (", row->help);
    add_type(row, "", &text);
    if (row->def != NULL)
        rg_buf_addf(&text, "; default %s", row->def);
    rg_buf_add_char(&text, ')');
    rg_buf_addf(out, "  %s\n", row->name);
    add_wrapped(out, 6, rg_buf_str(&text));
}

static void add_cell(struct rg_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("|<*\\", *text) != NULL)
            rg_buf_add_char(out, '\\');
        rg_buf_add_char(out, *text);
    }
}

static void describe_markdown(const struct rg_option *row, struct rg_buf *out)
{
    rg_buf_addf(out, "| `%s` | ", row->name);
    add_type(row, "`", out);
    if (row->def != NULL)
        rg_buf_addf(out, " | `%s` | ", row->def);
    else
        rg_buf_add_c(out, " | | ");
    add_cell(out, row->help);
    rg_buf_add_c(out, " |\n");
}

void rg_options_describe(const struct rg_option *rows, size_t n, bool is_markdown,
                         struct rg_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (starts_section(rows, i)) {
            if (is_markdown)
                rg_buf_addf(out,
                            "\n## %s\n\n| Variable | Value | Default | Meaning |\n"
                            "| --- | --- | --- | --- |\n",
                            rows[i].section);
            else
                rg_buf_addf(out, "\n%s\n", rows[i].section);
        }
        if (is_markdown)
            describe_markdown(&rows[i], out);
        else
            describe_text(&rows[i], out);
    }
}
