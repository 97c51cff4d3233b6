#include "http/accept_encoding.h"

#define ABSENT (-1)

/* In thousandths: "0" or "1", and up to three decimals (RFC 9110 12.4.2). ABSENT if malformed. */
static int parse_weight(struct rg_str s)
{
    int weight, digit = 1000;

    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return ABSENT;
    weight = (s.p[0] - '0') * 1000;
    for (size_t i = 2; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return ABSENT;
        digit /= 10;
        weight += (s.p[i] - '0') * digit;
    }
    return weight <= 1000 ? weight : ABSENT;
}

/* The weight of an element behind its coding; 1000 where there is none. */
static int weight_of(struct rg_str params)
{
    params = rg_str_trim(params);
    if (params.p == NULL)
        return 1000;
    if (!rg_str_starts_with_nocase(params, RG_STR("q=")))
        return ABSENT;
    return parse_weight(rg_str_n(params.p + 2, params.n - 2));
}

bool rg_accepts_gzip(const struct rg_request *req)
{
    const struct rg_http_field *field;
    int gzip = ABSENT, any = ABSENT, identity = ABSENT;
    size_t at = 0;

    while ((field = rg_request_next_field(req, RG_STR("accept-encoding"), &at)) != NULL) {
        struct rg_str list = field->value;
        while (list.p != NULL) {
            struct rg_str params = rg_str_split(&list, ',');
            struct rg_str coding = rg_str_trim(rg_str_split(&params, ';'));
            int weight = weight_of(params);
            if (weight == ABSENT)
                continue;
            if (rg_str_eq_nocase(coding, RG_STR("gzip")) ||
                rg_str_eq_nocase(coding, RG_STR("x-gzip")))
                gzip = weight > gzip ? weight : gzip;
            else if (rg_str_eq(coding, RG_STR("*")))
                any = weight;
            else if (rg_str_eq_nocase(coding, RG_STR("identity")))
                identity = weight;
        }
    }
    gzip = gzip != ABSENT ? gzip : any;
    return gzip > 0 && gzip >= identity;
}
