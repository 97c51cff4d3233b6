#include "rgate/page.h"

/* From page.S. */
extern const char rg_page_dev_html[], rg_page_dev_html_end[];
extern const char rg_page_welcome_html[], rg_page_welcome_html_end[];
extern const char rg_page_phoenix_js[], rg_page_phoenix_js_end[];
extern const char rg_page_openapi_json[], rg_page_openapi_json_end[];
extern const char rg_page_swagger_json[], rg_page_swagger_json_end[];
extern const char rg_page_reader_html[], rg_page_reader_html_end[];
extern const char rg_page_dashboard_html[], rg_page_dashboard_html_end[];

/* The pages carry their own style and script; what else they may load is said by script_src. */
#define POLICY(script_src)                                                                         \
    RG_STR("default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; "                   \
           "script-src " script_src "; img-src data:; base-uri 'none'; "                           \
           "form-action 'none'; frame-ancestors 'none'")

#define PAGE(name, type, policy) page((type), rg_page_##name, rg_page_##name##_end, (policy))

static const char html[] = "text/html; charset=utf-8";
static const char json[] = "application/json; charset=utf-8";

static struct rg_static_page page(const char *type, const char *start, const char *end,
                                  struct rg_str policy)
{
    return (struct rg_static_page){
        .content_type = rg_str_c(type),
        .body = rg_str_n(start, (size_t)(end - start)),
        .content_security_policy = policy,
    };
}

struct rg_static_page rg_page_dev(void)
{
    return PAGE(dev_html, html, POLICY("'self' 'unsafe-inline'"));
}

struct rg_static_page rg_page_phoenix(void)
{
    return PAGE(phoenix_js, "text/javascript; charset=utf-8", POLICY("'none'"));
}

struct rg_static_page rg_page_welcome(void)
{
    return PAGE(welcome_html, html, POLICY("'unsafe-inline'"));
}

struct rg_pages rg_page_internal(void)
{
    return (struct rg_pages){
        .openapi = PAGE(openapi_json, json, POLICY("'none'")),
        .swagger = PAGE(swagger_json, json, POLICY("'none'")),
        .reader = PAGE(reader_html, html, POLICY("'unsafe-inline'")),
        .dashboard = PAGE(dashboard_html, html, POLICY("'unsafe-inline'")),
    };
}
