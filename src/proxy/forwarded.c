#include "proxy/forwarded.h"

#include <arpa/inet.h>
#include <stdio.h>

/* ---- writing ---- */

/* RFC 9110 5.6.2. */
static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct rg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_token_char(s.p[i]))
            return false;
    }
    return s.n > 0;
}

void rg_forwarded_add_value(struct rg_buf *out, struct rg_str value)
{
    if (is_token(value)) {
        rg_buf_add_str(out, value);
        return;
    }
    rg_buf_add_char(out, '"');
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '"' || value.p[i] == '\\')
            rg_buf_add_char(out, '\\');
        rg_buf_add_char(out, value.p[i]);
    }
    rg_buf_add_char(out, '"');
}

void rg_forwarded_add_address(struct rg_buf *out, struct rg_str address)
{
    if (address.n == 0) {
        rg_buf_add_c(out, "unknown");
    } else if (memchr(address.p, ':', address.n) != NULL) {
        rg_buf_add_c(out, "\"[");
        rg_buf_add_str(out, address);
        rg_buf_add_c(out, "]\"");
    } else {
        rg_buf_add_str(out, address);
    }
}

/* ---- reading ---- */

int rg_forwarded_read(struct rg_forwarded *forwarded, struct rg_str value)
{
    (void)forwarded;
    (void)value;
    return RG_ESYNTAX;
}

int rg_forwarded_read_x(struct rg_forwarded *forwarded, struct rg_str value)
{
    (void)forwarded;
    (void)value;
    return RG_ESYNTAX;
}

const struct rg_forwarded_hop *rg_forwarded_client(const struct rg_forwarded *forwarded,
                                                   const struct rg_networks *trusted)
{
    (void)forwarded;
    (void)trusted;
    return NULL;
}
