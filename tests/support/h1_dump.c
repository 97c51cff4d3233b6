/*
 * h1_dump - shows how the HTTP/1.1 parser understands bytes.
 *
 * Reads stdin to its end and prints one JSON object: the messages found one after the other
 * and how it ended ("end": bytes used up, "incomplete": a message is unfinished,
 * "closed": bytes remain behind the connection's last message, "refused": see status). Each byte of
 * a text becomes one character (latin-1), so that nothing is lost.
 */
#include <stdio.h>

#include "base/buf.h"
#include "http/chunked.h"
#include "http/h1.h"

static void add_json(struct rg_buf *out, struct rg_str s)
{
    rg_buf_add_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            rg_buf_addf(out, "\\u%04x", c);
        else
            rg_buf_add_char(out, (char)c);
    }
    rg_buf_add_char(out, '"');
}

static void add_message(struct rg_buf *out, const struct rg_request *req, struct rg_str body)
{
    rg_buf_add_c(out, "{\"method\":");
    add_json(out, req->method_name);
    rg_buf_add_c(out, ",\"target\":");
    add_json(out, req->target);
    rg_buf_addf(out, ",\"version\":\"1.%u\",\"fields\":[", req->minor);
    for (size_t i = 0; i < req->fields_n; i++) {
        rg_buf_add_c(out, i > 0 ? "," : "");
        add_json(out, req->fields[i].name);
        rg_buf_add_char(out, ',');
        add_json(out, req->fields[i].value);
    }
    rg_buf_add_c(out, "],\"body\":");
    add_json(out, body);
    rg_buf_add_char(out, '}');
}

/* Takes a chunked body off p. Returns the bytes used, 0 if it is incomplete, -400. */
static long read_chunks(struct rg_str p, struct rg_buf *body)
{
    struct rg_chunked chunked = {0};
    size_t at = 0;

    while (at < p.n) {
        struct rg_str data;
        bool is_done;
        long used = rg_chunked_take(&chunked, p.p + at, p.n - at, &data, &is_done, NULL);
        if (used < 0)
            return used;
        rg_buf_add_str(body, data);
        at += (size_t)used;
        if (is_done)
            return (long)at;
    }
    return 0;
}

/*
 * Takes one message off *text and shows it. Returns 0, 1 if it is the connection's last one,
 * 2 if it is incomplete, or minus a status.
 */
static int dump_message(struct rg_str *text, const char *separator, struct rg_buf *out)
{
    static struct rg_request req;
    struct rg_h1_framing framing;
    struct rg_h1_scan scan = {0};
    struct rg_buf body = {0};

    long head_n = rg_h1_scan(&scan, text->p, text->n, &rg_h1_default_limits, NULL);
    if (head_n <= 0)
        return head_n < 0 ? (int)head_n : 2;
    int err = rg_h1_parse_head(text->p, (size_t)head_n, &req, &framing, NULL);
    if (err < 0)
        return err;

    struct rg_str rest = rg_str_n(text->p + head_n, text->n - (size_t)head_n);
    long body_n = 0;
    if (framing.is_chunked) {
        body_n = read_chunks(rest, &body);
        if (body_n <= 0) {
            rg_buf_done(&body);
            return body_n < 0 ? (int)body_n : 2;
        }
    } else {
        if (framing.length > rest.n)
            return 2;
        body_n = (long)framing.length;
        rg_buf_add(&body, rest.p, (size_t)body_n);
    }
    rg_buf_add_c(out, separator);
    add_message(out, &req, rg_buf_str(&body));
    rg_buf_done(&body);
    *text = rg_str_n(rest.p + body_n, rest.n - (size_t)body_n);
    return framing.keep_alive ? 0 : 1;
}

int main(void)
{
    struct rg_buf in = {0};
    struct rg_buf out = {0};
    size_t n;
    int result = 0;

    while ((n = fread(rg_buf_reserve(&in, 65536), 1, 65536, stdin)) > 0)
        in.n += n;

    struct rg_str text = rg_buf_str(&in);
    const char *separator = "";
    rg_buf_add_c(&out, "{\"messages\":[");
    while (text.n > 0 && result == 0) {
        result = dump_message(&text, separator, &out);
        separator = ",";
    }
    rg_buf_addf(&out, "],\"status\":%d,\"end\":\"%s\"}\n", result < 0 ? -result : 0,
                result < 0                  ? "refused"
                : result == 2               ? "incomplete"
                : result == 1 && text.n > 0 ? "closed"
                                            : "end");
    fwrite(out.p, 1, out.n, stdout);
    rg_buf_done(&in);
    rg_buf_done(&out);
    return 0;
}
