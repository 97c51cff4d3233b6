#include "proxy/pattern_text.h"

#include "base/alloc.h"

bool rg_pattern_is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* What a token of a regular expression is; all that is not simply text or a segment is other. */
enum token {
    TOKEN_END,
    TOKEN_CHAR,
    TOKEN_SEGMENT,
    TOKEN_GROUP,
    TOKEN_OTHER
};

bool rg_pattern_skip(struct rg_str *rest, struct rg_str token)
{
    if (!rg_str_starts_with(*rest, token))
        return false;
    rest->p += token.n;
    rest->n -= token.n;
    return true;
}

/* Takes a token off *rest, unless it is TOKEN_OTHER; *ret is the character. */
static enum token next_token(struct rg_str *rest, char *ret)
{
    if (rest->n == 0)
        return TOKEN_END;
    if (rg_pattern_skip(rest, RG_STR("([^/]+)")))
        return TOKEN_GROUP;
    if (rg_pattern_skip(rest, RG_STR("[^/]+")))
        return TOKEN_SEGMENT;
    char c = rest->p[0];
    size_t n = 1;
    if (c == '\\' && rest->n > 1 && rest->p[1] > ' ' && rest->p[1] < 0x7f &&
        !rg_pattern_is_alnum(rest->p[1])) {
        c = rest->p[1];
        n = 2;
    } else if (c == '\0' || (!rg_pattern_is_alnum(c) && strchr("/-_~!@%&=:;,'\"<>#", c) == NULL)) {
        return TOKEN_OTHER;
    }
    *rest = rg_str_n(rest->p + n, rest->n - n);
    *ret = c;
    return TOKEN_CHAR;
}

struct rg_str rg_pattern_without_anchors(struct rg_str text)
{
    rg_pattern_skip(&text, RG_STR("^"));
    if (rg_str_ends_with(text, RG_STR("$")))
        text.n--;
    return text;
}

/* ---- parts ---- */

void rg_pattern_parts_done(struct rg_pattern_parts *parts)
{
    rg_buf_done(&parts->text);
    rg_free(parts->at);
}

static void add_part(struct rg_pattern_parts *parts, enum rg_pattern_then then)
{
    if (parts->n == parts->cap) {
        parts->cap = parts->cap > 0 ? 2 * parts->cap : 4;
        parts->at = rg_realloc_array(parts->at, parts->cap, sizeof(parts->at[0]));
    }
    parts->at[parts->n++] = (struct rg_pattern_part){parts->text.n, then};
}

/* True if the last thing was a segment, which only a slash or the end may follow. */
static bool is_behind_segment(const struct rg_pattern_parts *parts)
{
    return parts->n > 0 && parts->at[parts->n - 1].end == parts->text.n;
}

bool rg_pattern_read(struct rg_str text, struct rg_pattern_parts *parts)
{
    char c;

    for (;;) {
        switch (next_token(&text, &c)) {
        case TOKEN_CHAR:
            if (is_behind_segment(parts) && c != '/')
                return false;
            rg_buf_add_char(&parts->text, lower(c));
            break;
        case TOKEN_SEGMENT:
        case TOKEN_GROUP:
            if (is_behind_segment(parts))
                return false;
            add_part(parts, text.p[-1] == ')' ? RG_THEN_GROUP : RG_THEN_SEGMENT);
            break;
        case TOKEN_END:
            add_part(parts, RG_THEN_END);
            return true;
        case TOKEN_OTHER:
            return false;
        }
    }
}

bool rg_pattern_read_2017(struct rg_str path, struct rg_pattern_parts *parts)
{
    while (path.n > 0) {
        if (rg_pattern_skip(&path, RG_STR("{id}"))) {
            if (is_behind_segment(parts))
                return false;
            add_part(parts, RG_THEN_SEGMENT);
            continue;
        }
        if (is_behind_segment(parts) && path.p[0] != '/')
            return false;
        rg_buf_add_char(&parts->text, path.p[0]);
        path = rg_str_n(path.p + 1, path.n - 1);
    }
    add_part(parts, RG_THEN_END);
    return true;
}

size_t rg_pattern_count_groups(const struct rg_pattern_parts *parts)
{
    size_t n = 0;

    for (size_t i = 0; i < parts->n; i++)
        n += parts->at[i].then == RG_THEN_GROUP;
    return n;
}

/* ---- what a regular expression begins with ---- */

/* Whether c is one of those that may follow "(?" without changing what is read after it. */
static bool is_plain_group(char c)
{
    return strchr(":=!<>P|", c) != NULL && c != '\0';
}

/* Moves *i from the [ of a class to its ]. False if it cannot be told where that is. */
static bool skip_class(struct rg_str text, size_t *i)
{
    size_t at = *i + 1;

    if (at < text.n && text.p[at] == '^')
        at++;
    if (at < text.n && text.p[at] == ']')
        at++;
    for (; at < text.n && text.p[at] != ']'; at++) {
        if (text.p[at] == '\\')
            at++;
        else if (text.p[at] == '[')
            return false;
    }
    *i = at;
    return at < text.n;
}

/* Moves *depth for the parenthesis at i. False if it begins something that reads differently. */
static bool enter(struct rg_str text, size_t i, size_t *depth)
{
    char next = i + 1 < text.n ? text.p[i + 1] : '\0';
    char after = i + 2 < text.n ? text.p[i + 2] : '\0';

    ++*depth;
    return next != '*' && (next != '?' || is_plain_group(after));
}

/*
 * True if there may be a | outside of all groups, so that nothing is known of the beginning. What
 * is not understood (comments, options, verbs, quotation, classes in classes) counts as one: then
 * the pattern is tried on more paths than necessary, and no harm is done.
 */
static bool may_have_alternatives(struct rg_str text)
{
    size_t depth = 0;

    if (memchr(text.p, '|', text.n) == NULL)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        switch (text.p[i]) {
        case '\\':
            if (++i == text.n || text.p[i] == 'Q' || text.p[i] == 'c')
                return true;
            break;
        case '[':
            if (!skip_class(text, &i))
                return true;
            break;
        case '(':
            if (!enter(text, i, &depth))
                return true;
            break;
        case ')':
            if (depth == 0)
                return true;
            depth--;
            break;
        case '|':
            if (depth == 0)
                return true;
            break;
        default:
            break;
        }
    }
    return false;
}

/* True if the last character before rest is there exactly once, whatever rest is. */
static bool leaves_alone(struct rg_str rest)
{
    if (rest.p[0] == '(')
        return rest.n > 1 && rest.p[1] != '?' && rest.p[1] != '*';
    return rest.p[0] == '.' || rest.p[0] == '[';
}

void rg_pattern_read_prefix(struct rg_str text, struct rg_buf *ret)
{
    struct rg_str rest = text;
    enum token token = TOKEN_CHAR;
    size_t start = ret->n;
    char c;

    while (token == TOKEN_CHAR) {
        token = next_token(&rest, &c);
        if (token == TOKEN_CHAR)
            rg_buf_add_char(ret, c);
    }
    if (token == TOKEN_OTHER && !leaves_alone(rest) && ret->n > start)
        ret->n--;
    if (may_have_alternatives(text))
        ret->n = start;
}
