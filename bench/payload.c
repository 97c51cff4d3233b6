#include "bench/payload.h"

#include "base/alloc.h"
#include "base/err.h"
#include "bench/stamp.h"

#define ID_DIGITS 12

static size_t add_digits(struct rg_buf *json, const char *name, unsigned digits)
{
    size_t at;

    rg_buf_addf(json, "\"%s\":\"", name);
    at = json->n;
    for (unsigned i = 0; i < digits; i++)
        rg_buf_add_char(json, '0');
    rg_buf_add_char(json, '"');
    return at;
}

/*
 * Readable text rather than one repeated letter: a scan for quotes and escapes meets both, and it
 * can be compressed about as well as what people write. The same in every event.
 */
static void add_filler(struct rg_buf *json, size_t n)
{
    static const char *const words[] = {
        "the",     "order",  "left",   "and",     "waits",  "customer", "for",    "its",
        "parcel",  "was",    "to",     "invoice", "driver", "of",       "street", "tomorrow",
        "returns", "number", "before", "noon",    "paid",   "box",      "with",   "morning"};
    size_t end = json->n + n;
    uint32_t state = 1;

    while (json->n < end) {
        state = state * 1664525u + 1013904223u;
        rg_buf_add_c(json, words[(state >> 16) % RG_COUNT_OF(words)]);
        rg_buf_add_char(json, ' ');
    }
    json->n = end;
}

void rg_payload_init(struct rg_payload *payload, const char *type, size_t size)
{
    static const char end[] = "\"}}";
    struct rg_buf *json = &payload->json;

    *payload = (struct rg_payload){0};
    if (type != NULL) {
        rg_buf_addf(json, "{\"specversion\":\"0.2\",\"type\":\"%s\",\"source\":\"/bench/orders\",",
                    type);
    } else {
        rg_buf_add_char(json, '{');
        payload->to_at = add_digits(json, "username", RG_PAYLOAD_TO_DIGITS);
        rg_buf_add_c(json, ",\"type\":\"order.left\",");
    }
    payload->id_at = add_digits(json, "id", ID_DIGITS);
    rg_buf_add_c(json, ",\"time\":\"2024-05-06T07:08:09.123Z\",\"data\":{");
    if (type != NULL) {
        payload->to_at = add_digits(json, "to", RG_PAYLOAD_TO_DIGITS);
        rg_buf_add_char(json, ',');
    }
    payload->stamp_at = add_digits(json, "ts", RG_STAMP_DIGITS);
    rg_buf_add_c(
        json, ",\"total\":129.5,\"paid\":true,\"items\":[{\"sku\":\"a-17\",\"n\":2}],\"note\":\"");
    rg_assert(json->n + sizeof(end) - 1 <= size);
    add_filler(json, size - json->n - (sizeof(end) - 1));
    rg_buf_add_c(json, end);
}

void rg_payload_done(struct rg_payload *payload)
{
    rg_buf_done(&payload->json);
}

static void set_digits(char *out, unsigned digits, uint64_t value)
{
    for (unsigned i = digits; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
}

void rg_payload_set(struct rg_payload *payload, uint64_t id, uint64_t to, uint64_t now_ns)
{
    set_digits(payload->json.p + payload->id_at, ID_DIGITS, id);
    set_digits(payload->json.p + payload->to_at, RG_PAYLOAD_TO_DIGITS, to);
    rg_stamp_write(payload->json.p + payload->stamp_at, now_ns);
}
