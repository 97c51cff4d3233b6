#include "push/phx_longpoll.h"

#include "push/api.h"

void rg_phx_longpoll_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_hub *hub = arg;

    rg_api_not_found(hub->push, exchange);
}
