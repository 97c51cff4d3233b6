/*
 * The body of a request on its way in.
 *
 *   held: asked for, but paused, while it is not known where it goes
 *   gathered: kept, until all of it is there, or enough to know that it is long
 *   passed on: to the call, which says when it takes no more
 */
#include "base/alloc.h"
#include "http/trailers.h"
#include "proxy/passage_priv.h"

uint64_t rg_intake_limit(const struct rg_passage *passage)
{
    uint64_t ours = passage->forwarder->proxy->settings.max_body_bytes;
    uint64_t theirs = passage->s.api != NULL ? passage->s.api->max_body_bytes : 0;

    if (ours == 0)
        ours = UINT64_MAX;
    if (theirs == 0)
        theirs = UINT64_MAX;
    return ours < theirs ? ours : theirs;
}

static void gathered(struct rg_passage *passage)
{
    passage->s.is_gathering = false;
    passage->s.on_gathered(passage);
}

static void on_piece(void *arg, struct rg_str piece)
{
    struct rg_passage *passage = arg;

    passage->s.bytes_in += piece.n;
    if (passage->s.is_gathering) {
        rg_buf_add_str(&passage->gathered, piece);
        if (passage->gathered.n > passage->s.enough)
            gathered(passage);
    } else if (passage->s.call != NULL && !rg_upstream_write(passage->s.call, piece)) {
        rg_exchange_pause_receiving(passage->s.exchange);
    }
}

static void finish(struct rg_passage *passage, const struct rg_http_field *trailers, size_t n)
{
    struct rg_http_field kept[RG_MAX_TRAILERS];

    rg_assert(n <= RG_COUNT_OF(kept));
    n = rg_outgoing_trailers(passage->s.endpoint, trailers, n, kept);
    rg_upstream_finish(passage->s.call, kept, n);
}

static void on_end(void *arg, const struct rg_http_field *trailers, size_t trailers_n)
{
    struct rg_passage *passage = arg;

    if (passage->s.is_gathering) {
        passage->s.is_complete = true;
        gathered(passage);
    } else if (passage->s.call != NULL) {
        finish(passage, trailers, trailers_n);
    }
}

static enum rg_refusal refusal_of(int status)
{
    switch (status) {
    case 408:
        return RG_REFUSAL_TOO_SLOW;
    case 413:
        return RG_REFUSAL_TOO_LARGE;
    default:
        return RG_REFUSAL_BAD_REQUEST;
    }
}

static void on_error(void *arg, int status, const struct rg_why *why)
{
    struct rg_passage *passage = arg;

    if (!passage->s.has_begun) {
        rg_passage_refuse(passage, refusal_of(status), why->text);
        return;
    }
    rg_exchange_abort_body(passage->s.exchange);
    rg_passage_end(passage, rg_refusal_name(refusal_of(status)));
}

static const struct rg_receive_events events = {on_piece, on_end, on_error};

static void receive(struct rg_passage *passage, uint64_t max)
{
    rg_assert(!passage->s.is_receiving);
    passage->s.is_receiving = true;
    rg_exchange_receive(passage->s.exchange, max, &events, passage);
}

void rg_intake_hold(struct rg_passage *passage)
{
    if (!passage->s.is_receiving && passage->s.req->body_length != 0)
        receive(passage, rg_intake_limit(passage));
    if (passage->s.is_receiving && !passage->s.is_complete)
        rg_exchange_pause_receiving(passage->s.exchange);
}

void rg_intake_gather(struct rg_passage *passage, uint64_t max, size_t enough,
                      void (*fn)(struct rg_passage *passage))
{
    rg_passage_keep(passage);
    rg_passage_watch(passage);
    passage->s.is_gathering = true;
    passage->s.enough = enough;
    passage->s.on_gathered = fn;
    if (passage->s.is_receiving)
        rg_exchange_resume_receiving(passage->s.exchange);
    else
        receive(passage, max);
}

void rg_intake_pass(struct rg_passage *passage)
{
    if (!passage->s.is_receiving) {
        receive(passage, rg_intake_limit(passage));
        return;
    }
    if (passage->gathered.n == 0 ||
        rg_upstream_write(passage->s.call, rg_buf_str(&passage->gathered)))
        rg_exchange_resume_receiving(passage->s.exchange);
    else
        rg_exchange_pause_receiving(passage->s.exchange);
    rg_buf_done(&passage->gathered);
}

void rg_intake_resume(struct rg_passage *passage)
{
    rg_exchange_resume_receiving(passage->s.exchange);
}
