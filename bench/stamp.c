#include "bench/stamp.h"

#include <string.h>

#define MARK_SIZE (sizeof(RG_STAMP_MARK) - 1)

void rg_stamp_write(char *out, uint64_t ns)
{
    for (unsigned i = RG_STAMP_DIGITS; i-- > 0; ns /= 10)
        out[i] = (char)('0' + ns % 10);
}

size_t rg_stamp_find(const char *p, size_t n, uint64_t *ret_ns)
{
    const char *mark = memmem(p, n, RG_STAMP_MARK, MARK_SIZE);
    const char *digits;
    uint64_t ns = 0;

    if (mark == NULL || (size_t)(p + n - mark) < RG_STAMP_SIZE)
        return 0;
    digits = mark + MARK_SIZE;
    for (unsigned i = 0; i < RG_STAMP_DIGITS; i++)
        ns = ns * 10 + (uint64_t)(unsigned char)(digits[i] - '0');
    *ret_ns = ns;
    return (size_t)(digits + RG_STAMP_DIGITS - p);
}
