/*
 * outgoing.h - the fields of a request as the service gets them (api-gateway.md 7 and 8.3, RFC 9110
 * 7.6, RFC 7239).
 *
 *   the client's, end to end only -> claims, added headers -> ours last: host, forwarded, trace
 *
 * Which of our own are written is the operator's choice (FORWARDED_HEADERS), "forwarded" alone
 * being what the Reactive Interaction Gateway does. What the client says about where it comes from
 * counts only if its address is one of TRUSTED_PROXIES: then it is continued; otherwise it is
 * replaced where we write the same field, and passed through where we do not.
 *
 * Thread: any; no state but the arguments'.
 */
#pragma once

#include "auth/claims.h"
#include "http/request.h"
#include "http/trace.h"
#include "net/networks.h"
#include "net/socket.h"
#include "proxy/api.h"

enum {
    RG_WRITES_FORWARDED = 1, /* Forwarded: for=…;by=… (with a trusted list also host and proto) */
    RG_WRITES_X_FORWARDED = 2, /* X-Forwarded-For, -Host, -Proto, -Port */
    RG_WRITES_VIA = 4,         /* Via, also of answers */
    RG_WRITES_REQUEST_ID = 8   /* X-Request-Id: the client's, or a new one */
};

struct rg_outgoing_settings {
    unsigned writes;                   /* RG_WRITES_* */
    const struct rg_networks *trusted; /* TRUSTED_PROXIES; NULL: nobody */
    const char *by;                    /* for by=: "127.0.0.1", "[2001:db8::7]", "unknown" */
    const char *via;                   /* pseudonym for Via: "rgate" */
};

/* What is known of the request besides what it says. */
struct rg_outgoing_client {
    const struct rg_request *req;
    const char *peer; /* the other end's address, from rg_exchange_peer(); "": not known */
    bool is_secure;
    const struct rg_claims *claims; /* NULL: no token was needed */
    struct rg_trace *trace;         /* of the request: the same trace id, another span id */
};

#define RG_OUTGOING_MAX (RG_MAX_FIELDS_PER_MESSAGE + 64)

/* Fields that claims and added headers of an API can make together; what is beyond is left out. */
#define RG_OUTGOING_MAX_ADDED 48

/* The longest value that is made of a claim; a longer one is left out. */
#define RG_OUTGOING_MAX_CLAIM 4096

/*
 * Writes the fields to ret and returns how many. They are slices of the request, of endpoint's API,
 * of settings, of client's claims and trace, and of scratch, which is empty and is to be ended with
 * rg_buf_done(). keeps_upgrade: connection and upgrade are kept for a switch of protocols (never to
 * HTTP/2, RFC 9113 3.1); an extended CONNECT (RFC 8441) becomes the upgrade of HTTP/1.1 that it
 * stands for, with a sec-websocket-key of ours.
 *
 * Names are compared without case, and a _ counts as a -: behind CGI and its kin both are the same.
 *
 * A claim is written as it is where it is text, as JSON where it is not; null and text that is no
 * field value (control bytes, white space at its ends) are left out. Clients' own fields of the
 * names of claim_headers are, always.
 *
 * In the dialect of 2017 host, forwarded and the trace are the client's (legacy-channels.md
 * 14.4.3).
 */
size_t rg_outgoing_fields(const struct rg_outgoing_settings *settings,
                          const struct rg_endpoint *endpoint,
                          const struct rg_outgoing_client *client, bool keeps_upgrade,
                          struct rg_buf *scratch, struct rg_http_field ret[RG_OUTGOING_MAX]);

/*
 * What of the fields behind a client's body goes on: writes them to ret, which has room for n, and
 * returns how many. A service may take them for fields of the head, so that none passes that we
 * would write, or keep, there: those of claims and added ones, and whatever says where a request
 * comes from.
 */
size_t rg_outgoing_trailers(const struct rg_endpoint *endpoint,
                            const struct rg_http_field *trailers, size_t n,
                            struct rg_http_field *ret);

#define RG_OUTGOING_VIA_SIZE 128

/* The value of Via for an answer to the client, or n == 0 where none is written. In out. */
struct rg_str rg_outgoing_via_answer(const struct rg_outgoing_settings *settings,
                                     char out[RG_OUTGOING_VIA_SIZE]);

/*
 * The address that the request comes from, for logs and quotas: the peer's or, where that is
 * trusted, the last one in Forwarded (else X-Forwarded-For) that is not trusted. A station without
 * an address ("unknown") is told by the one behind it.
 *
 * Where both fields are there and disagree about the client, neither counts: a proxy that writes
 * the one usually passes through whatever its client sent as the other.
 */
void rg_client_address(const struct rg_outgoing_settings *settings, const struct rg_request *req,
                       const char *peer, char out[RG_PEER_SIZE]);
