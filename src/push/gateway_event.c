#include "push/gateway_event.h"

#include "base/clock.h"

void rg_gateway_event_add(struct rg_buf *out, const char *type, struct rg_str data,
                          char id[RG_UUID_LEN + 1])
{
    char time[RG_RFC3339_SIZE];

    rg_random_uuid(id);
    rg_clock_rfc3339(time, rg_clock_wall_us());
    rg_buf_addf(out, "{\"specversion\":\"0.2\",\"type\":\"%s\",\"source\":\"rig\",\"id\":\"%s\"",
                type, id);
    rg_buf_addf(out, ",\"time\":\"%s\"", time);
    if (data.p != NULL) {
        rg_buf_add_c(out, ",\"data\":");
        rg_buf_add_str(out, data);
    }
    rg_buf_add_char(out, '}');
}
