#include "proxy/path.h"

#include "base/utf8.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that an escape stands for, -1 if it is not one. */
static int escaped(struct rg_str at)
{
    int high = at.n >= 3 ? hex_value(at.p[1]) : -1;
    int low = at.n >= 3 ? hex_value(at.p[2]) : -1;

    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

#define BAD_ESCAPE "the path has a %% that two hex digits do not follow"

static int check_escapes(struct rg_str path, struct rg_why *why)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '\\')
            return rg_why_set(why, RG_EINVAL, "", "the path has a backslash");
        if (path.p[i] != '%')
            continue;
        int byte = escaped(rg_str_n(path.p + i, path.n - i));
        if (byte < 0)
            return rg_why_set(why, RG_EINVAL, "", BAD_ESCAPE);
        if (byte == '\0' || byte == '.' || byte == '/' || byte == '\\')
            return rg_why_set(why, RG_EINVAL, "", "the path has an encoded %s",
                              byte == '\0'  ? "NUL"
                              : byte == '.' ? "dot"
                              : byte == '/' ? "slash"
                                            : "backslash");
    }
    return 0;
}

/* Some servers cut a segment at its first semicolon before they look at its dots. */
static bool is_dots(struct rg_str segment)
{
    struct rg_str name = rg_str_split(&segment, ';');

    return rg_str_eq(name, RG_STR(".")) || rg_str_eq(name, RG_STR(".."));
}

int rg_path_check(struct rg_str path, struct rg_why *why)
{
    struct rg_str rest = path;

    if (path.n == 0 || path.p[0] != '/')
        return rg_why_set(why, RG_EINVAL, "", "the path does not begin with a slash");
    while (rest.p != NULL) {
        if (is_dots(rg_str_split(&rest, '/')))
            return rg_why_set(why, RG_EINVAL, "", "the path has a dot segment");
    }
    return check_escapes(path, why);
}

/* ---- one form ---- */

/* The byte that path means at its beginning, plain or encoded; -1 at its end. */
static int meaning(struct rg_str at)
{
    int byte = at.n > 0 ? (unsigned char)at.p[0] : -1;

    return byte == '%' ? escaped(at) : byte;
}

/* Takes up to three dots, plain or encoded, off *rest; returns how many. */
static size_t take_dots(struct rg_str *rest)
{
    size_t n = 0;

    for (; n < 3 && meaning(*rest) == '.'; n++) {
        size_t bytes = rest->p[0] == '.' ? 1 : 3;
        *rest = rg_str_n(rest->p + bytes, rest->n - bytes);
    }
    return n;
}

/* How many dots a segment is: 1, 2, or 0 if it is something else. */
static size_t count_dots(struct rg_str segment)
{
    size_t n = take_dots(&segment);

    return segment.n == 0 && n < 3 ? n : 0;
}

static bool is_dots_before_semicolon(struct rg_str name)
{
    size_t n = take_dots(&name);

    return (n == 1 || n == 2) && (name.n == 0 || meaning(name) == ';');
}

static bool is_encoded_slash(struct rg_str at)
{
    int byte = at.n > 0 && at.p[0] == '%' ? escaped(at) : -1;

    return byte == '/' || byte == '\\';
}

/* True if segment is dots to who cuts it at a semicolon, or decodes the slashes in it. */
static bool hides_dots(struct rg_str segment)
{
    size_t from = 0;

    for (size_t i = 0; i < segment.n; i++) {
        if (!is_encoded_slash(rg_str_n(segment.p + i, segment.n - i)))
            continue;
        if (is_dots_before_semicolon(rg_str_n(segment.p + from, i - from)))
            return true;
        from = i + 3;
    }
    return is_dots_before_semicolon(rg_str_n(segment.p + from, segment.n - from));
}

static int check_byte(struct rg_str at, struct rg_why *why)
{
    unsigned char byte = (unsigned char)at.p[0];

    if (byte <= ' ' || byte == 0x7f)
        return rg_why_set(why, RG_EINVAL, "", "the path has a space or control byte");
    if (byte == '\\')
        return rg_why_set(why, RG_EINVAL, "", "the path has a backslash");
    if (byte == '?' || byte == '#')
        return rg_why_set(why, RG_EINVAL, "", "the path has a query or fragment");
    if (byte != '%')
        return 0;
    int means = escaped(at);
    if (means < 0)
        return rg_why_set(why, RG_EINVAL, "", BAD_ESCAPE);
    if (means == '\0')
        return rg_why_set(why, RG_EINVAL, "", "the path has an encoded NUL");
    return 0;
}

static int check_bytes(struct rg_str path, struct rg_why *why)
{
    unsigned char all = 0;

    for (size_t i = 0; i < path.n; i++) {
        int err = check_byte(rg_str_n(path.p + i, path.n - i), why);
        if (err < 0)
            return err;
        all |= (unsigned char)path.p[i];
    }
    if (all >= 0x80 && !rg_utf8_is_valid(path))
        return rg_why_set(why, RG_EINVAL, "", "the path is not UTF-8");
    return 0;
}

static bool may_have_dots(struct rg_str path)
{
    return memchr(path.p, '.', path.n) != NULL || memchr(path.p, '%', path.n) != NULL;
}

/* *ret_changes: whether there is something to remove. */
static int check_segments(struct rg_str path, bool *ret_changes, struct rg_why *why)
{
    struct rg_str rest = rg_str_n(path.p + 1, path.n - 1);

    *ret_changes = rest.n > 0 && rest.p[0] == '/';
    while (rest.p != NULL && may_have_dots(rest)) {
        struct rg_str segment = rg_str_split(&rest, '/');
        if (count_dots(segment) > 0)
            *ret_changes = true;
        else if (hides_dots(segment))
            return rg_why_set(why, RG_EINVAL, "", "the path has a dot segment in disguise");
    }
    return 0;
}

/* Removes the last segment of the n bytes at path, with its slash. */
static size_t without_last(const char *path, size_t n)
{
    while (n > 0 && path[n - 1] != '/')
        n--;
    return n > 0 ? n - 1 : 0;
}

/* What is written is never longer than what was read: each segment comes with its slash. */
size_t rg_path_remove_dots(char *path, size_t n)
{
    struct rg_str rest = rg_str_n(path + 1, n - 1);
    size_t out = 0;

    while (rest.p != NULL) {
        struct rg_str segment = rg_str_split(&rest, '/');
        size_t dots = count_dots(segment);
        if (dots == 2)
            out = without_last(path, out);
        if (dots > 0)
            segment.n = 0;
        /* Only at the end does something remain of it: "/a/.." is "/". In front an empty segment
         * would be a second slash. */
        if (segment.n == 0 && (dots > 0 || out == 0) && rest.p != NULL)
            continue;
        path[out++] = '/';
        memmove(path + out, segment.p, segment.n);
        out += segment.n;
    }
    return out;
}

int rg_path_normalise(struct rg_str path, struct rg_buf *scratch, struct rg_str *ret,
                      struct rg_why *why)
{
    bool changes = false;

    if (path.n == 0 || path.p[0] != '/')
        return rg_why_set(why, RG_EINVAL, "", "the path does not begin with a slash");
    int err = check_bytes(path, why);
    if (err == 0)
        err = check_segments(path, &changes, why);
    if (err < 0)
        return err;
    if (!changes) {
        *ret = path;
        return 0;
    }
    rg_buf_clear(scratch);
    rg_buf_add_str(scratch, path);
    scratch->n = rg_path_remove_dots(scratch->p, scratch->n);
    *ret = rg_buf_str(scratch);
    return 0;
}

bool rg_path_has_encoded_slash(struct rg_str path)
{
    const char *at = path.p;
    const char *end = path.p + path.n;

    while (at < end && (at = memchr(at, '%', (size_t)(end - at))) != NULL) {
        if (is_encoded_slash(rg_str_n(at, (size_t)(end - at))))
            return true;
        at++;
    }
    return false;
}
