#include "proxy/outgoing.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/hash.h"
#include "base/random.h"
#include "event/json.h"
#include "proxy/forwarded.h"

/* ---- names ---- */

static char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c + ('a' - 'A'));
    return c == '_' ? '-' : c;
}

/* b ends with NUL. */
static bool is_same_name(struct rg_str a, const char *b)
{
    for (size_t i = 0; i < a.n; i++) {
        if (b[i] == '\0' || fold(a.p[i]) != fold(b[i]))
            return false;
    }
    return b[a.n] == '\0';
}

/* What becomes of a field of the client's by its name alone. */
enum kind {
    ANY,
    OF_HOP, /* between the client and us (RFC 9110 7.6.1) or about the body's framing */
    CONNECTION,
    UPGRADE,
    HOST,
    COOKIE,
    FORWARDED,
    X_FORWARDED, /* of those that we can write */
    REQUEST_ID,
    TRACE
};

/*
 * Expect is ours to answer. What begins with Proxy- is for the first proxy, which we are (RFC 9110
 * 11.7.2), and a field Proxy would be where CGI programs look for the proxy that they should use.
 */
static enum kind kind_of(struct rg_str name)
{
    static const struct {
        unsigned char n;
        unsigned char kind;
        const char *name;
    } known[] = {
        {2, OF_HOP, "te"},
        {4, HOST, "host"},
        {5, OF_HOP, "close"}, /* an option of Connection, hence never a field (RFC 9110 16.3.1) */
        {5, OF_HOP, "proxy"},
        {6, OF_HOP, "expect"},
        {6, COOKIE, "cookie"},
        {7, OF_HOP, "trailer"},
        {7, UPGRADE, "upgrade"},
        {9, FORWARDED, "forwarded"},
        {10, CONNECTION, "connection"},
        {10, OF_HOP, "keep-alive"},
        {10, TRACE, "tracestate"},
        {11, TRACE, "traceparent"},
        {12, REQUEST_ID, "x-request-id"},
        {14, OF_HOP, "content-length"},
        {14, OF_HOP, "http2-settings"},
        {15, X_FORWARDED, "x-forwarded-for"},
        {16, X_FORWARDED, "x-forwarded-host"},
        {16, X_FORWARDED, "x-forwarded-port"},
        {17, X_FORWARDED, "x-forwarded-proto"},
        {17, OF_HOP, "transfer-encoding"},
    };

    for (size_t i = 0; i < RG_COUNT_OF(known) && known[i].n <= name.n; i++) {
        if (known[i].n == name.n && is_same_name(name, known[i].name))
            return (enum kind)known[i].kind;
    }
    return name.n > 6 && is_same_name(rg_str_n(name.p, 6), "proxy-") ? OF_HOP : ANY;
}

/* ---- what Connection names ---- */

/* The fields of a request by their names, so that each thing that Connection names is one look-up
 * however many there are. */
struct name_table {
    const struct rg_request *req;
    uint64_t hashes[RG_MAX_FIELDS_PER_MESSAGE];
    unsigned char slots[256]; /* the first field of a name, counted from 1; 0: free */
    unsigned char next[RG_MAX_FIELDS_PER_MESSAGE]; /* the next one of that name, likewise */
};

/* Keyed, and of the folded name. */
static uint64_t hash_name(struct rg_str name)
{
    static _Thread_local struct rg_hash_key key;
    struct rg_hash_key chained;
    char block[64];
    uint64_t hash = 0;

    if (key.k[0] == 0)
        rg_hash_key_random(&key);
    chained = key;
    for (size_t at = 0; at < name.n; at += sizeof(block)) {
        size_t n = name.n - at < sizeof(block) ? name.n - at : sizeof(block);
        for (size_t i = 0; i < n; i++)
            block[i] = fold(name.p[at + i]);
        hash = rg_hash64(&chained, block, n);
        chained.k[1] = key.k[1] ^ hash;
    }
    return hash;
}

/* The slot of a name, or the free one where it would be. */
static unsigned char *slot_of(struct name_table *table, uint64_t hash)
{
    size_t at = hash % RG_COUNT_OF(table->slots);

    while (table->slots[at] != 0 && table->hashes[table->slots[at] - 1] != hash)
        at = (at + 1) % RG_COUNT_OF(table->slots);
    return &table->slots[at];
}

static void index_names(struct name_table *table, const struct rg_request *req)
{
    memset(table->slots, 0, sizeof(table->slots));
    for (size_t i = 0; i < req->fields_n; i++) {
        table->hashes[i] = hash_name(req->fields[i].name);
        unsigned char *slot = slot_of(table, table->hashes[i]);
        table->next[i] = *slot;
        *slot = (unsigned char)(i + 1);
    }
}

/* Fields of this name stay here; the second time it is named there is nothing left to do. */
static void strike(struct name_table *table, struct rg_str name, unsigned char *kinds)
{
    unsigned char at = *slot_of(table, hash_name(name));

    while (at != 0 && kinds[at - 1] != OF_HOP) {
        kinds[at - 1] = OF_HOP;
        at = table->next[at - 1];
    }
}

/* Things that Connection may name without effect: they stay here anyway, or go on anyway. */
static bool is_decided(enum kind kind)
{
    return kind == OF_HOP || kind == CONNECTION || kind == UPGRADE || kind == HOST;
}

static void strike_nominated(const struct rg_request *req, unsigned char *kinds)
{
    struct name_table table;
    bool is_indexed = false;

    for (size_t i = 0; i < req->fields_n; i++) {
        struct rg_str rest = kinds[i] == CONNECTION ? req->fields[i].value : rg_str_c(NULL);
        while (rest.p != NULL) {
            struct rg_str option = rg_str_trim(rg_str_split(&rest, ','));
            if (option.n == 0 || is_decided(kind_of(option)))
                continue;
            if (!is_indexed)
                index_names(&table, req);
            is_indexed = true;
            strike(&table, option, kinds);
        }
    }
}

/* ---- where a request comes from ---- */

/* What trusted proxies say about it. */
struct origin {
    struct rg_forwarded chain;
    enum {
        FROM_NOTHING,  /* chain is empty */
        FROM_DOUBTFUL, /* the same; what there is is malformed or contradicts itself */
        FROM_FORWARDED,
        FROM_X_FORWARDED
    } source;
    const struct rg_forwarded_hop *client; /* in chain; NULL: the peer is the client */
};

typedef int read_line_fn(struct rg_forwarded *forwarded, struct rg_str value);

/* False where there is nothing, or nothing to be believed. *ret_there: there was something. */
static bool read_chain(const struct rg_request *req, struct rg_str name, read_line_fn *read_line,
                       struct rg_forwarded *chain, bool *ret_there)
{
    const struct rg_http_field *field;
    size_t at = 0;

    chain->n = 0;
    chain->bytes = 0;
    *ret_there = false;
    while ((field = rg_request_next_field(req, name, &at)) != NULL) {
        *ret_there = true;
        if (read_line(chain, field->value) < 0)
            return false;
    }
    return chain->n > 0;
}

/* The address of the client by what chain says, which has at least one hop. */
static struct rg_str address_of(const struct rg_forwarded *chain,
                                const struct rg_forwarded_hop *client, const char *peer)
{
    if (client->address[0] != '\0')
        return rg_str_c(client->address);
    return rg_str_c(client + 1 < chain->hops + chain->n ? client[1].address : peer);
}

static bool is_trusted(const struct rg_outgoing_settings *settings, const char *peer)
{
    return settings->trusted != NULL && rg_networks_has(settings->trusted, rg_str_c(peer));
}

/* Of both fields, or of the one that is there. False if neither is to be believed. */
static bool read_both(const struct rg_outgoing_settings *settings, const struct rg_request *req,
                      const char *peer, struct origin *origin)
{
    struct rg_forwarded other;
    bool is_there, is_x_there;
    bool is_good =
        read_chain(req, RG_STR("forwarded"), rg_forwarded_read, &origin->chain, &is_there);

    if (is_there && !is_good)
        return false;
    origin->source = is_there ? FROM_FORWARDED : FROM_X_FORWARDED;
    bool is_x_good = read_chain(req, RG_STR("x-forwarded-for"), rg_forwarded_read_x,
                                is_there ? &other : &origin->chain, &is_x_there);
    if (is_x_there ? !is_x_good : !is_there)
        return false;
    origin->client = rg_forwarded_client(&origin->chain, settings->trusted);
    return !is_there || !is_x_there ||
           rg_str_eq(address_of(&origin->chain, origin->client, peer),
                     address_of(&other, rg_forwarded_client(&other, settings->trusted), peer));
}

static void read_origin(const struct rg_outgoing_settings *settings, const struct rg_request *req,
                        const char *peer, struct origin *origin)
{
    if (read_both(settings, req, peer, origin))
        return;
    bool is_there = rg_request_field(req, RG_STR("forwarded")).p != NULL ||
                    rg_request_field(req, RG_STR("x-forwarded-for")).p != NULL;
    origin->source = is_there ? FROM_DOUBTFUL : FROM_NOTHING;
    origin->chain.n = 0;
    origin->client = NULL;
}

void rg_client_address(const struct rg_outgoing_settings *settings, const struct rg_request *req,
                       const char *peer, char out[RG_PEER_SIZE])
{
    struct origin origin;
    struct rg_str address = rg_str_c(peer);

    if (is_trusted(settings, peer)) {
        read_origin(settings, req, peer, &origin);
        if (origin.client != NULL)
            address = address_of(&origin.chain, origin.client, peer);
    }
    snprintf(out, RG_PEER_SIZE, "%.*s", RG_STR_ARG(address));
}

/* ---- putting fields together ---- */

struct writer {
    const struct rg_outgoing_settings *settings;
    const struct rg_endpoint *endpoint;
    const struct rg_api *api;
    const struct rg_outgoing_client *client;
    const struct rg_request *req;
    bool is_2017;
    unsigned writes;
    const struct origin *origin; /* NULL: the peer is not trusted */
    unsigned char kinds[RG_MAX_FIELDS_PER_MESSAGE];
    struct rg_buf *scratch;
    struct rg_http_field *ret;
    size_t n;
    size_t added_n;
};

static void add(struct writer *w, struct rg_str name, struct rg_str value)
{
    rg_assert(w->n < RG_OUTGOING_MAX);
    w->ret[w->n++] = (struct rg_http_field){name, value};
}

/*
 * A field whose value is what scratch has from start on. As scratch moves when it grows, the value
 * has no place yet: such values follow each other, hence settle() finds them again.
 */
static void add_made(struct writer *w, struct rg_str name, size_t start)
{
    add(w, name, rg_str_n(NULL, w->scratch->n - start));
}

static void settle(struct writer *w)
{
    size_t at = 0;

    for (size_t i = 0; i < w->n; i++) {
        struct rg_str *value = &w->ret[i].value;
        if (value->p != NULL || value->n == 0)
            continue;
        value->p = w->scratch->p + at;
        at += value->n;
    }
    rg_assert(at == w->scratch->n);
}

/* ---- the client's ---- */

static bool is_among(const struct rg_api_field *fields, size_t n, struct rg_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (is_same_name(name, fields[i].name))
            return true;
    }
    return false;
}

static bool is_added(const struct rg_endpoint *endpoint, struct rg_str name)
{
    return endpoint->adds_headers &&
           is_among(endpoint->api->add_headers, endpoint->api->add_headers_n, name);
}

static bool is_of_claim(const struct rg_endpoint *endpoint, struct rg_str name)
{
    return is_among(endpoint->api->claim_headers, endpoint->api->claim_headers_n, name);
}

static bool is_ours(const struct writer *w, enum kind kind)
{
    switch (kind) {
    case OF_HOP:
    case CONNECTION:
    case UPGRADE:
        return true;
    case HOST:
        return !w->is_2017 && w->endpoint->host != NULL;
    case FORWARDED:
        return (w->writes & RG_WRITES_FORWARDED) != 0;
    case X_FORWARDED:
        return (w->writes & RG_WRITES_X_FORWARDED) != 0;
    case REQUEST_ID:
        return (w->writes & RG_WRITES_REQUEST_ID) != 0;
    case TRACE:
        return !w->is_2017;
    default:
        return false;
    }
}

/* HTTP/2 may cut a cookie into crumbs, which only HTTP/2 understands (RFC 9113 8.2.3). Returns
 * whether there was more than one. */
static bool join_cookies(struct writer *w, size_t first)
{
    const struct rg_request *req = w->req;
    size_t start = w->scratch->n;
    size_t lines = 0;

    for (size_t i = first; i < req->fields_n; i++)
        lines += w->kinds[i] == COOKIE;
    if (lines == 1)
        return false;
    for (size_t i = first; i < req->fields_n; i++) {
        if (w->kinds[i] != COOKIE)
            continue;
        if (i > first)
            rg_buf_add_c(w->scratch, "; ");
        rg_buf_add_str(w->scratch, req->fields[i].value);
        w->kinds[i] = OF_HOP; /* done with */
    }
    add_made(w, req->fields[first].name, start);
    return true;
}

static void add_clients(struct writer *w)
{
    for (size_t i = 0; i < w->req->fields_n; i++) {
        const struct rg_http_field *field = &w->req->fields[i];
        if (is_ours(w, (enum kind)w->kinds[i]) || is_of_claim(w->endpoint, field->name) ||
            is_added(w->endpoint, field->name))
            continue;
        if (w->kinds[i] != COOKIE || !join_cookies(w, i))
            add(w, field->name, field->value);
    }
}

/* ---- claims and added headers ---- */

/* Text that arrives as it was sent. */
static bool is_plain_value(struct rg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f)
            return false;
    }
    return s.n <= RG_OUTGOING_MAX_CLAIM && (s.n == 0 || (s.p[0] != ' ' && s.p[s.n - 1] != ' '));
}

static void add_text_claim(struct writer *w, struct rg_str name, struct rg_json value)
{
    size_t start = w->scratch->n;
    struct rg_str text = rg_json_string(value, w->scratch);

    if (!is_plain_value(text))
        w->scratch->n = start;
    else if (w->scratch->n != start)
        add_made(w, name, start);
    else
        add(w, name, text);
}

/* Between its tokens JSON may have line ends, which a field may not; inside of strings it has none.
 */
static void add_json_claim(struct writer *w, struct rg_str name, struct rg_json value)
{
    size_t start = w->scratch->n;

    if (value.text.n > RG_OUTGOING_MAX_CLAIM)
        return;
    rg_buf_add_str(w->scratch, value.text);
    for (size_t i = start; i < w->scratch->n; i++) {
        if ((unsigned char)w->scratch->p[i] < 0x20)
            w->scratch->p[i] = ' ';
    }
    if (is_plain_value(rg_str_n(w->scratch->p + start, w->scratch->n - start)))
        add_made(w, name, start);
    else
        w->scratch->n = start;
}

static bool has_room(struct writer *w)
{
    return w->added_n++ < RG_OUTGOING_MAX_ADDED;
}

static void add_claims(struct writer *w)
{
    struct rg_json root;

    if (w->api->claim_headers_n == 0 || w->client->claims == NULL ||
        rg_json_check(w->client->claims->text, &root, NULL) < 0)
        return;
    for (size_t i = 0; i < w->api->claim_headers_n; i++) {
        const struct rg_api_field *field = &w->api->claim_headers[i];
        struct rg_str name = rg_str_c(field->name);
        struct rg_json value = rg_json_at(root, rg_str_c(field->value));
        if (value.kind <= RG_JSON_NULL || is_added(w->endpoint, name) ||
            is_ours(w, kind_of(name)) || !has_room(w))
            continue;
        if (value.kind == RG_JSON_STRING)
            add_text_claim(w, name, value);
        else
            add_json_claim(w, name, value);
    }
}

/* Whether another one of the same name follows, which counts then. */
static bool is_overridden(const struct rg_api *api, size_t i)
{
    for (size_t k = i + 1; k < api->add_headers_n; k++) {
        if (is_same_name(rg_str_c(api->add_headers[i].name), api->add_headers[k].name))
            return true;
    }
    return false;
}

static void add_added(struct writer *w)
{
    for (size_t i = 0; w->endpoint->adds_headers && i < w->api->add_headers_n; i++) {
        const struct rg_api_field *field = &w->api->add_headers[i];
        enum kind kind = kind_of(rg_str_c(field->name));
        /* Host comes first of all, see add_host(). */
        if (kind == HOST || is_ours(w, kind) || is_overridden(w->api, i) || !has_room(w))
            continue;
        add(w, rg_str_c(field->name), rg_str_c(field->value));
    }
}

/* ---- ours ---- */

static void add_host(struct writer *w)
{
    const char *host = w->is_2017 ? NULL : w->endpoint->host;

    for (size_t i = 0; w->endpoint->adds_headers && i < w->api->add_headers_n; i++) {
        if (is_same_name(RG_STR("host"), w->api->add_headers[i].name))
            host = w->api->add_headers[i].value;
    }
    if (host != NULL)
        add(w, RG_STR("host"), rg_str_c(host));
}

static struct rg_str proto_of(const struct writer *w)
{
    return w->client->is_secure ? RG_STR("https") : RG_STR("http");
}

/* What the fields before ours say, in the form of Forwarded. */
static void add_chain(struct writer *w)
{
    const struct origin *origin = w->origin;
    const struct rg_http_field *field;
    size_t at = 0;

    if (origin == NULL)
        return;
    if (origin->source == FROM_FORWARDED) {
        while ((field = rg_request_next_field(w->req, RG_STR("forwarded"), &at)) != NULL) {
            rg_buf_add_str(w->scratch, field->value);
            rg_buf_add_c(w->scratch, field->value.n > 0 ? ", " : "");
        }
        return;
    }
    for (size_t i = 0; i < origin->chain.n; i++) {
        const struct rg_forwarded_hop *hop = &origin->chain.hops[i];
        rg_buf_add_c(w->scratch, "for=");
        if (hop->address[0] != '\0')
            rg_forwarded_add_address(w->scratch, rg_str_c(hop->address));
        else
            rg_forwarded_add_value(w->scratch, hop->node);
        rg_buf_add_c(w->scratch, ", ");
    }
}

static void add_forwarded(struct writer *w)
{
    size_t start = w->scratch->n;
    struct rg_str host = rg_request_field(w->req, RG_STR("host"));

    add_chain(w);
    rg_buf_add_c(w->scratch, "for=");
    rg_forwarded_add_address(w->scratch, rg_str_c(w->client->peer));
    rg_buf_add_c(w->scratch, ";by=");
    rg_forwarded_add_value(w->scratch, rg_str_c(w->settings->by));
    /* The reference says no more than that, and its services may compare; where proxies are known
     * to stand before us, services need to know what was asked for. */
    if (w->settings->trusted != NULL) {
        if (host.n > 0) {
            rg_buf_add_c(w->scratch, ";host=");
            rg_forwarded_add_value(w->scratch, host);
        }
        rg_buf_add_c(w->scratch, ";proto=");
        rg_buf_add_str(w->scratch, proto_of(w));
    }
    add_made(w, RG_STR("forwarded"), start);
}

/* What a trusted peer says in a field that stands there once; n == 0: nothing. */
static struct rg_str said(const struct writer *w, struct rg_str name)
{
    size_t at = 0;

    if (w->origin == NULL || w->origin->source == FROM_DOUBTFUL)
        return rg_str_c("");
    const struct rg_http_field *field = rg_request_next_field(w->req, name, &at);
    if (field == NULL || rg_request_next_field(w->req, name, &at) != NULL)
        return rg_str_c("");
    return field->value;
}

static bool is_proto(struct rg_str s)
{
    return rg_str_eq_nocase(s, RG_STR("http")) || rg_str_eq_nocase(s, RG_STR("https"));
}

static bool is_authority(struct rg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~' || strchr(",/?#@\"\\", s.p[i]) != NULL)
            return false;
    }
    return s.n > 0;
}

static struct rg_str client_host(const struct writer *w)
{
    struct rg_str host = said(w, RG_STR("x-forwarded-host"));

    if (is_authority(host))
        return host;
    if (w->origin != NULL && w->origin->client != NULL && is_authority(w->origin->client->host))
        return w->origin->client->host;
    return rg_request_field(w->req, RG_STR("host"));
}

static struct rg_str client_proto(const struct writer *w)
{
    struct rg_str proto = said(w, RG_STR("x-forwarded-proto"));

    if (is_proto(proto))
        return proto;
    if (w->origin != NULL && w->origin->client != NULL && is_proto(w->origin->client->proto))
        return w->origin->client->proto;
    return proto_of(w);
}

static struct rg_str client_port(const struct writer *w, struct rg_str host, struct rg_str proto)
{
    struct rg_str port = said(w, RG_STR("x-forwarded-port"));
    uint64_t number;

    if (rg_str_to_u64(port, UINT16_MAX, &number) == 0)
        return port;
    /* Behind the last colon, unless that is one of an address in brackets. */
    size_t n = 0;
    while (n < host.n && host.p[host.n - 1 - n] >= '0' && host.p[host.n - 1 - n] <= '9')
        n++;
    port = rg_str_n(host.p + host.n - n, n);
    if (n > 0 && n < host.n && port.p[-1] == ':' && rg_str_to_u64(port, UINT16_MAX, &number) == 0)
        return port;
    return rg_str_eq_nocase(proto, RG_STR("https")) ? RG_STR("443") : RG_STR("80");
}

static void add_x_forwarded(struct writer *w)
{
    size_t start = w->scratch->n;
    struct rg_str host = client_host(w);
    struct rg_str proto = client_proto(w);

    for (size_t i = 0; w->origin != NULL && i < w->origin->chain.n; i++) {
        const struct rg_forwarded_hop *hop = &w->origin->chain.hops[i];
        if (hop->address[0] != '\0')
            rg_buf_add_c(w->scratch, hop->address);
        else
            rg_buf_add_str(w->scratch, hop->node.n > 0 ? hop->node : RG_STR("unknown"));
        rg_buf_add_c(w->scratch, ", ");
    }
    rg_buf_add_c(w->scratch, w->client->peer[0] != '\0' ? w->client->peer : "unknown");
    add_made(w, RG_STR("x-forwarded-for"), start);
    if (host.n > 0)
        add(w, RG_STR("x-forwarded-host"), host);
    add(w, RG_STR("x-forwarded-proto"), proto);
    add(w, RG_STR("x-forwarded-port"), client_port(w, host, proto));
}

/* Those before ours are in lines of their own. */
static void add_via(struct writer *w)
{
    size_t start = w->scratch->n;

    rg_buf_addf(w->scratch, "%s %s",
                w->req->is_h2        ? "2.0"
                : w->req->minor == 0 ? "1.0"
                                     : "1.1",
                w->settings->via);
    add_made(w, RG_STR("via"), start);
}

static void add_trace(struct writer *w)
{
    const struct rg_trace *trace = w->client->trace;
    size_t start = w->scratch->n;

    rg_trace_child(trace, rg_buf_reserve(w->scratch, RG_TRACEPARENT_LEN + 1));
    w->scratch->n += RG_TRACEPARENT_LEN;
    add_made(w, RG_STR("traceparent"), start);
    /* Without a traceparent of its own it belongs to no trace. */
    if (trace->is_continued && trace->tracestate_n > 0)
        add(w, RG_STR("tracestate"), rg_str_n(trace->tracestate, trace->tracestate_n));
}

static void add_ours(struct writer *w)
{
    const struct rg_trace *trace = w->client->trace;

    if (w->writes & RG_WRITES_FORWARDED)
        add_forwarded(w);
    if (w->writes & RG_WRITES_X_FORWARDED)
        add_x_forwarded(w);
    if (w->writes & RG_WRITES_VIA)
        add_via(w);
    if (w->writes & RG_WRITES_REQUEST_ID)
        add(w, RG_STR("x-request-id"), rg_str_n(trace->request_id, trace->request_id_n));
    if (!w->is_2017)
        add_trace(w);
}

/* RFC 6455 4.1: 16 bytes that nobody has used before. */
static void add_websocket_key(struct writer *w)
{
    unsigned char bytes[16];
    size_t start = w->scratch->n;

    rg_random_bytes(bytes, sizeof(bytes));
    rg_base64_add(w->scratch, bytes, sizeof(bytes));
    add_made(w, RG_STR("sec-websocket-key"), start);
}

static void add_upgrade(struct writer *w)
{
    const struct rg_str name = RG_STR("upgrade");
    const struct rg_http_field *field;
    size_t at = 0;

    /* Behind a switch to HTTP/2 there would be requests that we do not see. */
    if (rg_request_has_token(w->req, name, RG_STR("h2c")) ||
        (w->req->protocol.p == NULL && rg_request_field(w->req, name).p == NULL))
        return;
    add(w, RG_STR("connection"), name);
    if (w->req->protocol.p != NULL) {
        add(w, name, w->req->protocol);
        if (rg_request_field(w->req, RG_STR("sec-websocket-key")).p == NULL)
            add_websocket_key(w);
        return;
    }
    while ((field = rg_request_next_field(w->req, name, &at)) != NULL)
        add(w, name, field->value);
}

size_t rg_outgoing_fields(const struct rg_outgoing_settings *settings,
                          const struct rg_endpoint *endpoint,
                          const struct rg_outgoing_client *client, bool keeps_upgrade,
                          struct rg_buf *scratch, struct rg_http_field ret[RG_OUTGOING_MAX])
{
    struct origin origin;
    struct writer w = {
        .settings = settings,
        .endpoint = endpoint,
        .api = endpoint->api,
        .client = client,
        .req = client->req,
        .is_2017 = endpoint->api->dialect == RG_DIALECT_2017,
        .writes = settings->writes,
        .scratch = scratch,
        .ret = ret,
    };

    rg_assert(scratch->n == 0);
    if (w.is_2017)
        w.writes &= ~(unsigned)RG_WRITES_FORWARDED;
    if ((w.writes & (RG_WRITES_FORWARDED | RG_WRITES_X_FORWARDED)) != 0 &&
        is_trusted(settings, client->peer)) {
        read_origin(settings, client->req, client->peer, &origin);
        w.origin = &origin;
    }
    for (size_t i = 0; i < w.req->fields_n; i++)
        w.kinds[i] = (unsigned char)kind_of(w.req->fields[i].name);
    strike_nominated(w.req, w.kinds);
    add_host(&w);
    add_clients(&w);
    add_claims(&w);
    add_added(&w);
    if (keeps_upgrade)
        add_upgrade(&w);
    add_ours(&w);
    settle(&w);
    return w.n;
}

size_t rg_outgoing_trailers(const struct rg_endpoint *endpoint,
                            const struct rg_http_field *trailers, size_t n,
                            struct rg_http_field *ret)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        struct rg_str name = trailers[i].name;
        if (kind_of(name) == ANY && !is_of_claim(endpoint, name) && !is_added(endpoint, name))
            ret[kept++] = trailers[i];
    }
    return kept;
}

struct rg_str rg_outgoing_via_answer(const struct rg_outgoing_settings *settings,
                                     char out[RG_OUTGOING_VIA_SIZE])
{
    if (!(settings->writes & RG_WRITES_VIA))
        return rg_str_c("");
    /* Services are spoken to in HTTP/1.1 only. */
    snprintf(out, RG_OUTGOING_VIA_SIZE, "1.1 %s", settings->via);
    return rg_str_c(out);
}
