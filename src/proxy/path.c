#include "proxy/path.h"

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

static int check_escapes(struct rg_str path, struct rg_why *why)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '\\')
            return rg_why_set(why, RG_EINVAL, "", "the path has a backslash");
        if (path.p[i] != '%')
            continue;
        int byte = escaped(rg_str_n(path.p + i, path.n - i));
        if (byte < 0)
            return rg_why_set(why, RG_EINVAL, "",
                              "the path has a %% that two hex digits do not follow");
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
