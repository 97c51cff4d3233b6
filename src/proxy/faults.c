#include "proxy/faults.h"

#include <stdio.h>

#include "base/alloc.h"
#include "event/json.h"

#define MAX_MESSAGE 512

static char *copy(const char *text)
{
    return rg_strndup(text, strlen(text));
}

/* Room for one more; doubles at each power of two. */
static struct rg_fault *append(struct rg_faults *faults)
{
    if ((faults->n & (faults->n - 1)) == 0)
        faults->list = rg_realloc_array(faults->list, faults->n > 0 ? faults->n * 2 : 1,
                                        sizeof(faults->list[0]));
    return &faults->list[faults->n++];
}

void rg_faults_add(struct rg_faults *faults, const char *key, const char *field,
                   const char *pointer, const char *fmt, ...)
{
    char message[MAX_MESSAGE];
    va_list args;

    if (faults->n == RG_FAULTS_MAX) {
        faults->untold++;
        return;
    }
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    *append(faults) = (struct rg_fault){copy(key), copy(field), copy(message), copy(pointer), NULL};
}

void rg_faults_explain(struct rg_faults *faults, const char *reason)
{
    if (faults->n == 0 || faults->untold > 0 || reason[0] == '\0')
        return;
    struct rg_fault *fault = &faults->list[faults->n - 1];
    rg_free(fault->reason);
    fault->reason = copy(reason);
}

void rg_faults_done(struct rg_faults *faults)
{
    for (size_t i = 0; i < faults->n; i++) {
        rg_free(faults->list[i].key);
        rg_free(faults->list[i].field);
        rg_free(faults->list[i].message);
        rg_free(faults->list[i].pointer);
        rg_free(faults->list[i].reason);
    }
    rg_free(faults->list);
    *faults = (struct rg_faults){0};
}

void rg_fault_add_text(const struct rg_fault *fault, struct rg_buf *out)
{
    rg_buf_add_c(out, fault->message);
    if (fault->reason != NULL)
        rg_buf_addf(out, ": %s", fault->reason);
}

/* ---- by field ---- */

static bool has_key(const struct rg_fault *fault, const char *key)
{
    return strcmp(fault->key, key) == 0;
}

static bool is_first_of_key(const struct rg_faults *faults, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (has_key(&faults->list[k], faults->list[i].key))
            return false;
    }
    return true;
}

static void add_text(struct rg_buf *out, const char *text)
{
    rg_json_add_string(out, rg_str_c(text));
}

/* {"<field>":"<message>"} */
static void add_fault(struct rg_buf *out, const struct rg_fault *fault)
{
    rg_buf_add_char(out, '{');
    add_text(out, fault->field);
    rg_buf_add_char(out, ':');
    add_text(out, fault->message);
    rg_buf_add_char(out, '}');
}

/* The faults with the key of the one at i, which is the first of them. */
static void add_key(struct rg_buf *out, const struct rg_faults *faults, size_t i)
{
    const char *key = faults->list[i].key;

    add_text(out, key);
    rg_buf_add_c(out, ":[");
    for (size_t k = i; k < faults->n; k++) {
        if (!has_key(&faults->list[k], key))
            continue;
        if (k > i)
            rg_buf_add_char(out, ',');
        add_fault(out, &faults->list[k]);
    }
    rg_buf_add_char(out, ']');
}

void rg_faults_add_json(const struct rg_faults *faults, struct rg_buf *out)
{
    bool is_first = true;

    rg_buf_add_char(out, '{');
    for (size_t i = 0; i < faults->n; i++) {
        if (!is_first_of_key(faults, i))
            continue;
        if (!is_first)
            rg_buf_add_char(out, ',');
        is_first = false;
        add_key(out, faults, i);
    }
    rg_buf_add_char(out, '}');
}

/* ---- by pointer ---- */

static void add_hex(struct rg_buf *out, unsigned char c)
{
    static const char digits[] = "0123456789ABCDEF";

    rg_buf_add_char(out, '%');
    rg_buf_add_char(out, digits[c >> 4]);
    rg_buf_add_char(out, digits[c & 15]);
}

/* What a fragment (RFC 3986 3.5) and a list of a field can hold alike. */
static void add_pointer(struct rg_buf *out, const char *pointer)
{
    for (; *pointer != '\0'; pointer++) {
        char c = *pointer;
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (is_plain || strchr("/~-._", c) != NULL)
            rg_buf_add_char(out, c);
        else
            add_hex(out, (unsigned char)c);
    }
}

static void add_error(struct rg_buf *out, const struct rg_fault *fault)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};

    rg_buf_addf(&text, "%s ", fault->field);
    rg_fault_add_text(fault, &text);
    rg_buf_add_c(out, "{\"detail\":");
    rg_json_add_string(out, rg_buf_str(&text));
    rg_buf_add_c(out, ",\"pointer\":\"#");
    add_pointer(out, fault->pointer);
    rg_buf_add_c(out, "\",\"key\":");
    add_text(out, fault->key);
    rg_buf_add_c(out, ",\"field\":");
    add_text(out, fault->field);
    rg_buf_add_char(out, '}');
}

void rg_faults_add_problem(const struct rg_faults *faults, struct rg_buf *out)
{
    size_t n = rg_faults_count(faults);

    rg_buf_addf(out,
                "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,"
                "\"detail\":\"the definition has %zu fault%s\",\"errors\":[",
                n, n == 1 ? "" : "s");
    for (size_t i = 0; i < faults->n; i++) {
        if (i > 0)
            rg_buf_add_char(out, ',');
        add_error(out, &faults->list[i]);
    }
    rg_buf_add_c(out, "]}");
}

static bool was_before(const struct rg_faults *faults, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (strcmp(faults->list[k].pointer, faults->list[i].pointer) == 0)
            return true;
    }
    return false;
}

void rg_faults_add_pointers(const struct rg_faults *faults, size_t max_bytes, struct rg_buf *out)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf one = {0};
    size_t start = out->n;

    for (size_t i = 0; i < faults->n; i++) {
        if (was_before(faults, i))
            continue;
        rg_buf_clear(&one);
        if (out->n > start)
            rg_buf_add_char(&one, ',');
        add_pointer(&one, faults->list[i].pointer);
        if (out->n - start + one.n > max_bytes)
            break;
        rg_buf_add_str(out, rg_buf_str(&one));
    }
}
