#include "kafka/decode.h"

#include <stdbool.h>

#define AVRO_MIN_BYTES 5 /* byte 0, then a schema id of four */

static bool is_avro(struct rg_str value)
{
    return value.n > 0 && value.p[0] == '\0';
}

static int refuse_avro(struct rg_why *why)
{
    return rg_why_set(why, RG_EINVAL, "", "Avro needs KAFKA_SCHEMA_REGISTRY_HOST");
}

/* The first content-type header, in any case; p is NULL if there is none. */
static struct rg_str content_type(const struct rg_record_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (rg_str_eq_nocase(headers[i].name, RG_STR("content-type")))
            return headers[i].value;
    }
    return (struct rg_str){NULL, 0};
}

static int structured(struct rg_str value, struct rg_str *ret, struct rg_why *why)
{
    if (is_avro(value))
        return refuse_avro(why);
    *ret = value;
    return 0;
}

/* Only the lower-case form with an underscore counts; ce-type was a form before 3.0. */
static size_t attributes_of(const struct rg_record_header *headers, size_t headers_n,
                            struct rg_ce_attribute *attributes)
{
    size_t n = 0;

    for (size_t i = 0; i < headers_n; i++) {
        struct rg_str name = headers[i].name;
        if (name.n > 3 && rg_str_starts_with(name, RG_STR("ce_")))
            attributes[n++] =
                (struct rg_ce_attribute){rg_str_n(name.p + 3, name.n - 3), headers[i].value};
    }
    return n;
}

static int binary(const struct rg_record_header *headers, size_t headers_n, struct rg_str type,
                  struct rg_str value, struct rg_buf *scratch, struct rg_str *ret,
                  struct rg_why *why)
{
    struct rg_ce_attribute attributes[RG_DECODE_MAX_HEADERS];
    size_t n = attributes_of(headers, headers_n, attributes);
    int err;

    if (rg_str_starts_with_nocase(rg_str_trim(type), RG_STR("avro/binary")))
        return refuse_avro(why);
    err = rg_envelope_compose(attributes, n, type, value, true, scratch, why);
    if (err < 0)
        return err;
    *ret = rg_buf_str(scratch);
    return 0;
}

/* How a record that may be either is to be read, as far as its headers tell. */
static enum rg_format heard(const struct rg_record_header *headers, size_t n, struct rg_str type)
{
    if (rg_envelope_kafka_mode(type) != RG_CE_BINARY ||
        rg_str_starts_with_nocase(rg_str_trim(type), RG_STR("avro/binary")))
        return RG_FORMAT_CLOUDEVENTS;
    for (size_t i = 0; i < n; i++) {
        if (rg_str_starts_with(headers[i].name, RG_STR("ce_")))
            return RG_FORMAT_CLOUDEVENTS;
    }
    return RG_FORMAT_NO_EVENT;
}

/* With a content type. */
static int decode_event(const struct rg_record_header *headers, size_t headers_n,
                        struct rg_str type, struct rg_str value, struct rg_buf *scratch,
                        struct rg_str *ret, struct rg_why *why)
{
    switch (rg_envelope_kafka_mode(type)) {
    case RG_CE_STRUCTURED:
        return structured(value, ret, why);
    case RG_CE_BATCH:
    case RG_CE_JSON_BATCH:
        return rg_why_set(why, RG_EINVAL, "", "batches of events are not supported");
    case RG_CE_UNSUPPORTED:
        return rg_why_set(why, RG_EINVAL, "", "content type \"%.*s\" is not supported",
                          (int)(type.n < 100 ? type.n : 100), type.p);
    case RG_CE_BINARY:
    case RG_CE_NOT_A_TYPE:
        break;
    }
    return binary(headers, headers_n, type, value, scratch, ret, why);
}

int rg_decode_record(const struct rg_record_header *headers, size_t headers_n, struct rg_str value,
                     enum rg_format *format, struct rg_buf *scratch, struct rg_str *ret,
                     struct rg_why *why)
{
    struct rg_str type = content_type(headers, headers_n);

    rg_buf_clear(scratch);
    if (value.n == 0)
        return rg_why_set(why, RG_EINVAL, "", "the value is empty");
    if (*format == RG_FORMAT_AUTO && type.n > 0)
        *format = heard(headers, headers_n, type);
    if (*format == RG_FORMAT_MESSAGES || *format == RG_FORMAT_NO_EVENT) {
        *ret = value;
        return 0;
    }
    if (headers_n > RG_DECODE_MAX_HEADERS)
        return rg_why_set(why, RG_EFULL, "", "more than %d record headers", RG_DECODE_MAX_HEADERS);
    if (type.p != NULL)
        return decode_event(headers, headers_n, type, value, scratch, ret, why);
    if (is_avro(value) && value.n >= AVRO_MIN_BYTES)
        return refuse_avro(why);
    *ret = value;
    return 0;
}
