/*
 * A head is read twice, both times forwards and cheaply: rg_h1_scan() finds its end while the
 * bytes come in and enforces the limits, rg_h1_parse_head() then walks over it once with a
 * table lookup per byte. What the parser skips with the table it has thereby checked.
 */
#include "http/h1.h"

#include <stdio.h>

#include "http/h1_fields_priv.h"

#define MAX_METHOD      32
#define MAX_EMPTY_LINES 4

const struct rg_h1_limits rg_h1_default_limits = {
    .request_line = 16384,
    .field = 16384,
    .head = 65536,
};

/*
 * The end of a head
 */

static size_t line_limit(const struct rg_h1_scan *scan, const struct rg_h1_limits *limits)
{
    if (scan->fields_at == 0)
        return limits->request_line;

    size_t used = scan->line_start - scan->fields_at;
    size_t left = used < limits->head ? limits->head - used : 0;
    return left < limits->field ? left : limits->field;
}

/*
 * Checks the current line as far as it is there, up to `end` (its LF, or the end of the
 * bytes). Nothing beyond the limit is looked at and a forbidden byte within it comes first,
 * so the verdict is the same in whatever pieces the line arrives.
 */
static int check_line(const struct rg_h1_scan *scan, const char *p, size_t end, bool is_complete,
                      size_t limit, struct rg_why *why)
{
    size_t start = scan->line_start;
    size_t window_end = end - start > limit ? start + limit + 1 : end;
    /* A CR at the end of the previous piece is looked at again, now that its successor is here. */
    size_t from = scan->at > start ? scan->at - 1 : start;
    bool ends_in_cr = end > start && p[end - 1] == '\r';

    if (from < window_end) {
        const char *cr = memchr(p + from, '\r', window_end - from);
        if (cr != NULL && (size_t)(cr - p) + 1 < end)
            return rg_why_set(why, -400, "", "a CR without LF in the head");
        if (memchr(p + from, '\0', window_end - from) != NULL)
            return rg_why_set(why, -400, "", "a NUL byte in the head");
    }
    if (end - start - ends_in_cr > limit)
        return scan->fields_at == 0
                   ? rg_why_set(why, -414, "", "the request line is too long")
                   : rg_why_set(why, -431, "", "the request header fields are too large");
    if (is_complete && !ends_in_cr)
        return rg_why_set(why, -400, "", "an LF without CR in the head");
    return 0;
}

/* Counts the line that ends before scan->at. Returns 1 if it ends the head. */
static int end_line(struct rg_h1_scan *scan, struct rg_why *why)
{
    bool is_empty = scan->at - scan->line_start == 2;

    scan->line_start = scan->at;
    if (is_empty && scan->fields_at != 0)
        return 1;
    if (is_empty) {
        if (++scan->lines > MAX_EMPTY_LINES)
            return rg_why_set(why, -400, "", "too many empty lines before the request");
    } else if (scan->fields_at == 0) {
        scan->fields_at = scan->at;
        scan->lines = 0;
    } else if (++scan->lines > RG_MAX_FIELDS_PER_MESSAGE) {
        return rg_why_set(why, -431, "", "more than %d header fields", RG_MAX_FIELDS_PER_MESSAGE);
    }
    return 0;
}

long rg_h1_scan(struct rg_h1_scan *scan, const char *p, size_t n, const struct rg_h1_limits *limits,
                struct rg_why *why)
{
    while (scan->at < n) {
        const char *lf = memchr(p + scan->at, '\n', n - scan->at);
        size_t end = lf != NULL ? (size_t)(lf - p) : n;

        int err = check_line(scan, p, end, lf != NULL, line_limit(scan, limits), why);
        if (err < 0)
            return err;
        if (lf == NULL) {
            scan->at = n;
            return 0;
        }
        scan->at = end + 1;
        err = end_line(scan, why);
        if (err != 0)
            return err < 0 ? err : (long)scan->at;
    }
    return 0;
}

/*
 * The content of a head
 */

struct head {
    struct rg_h1_cursor at;
    struct rg_request *req;
    struct rg_h1_framing *framing;
    struct rg_why *why;

    struct rg_h1_framing_fields fields;
    unsigned hosts; /* how often the field came */
    struct rg_str host;
    struct rg_str authority; /* of a target in absolute-form; p is NULL otherwise */
};

static int bad_request(struct head *head, const char *text)
{
    char place[48] = "request line";

    if (head->req->fields_n > 0)
        snprintf(place, sizeof(place), "header field %zu", head->req->fields_n);
    return rg_why_set(head->why, -400, place, "%s", text);
}

static int parse_method(struct head *head)
{
    struct rg_str name = rg_h1_take(&head->at, TOKEN);

    if (name.n == 0 || !rg_h1_take_char(&head->at, ' '))
        return bad_request(head, "the method is not a token followed by one space");
    if (name.n > MAX_METHOD)
        return rg_why_set(head->why, -501, "request line", "the method name is too long");
    /* Its target is an authority and what follows is a tunnel: never ours. */
    if (rg_str_eq(name, RG_STR("CONNECT")))
        return rg_why_set(head->why, -501, "request line", "CONNECT is not supported");
    head->req->method_name = name;
    head->req->method = rg_method_from(name);
    return 0;
}

/* Takes scheme and authority off a target in absolute-form. */
static int reduce_absolute(struct head *head, struct rg_str *target)
{
    size_t scheme_n = rg_str_starts_with_nocase(*target, RG_STR("http://"))    ? 7
                      : rg_str_starts_with_nocase(*target, RG_STR("https://")) ? 8
                                                                               : 0;
    if (scheme_n == 0)
        return bad_request(head, "the target neither starts with '/' nor is an http address");

    struct rg_str rest = rg_str_n(target->p + scheme_n, target->n - scheme_n);
    const char *slash = memchr(rest.p, '/', rest.n);
    head->authority = rg_str_n(rest.p, slash != NULL ? (size_t)(slash - rest.p) : rest.n);
    if (head->authority.n == 0 || !rg_h1_is_all(head->authority, HOST))
        return bad_request(head, "the target's authority is not a host and port");
    *target = slash != NULL ? rg_str_n(slash, rest.n - head->authority.n) : RG_STR("/");
    return 0;
}

static int parse_target(struct head *head)
{
    struct rg_request *req = head->req;
    struct rg_str target = rg_h1_take(&head->at, TARGET);
    bool is_asterisk = rg_str_eq(target, RG_STR("*")) && req->method == RG_OPTIONS;
    int err;

    if (target.n == 0 || !rg_h1_take_char(&head->at, ' '))
        return bad_request(head, "the target is empty, not followed by one space or has a byte "
                                 "that is not allowed there");
    if (target.p[0] != '/' && !is_asterisk) {
        err = reduce_absolute(head, &target);
        if (err < 0)
            return err;
    }
    req->target = target;
    req->query = target;
    req->path = rg_str_split(&req->query, '?');
    return 0;
}

static int parse_version(struct head *head)
{
    struct rg_h1_cursor *at = &head->at;

    if (!rg_h1_take_text(at, RG_STR("HTTP/")) || at->end - at->p < 3 || at->p[0] < '0' ||
        at->p[0] > '9' || at->p[1] != '.' || at->p[2] < '0' || at->p[2] > '9')
        return bad_request(head, "the request line does not end in a version of HTTP");
    if (at->p[0] != '1' || at->p[2] > '1')
        return rg_why_set(head->why, -505, "request line", "the version is not HTTP/1.0 or 1.1");
    head->req->minor = (unsigned)(at->p[2] - '0');
    at->p += 3;
    if (!rg_h1_take_crlf(at))
        return bad_request(head, "something follows the version");
    return 0;
}

static int parse_request_line(struct head *head)
{
    int err;

    for (int i = 0; i < MAX_EMPTY_LINES && rg_h1_take_crlf(&head->at); i++)
        ;
    err = parse_method(head);
    if (err < 0)
        return err;
    err = parse_target(head);
    if (err < 0)
        return err;
    return parse_version(head);
}

/*
 * What single fields mean for the message as a whole
 */

static int note_host(struct head *head, struct rg_str value)
{
    head->host = value;
    if (++head->hosts > 1)
        return bad_request(head, "Host is repeated");
    if (!rg_h1_is_all(value, HOST))
        return bad_request(head, "Host is not a host and port");
    return 0;
}

static int note_expectation(struct head *head, struct rg_str value)
{
    /* To be ignored in HTTP/1.0 (RFC 9110 10.1.1). */
    if (head->req->minor == 0)
        return 0;
    if (!rg_str_eq_nocase(value, RG_STR("100-continue")))
        return rg_why_set(head->why, -417, "expect", "the expectation is not 100-continue");
    head->framing->expects_continue = true;
    return 0;
}

static int note_field(struct head *head, const struct rg_http_field *field)
{
    if (field->name.n == 4 && rg_str_eq_nocase(field->name, RG_STR("host")))
        return note_host(head, field->value);
    if (field->name.n == 6 && rg_str_eq_nocase(field->name, RG_STR("expect")))
        return note_expectation(head, field->value);
    const char *wrong = rg_h1_note_framing(&head->fields, field);
    return wrong != NULL ? bad_request(head, wrong) : 0;
}

static int parse_field(struct head *head)
{
    struct rg_request *req = head->req;

    if (req->fields_n == RG_MAX_FIELDS_PER_MESSAGE)
        return rg_why_set(head->why, -431, "", "more than %d header fields",
                          RG_MAX_FIELDS_PER_MESSAGE);
    struct rg_http_field *field = &req->fields[req->fields_n++];

    const char *wrong = rg_h1_take_field(&head->at, field);
    if (wrong != NULL)
        return bad_request(head, wrong);
    return note_field(head, field);
}

static int check_coding(struct head *head)
{
    bool is_unknown;
    const char *wrong = rg_h1_check_coding(&head->fields, head->req->minor,
                                           &head->framing->is_chunked, &is_unknown);

    if (is_unknown)
        return rg_why_set(head->why, -501, "transfer-encoding", "%s", wrong);
    return wrong != NULL ? bad_request(head, wrong) : 0;
}

static int check_whole(struct head *head)
{
    if (head->hosts == 0 && head->req->minor > 0)
        return bad_request(head, "Host is missing");
    if (head->hosts > 0 && head->authority.p != NULL &&
        !rg_str_eq_nocase(head->host, head->authority))
        return bad_request(head, "Host differs from the target's authority");
    head->framing->has_length = head->fields.lengths > 0;
    head->framing->length = head->fields.length;
    head->framing->keep_alive =
        !head->fields.says_close && (head->req->minor > 0 || head->fields.says_keep_alive);
    return check_coding(head);
}

int rg_h1_parse_head(const char *p, size_t n, struct rg_request *req, struct rg_h1_framing *framing,
                     struct rg_why *why)
{
    struct head head = {.at = {p, p + n}, .req = req, .framing = framing, .why = why};
    int err;

    *framing = (struct rg_h1_framing){0};
    req->is_h2 = false;
    req->protocol = (struct rg_str){NULL, 0};
    req->fields_n = 0;
    err = parse_request_line(&head);
    if (err < 0)
        return err;
    while (!rg_h1_take_crlf(&head.at)) {
        err = parse_field(&head);
        if (err < 0)
            return err;
    }
    if (head.at.p != head.at.end)
        return bad_request(&head, "something follows the head");
    return check_whole(&head);
}

const char *rg_h1_reason(int status)
{
    switch (status) {
    case 100:
        return "Continue";
    case 101:
        return "Switching Protocols";
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 206:
        return "Partial Content";
    case 301:
        return "Moved Permanently";
    case 302:
        return "Found";
    case 304:
        return "Not Modified";
    case 307:
        return "Temporary Redirect";
    case 308:
        return "Permanent Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 406:
        return "Not Acceptable";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 416:
        return "Range Not Satisfiable";
    case 417:
        return "Expectation Failed";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Unknown";
    }
}
