#include "base/log.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"

static enum rg_log_level chosen_level = RG_LOG_WARN;
static enum rg_log_format chosen_format = RG_LOG_TEXT;
static int log_fd = STDOUT_FILENO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const gcl_names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

void rg_log_configure(enum rg_log_level min_level, enum rg_log_format format)
{
    chosen_level = min_level;
    chosen_format = format;
}

bool rg_log_enabled(enum rg_log_level level)
{
    return level >= chosen_level;
}

void rg_log_set_fd(int fd)
{
    log_fd = fd;
}

/* JSON string escapes; in text lines too, where they keep a line one line. */
static void add_escaped(struct rg_buf *out, struct rg_str s)
{
    for (size_t i = 0, n; i < s.n; i += n) {
        unsigned char c = (unsigned char)s.p[i];
        n = rg_utf8_sequence(s.p + i, s.n - i);
        if (n == 0) {
            /* A line is UTF-8 whatever a peer sent. */
            rg_buf_add_c(out, "\\ufffd");
            n = 1;
        } else if (c == '"' || c == '\\') {
            rg_buf_addf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            rg_buf_addf(out, "\\u%04x", c);
        } else {
            rg_buf_add(out, s.p + i, n);
        }
    }
}

static bool needs_quotes(struct rg_str s)
{
    if (s.n == 0)
        return true;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c == '"' || c == '\\' || c == '=' || c == 0x7f)
            return true;
    }
    return !rg_utf8_is_valid(s);
}

static void add_value(struct rg_buf *out, const struct rg_field *f, bool always_quoted)
{
    switch (f->kind) {
    case RG_FIELD_INT:
        rg_buf_addf(out, "%" PRId64, f->v.i);
        return;
    case RG_FIELD_UINT:
        rg_buf_addf(out, "%" PRIu64, f->v.u);
        return;
    case RG_FIELD_STR:
        break;
    }
    bool is_quoted = always_quoted || needs_quotes(f->v.s);
    if (is_quoted)
        rg_buf_add_char(out, '"');
    add_escaped(out, f->v.s);
    if (is_quoted)
        rg_buf_add_char(out, '"');
}

static void add_text_line(struct rg_buf *out, const char *time, enum rg_log_level level,
                          const char *what, const struct rg_field *f)
{
    rg_buf_addf(out, "%s [%s] %s", time, level_names[level], what);
    for (; f->key != NULL; f++) {
        rg_buf_addf(out, " %s=", f->key);
        add_value(out, f, false);
    }
}

/* What ties the lines of one request together for Google Cloud Logging. */
static void add_operation(struct rg_buf *out, const struct rg_field *f)
{
    for (; f->key != NULL; f++) {
        if (strcmp(f->key, "request_id") != 0)
            continue;
        rg_buf_add_c(out, ",\"logging.googleapis.com/operation\":{\"id\":");
        add_value(out, f, true);
        rg_buf_add_char(out, '}');
    }
}

static void add_json_fields(struct rg_buf *out, const struct rg_field *f, const char *separator)
{
    for (; f->key != NULL; f++) {
        rg_buf_addf(out, "%s\"%s\":", separator, f->key);
        add_value(out, f, true);
        separator = ",";
    }
}

/* Ends out. A log that cannot be written is not worth stopping for. */
static void write_line(struct rg_buf *out)
{
    rg_buf_add_char(out, '\n');
    ssize_t ignored = write(log_fd, out->p, out->n);
    (void)ignored;
    rg_buf_done(out);
}

void rg_log_emit(enum rg_log_level level, const char *file, int line, const char *what,
                 const struct rg_field *fields)
{
    struct rg_buf out = {0};
    char time[RG_RFC3339_SIZE];

    rg_clock_rfc3339(time, rg_clock_wall_us());
    /* Milliseconds and Z: 2022-03-04T05:06:07.891Z */
    snprintf(time + 23, 2, "Z");

    switch (chosen_format) {
    case RG_LOG_TEXT:
        add_text_line(&out, time, level, what, fields);
        break;
    case RG_LOG_JSON:
        rg_buf_addf(&out, "{\"time\":\"%s\",\"severity\":\"%s\",\"message\":\"%s\",\"metadata\":{",
                    time, level_names[level], what);
        add_json_fields(&out, fields, "");
        rg_buf_add_c(&out, "}}");
        break;
    case RG_LOG_GCL:
        rg_buf_addf(&out, "{\"time\":\"%s\",\"severity\":\"%s\",\"message\":\"%s\"", time,
                    gcl_names[level], what);
        add_json_fields(&out, fields, ",");
        rg_buf_addf(&out,
                    ",\"logging.googleapis.com/sourceLocation\":{\"file\":\"%s\",\"line\":%d}",
                    file, line);
        add_operation(&out, fields);
        rg_buf_add_char(&out, '}');
        break;
    }
    write_line(&out);
}

/* Backslashes stay what they are: whoever wrote them expects to find them again. */
static void add_bare(struct rg_buf *out, struct rg_str s)
{
    for (size_t i = 0, n; i < s.n; i += n) {
        n = rg_utf8_sequence(s.p + i, s.n - i);
        if (n == 1 && (s.p[i] == '"' || s.p[i] == '\\'))
            rg_buf_add_char(out, s.p[i]);
        else
            add_escaped(out, rg_str_n(s.p + i, n > 0 ? n : 1));
        n = n > 0 ? n : 1;
    }
}

void rg_log_line(struct rg_str text)
{
    struct rg_buf out = {0};
    char time[RG_RFC3339_SIZE];

    if (chosen_format == RG_LOG_TEXT) {
        add_bare(&out, text);
    } else {
        rg_clock_rfc3339(time, rg_clock_wall_us());
        snprintf(time + 23, 2, "Z");
        rg_buf_addf(&out, "{\"time\":\"%s\",\"severity\":\"%s\",\"message\":\"", time,
                    chosen_format == RG_LOG_JSON ? level_names[RG_LOG_INFO]
                                                 : gcl_names[RG_LOG_INFO]);
        add_escaped(&out, text);
        rg_buf_add_c(&out, chosen_format == RG_LOG_JSON ? "\",\"metadata\":{}}" : "\"}");
    }
    write_line(&out);
}
