#include "bench/load_deflate.h"

#include <string.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/err.h"
#include "bench/args.h"

#define TEXT_SIZE (256 * 1024) /* more than any event of a benchmark */
#define FIN       0x80
#define RSV1      0x40
#define OPCODE    0x0f
#define OP_TEXT   1

struct rg_load_inflater {
    struct rg_load_tally *tally;
    z_stream zlib;
    char *text;
    struct rg_buf last; /* the latest event as it came, and its stamp */
    uint64_t last_sent_ns;
};

struct rg_load_inflater *rg_load_inflater_new(struct rg_load_tally *tally)
{
    struct rg_load_inflater *inflater = rg_zalloc(sizeof(*inflater));

    inflater->tally = tally;
    inflater->text = rg_alloc(TEXT_SIZE);
    if (inflateInit2(&inflater->zlib, -MAX_WBITS) != Z_OK)
        rg_args_fail("zlib cannot decompress");
    return inflater;
}

void rg_load_inflater_free(struct rg_load_inflater **inflaterp)
{
    struct rg_load_inflater *inflater = *inflaterp;

    if (inflater == NULL)
        return;
    inflateEnd(&inflater->zlib);
    rg_buf_done(&inflater->last);
    rg_free(inflater->text);
    rg_free(inflater);
    *inflaterp = NULL;
}

void rg_load_frames_done(struct rg_load_frames *frames)
{
    rg_buf_done(&frames->rest);
}

/* A message ends where the sender left out four bytes (RFC 7692 7.2.2). */
static int inflate_message(struct rg_load_inflater *inflater, struct rg_str message,
                           struct rg_str *ret_text)
{
    static const char end[] = {0, 0, (char)0xff, (char)0xff};
    z_stream *zlib = &inflater->zlib;
    struct rg_str parts[] = {message, rg_str_n(end, sizeof(end))};

    inflateReset(zlib);
    zlib->next_out = (Bytef *)inflater->text;
    zlib->avail_out = TEXT_SIZE;
    for (unsigned i = 0; i < RG_COUNT_OF(parts); i++) {
        int code;

        zlib->next_in = (Bytef *)parts[i].p;
        zlib->avail_in = (uInt)parts[i].n;
        code = inflate(zlib, Z_SYNC_FLUSH);
        if ((code != Z_OK && code != Z_BUF_ERROR) || zlib->avail_in > 0)
            return RG_EINVAL;
    }
    atomic_fetch_add_explicit(&inflater->tally->inflated, 1, memory_order_relaxed);
    *ret_text = rg_str_n(inflater->text, TEXT_SIZE - zlib->avail_out);
    return 0;
}

static int count_event(struct rg_load_inflater *inflater, struct rg_str message, bool is_compressed)
{
    struct rg_str text = message;

    if (!rg_str_eq(message, rg_buf_str(&inflater->last))) {
        if (is_compressed && inflate_message(inflater, message, &text) < 0)
            return RG_EINVAL;
        if (rg_stamp_find(text.p, text.n, &inflater->last_sent_ns) == 0)
            return 0; /* not an event of ours */
        rg_buf_clear(&inflater->last);
        rg_buf_add_str(&inflater->last, message);
    }
    rg_load_tally_event(inflater->tally, inflater->last_sent_ns);
    return 0;
}

static int take_message(struct rg_load_frames *frames, struct rg_load_inflater *inflater,
                        struct rg_str message, bool is_compressed)
{
    struct rg_load_tail tail = {0};

    if (frames->is_subscribed)
        return count_event(inflater, message, is_compressed);
    if (is_compressed && inflate_message(inflater, message, &message) < 0)
        return RG_EINVAL;
    frames->is_subscribed = rg_load_tail_has(&tail, RG_LOAD_SUBSCRIBED, message.p, message.n);
    return 0;
}

/* Returns the length of the first frame, 0 if it is not complete, or RG_EINVAL. */
static long take_frame(struct rg_load_frames *frames, struct rg_load_inflater *inflater,
                       const char *p, size_t n)
{
    const unsigned char *head = (const unsigned char *)p;
    size_t head_n = 2, body_n;

    if (n < 2)
        return 0;
    body_n = head[1]; /* a server's frames are not masked */
    if (body_n == 126) {
        if (n < 4)
            return 0;
        head_n = 4;
        body_n = (size_t)head[2] << 8 | head[3];
    } else if (body_n > 126) {
        return RG_EINVAL;
    }
    if (n < head_n + body_n)
        return 0;
    if ((head[0] & FIN) == 0)
        return RG_EINVAL;
    if ((head[0] & OPCODE) == OP_TEXT &&
        take_message(frames, inflater, rg_str_n(p + head_n, body_n), (head[0] & RSV1) != 0) < 0)
        return RG_EINVAL;
    return (long)(head_n + body_n);
}

/* Returns the length of the answer, 0 if it is not complete, or RG_EINVAL. */
static long take_answer(struct rg_load_frames *frames, const char *p, size_t n)
{
    static const char extension[] = "permessage-deflate";
    const char *end = memmem(p, n, "\r\n\r\n", 4);

    if (end == NULL)
        return 0;
    if (memmem(p, (size_t)(end - p), extension, sizeof(extension) - 1) == NULL)
        return RG_EINVAL;
    frames->is_open = true;
    return end + 4 - p;
}

/* Returns how many bytes are done with, or RG_EINVAL. */
static long take_all(struct rg_load_frames *frames, struct rg_load_inflater *inflater,
                     const char *p, size_t n)
{
    size_t at = 0;
    long step;

    do {
        if (frames->is_open)
            step = take_frame(frames, inflater, p + at, n - at);
        else
            step = take_answer(frames, p + at, n - at);
        if (step < 0)
            return step;
        at += (size_t)step;
    } while (step > 0);
    return (long)at;
}

int rg_load_frames_feed(struct rg_load_frames *frames, struct rg_load_inflater *inflater,
                        const char *p, size_t n)
{
    bool is_whole = frames->rest.n == 0;
    long done;

    if (!is_whole) {
        rg_buf_add(&frames->rest, p, n);
        p = frames->rest.p;
        n = frames->rest.n;
    }
    done = take_all(frames, inflater, p, n);
    if (done < 0)
        return RG_EINVAL;
    if (is_whole)
        rg_buf_add(&frames->rest, p + done, n - (size_t)done);
    else
        rg_buf_consume(&frames->rest, (size_t)done);
    return 0;
}
