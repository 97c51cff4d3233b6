/*
 * alloc.h - memory that is there.
 *
 * Small fixed allocations cannot fail: the process ends with a message if the
 * system has none left. A size that a peer can influence must have been
 * checked against a limit before it gets here.
 *
 * Thread: any.
 */
#pragma once

#include <stddef.h>

/* Returns n bytes, uninitialised; the caller frees them with rg_free(). n may be 0. */
void *rg_alloc(size_t n) __attribute__((malloc, returns_nonnull, alloc_size(1)));

/* As rg_alloc(), zeroed. */
void *rg_zalloc(size_t n) __attribute__((malloc, returns_nonnull, alloc_size(1)));

/* Changes the size of p (NULL: allocates); the old pointer is invalid afterwards. */
void *rg_realloc(void *p, size_t n) __attribute__((returns_nonnull, alloc_size(2)));

/* As rg_realloc() for count elements of size bytes; a product that overflows ends the process. */
void *rg_realloc_array(void *p, size_t count, size_t size)
    __attribute__((returns_nonnull, alloc_size(2, 3)));

/* Returns a copy of n bytes at p followed by a NUL. */
char *rg_strndup(const char *p, size_t n) __attribute__((malloc, returns_nonnull));

/* Frees p; NULL is fine. */
void rg_free(void *p);

/* Runs fn(&variable) when the variable goes out of scope. */
#define RG_CLEANUP(fn) __attribute__((cleanup(fn)))

/* Gives the pointer away: evaluates to it and leaves NULL behind, so that no cleanup frees it. */
#define RG_STEAL(ptr)                                                                              \
    ({                                                                                             \
        __typeof__(ptr) stolen_ = (ptr);                                                           \
        (ptr) = NULL;                                                                              \
        stolen_;                                                                                   \
    })

/* The struct that contains member, from a pointer to the member. */
#define RG_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define RG_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Cleanup of a pointer that came from rg_alloc(). */
void rg_free_ptr(void *pp);
