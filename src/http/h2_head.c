#include "http/h2_head.h"

#include "http/class_priv.h"

#define MAX_METHOD        32
#define MAX_LENGTH_DIGITS 19

/* What stands before each field's name and value in head->fields. */
struct lengths {
    uint32_t name, value;
};

void rg_h2_head_done(struct rg_h2_head *head)
{
    rg_buf_done(&head->fields);
    rg_buf_done(&head->cookie);
}

/* ---- collecting ---- */

static int check_limits(struct rg_h2_head *head, const struct rg_h1_limits *limits,
                        struct rg_str name, struct rg_str value, struct rg_why *why)
{
    if (rg_str_eq(name, RG_STR(":path"))) {
        if (value.n > limits->request_line)
            return rg_why_set(why, -414, "", "the request line is too long");
        return 0;
    }
    if (!rg_str_starts_with(name, RG_STR(":")) && ++head->fields_n > RG_MAX_FIELDS_PER_MESSAGE)
        return rg_why_set(why, -431, "", "more than %d header fields", RG_MAX_FIELDS_PER_MESSAGE);
    head->bytes += name.n + value.n;
    if (name.n + value.n > limits->field || head->bytes > limits->head)
        return rg_why_set(why, -431, "", "the request header fields are too large");
    return 0;
}

int rg_h2_head_add(struct rg_h2_head *head, const struct rg_h1_limits *limits, struct rg_str name,
                   struct rg_str value, struct rg_why *why)
{
    struct lengths lengths = {(uint32_t)name.n, (uint32_t)value.n};
    int err = check_limits(head, limits, name, value, why);

    if (err < 0)
        return err;
    if (rg_str_eq(name, RG_STR("cookie"))) {
        if (head->cookie.n > 0)
            rg_buf_add(&head->cookie, "; ", 2);
        rg_buf_add_str(&head->cookie, value);
        return 0;
    }
    rg_buf_add(&head->fields, &lengths, sizeof(lengths));
    rg_buf_add_str(&head->fields, name);
    rg_buf_add_str(&head->fields, value);
    return 0;
}

/* ---- reading ---- */

struct reading {
    struct rg_request *req;
    struct rg_h1_framing *framing;
    struct rg_why *why;
    struct rg_str method, scheme, authority, path, protocol; /* p is NULL where there is none */
    struct rg_str host;
};

static bool is_all(struct rg_str s, unsigned char class)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is(s.p[i], class))
            return false;
    }
    return true;
}

static int bad_request(const struct reading *r, const char *place, const char *text)
{
    return rg_why_set(r->why, -400, place, "%s", text);
}

/* Takes the field at *at, which moves behind it. */
static struct rg_http_field next_field(const struct rg_buf *fields, size_t *at)
{
    struct lengths lengths;
    const char *p = fields->p + *at + sizeof(lengths);

    memcpy(&lengths, fields->p + *at, sizeof(lengths));
    *at += sizeof(lengths) + lengths.name + lengths.value;
    return (struct rg_http_field){rg_str_n(p, lengths.name),
                                  rg_str_n(p + lengths.name, lengths.value)};
}

static void take_pseudo(struct reading *r, const struct rg_http_field *field)
{
    const struct {
        struct rg_str name;
        struct rg_str *to;
    } known[] = {
        {RG_STR(":method"), &r->method},       {RG_STR(":path"), &r->path},
        {RG_STR(":authority"), &r->authority}, {RG_STR(":scheme"), &r->scheme},
        {RG_STR(":protocol"), &r->protocol},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (rg_str_eq(field->name, known[i].name))
            *known[i].to = field->value;
    }
}

static int add_field(struct reading *r, struct rg_str name, struct rg_str value)
{
    struct rg_request *req = r->req;

    if (req->fields_n == RG_MAX_FIELDS_PER_MESSAGE)
        return rg_why_set(r->why, -431, "", "more than %d header fields",
                          RG_MAX_FIELDS_PER_MESSAGE);
    req->fields[req->fields_n++] = (struct rg_http_field){name, value};
    return 0;
}

/* What single fields mean for the request as a whole. */
static int note_field(struct reading *r, const struct rg_http_field *field)
{
    if (rg_str_eq(field->name, RG_STR("host"))) {
        if (r->host.p != NULL)
            return bad_request(r, "host", "Host is repeated");
        r->host = field->value;
    } else if (rg_str_eq(field->name, RG_STR("content-length"))) {
        if (r->framing->has_length || field->value.n > MAX_LENGTH_DIGITS ||
            rg_str_to_u64(field->value, UINT64_MAX, &r->framing->length) < 0)
            return bad_request(r, "content-length", "the length is not one number");
        r->framing->has_length = true;
    } else if (rg_str_eq(field->name, RG_STR("expect"))) {
        if (!rg_str_eq_nocase(field->value, RG_STR("100-continue")))
            return rg_why_set(r->why, -417, "expect", "the expectation is not 100-continue");
        r->framing->expects_continue = true;
    }
    return 0;
}

static int take_fields(struct reading *r, const struct rg_h2_head *head)
{
    size_t at = 0;
    int err = 0;

    while (at < head->fields.n && err == 0) {
        struct rg_http_field field = next_field(&head->fields, &at);
        if (rg_str_starts_with(field.name, RG_STR(":"))) {
            take_pseudo(r, &field);
            continue;
        }
        err = note_field(r, &field);
        if (err == 0)
            err = add_field(r, field.name, field.value);
    }
    if (err == 0 && head->cookie.n > 0)
        err = add_field(r, RG_STR("cookie"), rg_buf_str(&head->cookie));
    return err;
}

static int check_method(struct reading *r)
{
    struct rg_request *req = r->req;

    if (r->method.n == 0 || !is_all(r->method, TOKEN))
        return bad_request(r, ":method", "the method is not a token");
    if (r->method.n > MAX_METHOD)
        return rg_why_set(r->why, -501, ":method", "the method name is too long");
    req->method_name = r->method;
    if (rg_str_eq(r->method, RG_STR("CONNECT"))) {
        /* Without a protocol its target is an authority, and what follows a tunnel: never ours. */
        if (r->protocol.p == NULL)
            return rg_why_set(r->why, -501, ":method", "CONNECT is not supported");
        if (!rg_str_eq(r->protocol, RG_STR("websocket")))
            return rg_why_set(r->why, -501, ":protocol", "the protocol is not websocket");
        req->protocol = r->protocol;
        req->method_name = RG_STR("GET");
    }
    req->method = rg_method_from(req->method_name);
    return 0;
}

static int check_target(struct reading *r)
{
    struct rg_request *req = r->req;
    bool is_asterisk = rg_str_eq(r->path, RG_STR("*")) && req->method == RG_OPTIONS;

    if (!rg_str_eq_nocase(r->scheme, RG_STR("http")) &&
        !rg_str_eq_nocase(r->scheme, RG_STR("https")))
        return bad_request(r, ":scheme", "the scheme is neither http nor https");
    if (!rg_str_starts_with(r->path, RG_STR("/")) && !is_asterisk)
        return bad_request(r, ":path", "the path does not start with '/'");
    if (!is_all(r->path, TARGET))
        return bad_request(r, ":path", "the path has a byte that is not allowed there");
    req->target = r->path;
    req->query = r->path;
    req->path = rg_str_split(&req->query, '?');
    return 0;
}

/* Shows :authority as host, so that nobody has to look for both. */
static int check_authority(struct reading *r)
{
    if ((r->authority.p == NULL && r->host.p == NULL) || !is_all(r->authority, HOST) ||
        !is_all(r->host, HOST))
        return bad_request(r, ":authority", "the authority is not a host and port");
    if (r->authority.p == NULL)
        return 0;
    if (r->host.p == NULL)
        return add_field(r, RG_STR("host"), r->authority);
    if (!rg_str_eq_nocase(r->host, r->authority))
        return bad_request(r, "host", "Host differs from the authority");
    return 0;
}

int rg_h2_head_read(const struct rg_h2_head *head, struct rg_request *req,
                    struct rg_h1_framing *framing, struct rg_why *why)
{
    struct reading r = {.req = req, .framing = framing, .why = why};
    int err;

    *framing = (struct rg_h1_framing){0};
    req->is_h2 = true;
    req->minor = 1;
    req->protocol = (struct rg_str){NULL, 0};
    req->fields_n = 0;
    err = take_fields(&r, head);
    if (err == 0)
        err = check_method(&r);
    if (err == 0)
        err = check_target(&r);
    if (err == 0)
        err = check_authority(&r);
    return err;
}
