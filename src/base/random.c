#include "base/random.h"

#include <string.h>
#include <sys/random.h>

#include "base/err.h"

static _Thread_local struct {
    unsigned char bytes[4096];
    size_t left;
} stock;

static void fill(void *p, size_t n)
{
    unsigned char *out = p;
    while (n > 0) {
        ssize_t got = getrandom(out, n, 0);
        rg_assert(got > 0);
        out += got;
        n -= (size_t)got;
    }
}

void rg_random_bytes(void *p, size_t n)
{
    if (n > sizeof(stock.bytes)) {
        fill(p, n);
        return;
    }
    if (stock.left < n) {
        fill(stock.bytes, sizeof(stock.bytes));
        stock.left = sizeof(stock.bytes);
    }
    stock.left -= n;
    memcpy(p, stock.bytes + stock.left, n);
    /* What was handed out must not lie around for a later leak to show. */
    explicit_bzero(stock.bytes + stock.left, n);
}

uint64_t rg_random_below(uint64_t bound)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    uint64_t value;

    do {
        rg_random_bytes(&value, sizeof(value));
    } while (value >= limit);
    return value % bound;
}

static const char hex_digits[] = "0123456789abcdef";

void rg_random_hex(char *out, size_t n)
{
    unsigned char bytes[16];

    while (n > 0) {
        size_t run = n < sizeof(bytes) ? n : sizeof(bytes);
        rg_random_bytes(bytes, run);
        for (size_t i = 0; i < run; i++) {
            *out++ = hex_digits[bytes[i] >> 4];
            *out++ = hex_digits[bytes[i] & 15];
        }
        n -= run;
    }
}

void rg_random_uuid(char *out)
{
    unsigned char b[16];
    char *o = out;

    rg_random_bytes(b, sizeof(b));
    b[6] = (unsigned char)(0x40 | (b[6] & 0x0f));
    b[8] = (unsigned char)(0x80 | (b[8] & 0x3f));
    for (size_t i = 0; i < sizeof(b); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *o++ = '-';
        *o++ = hex_digits[b[i] >> 4];
        *o++ = hex_digits[b[i] & 15];
    }
    *o = '\0';
}
