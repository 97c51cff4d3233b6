#include "push/phx_sse.h"

#include "push/api.h"

void rg_phx_sse_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_hub *hub = arg;

    rg_api_not_found(hub->push, exchange);
}
