#include "proxy/rewrite.h"

#include "base/alloc.h"
#include "proxy/path.h"

#define NO_GROUP SIZE_MAX

struct piece {
    size_t end;   /* of its literal in text, which begins where the one before ends */
    size_t group; /* what follows the literal, or NO_GROUP */
};

struct rg_rewrite {
    struct rg_buf text;
    struct piece *pieces;
    size_t n, cap;
};

/* ---- reading ---- */

static void add_piece(struct rg_rewrite *rewrite, size_t group)
{
    if (rewrite->n == rewrite->cap) {
        rewrite->cap = rewrite->cap > 0 ? 2 * rewrite->cap : 4;
        rewrite->pieces =
            rg_realloc_array(rewrite->pieces, rewrite->cap, sizeof(rewrite->pieces[0]));
    }
    rewrite->pieces[rewrite->n++] = (struct piece){rewrite->text.n, group};
}

/* How many digits text begins with; *ret is their number, or one that no group has. */
static size_t read_number(struct rg_str text, size_t *ret)
{
    size_t value = 0, n = 0;

    for (; n < text.n && text.p[n] >= '0' && text.p[n] <= '9'; n++) {
        if (value <= RG_PATTERN_MAX_GROUPS)
            value = 10 * value + (size_t)(text.p[n] - '0');
    }
    *ret = value;
    return n;
}

/* The bytes of the reference that text begins with (\N or \g{N}), or 0 if it begins with none. */
static size_t read_reference(struct rg_str text, size_t *ret)
{
    size_t front = rg_str_starts_with(text, RG_STR("\\g{")) ? 3 : 1;
    size_t n = read_number(rg_str_n(text.p + front, text.n - front), ret);

    if (n == 0 || front == 1)
        return n > 0 ? front + n : 0;
    return front + n < text.n && text.p[front + n] == '}' ? front + n + 1 : 0;
}

/* Definitions may have what would end a request line. */
static void add_literal(struct rg_rewrite *rewrite, char c)
{
    unsigned char byte = (unsigned char)c;

    if (byte <= ' ' || byte == 0x7f)
        rg_buf_addf(&rewrite->text, "%%%02X", byte);
    else
        rg_buf_add_char(&rewrite->text, c);
}

struct rg_rewrite *rg_rewrite_new(struct rg_str replacement)
{
    struct rg_rewrite *rewrite = rg_zalloc(sizeof(*rewrite));
    struct rg_str rest = replacement;

    rg_buf_reserve(&rewrite->text, replacement.n);
    while (rest.n > 0) {
        size_t group = NO_GROUP;
        size_t n = rest.p[0] == '\\' ? read_reference(rest, &group) : 0;
        if (n > 0) {
            add_piece(rewrite, group);
        } else {
            add_literal(rewrite, rest.p[0]);
            n = rg_str_starts_with(rest, RG_STR("\\\\")) ? 2 : 1;
        }
        rest = rg_str_n(rest.p + n, rest.n - n);
    }
    add_piece(rewrite, NO_GROUP);
    return rewrite;
}

void rg_rewrite_free(struct rg_rewrite **rewritep)
{
    struct rg_rewrite *rewrite = *rewritep;

    *rewritep = NULL;
    if (rewrite == NULL)
        return;
    rg_buf_done(&rewrite->text);
    rg_free(rewrite->pieces);
    rg_free(rewrite);
}

/* ---- expanding ---- */

/* Appends text to what stands in out from start on, unless that would be too long. */
static int append(struct rg_buf *out, size_t start, struct rg_str text)
{
    if (text.n > RG_REWRITE_MAX_BYTES - (out->n - start))
        return RG_EFULL;
    rg_buf_add_str(out, text);
    return 0;
}

static int append_pieces(const struct rg_rewrite *rewrite, const struct rg_captures *captures,
                         struct rg_buf *out, size_t start)
{
    size_t from = 0;

    for (size_t i = 0; i < rewrite->n; i++) {
        const struct piece *piece = &rewrite->pieces[i];
        int err = append(out, start, rg_str_n(rewrite->text.p + from, piece->end - from));
        if (err == 0 && piece->group < captures->n)
            err = append(out, start, captures->group[piece->group]);
        if (err < 0)
            return err;
        from = piece->end;
    }
    return 0;
}

/* Of the bytes of out from start on: how many there are up to the first c, or all. */
static size_t length_up_to(const struct rg_buf *out, size_t start, char c)
{
    const char *at = memchr(out->p + start, c, out->n - start);

    return at != NULL ? (size_t)(at - out->p) - start : out->n - start;
}

/* Cuts the fragment off and brings the path into its one form. True if a query follows it. */
static bool tidy(struct rg_buf *out, size_t start)
{
    out->n = start + length_up_to(out, start, '#');
    size_t before = length_up_to(out, start, '?');
    bool has_query = before < out->n - start;
    size_t after = rg_path_remove_dots(out->p + start, before);
    memmove(out->p + start + after, out->p + start + before, out->n - start - before);
    out->n -= before - after;
    return has_query;
}

static int append_query(struct rg_buf *out, size_t start, bool has_query, struct rg_str query)
{
    bool is_begun = has_query && out->p[out->n - 1] == '?';
    struct rg_str mark = !has_query ? RG_STR("?") : is_begun ? RG_STR("") : RG_STR("&");

    if (query.n == 0)
        return 0;
    int err = append(out, start, mark);
    return err < 0 ? err : append(out, start, query);
}

static int expand(const struct rg_rewrite *rewrite, const struct rg_captures *captures,
                  struct rg_str query, struct rg_buf *out, size_t start)
{
    /* A second slash in front is collapsed again; a ? or # in front has a path then. */
    rg_buf_add_char(out, '/');
    int err = append_pieces(rewrite, captures, out, start);
    if (err < 0)
        return err;
    bool has_query = tidy(out, start);
    return append_query(out, start, has_query, query);
}

int rg_rewrite_expand(const struct rg_rewrite *rewrite, const struct rg_captures *captures,
                      struct rg_str query, struct rg_buf *out)
{
    size_t start = out->n;
    int err = expand(rewrite, captures, query, out, start);

    if (err < 0)
        out->n = start;
    return err;
}
