#include "http/h1_response.h"

#include <stdio.h>

#include "http/h1_fields_priv.h"

#define MAX_STATUS       599
/* Each is compared with each field. */
#define MAX_CONN_OPTIONS 32

struct head {
    struct rg_h1_cursor at;
    enum rg_method method; /* of the request */
    struct rg_h1_response *res;
    struct rg_why *why;
    struct rg_h1_framing_fields framing;
    struct rg_str options[MAX_CONN_OPTIONS]; /* of Connection, names of fields among them */
    size_t options_n;
    unsigned upgrades;
    bool is_chunked;
};

static int malformed(struct head *head, const char *text)
{
    char place[48] = "status line";

    if (head->res->fields_n > 0)
        snprintf(place, sizeof(place), "header field %zu", head->res->fields_n);
    return rg_why_set(head->why, RG_ESYNTAX, place, "%s", text);
}

/* ---- the status line ---- */

static int parse_version(struct head *head)
{
    struct rg_h1_cursor *at = &head->at;

    if (rg_h1_take_text(at, RG_STR("HTTP/1.1 ")))
        head->res->minor = 1;
    else if (rg_h1_take_text(at, RG_STR("HTTP/1.0 ")))
        head->res->minor = 0;
    else
        return malformed(head, "the answer does not begin with HTTP/1.1 or 1.0 and one space");
    return 0;
}

static int parse_status(struct head *head)
{
    struct rg_h1_cursor *at = &head->at;
    int status = 0;

    for (int i = 0; i < 3; i++, at->p++) {
        if (at->p == at->end || *at->p < '0' || *at->p > '9')
            return malformed(head, "the status is not a number of three digits");
        status = status * 10 + (*at->p - '0');
    }
    if (status < 100 || status > MAX_STATUS)
        return malformed(head, "the status is not between 100 and 599");
    head->res->status = status;
    return 0;
}

static int parse_status_line(struct head *head)
{
    int err = parse_version(head);

    if (err == 0)
        err = parse_status(head);
    if (err < 0)
        return err;
    /* Many leave out the space before a reason that is empty; it can mean nothing else. */
    if (rg_h1_take_char(&head->at, ' '))
        rg_h1_take(&head->at, VALUE);
    if (!rg_h1_take_crlf(&head->at))
        return malformed(head, "something else than a reason follows the status");
    return 0;
}

/* ---- fields ---- */

static const char *note_options(struct head *head, struct rg_str value)
{
    while (value.p != NULL) {
        struct rg_str option = rg_str_trim(rg_str_split(&value, ','));
        if (option.n == 0)
            continue;
        if (head->options_n == MAX_CONN_OPTIONS)
            return "Connection has too many options";
        head->options[head->options_n++] = option;
        head->res->says_upgrade |= rg_str_eq_nocase(option, RG_STR("upgrade"));
    }
    return NULL;
}

static void note_upgrade(struct head *head, struct rg_str value)
{
    head->res->upgrade = ++head->upgrades == 1 ? value : rg_str_n(NULL, 0);
}

/* Of fields that only answers need. Returns NULL, or what is wrong. */
static const char *note_field(struct head *head, const struct rg_http_field *field)
{
    if (field->name.n == 10 && rg_str_eq_nocase(field->name, RG_STR("connection")))
        return note_options(head, field->value);
    if (field->name.n == 7 && rg_str_eq_nocase(field->name, RG_STR("upgrade")))
        note_upgrade(head, field->value);
    return NULL;
}

static int parse_field(struct head *head)
{
    struct rg_h1_response *res = head->res;
    const char *wrong;

    if (res->fields_n == RG_MAX_FIELDS_PER_MESSAGE)
        return rg_why_set(head->why, RG_ESYNTAX, "", "more than %d header fields",
                          RG_MAX_FIELDS_PER_MESSAGE);
    struct rg_http_field *field = &res->fields[res->fields_n++];

    wrong = rg_h1_take_field(&head->at, field);
    if (wrong == NULL)
        wrong = rg_h1_note_framing(&head->framing, field);
    if (wrong == NULL)
        wrong = note_field(head, field);
    return wrong != NULL ? malformed(head, wrong) : 0;
}

static bool is_nominated(const struct head *head, struct rg_str name)
{
    for (size_t i = 0; i < head->options_n; i++) {
        if (rg_str_eq_nocase(name, head->options[i]))
            return true;
    }
    return false;
}

/* Whom a switch is passed on to has to know to what. */
static bool is_kept(const struct head *head, struct rg_str name)
{
    if (head->res->status == 101 && rg_str_eq_nocase(name, RG_STR("upgrade")))
        return true;
    return !rg_h1_is_of_hop(name) && !is_nominated(head, name);
}

static void drop_hop_fields(struct head *head)
{
    struct rg_h1_response *res = head->res;
    size_t kept = 0;

    for (size_t i = 0; i < res->fields_n; i++) {
        if (is_kept(head, res->fields[i].name))
            res->fields[kept++] = res->fields[i];
    }
    res->fields_n = kept;
}

/* ---- the whole ---- */

static bool has_no_body(const struct head *head)
{
    int status = head->res->status;

    return status < 200 || status == 204 || status == 304 || head->method == RG_HEAD;
}

static int decide_body(struct head *head)
{
    struct rg_h1_response *res = head->res;
    const struct rg_h1_framing_fields *framing = &head->framing;

    if (framing->length > INT64_MAX)
        return malformed(head, "Content-Length is too large");
    res->length = framing->lengths > 0 ? (int64_t)framing->length : -1;
    /* RFC 9112 6.1, RFC 9110 8.6. Who reads a body there would take it for the next answer. */
    if ((res->status < 200 || res->status == 204) && (framing->codings > 0 || res->length > 0))
        return malformed(head, "a body is announced with a status that has none");
    if (has_no_body(head) || res->length == 0)
        res->body = RG_H1_BODY_NONE;
    else if (head->is_chunked)
        res->body = RG_H1_BODY_CHUNKED;
    else
        res->body = res->length > 0 ? RG_H1_BODY_LENGTH : RG_H1_BODY_TO_CLOSE;
    return 0;
}

static int check_whole(struct head *head)
{
    struct rg_h1_response *res = head->res;
    bool is_unknown;
    const char *wrong =
        rg_h1_check_coding(&head->framing, res->minor, &head->is_chunked, &is_unknown);

    if (wrong != NULL)
        return malformed(head, wrong);
    int err = decide_body(head);
    if (err < 0)
        return err;
    res->keep_alive = !head->framing.says_close &&
                      (res->minor > 0 || head->framing.says_keep_alive) &&
                      res->body != RG_H1_BODY_TO_CLOSE;
    drop_hop_fields(head);
    return 0;
}

long rg_h1_scan_response(struct rg_h1_scan *scan, const char *p, size_t n, size_t max_bytes,
                         struct rg_why *why)
{
    const struct rg_h1_limits limits = {max_bytes, max_bytes, max_bytes};
    long head_n = rg_h1_scan(scan, p, n, &limits, why);

    if (head_n == -414)
        return rg_why_set(why, RG_ESYNTAX, "", "the status line is too long");
    if (head_n == -431 && scan->lines <= RG_MAX_FIELDS_PER_MESSAGE)
        return rg_why_set(why, RG_ESYNTAX, "", "the header fields are too large");
    return head_n < 0 ? RG_ESYNTAX : head_n;
}

int rg_h1_parse_response(const char *p, size_t n, enum rg_method method, struct rg_h1_response *res,
                         struct rg_why *why)
{
    struct head head = {.at = {p, p + n}, .method = method, .res = res, .why = why};
    int err;

    res->fields_n = 0;
    res->upgrade = rg_str_n(NULL, 0);
    res->says_upgrade = false;
    err = parse_status_line(&head);
    if (err < 0)
        return err;
    while (!rg_h1_take_crlf(&head.at)) {
        err = parse_field(&head);
        if (err < 0)
            return err;
    }
    if (head.at.p != head.at.end)
        return malformed(&head, "something follows the head");
    return check_whole(&head);
}
