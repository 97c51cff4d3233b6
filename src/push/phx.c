#include "push/phx.h"

struct rg_frame *rg_phx_encode_v1_event(const struct rg_event *event, void *arg)
{
    (void)event;
    (void)arg;
    return rg_frame_new(0);
}

struct rg_frame *rg_phx_encode_v2_event(const struct rg_event *event, void *arg)
{
    (void)event;
    (void)arg;
    return rg_frame_new(0);
}

struct rg_frame *rg_phx_encode_sse_event(const struct rg_event *event, void *arg)
{
    (void)event;
    (void)arg;
    return rg_frame_new(0);
}

struct rg_frame *rg_phx_encode_quoted_event(const struct rg_event *event, void *arg)
{
    (void)event;
    (void)arg;
    return rg_frame_new(0);
}
