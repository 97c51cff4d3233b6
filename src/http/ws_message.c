#include "http/ws_message.h"

#include "base/utf8.h"

void rg_ws_message_reader_done(struct rg_ws_message_reader *r)
{
    rg_buf_done(&r->data);
    rg_buf_done(&r->control);
    r->given = NULL;
}

void rg_ws_message_skip(struct rg_ws_message_reader *r)
{
    r->skips_data = true;
    rg_buf_done(&r->data);
}

static int give_up(struct rg_ws_message_reader *r, int code, const char *text, struct rg_why *why)
{
    rg_ws_message_skip(r);
    return rg_why_set(why, code, "", "%s", text);
}

static int give(struct rg_ws_message_reader *r, unsigned opcode, struct rg_buf *buf,
                struct rg_ws_message *ret)
{
    r->given = buf;
    *ret = (struct rg_ws_message){(enum rg_ws_opcode)opcode, rg_buf_str(buf)};
    return 1;
}

static int take_control(struct rg_ws_message_reader *r, const struct rg_ws_part *part,
                        struct rg_ws_message *ret)
{
    if (part->starts_frame && part->ends_frame) {
        *ret = (struct rg_ws_message){part->opcode, part->data};
        return 1;
    }
    rg_buf_add_str(&r->control, part->data);
    return part->ends_frame ? give(r, part->opcode, &r->control, ret) : 0;
}

static bool is_too_much(const struct rg_ws_message_reader *r, const struct rg_ws_part *part)
{
    size_t max = r->limits->max_bytes;

    return r->fragments > r->limits->max_fragments || part->frame_left > max ||
           r->data.n + part->data.n + (size_t)part->frame_left > max;
}

/* Looks at the characters that came since the last time. */
static bool is_still_text(struct rg_ws_message_reader *r, bool is_complete)
{
    size_t whole;

    if (r->checked == r->data.n)
        return true;
    if (!rg_utf8_is_beginning(rg_str_n(r->data.p + r->checked, r->data.n - r->checked), &whole))
        return false;
    r->checked += whole;
    return !is_complete || r->checked == r->data.n;
}

static int inflate_data(struct rg_ws_message_reader *r, struct rg_why *why)
{
    const struct rg_inflate_limits limits = {r->limits->max_bytes, r->limits->max_ratio};
    struct rg_buf plain = {0};
    int err = rg_inflater_add(r->inflater, rg_buf_str(&r->data), &limits, &plain);

    rg_buf_done(&r->data);
    r->data = plain;
    if (err == RG_EFULL)
        return give_up(r, -1009, "a WebSocket message becomes too large when it is inflated", why);
    if (err < 0)
        return give_up(r, -1007, "a WebSocket message cannot be inflated", why);
    return 0;
}

static int take_data(struct rg_ws_message_reader *r, const struct rg_ws_part *part,
                     struct rg_ws_message *ret, struct rg_why *why)
{
    bool is_complete = part->ends_frame && part->is_final;

    if (part->starts_frame && part->opcode != RG_WS_CONTINUATION) {
        r->opcode = (unsigned char)part->opcode;
        r->is_compressed = part->is_compressed;
        r->fragments = 0;
        r->checked = 0;
    }
    r->fragments += part->starts_frame ? 1 : 0;
    if (is_too_much(r, part))
        return give_up(r, -1009, "a WebSocket message is too large", why);
    rg_buf_add_str(&r->data, part->data);
    if (is_complete && r->is_compressed) {
        int err = inflate_data(r, why);
        if (err < 0)
            return err;
    }
    if (r->opcode == RG_WS_TEXT && (is_complete || !r->is_compressed) &&
        !is_still_text(r, is_complete))
        return give_up(r, -1007, "the text of a WebSocket message is not UTF-8", why);
    return is_complete ? give(r, r->opcode, &r->data, ret) : 0;
}

int rg_ws_message_read(struct rg_ws_message_reader *r, char **pp, size_t *np,
                       struct rg_ws_message *ret, struct rg_why *why)
{
    int result = 0;

    if (r->given != NULL)
        rg_buf_done(r->given);
    r->given = NULL;
    while (*np > 0 && result == 0) {
        struct rg_ws_part part;
        bool has_part = false;
        long used = r->is_broken ? rg_why_set(why, -1002, "", "a WebSocket frame was malformed")
                                 : rg_ws_read(&r->frames, *pp, *np, &part, &has_part, why);

        if (used < 0) {
            r->is_broken = true;
            rg_ws_message_skip(r);
            result = (int)used;
            used = (long)*np;
        }
        *pp += used;
        *np -= (size_t)used;
        if (has_part && part.opcode >= RG_WS_CLOSE)
            result = take_control(r, &part, ret);
        else if (has_part && !r->skips_data)
            result = take_data(r, &part, ret, why);
    }
    return result;
}
