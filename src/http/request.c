#include "http/request.h"

#include "base/alloc.h"
#include "base/err.h"

static const struct rg_str method_names[] = {
    [RG_GET] = {"GET", 3},     [RG_HEAD] = {"HEAD", 4},     [RG_POST] = {"POST", 4},
    [RG_PUT] = {"PUT", 3},     [RG_DELETE] = {"DELETE", 6}, [RG_OPTIONS] = {"OPTIONS", 7},
    [RG_PATCH] = {"PATCH", 5}, [RG_METHOD_OTHER] = {"", 0},
};

struct rg_str rg_request_field(const struct rg_request *req, struct rg_str name)
{
    size_t at = 0;
    const struct rg_http_field *field = rg_request_next_field(req, name, &at);

    return field != NULL ? field->value : (struct rg_str){NULL, 0};
}

const struct rg_http_field *rg_request_next_field(const struct rg_request *req, struct rg_str name,
                                                  size_t *at)
{
    while (*at < req->fields_n) {
        const struct rg_http_field *field = &req->fields[(*at)++];
        if (rg_str_eq_nocase(field->name, name))
            return field;
    }
    return NULL;
}

bool rg_request_has_token(const struct rg_request *req, struct rg_str name, struct rg_str token)
{
    const struct rg_http_field *field;
    size_t at = 0;

    while ((field = rg_request_next_field(req, name, &at)) != NULL) {
        struct rg_str rest = field->value;
        while (rest.p != NULL) {
            if (rg_str_eq_nocase(rg_str_trim(rg_str_split(&rest, ',')), token))
                return true;
        }
    }
    return false;
}

enum rg_method rg_method_from(struct rg_str name)
{
    for (enum rg_method m = RG_GET; m < RG_METHOD_OTHER; m++) {
        if (rg_str_eq(name, method_names[m]))
            return m;
    }
    return RG_METHOD_OTHER;
}

struct rg_str rg_method_name(enum rg_method method)
{
    return method_names[method];
}

/* ---- copies ---- */

static struct rg_str put(char **at, struct rg_str s)
{
    if (s.n == 0)
        return s.p != NULL ? rg_str_n(*at, 0) : s;
    memcpy(*at, s.p, s.n);
    *at += s.n;
    return rg_str_n(*at - s.n, s.n);
}

static size_t size_of(const struct rg_request *req)
{
    size_t n = req->method_name.n + req->target.n + req->protocol.n + req->body.n;

    for (size_t i = 0; i < req->fields_n; i++)
        n += req->fields[i].name.n + req->fields[i].value.n;
    return n;
}

/* Path and query are parts of the target, in the copy as well. */
static struct rg_str part_of(struct rg_str copy, struct rg_str whole, struct rg_str part)
{
    if (part.p == NULL)
        return part;
    rg_assert(part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
    return rg_str_n(copy.p + (part.p - whole.p), part.n);
}

struct rg_request *rg_request_copy(const struct rg_request *req)
{
    struct rg_request *copy = rg_alloc(sizeof(*copy) + size_of(req) + 1);
    char *at = (char *)(copy + 1);

    *copy = *req;
    copy->method_name = put(&at, req->method_name);
    copy->target = put(&at, req->target);
    copy->path = part_of(copy->target, req->target, req->path);
    copy->query = part_of(copy->target, req->target, req->query);
    copy->protocol = put(&at, req->protocol);
    for (size_t i = 0; i < req->fields_n; i++) {
        copy->fields[i].name = put(&at, req->fields[i].name);
        copy->fields[i].value = put(&at, req->fields[i].value);
    }
    copy->body = put(&at, req->body);
    return copy;
}
