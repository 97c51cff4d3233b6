#include "rgate/page.h"

/* From page.S. */
extern const char rg_page_dev_html[], rg_page_dev_html_end[];
extern const char rg_page_welcome_html[], rg_page_welcome_html_end[];
extern const char rg_page_phoenix_js[], rg_page_phoenix_js_end[];

/* The pages carry their own style and script; what else they may load is said by script_src. */
#define POLICY(script_src)                                                                         \
    RG_STR("default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; "                   \
           "script-src " script_src "; img-src data:; base-uri 'none'; "                           \
           "form-action 'none'; frame-ancestors 'none'")

static const char html[] = "text/html; charset=utf-8";

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
    return page(html, rg_page_dev_html, rg_page_dev_html_end, POLICY("'self' 'unsafe-inline'"));
}

struct rg_static_page rg_page_phoenix(void)
{
    return page("text/javascript; charset=utf-8", rg_page_phoenix_js, rg_page_phoenix_js_end,
                POLICY("'none'"));
}

struct rg_static_page rg_page_welcome(void)
{
    return page(html, rg_page_welcome_html, rg_page_welcome_html_end, POLICY("'unsafe-inline'"));
}

struct rg_pages rg_page_internal(void)
{
    const struct rg_static_page none = {RG_STR("text/plain"), RG_STR(""), RG_STR("")};

    return (struct rg_pages){none, none, none, none};
}
