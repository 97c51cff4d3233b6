#include "http/request.h"

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
