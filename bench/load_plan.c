#include "bench/load_plan.h"

#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/base64.h"

static void add_encoded(struct rg_buf *out, char c)
{
    bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == '_';

    if (is_plain)
        rg_buf_add_char(out, c);
    else
        rg_buf_addf(out, "%%%02X", (unsigned char)c);
}

static void add_subscriptions(struct rg_buf *out, const char *json, unsigned number)
{
    while (*json != '\0') {
        if (strncmp(json, "{n}", 3) == 0) {
            rg_buf_addf(out, "%07u", number);
            json += 3;
        } else {
            add_encoded(out, *json++);
        }
    }
}

/* HS256 (RFC 7515), valid for as long as any benchmark. */
static void add_token(const struct rg_load_plan *plan, unsigned number, struct rg_buf *out)
{
    static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    RG_CLEANUP(rg_buf_done) struct rg_buf claims = {0};
    unsigned char mac[32];
    unsigned mac_n = sizeof(mac);
    size_t start = out->n;

    rg_buf_addf(&claims,
                "{\"username\":\"%07u\",\"role\":[\"customer\"],\"jti\":\"j%07u\","
                "\"exp\":4000000000}",
                number, number);
    rg_base64url_add(out, head, sizeof(head) - 1);
    rg_buf_add_char(out, '.');
    rg_base64url_add(out, claims.p, claims.n);
    HMAC(EVP_sha256(), plan->secret, (int)strlen(plan->secret),
         (const unsigned char *)out->p + start, out->n - start, mac, &mac_n);
    rg_buf_add_char(out, '.');
    rg_base64url_add(out, mac, mac_n);
}

void rg_load_plan_join(unsigned number, struct rg_buf *out)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "[\"1\",\"1\",\"user:%07u\",\"phx_join\",{}]", number);

    /* A mask of zeros is a mask (RFC 6455 5.3), and leaves the text as it is. */
    rg_buf_add_char(out, (char)0x81);
    rg_buf_add_char(out, (char)(0x80 | n));
    rg_buf_add(out, "\0\0\0\0", 4);
    rg_buf_add(out, text, (size_t)n);
}

void rg_load_plan_path(const struct rg_load_plan *plan, bool is_ws, unsigned number,
                       struct rg_buf *out)
{
    if (plan->secret != NULL) {
        rg_buf_add_c(out, "/socket/websocket?vsn=2.0.0&token=");
        add_token(plan, number, out);
        return;
    }
    rg_buf_addf(out, "/_rig/v1/connection/%s?subscriptions=", is_ws ? "ws" : "sse");
    add_subscriptions(out, plan->subscriptions, number);
    if (plan->token != NULL)
        rg_buf_addf(out, "&jwt=%s", plan->token); /* base64url and dots: nothing to encode */
}

/* The key never changes, so that a reference can repeat the gateway's answer byte by byte. */
static void add_upgrade(const struct rg_load_plan *plan, struct rg_buf *out)
{
    rg_buf_add_c(out, "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    if (plan->is_deflated)
        rg_buf_add_c(out, "Sec-WebSocket-Extensions: permessage-deflate; "
                          "server_no_context_takeover; client_no_context_takeover\r\n");
}

void rg_load_plan_request(const struct rg_load_plan *plan, bool is_ws, unsigned number,
                          struct rg_buf *out)
{
    if (plan->is_bare) {
        rg_buf_add_char(out, is_ws ? 'W' : 'S');
        return;
    }
    rg_buf_add_c(out, "GET ");
    rg_load_plan_path(plan, is_ws, number, out);
    rg_buf_add_c(out, " HTTP/1.1\r\nHost: bench\r\n");
    if (is_ws)
        add_upgrade(plan, out);
    rg_buf_add_c(out, "\r\n");
}
