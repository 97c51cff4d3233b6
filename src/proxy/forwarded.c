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

/* ---- nodes ---- */

/* RFC 7239 6.2: "unknown" or "_" and letters, digits, ".", "_", "-". */
static bool is_hidden(struct rg_str s)
{
    if (rg_str_eq_nocase(s, RG_STR("unknown")))
        return true;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!is_token_char(c) || strchr("!#$%&'*+^`|~", c) != NULL)
            return false;
    }
    return s.n > 1 && s.p[0] == '_';
}

/* RFC 7239 6.3: digits, or an obfuscated one. */
static bool is_port(struct rg_str s)
{
    uint64_t port;

    return (s.n > 0 && s.n <= 5 && rg_str_to_u64(s, UINT16_MAX, &port) == 0) ||
           (is_hidden(s) && s.p[0] == '_');
}

static int take_address(struct rg_str text, int family, char out[RG_PEER_SIZE])
{
    unsigned char bytes[16];

    if (text.n == 0 || text.n >= RG_PEER_SIZE || memchr(text.p, '\0', text.n) != NULL)
        return RG_ESYNTAX;
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    /* Written anew, so that one address has one form wherever it is compared. */
    if (inet_pton(family, out, bytes) != 1)
        return RG_ESYNTAX;
    inet_ntop(family, bytes, out, RG_PEER_SIZE);
    if (strncmp(out, "::ffff:", 7) == 0 && strchr(out, '.') != NULL)
        memmove(out, out + 7, strlen(out + 7) + 1);
    return 0;
}

/* Cuts ":port" off the end of *node. False if there is one that is malformed. */
static bool cut_port(struct rg_str *node)
{
    const char *end = node->n > 0 ? memrchr(node->p, ':', node->n) : NULL;
    const char *bracket = node->n > 0 ? memrchr(node->p, ']', node->n) : NULL;

    if (end == NULL || (bracket != NULL && bracket > end))
        return true;
    struct rg_str port = rg_str_n(end + 1, node->n - (size_t)(end + 1 - node->p));
    node->n = (size_t)(end - node->p);
    return is_port(port);
}

/* With brackets around IPv6, and an optional port behind each form. */
static int read_node(struct rg_str node, char out[RG_PEER_SIZE])
{
    out[0] = '\0';
    if (!cut_port(&node))
        return RG_ESYNTAX;
    if (is_hidden(node))
        return 0;
    if (node.n > 2 && node.p[0] == '[' && node.p[node.n - 1] == ']')
        return take_address(rg_str_n(node.p + 1, node.n - 2), AF_INET6, out);
    return take_address(node, AF_INET, out);
}

/* ---- lists ---- */

static int begin_line(struct rg_forwarded *forwarded, struct rg_str value)
{
    forwarded->bytes += value.n;
    return forwarded->bytes > RG_FORWARDED_MAX_BYTES ? RG_EFULL : 0;
}

static int add_hop(struct rg_forwarded *forwarded, const struct rg_forwarded_hop *hop)
{
    if (forwarded->n == RG_FORWARDED_MAX_HOPS)
        return RG_EFULL;
    forwarded->hops[forwarded->n++] = *hop;
    return 0;
}

int rg_forwarded_read_x(struct rg_forwarded *forwarded, struct rg_str value)
{
    int err = begin_line(forwarded, value);

    while (err == 0 && value.p != NULL) {
        struct rg_forwarded_hop hop = {.node = rg_str_trim(rg_str_split(&value, ','))};
        if (hop.node.n == 0)
            continue;
        /* IPv6 stands there without brackets, too. */
        if (take_address(hop.node, AF_INET6, hop.address) < 0)
            err = read_node(hop.node, hop.address);
        if (err == 0)
            err = add_hop(forwarded, &hop);
    }
    return err;
}

/* ---- Forwarded ---- */

/* What of a value has not been read yet. */
struct cursor {
    const char *p;
    const char *end;
};

static void skip_space(struct cursor *at)
{
    while (at->p < at->end && (*at->p == ' ' || *at->p == '\t'))
        at->p++;
}

static bool take_char(struct cursor *at, char c)
{
    if (at->p == at->end || *at->p != c)
        return false;
    at->p++;
    return true;
}

static struct rg_str take_token(struct cursor *at)
{
    const char *start = at->p;

    while (at->p < at->end && is_token_char(*at->p))
        at->p++;
    return rg_str_n(start, (size_t)(at->p - start));
}

/* RFC 9110 5.6.4. Control bytes are in neither form. */
static bool is_quotable(char c)
{
    unsigned char byte = (unsigned char)c;

    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

/* What is between the quotes, the first of which is taken already; *ret_escaped: it has
 * backslashes. */
static int take_quoted(struct cursor *at, struct rg_str *ret, bool *ret_escaped)
{
    const char *start = at->p;

    while (at->p < at->end && *at->p != '"') {
        if (*at->p == '\\') {
            *ret_escaped = true;
            at->p++;
        }
        if (at->p == at->end || !is_quotable(*at->p))
            return RG_ESYNTAX;
        at->p++;
    }
    *ret = rg_str_n(start, (size_t)(at->p - start));
    return take_char(at, '"') ? 0 : RG_ESYNTAX;
}

static int take_value(struct cursor *at, struct rg_str *ret, bool *ret_escaped)
{
    *ret_escaped = false;
    if (take_char(at, '"'))
        return take_quoted(at, ret, ret_escaped);
    *ret = take_token(at);
    return ret->n > 0 ? 0 : RG_ESYNTAX;
}

enum {
    HAS_FOR = 1,
    HAS_BY = 2,
    HAS_HOST = 4,
    HAS_PROTO = 8
};

/* 0 for a parameter that we do not know, which is fine (RFC 7239 5.5). */
static unsigned bit_of(struct rg_str name)
{
    static const struct rg_str names[] = {{"for", 3}, {"by", 2}, {"host", 4}, {"proto", 5}};

    for (unsigned i = 0; i < 4; i++) {
        if (rg_str_eq_nocase(name, names[i]))
            return 1u << i;
    }
    return 0;
}

static int note_pair(struct rg_forwarded_hop *hop, unsigned bit, struct rg_str value)
{
    char by[RG_PEER_SIZE];

    switch (bit) {
    case HAS_FOR:
        hop->node = value;
        return read_node(value, hop->address);
    case HAS_BY:
        return read_node(value, by);
    case HAS_HOST:
        hop->host = value;
        return 0;
    case HAS_PROTO:
        hop->proto = value;
        return 0;
    default:
        return 0;
    }
}

static int take_pair(struct cursor *at, struct rg_forwarded_hop *hop, unsigned *seen)
{
    struct rg_str name = take_token(at);
    struct rg_str value;
    bool is_escaped;

    if (name.n == 0 || !take_char(at, '=') || take_value(at, &value, &is_escaped) < 0)
        return RG_ESYNTAX;
    unsigned bit = bit_of(name);
    /* Nothing that we look at needs a backslash; whoever writes one wants to be misread. */
    if ((*seen & bit) != 0 || (bit != 0 && is_escaped))
        return RG_ESYNTAX;
    *seen |= bit;
    return note_pair(hop, bit, value);
}

/* Up to a comma, or the end. Elements without any pair are no stations. */
static int take_element(struct cursor *at, struct rg_forwarded *forwarded)
{
    struct rg_forwarded_hop hop = {0};
    bool has_pairs = false;
    unsigned seen = 0;

    for (;;) {
        skip_space(at);
        if (at->p < at->end && *at->p != ';' && *at->p != ',') {
            if (take_pair(at, &hop, &seen) < 0)
                return RG_ESYNTAX;
            has_pairs = true;
            skip_space(at);
        }
        if (take_char(at, ';'))
            continue;
        if (at->p < at->end && *at->p != ',')
            return RG_ESYNTAX;
        return has_pairs ? add_hop(forwarded, &hop) : 0;
    }
}

int rg_forwarded_read(struct rg_forwarded *forwarded, struct rg_str value)
{
    int err = begin_line(forwarded, value);

    if (err < 0 || value.n == 0)
        return err;
    struct cursor at = {value.p, value.p + value.n};
    do {
        err = take_element(&at, forwarded);
    } while (err == 0 && take_char(&at, ','));
    return err;
}

/* ---- the client ---- */

const struct rg_forwarded_hop *rg_forwarded_client(const struct rg_forwarded *forwarded,
                                                   const struct rg_networks *trusted)
{
    for (size_t i = forwarded->n; i-- > 0;) {
        const struct rg_forwarded_hop *hop = &forwarded->hops[i];
        if (hop->address[0] == '\0' || !rg_networks_has(trusted, rg_str_c(hop->address)))
            return hop;
    }
    return forwarded->n > 0 ? &forwarded->hops[0] : NULL;
}
