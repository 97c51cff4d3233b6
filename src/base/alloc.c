#include "base/alloc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn static void out_of_memory(size_t n)
{
    fprintf(stderr, "rgate: out of memory (%zu bytes wanted)\n", n);
    abort();
}

void *rg_alloc(size_t n)
{
    void *p = malloc(n > 0 ? n : 1);
    if (p == NULL)
        out_of_memory(n);
    return p;
}

void *rg_zalloc(size_t n)
{
    void *p = calloc(1, n > 0 ? n : 1);
    if (p == NULL)
        out_of_memory(n);
    return p;
}

void *rg_realloc(void *p, size_t n)
{
    void *q = realloc(p, n > 0 ? n : 1);
    if (q == NULL)
        out_of_memory(n);
    return q;
}

void *rg_realloc_array(void *p, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n))
        out_of_memory(SIZE_MAX);
    return rg_realloc(p, n);
}

char *rg_strndup(const char *p, size_t n)
{
    char *copy = rg_alloc(n + 1);
    if (n > 0)
        memcpy(copy, p, n);
    copy[n] = '\0';
    return copy;
}

void rg_free(void *p)
{
    free(p);
}

void rg_free_ptr(void *pp)
{
    void **ptr = pp;
    free(*ptr);
    *ptr = NULL;
}
