#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    int err;
    const char *text;
} own_errors[] = {
    {RG_EFULL, "a limit is reached"}, {RG_EAGAIN, "not now, try again later"},
    {RG_ESYNTAX, "malformed input"},  {RG_EGONE, "no longer exists"},
    {RG_EINVAL, "not acceptable"},    {RG_ENOTFOUND, "not found"},
    {RG_EDENIED, "not allowed"},      {RG_ECANCELED, "given up"},
};

const char *rg_strerror(int err)
{
    for (size_t i = 0; i < sizeof(own_errors) / sizeof(own_errors[0]); i++) {
        if (own_errors[i].err == err)
            return own_errors[i].text;
    }
    if (err == 0)
        return "success";
    /* libuv's codes are negated errno values on the systems we run on. */
    const char *text = err < 0 && err > -4095 ? strerrordesc_np(-err) : NULL;
    return text != NULL ? text : "unknown error";
}

int rg_why_set(struct rg_why *why, int err, const char *place, const char *fmt, ...)
{
    if (why == NULL)
        return err;

    va_list ap;
    va_start(ap, fmt);
    snprintf(why->place, sizeof(why->place), "%s", place);
    vsnprintf(why->text, sizeof(why->text), fmt, ap);
    va_end(ap);
    return err;
}

void rg_assert_fail(const char *expr, const char *file, int line)
{
    fprintf(stderr, "rgate: %s:%d: assertion failed: %s\n", file, line, expr);
    abort();
}
